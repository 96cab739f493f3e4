"""Runs: what one is, its folder, the queue, the supervisor, the worker.

This package imports in a fraction of a second: nothing here loads torch before ``RunSpec`` is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ued_core.runs.client import (
    attend,
    cancel,
    delete,
    find,
    folder,
    resume,
    run,
    runs,
    stop_crafting,
    submit,
    submit_many,
    wait,
)
from ued_core.runs.folder import Progress, RunFolder, runs_root
from ued_core.runs.launcher import ensure_supervisor
from ued_core.runs.listing import Snapshot, snapshot
from ued_core.runs.record import ENDED, STATES, RunRecord
from ued_core.runs.result import RunResult

if TYPE_CHECKING:
    from ued_core.runs.spec import RunSpec

__all__ = [
    "ENDED",
    "STATES",
    "Progress",
    "RunFolder",
    "RunRecord",
    "RunResult",
    "RunSpec",
    "Snapshot",
    "attend",
    "cancel",
    "delete",
    "ensure_supervisor",
    "find",
    "folder",
    "resume",
    "run",
    "runs",
    "runs_root",
    "snapshot",
    "stop_crafting",
    "submit",
    "submit_many",
    "wait",
]


def __getattr__(name: str) -> Any:
    if name == "RunSpec":
        from ued_core.runs.spec import RunSpec

        return RunSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
