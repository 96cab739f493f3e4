"""A study of tiny runs, and runs that end without being trained."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.runs.examples import RESULT
from ued_core import runs
from ued_core.files import write_json
from ued_core.runs import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.launcher import Handle


def tiny(**changes: Any) -> dict[str, Any]:
    """Attack × defence, two seeds, 200 images, one epoch: eight runs."""
    return {
        "name": "tiny",
        "title": "A tiny study",
        "base": {
            "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
            "model": {"name": "small_cnn", "width": 4},
            "plan": {"name": "adamw", "epochs": 1},
            "device": "cpu",
        },
        "axes": [
            {
                "name": "attack",
                "field": "attack",
                "values": [{"label": "clean", "value": None}, {"label": "CUDA", "value": {"name": "cuda"}}],
            },
            {
                "name": "defence",
                "field": "defenses",
                "values": [{"label": "none", "value": []}, {"label": "COIN", "value": ["coin"]}],
            },
        ],
        "seeds": [0, 1],
        "comparisons": [
            {"name": "gives back", "of": {"attack": "CUDA"}},
            {"name": "takes", "of": {"defence": "none"}, "against": {"attack": "clean"}},
        ],
        **changes,
    }


def write_study(path: Path, **changes: Any) -> Path:
    """Put :func:`tiny` into a file."""
    write_json(path, tiny(**changes))
    return path


def finish(run_id: str, last: float, took: float = 10.0, cpu_s: float | None = 8.0) -> RunFolder:
    """Leave the files that a worker leaves, with this accuracy."""
    folder = runs.folder(run_id)
    folder.take_token()
    begin(folder, took)
    result = {**RESULT, "last": last, "version": 1} | ({} if cpu_s is None else {"cpu_s": cpu_s})
    write_json(folder.result_path, result)
    return folder


def begin(folder: RunFolder, ago: float = 0.0, **others: object) -> None:
    """The line of an execution whose process is no more."""
    row = {"attempt": 1, "time": time.time() - ago, "pid": 2**22 + 1, "created": 1.0, "birth": "", **others}
    append_line(folder.attempts_path, {**row, "host": Handle.of(1).host})
