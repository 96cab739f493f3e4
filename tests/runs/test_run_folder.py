"""A folder can be read whatever state its files are in."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ued_core.errors import RunError
from ued_core.runs.folder import RUN_ID, RunFolder, new_run_id, run_ids
from ued_core.runs.jsonl import append_line, read_lines
from ued_core.runs.record import read_record


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(
        tmp_path, {"plan": {"epochs": 5}, "note": "n"}, {"title": "a title", "key": "k", "created": 9.0}
    )


def test_ids_sort_by_time_and_are_folder_names():
    ids = [new_run_id(1e9 + k / 1000) for k in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert all(RUN_ID.fullmatch(name) for name in ids)


def test_a_new_folder_appears_complete(folder: RunFolder, tmp_path: Path):
    assert run_ids(tmp_path) == [folder.run_id]
    assert folder.spec() == ({"plan": {"epochs": 5}, "note": "n"}, "")
    assert folder.queued()
    assert not folder.cancel_requested()
    record = read_record(folder)
    assert (record.state, record.title, record.key, record.created) == ("queued", "a title", "k", 9.0)
    assert (record.epochs, record.note, record.attempt) == (5, "n", 0)


def test_nothing_is_left_of_a_folder_that_cannot_be_written(tmp_path: Path):
    with pytest.raises(TypeError):
        RunFolder.create(tmp_path, {"plan": object()}, {})
    assert run_ids(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_home_that_is_a_file_is_a_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written.*UED_HOME"):
        RunFolder.create(tmp_path / "file" / "runs", {}, {})


def test_the_token_is_taken_once(folder: RunFolder):
    assert [folder.take_token() for _ in range(3)] == [True, False, False]


def test_torn_and_damaged_history_lines_are_left_out(folder: RunFolder):
    good = [{"epoch": k, "test_accuracy": k / 10} for k in (1, 2)]
    text = "\n".join(json.dumps(row) for row in good) + '\n[1]\n\x00\xff\n{"loss": 3}\n{"epoch": 3, "test_acc'
    folder.history_path.write_bytes(text.encode("latin-1"))
    assert [row.numbers for row in folder.history()] == good
    append_line(folder.history_path, {"epoch": 3, "test_accuracy": 0.5})
    assert [row.numbers for row in folder.history()] == [*good, {"epoch": 3, "test_accuracy": 0.5}]
    assert read_record(folder).best == 0.5


def test_epochs_trained_again_replace_the_old_rows(folder: RunFolder):
    for epoch, loss in [(1, 9), (2, 8), (3, 7), (2, 6)]:
        append_line(folder.history_path, {"epoch": epoch, "loss": loss})
    assert [row.numbers for row in folder.history()] == [{"epoch": 1, "loss": 9}, {"epoch": 2, "loss": 6}]


def test_time_left_comes_from_this_attempts_speed(folder: RunFolder):
    assert folder.progress() is None
    append_line(folder.progress_path, {"time": 0.0, "done": 0, "total": 100, "text": "old attempt, very slow"})
    append_line(folder.progress_path, {"time": 900.0, "done": 1, "total": 100, "text": "old attempt, very slow"})
    append_line(folder.progress_path, {"attempt": 2, "time": 1000.0})
    assert folder.progress() is None
    append_line(folder.progress_path, {"time": 1000.0, "done": 0, "total": 1, "text": "loading"})
    append_line(folder.progress_path, {"time": 1001.0, "done": 10, "total": 100, "text": "epoch 1 of 5"})
    assert folder.progress().seconds_left is None
    append_line(folder.progress_path, {"time": 1003.0, "done": 20, "total": 100, "text": "epoch 2 of 5"})
    with open(folder.progress_path, "a") as file:
        file.write('{"time": 1004.0, "done": 9')
    found = folder.progress()
    assert found.text == "epoch 2 of 5"
    assert found.fraction == pytest.approx(0.2)
    assert found.seconds_left == pytest.approx(80 * 2 / 10)


def test_only_the_tail_of_a_long_file_is_read(folder: RunFolder):
    row = json.dumps({"time": 1.0, "done": 1, "total": 2, "text": "x" * 100})
    folder.progress_path.write_text((row + "\n") * 5000)
    assert 0 < len(read_lines(folder.progress_path, 1000)) < 10
    assert folder.progress().done == 1


def test_log_tail_of_a_missing_and_a_binary_log(folder: RunFolder):
    assert folder.log_tail() == ""
    folder.log.write_bytes(b"one\n\xff\xfe\nthree")
    assert folder.log_tail(1) == "three"
    assert len(folder.log_tail(9).splitlines()) == 3


def test_states_follow_from_the_files(folder: RunFolder):
    folder.take_token()
    assert read_record(folder).state == "interrupted"
    assert "Resume" in read_record(folder).error
    folder.cancel_path.touch()
    assert read_record(folder).state == "cancelled"
    folder.write_error("It broke.", "Mend it.", "bug", "trace")
    record = read_record(folder)
    assert (record.state, record.error) == ("failed", "It broke. Mend it.")
    folder.request_resume()
    assert read_record(folder).state == "queued"
    folder.result_path.write_text('{"last": 0.5, "best": 0.75, "train_accuracy": 0.9, "epochs": 5}')
    record = read_record(folder)
    assert (record.state, record.last, record.best, record.fraction) == ("finished", 0.5, 0.75, 1.0)


def test_a_process_number_that_was_given_away_again_is_not_the_worker(folder: RunFolder):
    folder.take_token()
    append_line(folder.attempts_path, {"attempt": 1, "time": time.time(), "pid": os.getpid(), "created": 12345.0})
    assert read_record(folder).state == "interrupted"


def test_a_silent_worker_is_running_but_not_responding(folder: RunFolder):
    from ued_core.runs.record import process_name

    folder.take_token()
    append_line(folder.attempts_path, {"attempt": 1, "time": time.time(), **process_name()})
    folder.heartbeat.touch()
    assert (read_record(folder).state, read_record(folder).responding) == ("running", True)
    os.utime(folder.heartbeat, (time.time() - 40, time.time() - 40))
    assert (read_record(folder).state, read_record(folder).responding) == ("running", False)


@pytest.mark.parametrize("text", [b"", b"{", b"[1, 2]", b"\xff\xfe", b"[" * 100_000])
def test_damaged_files_never_raise(folder: RunFolder, text: bytes):
    for path in (folder.spec_path, folder.path / "request.json", folder.result_path, folder.error_path,
                 folder.history_path, folder.progress_path, folder.attempts_path):  # fmt: skip
        path.write_bytes(text)
    record = read_record(folder)
    assert record.state == "finished"
    assert record.last is None
    folder.result_path.unlink()
    assert read_record(folder).state == "failed"
    folder.error_path.unlink()
    record = read_record(folder)
    assert record.state == "failed"
    assert "spec.json" in record.error
