"""A study's matrix and its curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ued_core.errors import DataError
from ued_core.figures.results import ON_BRIGHT, ON_DARK, Cells
from ued_core.figures.studies import MOST_WRITTEN, Point, study_curves, study_map
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


def test_a_wide_matrix_has_colours_alone() -> None:
    columns = tuple(f"{k}" for k in range(MOST_WRITTEN + 1))
    values, words = np.full((1, len(columns)), 0.5), (("w",) * len(columns),)
    values[0, 3] = math.nan
    figure = study_map(Cells(("CUDA",), columns, values, words), [["5/5"] * len(columns)])
    [colours] = figure.data
    assert colours.z.shape == values.shape
    assert colours.hoverongaps, "what has not finished is told by the pointer"
    assert figure.layout.xaxis.dtick == 3


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
