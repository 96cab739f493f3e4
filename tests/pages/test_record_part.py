"""The record on the page Results: shipped entries, contributed ones, and damaged files that take nothing away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pages.results.record import record_frame
from tests.results.test_record import CLEAN, DEFENDED, NONE, file_of
from ued_core.results.record import Record
from ued_core.results.record_sources import every


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    return tmp_path / "record"


def test_a_frame_says_what_the_entries_say() -> None:
    frame = record_frame(Record.read(file_of(CLEAN, NONE, DEFENDED), "x").entries).set_index("condition")
    coin = frame.loc["CUDA · COIN"]
    assert (coin["n"], coin["gain"], coin["verdict"]) == (5, pytest.approx(58), "better")
    assert coin["gain_around"] == "[54, 62] n5"
    assert coin["recovery"].startswith("81 % [")
    assert frame["gain"].isna().tolist() == [True, True, False]


def test_shipped_and_contributed_entries_stand_in_one_table(open_page, own_home: Path) -> None:
    own_home.mkdir()
    theirs = file_of(CLEAN, NONE, DEFENDED)
    (own_home / "theirs.json").write_text(json.dumps(theirs))
    for entry in theirs["entries"]:
        # Of a data set that this program does not know.
        entry["card"]["dataset"]["name"] = "their photographs"
        entry["runs"] = [{**run, "key": f"other {run['key']}"} for run in entry["runs"]]
    (own_home / "foreign.json").write_text(json.dumps(theirs))
    (own_home / "bad.json").write_text("{")
    page = open_page("results", {"part": "record", "record_data": "shapes", "record_attack": "cuda"})
    assert not page.exception
    assert not page.error
    assert page.warning[0].value == "One contributed file cannot be read; `ued record show` says why."
    table = page.dataframe[0].value
    assert "contributed: theirs" in set(table["origin"])
    assert "ued study run defences" in set(table["origin"])
    known = every([])
    own = [e for e in known if (e.names()["data"], e.names()["attack"]) == ({"shapes"}, {"cuda"})]
    assert set(table["condition"]) == {entry.condition for entry in own}
    assert 0 < len(own) < len(known) / 2
    assert {"better", "cannot be told"} <= set(table["verdict"].dropna())
    page.selectbox(key="record_data").set_value("their photographs").run()
    assert not page.exception
    assert set(page.dataframe[0].value["origin"]) == {"contributed: foreign"}
