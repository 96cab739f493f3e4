"""Real processes in a home of their own; whatever a test leaves running is ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ued_core import runs
from ued_core.runs import RunRecord, RunSpec


def processes(home: Path, module: str = "") -> list[psutil.Process]:
    """Living processes that were started for this home, optionally of one module."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            mine = process.environ().get("UED_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE
            if mine and process.pid != os.getpid() and (not module or module in process.cmdline()):
                found.append(process)
    return found


def end_all(home: Path) -> None:
    deadline = time.monotonic() + 10
    while (left := processes(home)) and time.monotonic() < deadline:
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(0.05)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home; its supervisor leaves after two idle seconds."""
    for name, value in {"UED_HOME": tmp_path, "UED_IDLE_S": 2, "UED_SLOTS": 1, "UED_THREADS": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    # Every worker imports torch; without stored bytecode each one would compile it again, for ten seconds.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    yield tmp_path
    end_all(tmp_path)


@pytest.fixture
def spec_of() -> Callable[..., RunSpec]:
    """Tiny real runs: 200 images, an epoch takes hundredths of a second."""

    def make(epochs: int = 2, seed: int = 0, **more: object) -> RunSpec:
        return RunSpec.from_json(
            {
                "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
                "model": {"name": "small_cnn", "width": 4},
                "plan": {"name": "adamw", "epochs": epochs},
                "seed": seed,
                **more,
            }
        )

    return make


@pytest.fixture
def until() -> Callable[..., RunRecord]:
    """Wait until a run's record meets a condition."""

    def watch(run_id: str, condition: Callable[[RunRecord], bool], seconds: float = 60.0) -> RunRecord:
        deadline = time.monotonic() + seconds
        while not condition(record := runs.run(run_id)):
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:g} s: {record}\n{runs.folder(run_id).log_tail()}")
            time.sleep(0.03)
        return record

    return watch


@pytest.fixture
def pids(home: Path) -> Callable[[str], list[psutil.Process]]:
    """Living supervisors or workers of this home."""
    return lambda kind: processes(home, f"ued_core.runs.{kind}")
