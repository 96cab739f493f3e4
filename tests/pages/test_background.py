"""The side process: real processes, real kills."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from pages.frame.navigation import ROOT
from pages.state import background
from pages.state.background import SideProcess, WorkFailed
from ued_core.params import fingerprint


@pytest.fixture
def side() -> Iterator[SideProcess]:
    process = SideProcess()
    yield process
    process.close()


def test_work_happens_elsewhere_and_its_value_comes_back(side: SideProcess) -> None:
    handle = side.submit("pid", os.getpid)
    assert handle.result(30) != os.getpid()
    assert handle.state == "ready"
    assert side.submit("f", fingerprint, {"a": 1}).result(30) == fingerprint({"a": 1})


def test_one_key_is_computed_once(side: SideProcess) -> None:
    first = side.submit("now", time.time_ns)
    assert side.submit("now", time.time_ns) is first
    value = first.result(30)
    assert side.submit("now", time.time_ns).result(30) == value


def test_errors_of_the_work_are_words_and_the_process_goes_on(side: SideProcess) -> None:
    with pytest.raises(WorkFailed, match="ValueError"):
        side.submit("bad", int, "x").result(30)
    with pytest.raises(WorkFailed):
        side.submit("unpicklable", lambda: 1).result(30)
    with pytest.raises(WorkFailed):
        side.submit("unpicklable answer", open, os.devnull).result(30)
    assert side.submit("good", int, "3").result(30) == 3
    assert side.status().starts == 1


def test_what_failed_is_not_tried_again_at_once(side: SideProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = side.submit("bad", int, "x")
    with pytest.raises(WorkFailed):
        bad.result(30)
    assert side.submit("bad", int, "x") is bad, "a page that shows the error runs again, and asks again"
    monkeypatch.setattr(background, "RETRY_AFTER_S", 0.0)
    assert side.submit("bad", int, "3").result(30) == 3


def test_newer_work_for_a_slot_replaces_older_that_waits(side: SideProcess) -> None:
    busy = side.submit("busy", time.sleep, 1.0)
    older = side.submit("older", int, "1", slot="reader:layout")
    shared = side.submit("shared", int, "2", slot="reader:layout")
    side.submit("shared", int, "2", slot="somebody else")
    newest = side.submit("newest", int, "3", slot="reader:layout")
    assert older.state == "superseded"
    with pytest.raises(WorkFailed):
        older.result(1)
    assert newest.result(30) == 3
    assert shared.result(30) == 2, "another slot still wants it"
    assert busy.state == "ready"
    assert side.submit("older", int, "1").result(30) == 1, "it can be asked for again"


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_work_is_begun_again_after_one_kill_and_given_up_after_two(side: SideProcess) -> None:
    first = side.submit("pid", os.getpid).result(30)
    # Pages that were tested in this process before may have one of their own.
    others = {child.pid for child in psutil.Process().children()}
    lost = side.submit("long", time.sleep, 60)
    wait_until(lambda: lost.state == "running")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: side.status().starts == 2 and lost.state == "running")
    new = [child for child in psutil.Process().children() if child.pid not in others]
    (second,) = (child.pid for child in new if "side_process" in " ".join(child.cmdline()))
    assert second != first
    os.kill(second, signal.SIGKILL)
    with pytest.raises(WorkFailed, match="ended twice"):
        lost.result(10)
    assert side.submit("pid again", os.getpid).result(30) not in (first, second)
    assert side.status().starts == 3


def test_warm_up_comes_first_and_is_repeated_after_a_death() -> None:
    side = SideProcess(warm_up=time.monotonic)
    try:
        pid = side.submit("pid", os.getpid).result(30)
        assert side.status().ready
        os.kill(pid, signal.SIGKILL)
        assert side.submit("pid again", os.getpid).result(30) != pid
        assert side.status().ready
    finally:
        side.close()


def test_closing_ends_the_process_and_fails_what_waits(side: SideProcess) -> None:
    pid = side.submit("pid", os.getpid).result(30)
    side.submit("long", time.sleep, 60)
    waiting = side.submit("waiting", int, "1")
    side.close()
    with pytest.raises(WorkFailed):
        waiting.result(5)
    assert not psutil.pid_exists(pid)


def test_it_ends_when_its_server_is_killed() -> None:
    script = textwrap.dedent(
        """
        import os, time
        from pages.state.background import SideProcess
        side = SideProcess()
        print(side.submit("pid", os.getpid).result(30), flush=True)
        time.sleep(60)
        """
    )
    server = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    pid = int(server.stdout.readline())
    assert psutil.pid_exists(pid)
    server.kill()
    server.wait(10)
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
