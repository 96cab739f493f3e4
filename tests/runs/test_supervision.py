"""Whoever watches sees to it that a supervisor lives, and nobody leaves zombies behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest

from ued_core import runs
from ued_core.runs import launcher
from ued_core.runs.launcher import PACKAGE_PARENT, Handle, Watch, birth_of
from ued_core.runs.store import read_rows

LONG = 1000


def zombies() -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        # One that has been waited for since it was listed is gone, and no zombie.
        with suppress(psutil.NoSuchProcess):
            found += [process] if process.status() == psutil.STATUS_ZOMBIE else []
    return found


def test_waiting_outlives_the_supervisor(home, spec_of, until, pids, tmp_path):
    """A long run holds the only slot, ``train --wait`` waits behind it, the supervisor is killed, then the long run."""
    first = runs.submit(spec_of(epochs=LONG))
    until(first, lambda r: r.epoch >= 1)
    (tmp_path / "spec.json").write_text(json.dumps(spec_of(epochs=1, seed=1).to_json()))
    command = [sys.executable, "-m", "ued_core", "train", str(tmp_path / "spec.json"), "--wait"]
    waiting = subprocess.Popen(command, cwd=PACKAGE_PARENT, stdout=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while len(runs.runs()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        [supervisor] = pids("supervisor")
        supervisor.kill()
        for worker in pids("worker"):
            worker.kill()
        out, _ = waiting.communicate(timeout=90)
    finally:
        waiting.kill()
    assert waiting.returncode == 0
    assert "finished" in out


@pytest.mark.parametrize("command", [["runs"], ["run", "ID"]])
def test_looking_starts_the_supervisor(home, spec_of, pids, command):
    run_id = runs.submit(spec_of(), launch=False)
    assert not pids("supervisor")
    words = [run_id if word == "ID" else word for word in command]
    subprocess.run(
        [sys.executable, "-m", "ued_core", *words], cwd=PACKAGE_PARENT, check=True, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not runs.run(run_id).over and time.monotonic() < deadline:
        time.sleep(0.05)
    assert runs.run(run_id).state == "finished"


def test_watching_is_cheap_and_does_not_start_a_dying_supervisor_again_and_again(home, monkeypatch):
    clock, started = [1000.0], []
    monkeypatch.setattr(launcher.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(launcher, "ensure_supervisor", lambda: started.append(clock[0]) or True)
    watch = Watch()
    for _ in range(1200):
        watch.look()
        clock[0] += 0.1
    assert started[:4] == pytest.approx([1000.0, 1004.0, 1012.0, 1028.0], abs=0.2)
    assert len(started) <= 6
    probes = []
    monkeypatch.setattr(launcher, "ensure_supervisor", lambda: probes.append(clock[0]) and False)
    clock[0] += 100
    for _ in range(100):
        watch.look()
        clock[0] += 0.1
    assert len(probes) == 5, "once in two seconds while one lives"


def test_nothing_is_started_for_runs_that_are_over(home, spec_of, pids):
    run_id = runs.submit(spec_of(), launch=False)
    runs.cancel(run_id)
    runs.attend(runs.runs())
    assert not (home / "runs" / "supervisor.log").exists()


def test_no_zombie_of_a_supervisor_or_a_worker(home, spec_of, until, pids):
    """This process started the supervisor, the supervisor its workers; both are waited for."""
    ids = runs.submit_many([spec_of(epochs=1, seed=k) for k in range(2)])
    for run_id in ids:
        assert until(run_id, lambda r: r.over).state == "finished"
    deadline = time.monotonic() + 10
    while any(row.slot for row in read_rows(home / "runs").values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    assert zombies() == []
    log = (home / "runs" / "supervisor.log").read_text()
    assert log.count("ended, with 0") == 2
    for supervisor in pids("supervisor"):
        supervisor.kill()
    # One that nobody waits for stays for ever. One that is waited for stays until the system has ended its last thread,
    # which takes seconds where that thread writes to a busy disk.
    deadline = time.monotonic() + 30
    while zombies() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [f"{one.name()} {one.pid}" for one in zombies()] == []


def test_a_process_is_the_same_however_its_start_was_rounded():
    one = Handle.of(os.getpid())
    assert one.birth == birth_of(os.getpid())
    through = Handle.from_json(json.dumps({**json.loads(one.to_json()), "created": round(one.created, 1)}))
    assert through.same(one)
    assert through.alive()
    # The clock was set: the start as the system tells it now is another, the birth is not.
    moved = Handle(one.host, one.pid, one.created + 3600, one.birth)
    assert moved.same(one) == moved.alive() == bool(one.birth)
    other = Handle(one.host, one.pid, one.created, f"{one.birth}7" if one.birth else "")
    assert not other.same(one) or not one.birth
    older = Handle(one.host, one.pid, one.created + 0.6)
    assert older.same(one), "written by a version that knew no birth"
    assert not Handle(one.host, one.pid, one.created - 100).same(one)


def test_the_exit_code_is_known_whatever_the_worker_says_of_its_start(home, spec_of):
    """The 30 of 175 ends "with None": the start that a worker writes differs from the one that its supervisor heard."""
    local = launcher.LocalLauncher()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    handle = Handle.of(child.pid)
    local._children[child.pid] = handle, child
    child.wait()
    said = Handle(handle.host, handle.pid, handle.created + 0.4, handle.birth)
    assert local.exit_code(said) == 7
    assert local.exit_code(Handle(handle.host, handle.pid, handle.created + 50)) is None
