"""A run that finds the disk full says so, keeps what it has, and goes on once there is room."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runs.conftest import end_all
from tests.runs.test_result import NEW
from ued_core import files, runs
from ued_core.errors import RunError
from ued_core.runs import RunFolder, jsonl, last_words, worker
from ued_core.runs.record import read_record
from ued_core.runs.result import RunResult
from ued_core.runs.worker import FAILED, Stopper, claim, work


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, {"plan": {"epochs": 5}}, {"title": "a title", "key": "k", "created": 9.0})


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No new file gets a byte, no file grows."""

    def refuse(*arguments: object, **more: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(jsonl, "append_line", refuse)
    monkeypatch.setattr(worker, "append_line", refuse)


def no_room(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_cannot_silence_the_error(folder: RunFolder, monkeypatch, request) -> None:
    assert claim(folder, 1) == 1
    request.getfixturevalue("full")
    monkeypatch.setattr(worker, "compute", no_room)
    assert work(folder, Stopper(folder), 1, 1) == FAILED
    record = read_record(folder)
    assert (record.state, record.damaged) == ("failed", ())
    assert record.error.startswith("The disk is full")
    assert record.error.endswith("Make room, then resume the run.")


def test_a_result_that_finds_no_room_is_no_death(folder: RunFolder, monkeypatch, request) -> None:
    assert claim(folder, 1) == 1
    request.getfixturevalue("full")
    monkeypatch.setattr(worker, "compute", lambda *_: RunResult.from_json(NEW))
    assert work(folder, Stopper(folder), 1, 1) == FAILED
    assert read_record(folder).error.startswith("The disk is full")


def test_a_long_error_fits_into_the_room(folder: RunFolder) -> None:
    folder.write_error("w" * 50_000, "d" * 50_000, "bug", "first line\n" + "é" * 200_000 + "\nlast line")
    assert folder.error_path.stat().st_size <= last_words.ROOM_BYTES
    assert not folder.last_words.exists()
    assert folder.error()["traceback"].endswith("last line")


def test_the_room_is_taken_when_a_run_is_queued_and_given_back_at_its_end(folder: RunFolder, monkeypatch) -> None:
    assert folder.last_words.stat().st_size == last_words.ROOM_BYTES
    assert folder.last_words.stat().st_blocks * 512 >= last_words.ROOM_BYTES, "no hole"
    assert claim(folder, 1) == 1
    monkeypatch.setattr(worker, "compute", lambda *_: RunResult.from_json(NEW))
    work(folder, Stopper(folder), 1, 1)
    assert not folder.last_words.exists()


def test_resuming_without_room_is_refused_and_changes_nothing(home, spec_of, monkeypatch) -> None:
    target = runs.folder(runs.submit(spec_of(), launch=False))
    target.take_token()
    target.write_error("The disk is full.", "Make room, then resume the run.", "disk")
    monkeypatch.setattr(RunFolder, "reserve", no_room)
    with pytest.raises(RunError, match="the disk is full. Make room, then try again"):
        runs.resume(target.run_id, launch=False)
    assert read_record(target).state == "failed"


def test_submitting_without_room_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(RunFolder, "reserve", no_room)
    with pytest.raises(RunError, match="the disk is full"):
        RunFolder.create(tmp_path, {}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "lines.jsonl"
    jsonl.append_line(path, {"epoch": 1})
    write = os.write
    monkeypatch.setattr(jsonl.os, "write", lambda number, data: write(number, data[:5]))
    with pytest.raises(OSError, match="No space"):
        jsonl.append_line(path, {"epoch": 2, "loss": 1.0})
    assert path.read_text() == '{"epoch":1}\n'


@pytest.fixture
def small_disk(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home on a disk of 12 MB."""
    place = home / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    monkeypatch.setenv("UED_HOME", str(place))
    yield place
    end_all(place)
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_up_while_training(small_disk: Path, spec_of, until) -> None:
    run_id = runs.submit(spec_of(epochs=30))
    until(run_id, lambda r: r.epoch >= 2)
    filler = small_disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    record = until(run_id, lambda r: r.over)
    assert record.state == "failed"
    assert record.error.startswith("The disk is full")
    assert json.loads(runs.folder(run_id).error_path.read_text())["kind"] == "disk"
    filler.unlink()
    runs.resume(run_id)
    record = runs.wait(run_id, 120)
    assert (record.state, record.attempt, record.epoch, record.damaged) == ("finished", 2, 30, ())
