"""The list of runs that a whole process shares: never older than what the process did, and read again only where
something changed."""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path

import pytest

from ued_core import runs
from ued_core.runs import listing as module
from ued_core.runs.folder import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.launcher import Handle, LocalLauncher
from ued_core.runs.listing import Listing, listing_of
from ued_core.runs.supervisor import Supervisor


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every question refreshes, and a folder settles at once."""
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    monkeypatch.setattr(module, "SETTLE_S", 0.0)


def filled(home: Path) -> None:
    supervisor = Supervisor(home / "runs", (), LocalLauncher(), logging.getLogger("test"))
    supervisor.step()
    supervisor.close()


def old(root: Path) -> None:
    """Let every folder's last change be long ago."""
    for run_id in os.listdir(root):
        os.utime(root / run_id, (1e9, 1e9))


def test_it_says_what_the_folders_say_with_and_without_a_table(home, spec_of):
    assert runs.snapshot().records == ()
    ids = runs.submit_many([spec_of(seed=k) for k in range(4)], launch=False)
    runs.cancel(ids[1])
    assert runs.snapshot().records == tuple(runs.runs())
    assert dict(runs.snapshot().counts) == {"queued": 3, "cancelled": 1}
    assert [r.id for r in runs.snapshot().waiting] == [ids[0], ids[2], ids[3]]
    filled(home)
    assert Listing(home / "runs").latest().records == tuple(runs.runs())


def test_what_this_process_does_is_seen_at_once(home, spec_of):
    """However little time has passed: no clock may hide one's own act."""
    run_id = runs.submit(spec_of(), launch=False)
    assert runs.snapshot().by_id[run_id].state == "queued"
    runs.cancel(run_id)
    assert runs.snapshot().by_id[run_id].state == "cancelled"
    runs.resume(run_id, launch=False)
    assert runs.snapshot().by_id[run_id].state == "queued"
    runs.cancel(run_id)
    runs.delete(run_id)
    assert runs.snapshot().records == ()


def test_what_this_process_was_told_of_one_run_is_not_contradicted_by_the_list(home, spec_of):
    run_id = runs.submit(spec_of(), launch=False)
    assert runs.snapshot().by_id[run_id].state == "queued"
    RunFolder(home / "runs" / run_id).request_cancel()
    assert runs.run(run_id).state == "cancelled"
    assert runs.snapshot().by_id[run_id].state == "cancelled"


def test_others_changes_are_seen_with_the_next_refresh(home, spec_of, hurried):
    first, second = runs.submit_many([spec_of(), spec_of(seed=1)], launch=False)
    root = home / "runs"
    old(root)
    assert runs.snapshot().counts == {"queued": 2}
    RunFolder(root / first).request_cancel()
    RunFolder(root / second).remove()
    third = RunFolder.create(root, spec_of(seed=2).to_json(), {}).run_id
    assert [(r.id, r.state) for r in runs.snapshot().records] == [(third, "queued"), (first, "cancelled")]
    os.utime(root / first, (1e9, 1e9))
    runs.snapshot()
    RunFolder(root / first).request_resume()
    states = {runs.snapshot().by_id[first].state for _ in range(module.TURNS)}
    assert "queued" in states, "what is over is looked at in turn"


def test_a_running_run_is_followed_and_its_death_noticed(home, spec_of, hurried):
    run_id = runs.submit(spec_of(), launch=False)
    folder = RunFolder(home / "runs" / run_id)
    here = Handle.of(os.getpid())
    folder.take_token()
    append_line(folder.attempts_path, {"attempt": 1, "time": time.time(), **vars(here)})
    old(home / "runs")
    assert runs.snapshot().by_id[run_id].state == "running"
    append_line(folder.history_path, {"epoch": 1, "test_accuracy": 0.5})
    old(home / "runs")
    assert runs.snapshot().by_id[run_id].epoch == 1, "a line at the end of a file does not change the folder"
    append_line(folder.attempts_path, {"attempt": 2, "time": time.time(), **vars(here), "pid": 2**22 + 7})
    old(home / "runs")
    assert runs.snapshot().by_id[run_id].state == "interrupted"


def test_nothing_is_read_again_and_the_version_stays_while_nothing_changes(home, spec_of, hurried):
    runs.submit_many([spec_of(seed=k) for k in range(5)], launch=False)
    runs.cancel(runs.runs()[0].id)
    old(home / "runs")
    own = Listing(home / "runs")
    before = own.latest()
    reads = own.reads
    for _ in range(2 * module.TURNS):
        now = own.latest()
    assert now is before, "neither version nor records change"
    assert own.reads == reads
    RunFolder(home / "runs" / before.records[1].id).request_cancel()
    after = own.latest()
    assert after.version != before.version
    assert own.reads == reads + 1
    assert after.records[2] is before.records[2]


def test_two_servers_never_share_a_version(home, spec_of):
    runs.submit(spec_of(), launch=False)
    assert Listing(home / "runs").latest().version != Listing(home / "runs").latest().version


def test_a_change_in_the_same_tick_of_the_clock_is_found_later(home, spec_of, monkeypatch):
    """Times of change are counted in steps; a second change in one step must not stay hidden."""
    monkeypatch.setattr(module, "REFRESH_S", 0.0)
    monkeypatch.setattr(module, "SETTLE_S", 0.05)
    run_id = runs.submit(spec_of(), launch=False)
    folder = home / "runs" / run_id
    stamp = folder.stat()
    assert runs.snapshot().by_id[run_id].state == "queued"
    RunFolder(folder).request_cancel()
    os.utime(folder, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    time.sleep(0.06)
    assert runs.snapshot().by_id[run_id].state == "cancelled"


def test_many_readers_cost_one_reading(home, spec_of, monkeypatch):
    runs.submit_many([spec_of(seed=k) for k in range(10)], launch=False)
    own, seen, gate = Listing(home / "runs"), [], threading.Barrier(12)

    def look() -> None:
        gate.wait()
        seen.extend(own.latest() for _ in range(50))

    threads = [threading.Thread(target=look) for _ in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(seen) == 600
    assert len({id(s) for s in seen}) == 1
    assert own.reads == 10


def test_a_run_is_found_by_its_key_in_the_shared_list(home, spec_of):
    first, _, third = runs.submit_many([spec_of(), spec_of(seed=1), spec_of()], launch=False)
    reads = listing_of(home / "runs").reads
    assert [r.id for r in runs.find(spec_of().key())] == [third, first]
    assert runs.find("0" * 12) == []
    assert listing_of(home / "runs").reads == reads + 3, "read once for both questions"


def test_one_run_costs_one_row_not_the_table(home, spec_of, monkeypatch):
    ids = runs.submit_many([spec_of(seed=k) for k in range(3)], launch=False)
    filled(home)
    monkeypatch.setattr("ued_core.runs.client.read_rows", None)
    monkeypatch.setattr("ued_core.runs.client.run_ids", None)
    assert runs.run(ids[1]).id == ids[1]


def test_a_reading_that_broke_off_leaves_no_run_out(home, spec_of, hurried, monkeypatch):
    ids = runs.submit_many([spec_of(seed=k) for k in range(4)], launch=False)
    own, read = Listing(home / "runs"), module.read_record
    own.latest()
    ids.append(runs.submit(spec_of(seed=9), launch=False))
    old(home / "runs")

    def breaks(folder: RunFolder, *more: object) -> object:
        if folder.run_id == ids[2]:
            raise OSError("torn")
        return read(folder, *more)

    monkeypatch.setattr(module, "read_record", breaks)
    with pytest.raises(OSError, match="torn"):
        own.latest()
    monkeypatch.setattr(module, "read_record", read)
    assert [record.id for record in own.latest().records] == ids[::-1]
