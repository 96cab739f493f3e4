"""Real processes, real kills: a study is finished in the end, with every run once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from tests.studies.tiny_study import tiny, write_study
from ued_core import runs
from ued_core.runs.launcher import PACKAGE_PARENT
from ued_core.studies.study import Study

Processes = Callable[[str], list[psutil.Process]]


def command(path: Path, *more: str) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "ued_core", "study", "run", str(path), *more]
    return subprocess.Popen(words, cwd=PACKAGE_PARENT, stdout=subprocess.PIPE, text=True, start_new_session=True)


def finished() -> int:
    return sum(record.state == "finished" for record in runs.runs())


def reached(count: int, started: subprocess.Popen[str]) -> bool:
    return finished() >= count or started.poll() is not None


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, Counter(record.state for record in runs.runs())
        time.sleep(0.05)


def kill(processes: list[psutil.Process]) -> int:
    killed = 0
    for process in processes:
        try:
            process.kill()
            process.wait(10)
            killed += 1
        except psutil.NoSuchProcess:
            continue
    return killed


def killed_and_continued(path: Path, pids: Processes, after: list[int], patience: float) -> Counter[str]:
    """Run the study; as often as so many runs have finished, kill everything, and run it again. What was killed."""
    killed: Counter[str] = Counter()
    chance = random.Random(0)
    study = Study.read(path)
    # First in the middle of submitting: some of the folders are there, and no worker has begun.
    started = command(path)
    until(lambda: len(runs.runs()) > 2, patience)
    started.kill()
    started.wait()
    killed["study"] += 1
    kill(pids("supervisor"))
    for count in after:
        started = command(path, "--wait")
        until(partial(reached, count, started), patience)
        assert started.poll() is None, started.stdout.read()
        time.sleep(chance.random())
        for kind in chance.sample(["supervisor", "worker"], 2):
            if kind == "supervisor":
                # The command starts it again when it has left; there is work for it.
                until(partial(pids, kind), patience)
            killed[kind] += kill(pids(kind))
        started.kill()
        started.wait()
        killed["study"] += 1
    for _ in range(3):
        # A worker that was killed by itself leaves its run interrupted: the next call goes on with it.
        last = command(path, "--wait")
        said, _ = last.communicate(timeout=patience)
        if last.returncode == 0:
            break
    assert last.returncode == 0, said
    assert Counter(record.key for record in runs.runs()) == dict.fromkeys(study.planned, 1)
    for record in runs.runs():
        folder = runs.folder(record.id)
        assert record.state == "finished"
        assert [row.epoch for row in folder.history()] == [1]
        assert folder.result().attempts == len(folder.attempts())
    return killed


def test_eight_runs_killed_twice(home: Path, pids: Processes, tmp_path: Path) -> None:
    path = write_study(tmp_path / "tiny.json")
    killed = killed_and_continued(path, pids, [2, 4], 180)
    assert killed["study"] == 3
    assert killed["supervisor"] >= 2
    # Nothing was trained twice: each attempt too many is that of a worker that was killed.
    attempts = sum(len(runs.folder(record.id).attempts()) for record in runs.runs())
    assert 8 <= attempts <= 8 + killed["worker"]


@pytest.mark.slow
def test_sixty_runs_killed_in_the_middle_again_and_again(
    home: Path, pids: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UED_SLOTS", str(min(4, os.cpu_count() or 1)))
    path = write_study(tmp_path / "tiny.json", seeds=list(range(15)))
    assert len(Study.read(path).planned) == 60
    killed = killed_and_continued(path, pids, [5, 15, 30, 31, 45, 58], 3600)
    assert killed["study"] == 7
    assert killed["supervisor"] >= 6
    assert killed["worker"] >= 3
    attempts = sum(len(runs.folder(record.id).attempts()) for record in runs.runs())
    assert 60 <= attempts <= 60 + killed["worker"]


def test_an_interrupted_command_says_that_the_runs_go_on(home: Path, tmp_path: Path) -> None:
    path = write_study(
        tmp_path / "tiny.json", seeds=[0], base={**tiny()["base"], "plan": {"name": "adamw", "epochs": 900}}
    )
    words = [sys.executable, "-m", "ued_core", "study", "run", str(path), "--wait"]
    # Whoever runs the tests in the background of a shell ignores the signal, and children would do so too.
    started = subprocess.Popen(
        words, cwd=PACKAGE_PARENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert "4 runs queued" in started.stdout.readline()
    time.sleep(1)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "The runs go on" in said
    assert len(runs.runs()) == 4
    assert not any(record.over for record in runs.runs())
