"""A study's matrix and its curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ued_core.errors import DataError
from ued_core.figures.results import ON_BRIGHT, ON_DARK, Cells
from ued_core.figures.roles import ROLES
from ued_core.figures.studies import MOST_WRITTEN, Level, Point, study_curves, study_map
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


def test_levels_are_lines_across_with_a_band_and_the_published_value_stands_upright() -> None:
    points = [Point(0.0, 0.2, 0.1, 0.3, "0"), Point(4.0, 0.5, 0.4, 0.6, "4")]
    undefended = Level("the attack alone", 0.25, 0.2, 0.3, "poisoned", "25 %")
    unknown = Level("clean", 0.8, math.nan, math.nan, "clean")
    figure = study_curves({"COIN": points}, "α", [undefended, unknown], published=2.0, role="defended")
    band, level, bare, line = figure.data
    assert list(band.y) == [30.0, 30.0, 20.0, 20.0]
    assert list(level.y) == [25.0, 25.0]
    assert level.x[0] < 0 < 4 < level.x[1], "over the whole axis"
    assert (level.line.color, bare.line.color) == (ROLES["poisoned"].light, ROLES["clean"].light)
    assert line.line.color == ROLES["defended"].light
    assert [shape.x0 for shape in figure.layout.shapes] == [2.0]
    outside = study_curves({"COIN": points}, "α", published=9.0)
    assert not outside.layout.shapes, "a value that nothing was trained near is not drawn"
