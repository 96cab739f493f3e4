"""The command record: what is shown, and what others may add."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.results.test_record import CLEAN, DEFENDED, NONE, file_of


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(file_of(CLEAN, NONE, DEFENDED)))
    return path


def test_shipped_entries_in_every_format(run: Run) -> None:
    asked = ("record", "show", "--data", "shapes", "--attack", "cuda", "--defense", "coin", "--format")
    code, out, err = run(*asked, "csv")
    assert (code, err) == (0, "")
    table = list(csv.DictReader(io.StringIO(out)))
    assert table
    assert {line["defences"] for line in table} == {"coin"}
    code, out, _ = run(*asked, "json")
    told = json.loads(out)
    assert code == 0
    assert len(told["entries"]) == len(table)
    code, out, _ = run(*asked, "markdown")
    assert (code, len(out.splitlines())) == (0, len(table) + 2)
    code, out, _ = run(*asked, "latex")
    assert (code, out.count(r"\\") - 1) == (0, len(table))
    code, out, _ = run("record", "show", "--data", "nothing")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_file_is_checked_added_and_shown(run: Run, mine: Path) -> None:
    code, out, err = run("record", "validate", mine)
    assert (code, err) == (0, "")
    assert out.startswith("clean: 5 runs, 96.8 %\n")
    assert run("record", "add", mine)[:2] == (0, "mine: 3 entries\n")
    assert run("record", "add", mine)[:2] == (0, "mine: the same is there already\n")
    _, out, _ = run("record", "show", "--format", "csv")
    own = [line for line in csv.DictReader(io.StringIO(out)) if line["origin"] == "contributed: mine"]
    assert [line["condition"] for line in own] == ["clean", "CUDA", "CUDA · COIN"]


def test_another_file_of_the_name_needs_a_word(run: Run, mine: Path) -> None:
    run("record", "add", mine)
    mine.write_text(json.dumps(file_of(CLEAN, NONE)))
    code, out, err = run("record", "add", mine)
    assert (code, out) == (2, "")
    assert "--replace" in err
    assert run("record", "add", mine, "--replace")[0] == 0
    assert run("record", "add", mine, "--name", "../up")[0] == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 1, "entries": [{"condition": "x"}]}', "\x00"])
def test_what_is_no_record_is_refused(run: Run, tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    code, out, err = run("record", "validate", path)
    assert (code, out) == (2, "")
    assert str(path) in err


def test_numbers_that_are_not_those_of_the_runs(run: Run, mine: Path) -> None:
    value: dict[str, Any] = json.loads(mine.read_text())
    value["entries"][2]["gain"]["mean"] = 0.99
    mine.write_text(json.dumps(value))
    for part in ("validate", "add"):
        code, _, err = run("record", part, mine)
        assert code == 2
        assert "gain.mean of 'CUDA · COIN' is 0.99, but its runs give 0.58" in err
    assert run("record", "validate", mine.with_name("absent.json"))[0] == 2


def test_the_schema_is_json(run: Run) -> None:
    code, out, _ = run("record", "schema")
    assert code == 0
    assert json.loads(out)["title"] == "Record"
