"""A study's matrix and its curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ued_core.errors import DataError
from ued_core.figures.results import ON_BRIGHT, ON_DARK, Cells
from ued_core.figures.studies import Point, study_curves, study_map
from ued_core.figures.theme import INK

CELLS = Cells(("CUDA", "LSP"), ("none", "COIN"), np.array([[0.2, math.nan], [0.9, math.nan]]), (("a", "b"), ("c", "d")))


def test_every_cell_says_how_many_runs_there_are() -> None:
    figure = study_map(CELLS, [["1/5", "0/5…"], ["5/5", ""]])
    numbers, marks = figure.data[1], figure.data[2]
    assert list(numbers.text) == ["20", "90"]
    assert list(zip(marks.y, marks.x, marks.text, strict=True)) == [
        ("CUDA", "none", "1/5"),
        ("CUDA", "COIN", "0/5…"),
        ("LSP", "none", "5/5"),
    ]
    assert list(marks.textfont.color) == [ON_DARK, INK, ON_BRIGHT]


def test_curves_have_the_interval_of_each_mean() -> None:
    points = [
        Point(0.0, 0.2, 0.1, 0.25, "first"),
        Point(1.0, math.nan, math.nan, math.nan, "not known"),
        Point(2.0, 0.5, math.nan, math.nan, "one run"),
    ]
    [line] = study_curves({"CUDA": points}, "α").data
    assert (list(line.x), list(line.y)) == ([0.0, 2.0], [20.0, 50.0])
    assert list(line.error_y.array) == pytest.approx([5.0, 0.0])
    assert list(line.error_y.arrayminus) == pytest.approx([10.0, 0.0])
    assert list(line.customdata) == ["first", "one run"]
    with pytest.raises(DataError, match="at least one point"):
        study_curves({"CUDA": []}, "α")
