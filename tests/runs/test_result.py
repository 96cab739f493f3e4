"""A result's JSON: equal when it is read back, its history stored once, older files read as ever, damage named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.runs.examples import RESULT
from ued_core.errors import RunError
from ued_core.files import write_json
from ued_core.results.parts import EpochRow
from ued_core.runs.folder import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.record import read_record
from ued_core.runs.result import VERSION, RunResult

NEW = {**RESULT, "version": VERSION}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "20260101-000000-000-abcd")
    made.path.mkdir()
    return made


def damage_of(folder: RunFolder) -> list[str]:
    damage: list[str] = []
    folder.measured(damage)
    return damage


def test_what_is_written_is_read_back_equal_and_the_history_stands_in_one_file(folder: RunFolder) -> None:
    result = RunResult.from_json(NEW)
    for row in result.history:
        append_line(folder.history_path, row.numbers)
    before = folder.history_path.read_bytes()
    folder.write_result(result)
    stored = json.loads(folder.result_path.read_text())
    assert "history" not in stored
    assert folder.history_path.read_bytes() == before
    assert folder.result() == result
    assert result.to_json() == NEW == {**stored, "history": RESULT["history"]}
    assert damage_of(folder) == []


@pytest.mark.parametrize("lines", [[], [0], [0, 0, 1]])
def test_a_history_with_a_gap_is_mended_and_repeated_epochs_do_no_harm(folder: RunFolder, lines: list[int]) -> None:
    """A worker may die between a checkpoint and the line of its epoch."""
    for index in lines:
        append_line(folder.history_path, RESULT["history"][index])
    folder.write_result(RunResult.from_json(NEW))
    assert [row.numbers for row in folder.history()] == RESULT["history"]
    assert folder.result() == RunResult.from_json(NEW)


def test_a_file_from_before_there_were_versions_is_read_from_itself_alone(folder: RunFolder) -> None:
    write_json(folder.result_path, RESULT)
    append_line(folder.history_path, {"epoch": 1, "test_accuracy": 0.125})
    result = folder.result()
    assert result is not None
    assert (result.version, [row.numbers for row in result.history]) == (1, RESULT["history"])
    assert result.to_json() == RESULT
    assert (result.peak.epoch, result.peak.test_accuracy) == (1, 0.5)
    write_json(folder.result_path, {name: value for name, value in RESULT.items() if name != "history"})
    assert folder.result() is None
    assert damage_of(folder) == ["field history of result.json is missing"]


def test_a_lost_history_takes_nothing_else_away(folder: RunFolder) -> None:
    folder.write_result(RunResult.from_json(NEW))
    folder.history_path.unlink()
    result = folder.result()
    assert result is not None
    assert (result.last, result.history, result.peak) == (0.25, [], None)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": VERSION + 1}, f"field version of result.json is {VERSION + 1}"),
        ({"last": float("nan")}, "field last of result.json is NaN"),
        ({"best": None}, "field best of result.json is null"),
        ({"history": []}, "field history of result.json is an empty list"),
        ({"history": [{"epoch": 1}]}, "field history.0.test_accuracy of result.json is missing"),
        ({"probe": {**RESULT["probe"], "clean_histogram": [1.0]}},
         "field probe of result.json has another number of classes than the data"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_and_the_rest_of_the_record_stays(
    folder: RunFolder, change: dict[str, Any], sentence: str
) -> None:
    write_json(folder.spec_path, {})
    folder.result_path.write_text(json.dumps({**RESULT, **change}))
    assert folder.result() is None
    assert damage_of(folder) == [sentence]
    record = read_record(folder)
    assert sentence in record.damaged
    assert record.train_accuracy == 0.75
    with pytest.raises(RunError, match="no result of a run: field"):
        RunResult.from_json({**RESULT, **change})


def test_an_epoch_knows_its_columns_and_leaves_out_what_is_not_known() -> None:
    row = EpochRow.read({"staged signal": 2.5, "epoch": 3.0, "loss": float("nan"), "test_accuracy": 0.5}, "a line")
    assert row is not None
    assert (row.epoch, row.loss, row.test_accuracy, row.train_accuracy) == (3, None, 0.5, None)
    assert row.numbers == {"staged signal": 2.5, "epoch": 3.0, "test_accuracy": 0.5}
    damage: list[str] = []
    assert EpochRow.read({"epoch": 1, "test_accuracy": 1.5}, "line 1 of history.jsonl", damage) is None
    assert damage == ["field test_accuracy of line 1 of history.jsonl is 1.5"]
