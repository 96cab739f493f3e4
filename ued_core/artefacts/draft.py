"""The state of work that takes minutes, kept while it is under way, so that work that was stopped goes on from it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ued_core.files import write_atomic

STOPPED = "stopped_early"
"""In the log of an artefact whose making the user ended, and in no other: how far it was, in words."""
SHARE_OF_TIME = 0.05
"""What saving the state of unfinished work may cost."""


class Draft:
    """The state of unfinished work in one file.

    Args:
        path: None keeps nothing. A full or read-only disk is no error.
        every_s: least time between two saves; 0 saves whenever asked.
    """

    def __init__(self, path: Path | None = None, every_s: float = 2.0) -> None:
        self.path, self.every_s = path, every_s
        self._cost, self._last = 0.0, time.perf_counter()

    def load(self) -> dict[str, Any] | None:
        """What was saved last, tensors on the CPU, or None; a damaged file counts as none."""
        import torch

        if self.path is None or not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # whatever torch and pickle say of a torn file: the work begins anew
            return None

    def save(self, state: Callable[[], Mapping[str, Any]], now: bool = False) -> None:
        """Save, but not so often that it takes more than a twentieth of the time, unless it must be ``now``.

        Args:
            state: gives what to keep, tensors and plain values; called only when it is saved.
            now: save whatever it costs.
        """
        import torch

        started = time.perf_counter()
        pause = max(self.every_s, self._cost / SHARE_OF_TIME) if self.every_s else 0.0
        if self.path is None or (not now and started - self._last < pause):
            return
        held = dict(state())
        # torch says RuntimeError of a full disk.
        with suppress(OSError, RuntimeError):
            write_atomic(self.path, lambda temporary: torch.save(held, temporary))
        self._last = time.perf_counter()
        self._cost = self._last - started

    def discard(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
