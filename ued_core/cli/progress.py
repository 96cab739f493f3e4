"""What a person at a terminal sees while a command works."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ued_core.context import Context


class Progress:
    """One line on standard error with a time estimate, only for people (a terminal)."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.shown = 0.0
        self.wide = sys.stderr.isatty()
        self.noted: set[str] = set()

    def __call__(self, done: float, total: float, text: str) -> None:
        left = f", {(time.monotonic() - self.began) * (total - done) / done:.0f} s left" if done > 0 else ""
        self.show(f"{100 * done / max(total, 1e-9):3.0f} % {text}{left}")

    def show(self, text: str) -> None:
        """Put the text in place of the line before, at most five times a second."""
        now = time.monotonic()
        if not self.wide or now - self.shown < 0.2:
            return
        self.shown = now
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    def note(self, note: str) -> None:
        """What was skipped or changed; for programs that read standard error too."""
        if note not in self.noted:
            self.noted.add(note)
            print(f"{chr(13) + chr(27) + '[K' if self.wide else ''}note: {note}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.wide and self.shown:
            print(file=sys.stderr)


def context(seed: int, device: str = "auto") -> Context:
    """A context that shows progress and notes on standard error."""
    from ued_core.context import Context, pick_device

    progress = Progress()
    return Context(seed=seed, device=pick_device(device), on_report=progress, on_note=progress.note)


def follow(run_id: str) -> int:
    """Show a run until it ends, then print its accuracy; returns the exit code."""
    from ued_core import runs

    progress = Progress()
    while True:
        record = runs.run(run_id)
        if record.over:
            break
        runs.attend([record])
        if record.fraction:
            progress(record.fraction, 1.0, f"epoch {record.epoch or 0} of {record.epochs}")
        time.sleep(0.3)
    progress.close()
    result = runs.folder(run_id).result()
    notes = result.data.notes if result else []
    for note in notes:
        progress.note(note)
    if record.last is None:
        print(record.state)
        return 1
    from ued_core.data.base import NOT_CLEAN

    kind = "NOT CLEAN test accuracy" if any(note.startswith(NOT_CLEAN) for note in notes) else "clean test accuracy"
    print(f"{record.state}: {kind} {record.last:.4f}")
    return 0 if record.state == "finished" else 1
