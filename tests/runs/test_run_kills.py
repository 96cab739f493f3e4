"""Real processes, real kills: nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from safetensors.torch import load_file

from ued_core import runs
from ued_core.context import Context
from ued_core.errors import RunError
from ued_core.results.parts import EpochRow
from ued_core.runs.jsonl import read_lines
from ued_core.runs.launcher import PACKAGE_PARENT, Handle
from ued_core.runs.pipeline import execute
from ued_core.runs.result import RunResult
from ued_core.runs.spec import RunSpec
from ued_core.runs.store import read_rows

LONG = 1000


def learned(history: list[EpochRow]) -> list[tuple[float, ...]]:
    names = ("epoch", "loss", "train_accuracy", "test_accuracy", "learning_rate")
    return [tuple(row.numbers[name] for name in names) for row in history]


def uninterrupted(spec: RunSpec, weights: Path) -> RunResult:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return execute(spec, Context(), weights=weights)
    finally:
        torch.set_num_threads(threads)


def table_state(home: Path, run_id: str) -> str:
    return read_rows(home / "runs")[run_id].record.state


def worker(run_id: str) -> psutil.Process:
    return psutil.Process(runs.folder(run_id).attempts()[-1].pid)


def test_a_run_survives_the_app_and_the_supervisor_leaves(home, spec_of, until, pids):
    spec = spec_of(epochs=12).to_json()
    submitting = f"print(submit(RunSpec.from_json({spec})), flush=True)"
    command = [sys.executable, "-c", f"import time; from ued_core.runs import *; {submitting}; time.sleep(99)"]
    parent = subprocess.Popen(command, cwd=PACKAGE_PARENT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    run_id = parent.stdout.readline().strip()
    until(run_id, lambda r: r.epoch >= 1)
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    record = until(run_id, lambda r: r.over)
    assert (record.state, record.epoch, record.attempt, record.fraction) == ("finished", 12, 1, 1.0)
    result = runs.folder(run_id).result()
    assert (record.last, record.best) == (result.last, result.best)
    assert result.environment.threads == 1
    assert not runs.folder(run_id).checkpoint.exists()
    assert record.device == "CPU"
    deadline = time.monotonic() + 15
    while pids("supervisor") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not pids("supervisor")
    assert not pids("worker")
    assert read_rows(home / "runs")[run_id].record == record


def test_a_killed_worker_is_interrupted_and_resumes_exactly(home, spec_of, until, pids, tmp_path):
    spec = spec_of(epochs=40, seed=3)
    run_id = runs.submit(spec)
    until(run_id, lambda r: r.epoch >= 4)
    worker(run_id).kill()
    first = until(run_id, lambda r: r.state != "running", seconds=3)
    assert first.state == "interrupted"
    assert 4 <= first.epoch < 40
    assert "Resume" in first.error
    time.sleep(0.6)
    assert runs.run(run_id).state == "interrupted", "nothing is run again by itself"

    runs.resume(run_id)
    second = until(run_id, lambda r: r.attempt == 2 and r.epoch >= first.epoch + 3)
    killed = [*pids("supervisor"), worker(run_id)]
    for process in killed:
        process.kill()
    assert until(run_id, lambda r: r.state != "running", seconds=3).state == "interrupted"
    # A process that is ending has no command line any more, but still its lock.
    psutil.wait_procs(killed, 10)
    assert not pids("supervisor")
    assert table_state(home, run_id) == "running", "the table still tells the old story"
    runs.ensure_supervisor()
    deadline = time.monotonic() + 10
    while table_state(home, run_id) != "interrupted" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert read_rows(home / "runs")[run_id].slot is None

    runs.resume(run_id)
    until(run_id, lambda r: r.attempt == 3 and r.epoch >= second.epoch + 3)
    worker(run_id).terminate()
    assert until(run_id, lambda r: r.state != "running", seconds=5).state == "interrupted"

    runs.resume(run_id)
    last = runs.wait(run_id, 60)
    assert (last.state, last.attempt, last.epoch) == ("finished", 4, 40)
    written = [row["epoch"] for _, row in read_lines(runs.folder(run_id).history_path)]
    assert written.count(1) == 1, "every attempt went on from a checkpoint"
    unbroken = uninterrupted(spec, tmp_path / "weights")
    assert learned(runs.folder(run_id).history()) == learned(unbroken.history)
    assert learned(runs.folder(run_id).result().history) == learned(unbroken.history)
    mine, theirs = load_file(runs.folder(run_id).weights), load_file(tmp_path / "weights")
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    with pytest.raises(RunError, match="finished"):
        runs.resume(run_id)


def test_a_worker_is_found_again_after_the_supervisors_death(home, spec_of, until, pids):
    run_id = runs.submit(spec_of(epochs=LONG))
    until(run_id, lambda r: r.epoch >= 2)
    before = worker(run_id)
    [old] = pids("supervisor")
    old.kill()
    old.wait(5)
    epoch = runs.run(run_id).epoch
    record = until(run_id, lambda r: r.epoch > epoch)
    assert record.state == "running"
    assert not pids("supervisor")
    assert runs.ensure_supervisor()
    assert worker(run_id).pid == before.pid
    began = time.monotonic()
    runs.cancel(run_id)
    assert runs.run(run_id).cancelling
    assert until(run_id, lambda r: r.over, seconds=8).state == "cancelled"
    assert time.monotonic() - began < 4
    assert not before.is_running() or before.status() == psutil.STATUS_ZOMBIE
    assert runs.run(run_id).attempt == 1


def test_cancel_queued_at_once_and_running_even_when_it_hangs(home, spec_of, until):
    first, second = runs.submit_many([spec_of(epochs=LONG), spec_of(epochs=LONG)])
    until(first, lambda r: r.epoch >= 1)
    assert runs.run(second).state == "queued"
    runs.cancel(second)
    assert runs.run(second).state == "cancelled"
    assert runs.run(second).attempt == 0
    hung = worker(first)
    hung.suspend()
    runs.cancel(first)
    assert until(first, lambda r: r.over, seconds=12).state == "cancelled"
    assert not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE
    assert runs.run(second).attempt == 0, "a cancelled run never starts"


def test_a_handle_knows_its_process_from_another_with_the_same_number():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    handle = Handle.of(child.pid)
    try:
        assert handle.alive()
        assert not Handle(handle.host, handle.pid, handle.created - 100).alive()
        assert not Handle("another machine", handle.pid, handle.created).alive()
    finally:
        child.kill()
    deadline = time.monotonic() + 5
    while handle.alive() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not handle.alive(), "a zombie is dead"
    child.wait()


RIVAL = """
import sys, time
from pathlib import Path
from typing import Any
from ued_core.runs import worker
root = Path(sys.argv[1])
while not (root / "go").exists():
    time.sleep(0.01)
for folder in sorted(root.glob("2*-*")):
    print(folder.name, worker.main([str(folder)]), flush=True)
"""


def test_two_workers_and_two_supervisors_race_for_twenty_runs(home: Path, spec_of, until, pids, monkeypatch):
    monkeypatch.setenv("UED_SLOTS", "2")
    root = home / "runs"
    ids = runs.submit_many([spec_of(epochs=1, seed=k) for k in range(20)], launch=False)
    env = dict(os.environ, PYTHONPATH=str(PACKAGE_PARENT), OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")
    command = [sys.executable, "-c", RIVAL, str(root)]
    rivals = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    runs.ensure_supervisor()
    deadline = time.monotonic() + 10
    while not (root / "jobs.db").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    (root / "supervisor.lock").unlink()
    assert runs.ensure_supervisor(), "the lock was stolen"
    (root / "go").touch()
    while len(pids("supervisor")) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(pids("supervisor")) == 2
    codes = [
        line.split()[1]
        for rival in rivals
        for line in rival.communicate(timeout=80)[0].splitlines()
        if line[:2] == "20"
    ]
    assert len(codes) == 40
    assert set(codes) <= {"0", "3"}
    assert "0" in codes
    assert "3" in codes
    for run_id in ids:
        assert until(run_id, lambda r: r.over).state == "finished"
        files = runs.folder(run_id)
        assert len(files.attempts()) == 1
        assert len(files.history_path.read_text().splitlines()) == 1
    assert len({runs.folder(run_id).attempts()[0].pid for run_id in ids}) >= 2
