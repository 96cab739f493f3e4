"""No cell of a CSV that leaves the app is a formula to a spreadsheet, and no number is changed."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from pages.frame.navigation import ROOT
from pages.state.kernel_controls import _csv
from ued_core.csv_export import csv_text, harmless

FORMULAS = {
    "=1+1": "'=1+1",
    "=cmd|'/C calc'!A1": "'=cmd|'/C calc'!A1",
    "+SUM(A1)": "'+SUM(A1)",
    "-2+3": "'-2+3",
    "@SUM(A1)": "'@SUM(A1)",
    "\t=1": "'\t'=1",
    "\rx": "'\rx",
    "  =1": "  '=1",
    "\uff1d1+1": "'\uff1d1+1",
    "\uff0b1": "'\uff0b1",
    "\uff0d1": "'\uff0d1",
    "\uff20x": "'\uff20x",
    "cat;=1+1": "cat;'=1+1",
    "cat\n=1+1": "cat\n'=1+1",
}
"""A cell as it comes, and as it leaves; tests/browser asks the browser's half the same."""
KEPT = ["-0.5", "+3", "1e-05", "-1.5E+3", "\u22122", "-0.5;+0.25;3", "cat", "a=b", "3 - 2", "", "a-b", "mail@example"]


@pytest.mark.parametrize(("text", "expected"), FORMULAS.items())
def test_formulas_are_taken_apart(text: str, expected: str) -> None:
    assert harmless(text) == expected
    _, row = csv.reader(io.StringIO(csv_text([{"class": text, "n": 1}]), newline=""))
    assert row == [expected, "1"]


@pytest.mark.parametrize("text", KEPT)
def test_numbers_and_words_stay(text: str) -> None:
    assert harmless(text) == text


def test_numbers_stay_numbers_and_gaps_stay_empty() -> None:
    text = csv_text([{"a": -0.25, "b": -3, "c": None, "=d": "x"}, {"a": 1e-7, "b": 4, "c": "-x"}])
    assert text.splitlines() == ["a,b,c,'=d", "-0.25,-3,,x", "1e-07,4,'-x,"]
    assert csv_text(pd.DataFrame({"w": np.float32([-0.5])})).splitlines() == ["w", "-0.5"]


def test_an_export_with_a_foreign_class_name() -> None:
    lines = _csv(np.full((2, 1, 1), -0.5), ["=cmd|'!A1", "dog"]).splitlines()
    assert lines[1:] == ["'=cmd|'!A1,0,0,-0.5", "dog,0,0,-0.5"]


def test_no_table_leaves_by_another_way() -> None:
    writers = ("to_csv(", "csv.writer", "DictWriter")
    folders = (ROOT / "pages", ROOT / "ued_core")
    sources = [path for root in folders for path in root.rglob("*.py") if path.name != "csv_export.py"]
    assert [path.name for path in sources if any(word in path.read_text("utf-8") for word in writers)] == []
    scripts = [path for path in (ROOT / "pages").rglob("*.js") if "text/csv" in path.read_text("utf-8")]
    assert scripts
    assert all("csvCell" in path.read_text("utf-8") for path in scripts)
