"""What is known of a run, derived from its folder alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, field, fields
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from ued_core.errors import UedError
from ued_core.runs.folder import Progress, RunFolder
from ued_core.runs.jsonl import modified
from ued_core.runs.launcher import Handle
from ued_core.runs.result import Summary
from ued_core.runs.stored import Attempt, Computing
from ued_core.stored import LATEST, Count, Moment, Share, Span, in_brief, printable

if TYPE_CHECKING:
    from ued_core.runs.spec import RunSpec

State = Literal["queued", "running", "finished", "failed", "cancelled", "interrupted"]
STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset({"finished", "failed", "cancelled", "interrupted"})
SILENT_S = 30.0
"""A worker that shows no life for this long is said not to respond."""


@dataclass(frozen=True, config=ConfigDict(strict=True, allow_inf_nan=False))
class RunRecord:
    """One row of the table of runs.

    Every value is checked when a record is made: numbers are finite and in their range, times before 2100.

    Attributes:
        id: the run's folder name; sorts by time of submission.
        title: readable name, e.g. ``Shapes · CUDA · COIN · Small CNN``.
        key: name of the result: equal keys, equal results. It is the spec's (:meth:`RunSpec.key`), with the arithmetic
            behind it where ``auto`` took another than float32: ``e8fc55e2b479-bfloat16``. A run whose crafting was
            ended early has one of its own.
        state: ``queued``, ``running``, ``finished``, ``failed``, ``cancelled`` (the user stopped
            it) or ``interrupted`` (its worker died).
        created, started, ended: seconds since 1970; ``started`` is the latest attempt's.
        device: where the latest attempt ran, e.g. ``GPU 0, NVIDIA A100``.
        attempt: executions so far.
        epoch, epochs: trained and wanted.
        text: the step that a running run is in.
        fraction: share of that step that is done, 0..1; 1 when finished.
        seconds_left: of that step, from the speed of this attempt; None while unknown.
        last, best: clean test accuracy after the last epoch and its maximum, 0..1.
        train_accuracy: over the last epoch, as trained, 0..1.
        cpu_s: processor time of the execution that finished; None while unknown.
        note: the submitter's words.
        by, by_name: the visitor who submitted it; empty for the owner.
        spec: the spec as plain values, as far as they can be (:attr:`run_spec`).
        error: what went wrong and what to do, in one line.
        stopped_early: how far crafting was when the user ended it, ``"after 3 of at most 30 rounds"``; empty otherwise.
        craftable: a running run whose crafting could be ended now, to train with what is there.
        cancelling: a running run that was asked to stop.
        responding: false for a running run whose worker has shown no life for 30 seconds.
        environment: what the numbers may depend on besides the spec, of the latest attempt: ``device`` (cpu, cuda or
            mps), ``precision``, ``threads``, ``torch``. Empty before the first attempt has loaded torch.
        damaged: values of its files that cannot be, a sentence each: ``field epoch of line 3 of history.jsonl is NaN``.
            What they would have said is unknown; the rest holds.
    """

    id: str
    title: str = ""
    key: str = ""
    state: State = "queued"
    created: Moment | None = None
    started: Moment | None = None
    ended: Moment | None = None
    device: str = ""
    attempt: Count = 0
    epoch: Count = 0
    epochs: Count = 0
    text: str = ""
    fraction: Share = 0.0
    seconds_left: Span | None = None
    last: Share | None = None
    best: Share | None = None
    train_accuracy: Share | None = None
    cpu_s: Span | None = None
    note: str = ""
    by: str = ""
    by_name: str = ""
    spec: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    stopped_early: str = ""
    craftable: bool = False
    cancelling: bool = False
    responding: bool = True
    environment: dict[str, str | int] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        """Whether nothing will happen to the run by itself any more."""
        return self.state in ENDED

    @property
    def resumable(self) -> bool:
        """Whether it can be queued again."""
        return self.over and self.state != "finished"

    @cached_property
    def run_spec(self) -> RunSpec | None:
        """The spec with its configured methods, read when it is first asked for; None where this version of the program
        cannot read it."""
        # Listing runs must not wait for torch.
        from ued_core.runs.spec import RunSpec

        try:
            return RunSpec.from_json(self.spec)
        except UedError:
            return None

    @property
    def precision(self) -> str:
        """``float32`` or ``bfloat16``; where attempts differ, each in its turn; empty while unknown."""
        return str(self.environment.get("precision", ""))

    @property
    def spec_key(self) -> str:
        """The key of its spec, whatever arithmetic ``auto`` took."""
        return self.key.removesuffix(f"-{self.precision}")

    @property
    def outdated(self) -> bool:
        """Whether ``auto`` took an arithmetic that it takes no more: older versions computed in bfloat16 on some
        processors."""
        return self.environment.get("device") == "cpu" and self.key != self.spec_key

    def to_json(self) -> dict[str, Any]:
        """Plain values; the spec is the record's own, not a copy."""
        # run_spec is kept beside the fields.
        return {known.name: getattr(self, known.name) for known in fields(self)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunRecord:
        """Read what :meth:`to_json` wrote; unknown fields are left out.

        Raises:
            ValueError: a value is wrong, or there is no id.
        """
        known = _names()
        given = {name: entry for name, entry in value.items() if name in known}
        return cls(**{**given, "damaged": tuple(given.get("damaged") or ())})


@cache
def _names() -> frozenset[str]:
    return frozenset(field.name for field in fields(RunRecord))


def worker_of(folder: RunFolder, started: Handle | None = None) -> Handle | None:
    """The process that executes the run now: the one that the folder names, else the one just started."""
    attempts = folder.attempts()
    recorded = Handle.from_attempt(attempts[-1]) if attempts else None
    for handle in (recorded, started):
        if handle is not None and (handle.alive() or (not handle.here() and folder.heartbeat_age() < SILENT_S)):
            return handle
    return None


def state_of(folder: RunFolder, working: bool, spec_problem: str = "") -> State:
    """The run's state from the files that are there.

    Args:
        working: whether a worker process of the run is alive.
        spec_problem: why the spec cannot be read, if so.
    """
    if folder.result_path.exists():
        return "finished"
    if folder.queued():
        if working:
            return "running"
        return "failed" if spec_problem else "queued"
    if folder.error_path.exists():
        return "failed"
    if working:
        return "running"
    if folder.cancel_requested():
        return "cancelled"
    return "failed" if spec_problem else "interrupted"


def read_record(folder: RunFolder, started: Handle | None = None) -> RunRecord:
    """Everything that the folder tells; a wrong value in it is named in ``damaged`` and otherwise unknown.

    Args:
        started: the process that a supervisor started for the run, in case it has not yet said so itself.
    """
    damage: list[str] = []
    spec, problem = folder.spec()
    if problem:
        damage.append(problem.removeprefix("The run's ").rstrip("."))
    request, attempts = folder.request(damage), folder.attempts(damage)
    state = state_of(folder, worker_of(folder, started) is not None, problem)
    attempt = attempts[-1] if attempts else Attempt()
    running = state == "running"
    progress = folder.progress(damage) if running else None
    result = folder.measured(damage)
    early = folder.crafted_log(damage).stopped_early
    used = _environment(folder.environments(damage), result)
    # On a processor auto is float32: keys of stored results are those of float32.
    arithmetic = f"-{used['precision']}" if used.get("precision", "float32") != "float32" and _auto(spec) else ""
    return RunRecord(
        id=folder.run_id,
        title=(request.title or "unreadable run") + (" (crafting stopped early)" if early else ""),
        key=request.key + (f"-{folder.run_id}" if early else "") + arithmetic,
        state=state,
        created=_moment(folder.run_id) if request.created is None else request.created,
        started=attempt.time,
        ended=_ended(folder, state),
        device=_device(attempt, result),
        attempt=len(attempts),
        note=printable(spec.get("note", "")),
        by=request.by,
        by_name=request.by_name,
        spec=spec,
        error=_error(folder, state, problem, damage),
        stopped_early=early,
        craftable=running and folder.usable.exists() and not folder.stop_crafting_requested(),
        cancelling=running and folder.cancel_requested(),
        responding=not running or not attempts or folder.queued() or folder.heartbeat_age() < SILENT_S,
        **_numbers(folder, spec, result, damage),
        **_position(state, progress, waiting=folder.queued()),
        environment=used,
        damaged=in_brief(damage),
    )


def _environment(lines: Sequence[Computing], result: Summary | None) -> dict[str, str | int]:
    last = (result.environment if result else None) or next(reversed(lines), Computing())
    # An attempt on another machine goes on from the same checkpoint: the result is then of both kinds.
    taken = [line.precision for line in (*lines, last) if line.precision]
    used = {
        "device": last.device,
        "precision": ", then ".join(dict.fromkeys(taken)),
        "threads": last.threads,
        "torch": last.torch,
    }
    return {name: value for name, value in used.items() if value}


def _auto(spec: Mapping[str, Any]) -> bool:
    plan = spec.get("plan")
    return not isinstance(plan, Mapping) or plan.get("precision", "auto") == "auto"


def _position(state: State, progress: Progress | None, waiting: bool) -> dict[str, Any]:
    if state == "running":
        if progress is None or waiting:
            return {"text": "starting"}
        return {"text": progress.text, "fraction": progress.fraction, "seconds_left": progress.seconds_left}
    return {"fraction": 1.0} if state == "finished" else {}


def _numbers(folder: RunFolder, spec: Mapping[str, Any], result: Summary | None, damage: list[str]) -> dict[str, Any]:
    epochs = (spec.get("plan") or {}).get("epochs", 0)
    rows = folder.history(damage)
    if result is not None:
        epoch = len(rows) if result.epochs is None else result.epochs
        return {
            "epoch": epoch,
            "epochs": epochs,
            "last": result.last,
            "best": result.best,
            "train_accuracy": result.train_accuracy,
            "cpu_s": result.cpu_s,
        }
    if not rows:
        return {"epochs": epochs}
    tests = [row.test_accuracy for row in rows if row.test_accuracy is not None]
    return {
        "epoch": rows[-1].epoch,
        "epochs": epochs,
        "last": tests[-1] if tests else None,
        "best": max(tests, default=None),
        "train_accuracy": rows[-1].train_accuracy,
    }


def _device(attempt: Attempt, result: Summary | None) -> str:
    used = result.environment.device if result and result.environment else ""
    if used == "mps":
        return "Apple GPU"
    wrong = used == "cpu" and attempt.slot.startswith("cuda")
    return f"CPU: torch could not use {attempt.device}" if wrong else attempt.device


def _ended(folder: RunFolder, state: State) -> float | None:
    sources = {
        "finished": [folder.result_path],
        "failed": [folder.error_path],
        "cancelled": [folder.heartbeat, folder.cancel_path],
        "interrupted": [folder.heartbeat, folder.attempts_path],
    }
    times = [modified(path) for path in sources.get(state, [])]
    return max((moment for moment in times if moment is not None), default=None)


def _error(folder: RunFolder, state: State, problem: str, damage: list[str]) -> str:
    if state == "interrupted":
        return "The worker process died. Resume the run to go on from its last checkpoint."
    if state != "failed":
        return ""
    error = folder.error(damage) or {"what": problem, "do": "Delete the run and submit it again."}
    return f"{error.get('what', '')} {error.get('do', '')}".strip()


def _moment(run_id: str) -> float | None:
    try:
        moment = datetime.strptime(run_id[:19], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
    return moment if 0 <= moment < LATEST else None


def dump(record: RunRecord) -> str:
    """One line of JSON."""
    return json.dumps(record.to_json(), allow_nan=False)


def process_name() -> dict[str, Any]:
    """This process as a row of ``attempts.jsonl`` names it."""
    return asdict(Handle.of(os.getpid()))
