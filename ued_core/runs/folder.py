"""A run's folder: the only place that knows its file names.

| file | written by | what |
|---|---|---|
| ``spec.json`` | submitter | what to do |
| ``request.json`` | submitter | title, key and time of submission |
| ``queued`` | submitter, resume | the token: whoever removes it owns the next step of the run |
| ``cancel`` | anybody | the request to stop; stays as the mark of a cancelled run |
| ``stop-crafting`` | anybody | the request to end crafting and to train with what is there; goes with a resume |
| ``usable`` | worker | there while crafting could be ended so |
| ``worker.lock`` | worker | held while one executes |
| ``environments.jsonl`` | worker | one line an execution, once torch is there: device, precision, threads, versions |
| ``attempts.jsonl`` | worker | one line an execution: when, where, which process |
| ``heartbeat`` | worker | touched every second |
| ``progress.jsonl`` | worker | one line per report |
| ``history.jsonl`` | worker | one line per epoch |
| ``checkpoint.pt`` | worker | for resuming; removed when the run has finished |
| ``crafted/`` | worker | a poisoned set whose crafting was ended early; it belongs to this run alone |
| ``weights.safetensors`` | worker | the trained weights |
| ``weights/epoch_003.safetensors`` | worker | the weights after so many epochs (:mod:`ued_core.runs.weights`) |
| ``last-words`` | submitter, resume, worker | room on the disk for ``error.json``, which it may become |
| ``result.json`` | worker | what the finished run measured, without the history (:mod:`ued_core.runs.result`) |
| ``error.json`` | worker | why it failed |
| ``log.txt`` | worker | what it printed |

The token makes every execution unique: a run is executed by the one worker that removed it,
cancelled by the one process that removed it, and no order of events gives it to two.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ued_core.errors import RunError, in_short
from ued_core.files import GONE, NEW, folder_atomic, remove_at_once, write_atomic, write_json
from ued_core.home import home
from ued_core.results.parts import EpochRow
from ued_core.runs.jsonl import finite, line_of, modified, read_lines, read_tail, read_value
from ued_core.runs.last_words import keep_room, speak
from ued_core.runs.result import RunResult, Summary
from ued_core.runs.stored import (
    Attempt,
    Computing,
    CraftedCard,
    CraftedLog,
    Failure,
    Report,
    Request,
    SpecFile,
)
from ued_core.stored import fitted, in_brief

RUN_ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{4}")
TOKEN = "queued"
TAIL_BYTES = 32_768
"""How much of a growing file is read for its latest lines."""
LONGEST_S = 1e9
"""A step that would last for more than thirty years has no time that could be told."""


def runs_root() -> Path:
    """The folder that holds every run; it is not made here."""
    return home() / "runs"


def new_run_id(now: float | None = None) -> str:
    """A name that sorts by time of submission: ``20261121-093012-481-5fa2``, in UTC."""
    moment = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    return f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03d}-{secrets.token_hex(2)}"


@dataclass(frozen=True)
class Progress:
    """How far a run is in the step that ``text`` names.

    Attributes:
        time: of the report, seconds since 1970.
        done, total: in the step's own unit.
        text: the step.
        seconds_left: at the speed measured in this attempt; None while unknown.
    """

    time: float
    done: float
    total: float
    text: str
    seconds_left: float | None

    @property
    def fraction(self) -> float:
        """Share of the step that is done, 0..1."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes one run's files; reading never fails on missing or damaged ones.

    Attributes:
        path: the folder; its name is the run's id.
    """

    path: Path

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def spec_path(self) -> Path:
        return self.path / "spec.json"

    @property
    def request_path(self) -> Path:
        return self.path / "request.json"

    @property
    def token(self) -> Path:
        return self.path / TOKEN

    @property
    def lock(self) -> Path:
        return self.path / "worker.lock"

    @property
    def cancel_path(self) -> Path:
        return self.path / "cancel"

    @property
    def stop_crafting_path(self) -> Path:
        return self.path / "stop-crafting"

    @property
    def usable(self) -> Path:
        return self.path / "usable"

    @property
    def partial(self) -> Path:
        return self.path / "crafted"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat"

    @property
    def progress_path(self) -> Path:
        return self.path / "progress.jsonl"

    @property
    def history_path(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def attempts_path(self) -> Path:
        return self.path / "attempts.jsonl"

    @property
    def environments_path(self) -> Path:
        return self.path / "environments.jsonl"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def epoch_folder(self) -> Path:
        return self.path / "weights"

    @property
    def result_path(self) -> Path:
        return self.path / "result.json"

    @property
    def error_path(self) -> Path:
        return self.path / "error.json"

    @property
    def last_words(self) -> Path:
        return self.path / "last-words"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @classmethod
    def create(cls, root: Path, spec: Mapping[str, Any], request: Mapping[str, Any]) -> RunFolder:
        """Make the folder of a new, queued run in one step: it is there completely or not at all.

        Raises:
            RunError: the folder cannot be written.
        """
        run_id = new_run_id()
        try:
            with folder_atomic(root / run_id) as fresh:
                made = cls(fresh)
                write_json(made.spec_path, spec)
                write_json(made.request_path, request)
                made.reserve()
                made.token.touch()
        except OSError as error:
            raise cannot_write(error, root) from error
        return cls(root / run_id)

    def spec(self) -> tuple[dict[str, Any], str]:
        """The spec as plain values, and what is wrong with its file ("" when nothing is).

        With a wrong value in it there is no spec: what is left of it would be another run.
        """
        try:
            value = json.loads(self.spec_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            return {}, f"The run's spec.json cannot be read: {in_short(error)}."
        if not isinstance(value, dict):
            return {}, "The run's spec.json holds no JSON object."
        damage: list[str] = []
        fitted(SpecFile, value, self.spec_path.name, damage)
        return (
            ({}, f"The run's spec.json is damaged: {'; '.join(in_brief(damage))}.")
            if damage
            else (_with_methods(value), "")
        )

    def request(self, damage: list[str] | None = None) -> Request:
        """Title, key and time of submission, as far as they are there and right.

        Args:
            damage: here and below: takes a sentence for every value that does not fit.
        """
        return fitted(Request, read_value(self.request_path), self.request_path.name, damage)

    def measured(self, damage: list[str] | None = None) -> Summary | None:
        """The numbers of the finished run that tables show, as far as they are right; None without a result."""
        if not self.result_path.exists():
            return None
        value = read_value(self.result_path)
        # Rows of history.jsonl are judged where they are read.
        RunResult.read(value, [], damage, self.result_path.name)
        return fitted(Summary, value, self.result_path.name)

    def result(self) -> RunResult | None:
        """What the finished run measured; None without one that is wholly right."""
        value = read_value(self.result_path)
        return None if value is None else RunResult.read(value, self.history())

    def write_result(self, result: RunResult) -> None:
        """Record what a finished run measured.

        Raises:
            OSError: it cannot be written, or the folder is gone.
        """
        # A worker that died between a checkpoint and its line left a gap.
        if self.history() != result.history:
            text = "".join(line_of(row.numbers) for row in result.history)
            write_atomic(self.history_path, lambda path: _fill(path, text), parents=False)
        write_json(self.result_path, finite(result.to_json(history=False)), parents=False)

    def error(self, damage: list[str] | None = None) -> dict[str, Any] | None:
        """``what``, ``do``, ``kind``, ``traceback`` and ``time`` of a failed run, or None."""
        if not self.error_path.exists():
            return None
        value = read_value(self.error_path)
        if value is None:
            return {"what": "The run failed, but its error.json is unreadable.", "do": "", "kind": "bug"}
        return fitted(Failure, value, self.error_path.name, damage).model_dump()

    def attempts(self, damage: list[str] | None = None) -> list[Attempt]:
        """One row an execution."""
        return [fitted(Attempt, row, f"line {number} of {self.attempts_path.name}", damage)
                for number, row in read_lines(self.attempts_path)]  # fmt: skip

    def environments(self, damage: list[str] | None = None) -> list[Computing]:
        """One row an execution that came to torch."""
        return [fitted(Computing, row, f"line {number} of {self.environments_path.name}", damage)
                for number, row in read_lines(self.environments_path)]  # fmt: skip

    def history(self, damage: list[str] | None = None) -> list[EpochRow]:
        """One row per epoch; epochs increase, every number is finite.

        A row with a wrong value is left out. After a resume the epochs since the last checkpoint are trained again;
        their first rows give way to the new ones.
        """
        rows: list[EpochRow] = []
        for number, value in read_lines(self.history_path):
            row = EpochRow.read(value, f"line {number} of {self.history_path.name}", damage)
            if row is None:
                continue
            while rows and rows[-1].epoch >= row.epoch:
                rows.pop()
            rows.append(row)
        return rows

    def progress(self, damage: list[str] | None = None) -> Progress | None:
        """The latest report of the current attempt, or None before the first."""
        step: list[tuple[float, float, float, str]] = []
        for _, row in read_lines(self.progress_path, TAIL_BYTES):
            report = fitted(Report, row, f"a line of {self.progress_path.name}", damage)
            if report.attempt is not None:
                step = []
            elif report.time is not None and report.done is not None and report.total is not None:
                if step and (report.total != step[-1][2] or report.done < step[-1][1]):
                    step = []
                step.append((report.time, report.done, report.total, report.text))
        if not step:
            return None
        # The later half of the reports: the first ones hold compilation and warm-up.
        first, last = step[(len(step) - 1) // 2 if len(step) > 2 else 0], step[-1]
        gone, took = last[1] - first[1], last[0] - first[0]
        left = (last[2] - last[1]) * took / gone if gone > 0 and took >= 0 else math.inf
        return Progress(*last, left if 0 <= left < LONGEST_S else None)

    def crafted_log(self, damage: list[str] | None = None) -> CraftedLog:
        """What the card says of the set that the run keeps for itself; there from the end of crafting on, and after a
        resume."""
        for path in sorted(self.partial.glob("*/card.json")):
            card = fitted(CraftedCard, read_value(path), f"{path.parent.name}/{path.name}", damage)
            return card.log or CraftedLog()
        return CraftedLog()

    def log_tail(self, lines: int = 50) -> str:
        """The last lines that the worker printed."""
        return "\n".join(read_tail(self.log, TAIL_BYTES).splitlines()[-lines:])

    def heartbeat_age(self) -> float:
        """Seconds since the worker last showed life; infinite before it ever did."""
        return max(0.0, time.time() - (modified(self.heartbeat) or -float("inf")))

    def queued(self) -> bool:
        """Whether the run waits to be executed."""
        return self.token.exists()

    def cancel_requested(self) -> bool:
        """Whether somebody asked to stop it."""
        return self.cancel_path.exists()

    def take_token(self) -> bool:
        """Become the one who decides what happens to a queued run; false when another was faster."""
        try:
            self.token.unlink()
        except FileNotFoundError:
            return False
        return True

    def request_cancel(self) -> bool:
        """Ask to stop. True when the run was still queued, and so is cancelled already."""
        # The mark comes first: without it, a run whose token is gone would look interrupted.
        self.cancel_path.touch()
        return self.take_token()

    def stop_crafting_requested(self) -> bool:
        """Whether somebody asked to end crafting and to train with what is there."""
        return self.stop_crafting_path.exists()

    def request_resume(self) -> None:
        """Queue the run again; its checkpoint decides where it goes on.

        Raises:
            OSError: the disk is full, or the folder cannot be written; then nothing has changed.
        """
        self.reserve()
        self.cancel_path.unlink(missing_ok=True)
        self.stop_crafting_path.unlink(missing_ok=True)
        self.token.touch()

    def write_error(self, what: str, do: str, kind: str, traceback: str = "") -> None:
        """Record why the run failed; the latest failure replaces an earlier one. Needs no room on the disk after
        :meth:`reserve`.

        Raises:
            OSError: it cannot be written, or the folder is gone.
        """
        told = {"what": what, "do": do, "kind": kind, "traceback": traceback, "time": time.time()}
        try:
            speak(self.last_words, told, self.error_path)
        except OSError:
            write_json(self.error_path, told, parents=False)

    def reserve(self) -> None:
        """Take the room that :meth:`write_error` needs, while there is some.

        Raises:
            OSError: there is none.
        """
        keep_room(self.last_words)

    def gone(self) -> bool:
        """Whether somebody deletes the folder, or has done so: what every run has from its first moment on is not
        there."""
        return not self.spec_path.exists() and not self.request_path.exists()

    def remove(self) -> None:
        """Delete the folder; it disappears from sight at once.

        Raises:
            RunError: it cannot be moved.
        """
        try:
            remove_at_once(self.path)
        except OSError as error:
            raise RunError(f"The run {self.run_id} cannot be deleted: {error}.") from error


def cannot_write(error: OSError, root: Path) -> RunError:
    """What it means that nothing can be written where the runs lie."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else (error.strerror or str(error)).lower()
    do = "Make room, then try again" if full else "Change that"
    return RunError(
        f"The run cannot be written to {root}: {reason}.", f"{do}, or set UED_HOME to a folder that can be written."
    )


def _fill(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _with_methods(spec: dict[str, Any]) -> dict[str, Any]:
    """Methods that stand as bare names become objects, as every reader expects them."""
    for name in ("dataset", "attack", "model", "plan", "relabel"):
        if isinstance(spec.get(name), str):
            spec[name] = {"name": spec[name]}
    if isinstance(spec.get("defenses"), list):
        spec["defenses"] = [{"name": entry} if isinstance(entry, str) else entry for entry in spec["defenses"]]
    return spec


def run_ids(root: Path) -> list[str]:
    """The ids of all runs in a folder, oldest first."""
    try:
        return sorted(name for name in os.listdir(root) if RUN_ID.fullmatch(name))
    except OSError:
        return []


def sweep(root: Path) -> None:
    """Remove what crashed submissions and deletions left behind more than an hour ago."""
    for path in [*root.glob(f"{NEW}*"), *root.glob(f"{GONE}*")]:
        if time.time() - (modified(path) or 0.0) > 3600:
            shutil.rmtree(path, ignore_errors=True)


def notify(root: Path, run_id: str) -> None:
    """Tell the supervisor that a run's folder has changed; it would find out later anyway."""
    with suppress(OSError):
        inbox = root / ".inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / run_id).touch()


def notified(root: Path, empty: bool = True) -> list[str]:
    """The runs whose folders have changed since the inbox was last emptied."""
    try:
        names = [name for name in os.listdir(root / ".inbox") if RUN_ID.fullmatch(name)]
    except OSError:
        return []
    for name in names if empty else ():
        (root / ".inbox" / name).unlink(missing_ok=True)
    return names
