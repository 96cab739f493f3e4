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
| ``attempts.jsonl`` | worker | one line an execution: when, where, which process |
| ``heartbeat`` | worker | touched every second |
| ``progress.jsonl`` | worker | one line a report |
| ``history.jsonl`` | worker | one line an epoch |
| ``checkpoint.pt`` | worker | for resuming; removed when the run has finished |
| ``crafted/`` | worker | a poisoned set whose crafting was ended early; it belongs to this run alone |
| ``weights.safetensors`` | worker | the trained weights |
| ``weights/epoch_003.safetensors`` | worker | the weights after so many epochs, 0 is before training (:mod:`ued_core.runs.weights`) |
| ``result.json``, ``error.json`` | worker | how it ended |
| ``log.txt`` | worker | what it printed |

The token makes every execution unique: a run is executed by the one worker that removed it,
cancelled by the one process that removed it, and no order of events gives it to two.
"""

from __future__ import annotations

import json
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

from ued_core.errors import RunError
from ued_core.files import write_json
from ued_core.home import home
from ued_core.runs.jsonl import modified, read_lines, read_object, read_tail

RUN_ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{4}")
TOKEN = "queued"
TAIL_BYTES = 32_768
"""How much of a growing file is read for its latest lines."""


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
    def log(self) -> Path:
        return self.path / "log.txt"

    @classmethod
    def create(cls, root: Path, spec: Mapping[str, Any], request: Mapping[str, Any]) -> RunFolder:
        """Make the folder of a new, queued run in one step: it is there completely or not at all.

        Raises:
            RunError: the folder cannot be written.
        """
        run_id = new_run_id()
        temporary = root / f".new-{run_id}"
        try:
            temporary.mkdir(parents=True)
            made = cls(temporary)
            write_json(made.spec_path, spec)
            write_json(temporary / "request.json", request)
            made.token.touch()
            os.rename(temporary, root / run_id)
        except OSError as error:
            do = "Free some space, or set UED_HOME to a folder that can be written."
            raise RunError(f"The run cannot be written to {root}: {error}.", do) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(root / run_id)

    def spec(self) -> tuple[dict[str, Any], str]:
        """The spec as plain values, and what is wrong with its file ("" when nothing is)."""
        try:
            value = json.loads(self.spec_path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            return {}, f"The run's spec.json cannot be read: {error}."
        return (value, "") if isinstance(value, dict) else ({}, "The run's spec.json holds no JSON object.")

    def request(self) -> dict[str, Any]:
        """Title, key and time of submission; empty when the file is unreadable."""
        return read_object(self.path / "request.json")

    def result(self) -> dict[str, Any] | None:
        """What the finished run measured (see :func:`ued_core.runs.pipeline.execute`), or None."""
        return read_object(self.result_path) or None

    def error(self) -> dict[str, Any] | None:
        """``what``, ``do``, ``kind``, ``traceback`` and ``time`` of a failed run, or None."""
        found = read_object(self.error_path)
        if not found:
            unreadable = {"what": "The run failed, but its error.json is unreadable.", "do": "", "kind": "bug"}
            return unreadable if self.error_path.exists() else None
        return found

    def attempts(self) -> list[dict[str, Any]]:
        """One row an execution: attempt (1…), time, host, pid, created, slot, device, threads."""
        return [row for row in read_lines(self.attempts_path) if {"attempt", "time", "pid", "created"} <= row.keys()]

    def history(self) -> list[dict[str, float]]:
        """One row an epoch, as :func:`ued_core.training.train` describes them; epochs increase.

        After a resume the epochs since the last checkpoint are trained again; their first
        rows give way to the new ones.
        """
        rows: list[dict[str, float]] = []
        for row in read_lines(self.history_path):
            if isinstance(row.get("epoch"), int | float):
                while rows and rows[-1]["epoch"] >= row["epoch"]:
                    rows.pop()
                rows.append(row)
        return rows

    def progress(self) -> Progress | None:
        """The latest report of the current attempt, or None before the first."""
        step: list[dict[str, Any]] = []
        for row in read_lines(self.progress_path, TAIL_BYTES):
            if "attempt" in row:
                step = []
            elif all(isinstance(row.get(name), int | float) for name in ("time", "done", "total")):
                if step and (row["total"] != step[-1]["total"] or row["done"] < step[-1]["done"]):
                    step = []
                step.append(row)
        if not step:
            return None
        # The later half of the reports: the first ones hold compilation and warm-up.
        first, last = step[(len(step) - 1) // 2 if len(step) > 2 else 0], step[-1]
        gone = last["done"] - first["done"]
        left = (last["total"] - last["done"]) * (last["time"] - first["time"]) / gone if gone > 0 else None
        return Progress(last["time"], last["done"], last["total"], str(last.get("text", "")), left)

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
        """Queue the run again; its checkpoint decides where it goes on."""
        self.cancel_path.unlink(missing_ok=True)
        self.stop_crafting_path.unlink(missing_ok=True)
        self.token.touch()

    def write_error(self, what: str, do: str, kind: str, traceback: str = "") -> None:
        """Record why the run failed; the latest failure replaces an earlier one."""
        write_json(self.error_path, {"what": what, "do": do, "kind": kind, "traceback": traceback, "time": time.time()})

    def remove(self) -> None:
        """Delete the folder; it disappears from sight at once.

        Raises:
            RunError: it cannot be moved.
        """
        away = self.path.with_name(f".gone-{self.run_id}-{secrets.token_hex(4)}")
        try:
            os.rename(self.path, away)
        except OSError as error:
            raise RunError(f"The run {self.run_id} cannot be deleted: {error}.") from error
        shutil.rmtree(away, ignore_errors=True)


def run_ids(root: Path) -> list[str]:
    """The ids of all runs in a folder, oldest first."""
    try:
        return sorted(name for name in os.listdir(root) if RUN_ID.fullmatch(name))
    except OSError:
        return []


def sweep(root: Path) -> None:
    """Remove what crashed submissions and deletions left behind more than an hour ago."""
    for path in [*root.glob(".new-*"), *root.glob(".gone-*")]:
        if time.time() - (modified(path) or 0.0) > 3600:
            shutil.rmtree(path, ignore_errors=True)


def ring(root: Path, run_id: str) -> None:
    """Tell the supervisor that a run's folder has changed; it would find out later anyway."""
    with suppress(OSError):
        inbox = root / ".inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / run_id).touch()


def rung(root: Path, empty: bool = True) -> list[str]:
    """The runs that were rung for since the inbox was last emptied."""
    try:
        names = [name for name in os.listdir(root / ".inbox") if RUN_ID.fullmatch(name)]
    except OSError:
        return []
    for name in names if empty else ():
        (root / ".inbox" / name).unlink(missing_ok=True)
    return names
