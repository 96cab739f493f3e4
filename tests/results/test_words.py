"""Numbers of comparisons in cells and words."""

import math

import pytest

from ued_core.analysis.confidence import Interval
from ued_core.results.evidence import Summary, judge, over
from ued_core.results.words import bounds, gain_cell, level, level_cell, points


def test_cells() -> None:
    # Mean 11, sd 1: half the interval is 4.303 / √3 points, 2.48.
    assert gain_cell(judge(over([0.1, 0.11, 0.12]))) == "+11.0 [9, 13] n3"
    assert gain_cell(judge(over([-0.1, -0.11, -0.12]))) == "−11.0 [−13, −9] n3"
    assert gain_cell(judge(over([0.1, -0.1]))) == "0.0? [−100, 100] n2"
    assert gain_cell(judge(over([0.5]))) == "+50.0? n1"
    assert gain_cell(judge(over([0.5, 0.5]))) == "+50.0? n2"
    assert gain_cell(judge(over([]))) == ""
    assert level_cell(over([0.5, 0.6])) == "55.0 ± 7.1 n2"
    assert (level(over([0.5])), level_cell(over([0.5])), level(over([])), level_cell(over([]))) == (
        "50.0",
        "50.0 n1",
        "",
        "",
    )


def test_points() -> None:
    assert points(Summary(0.575, 0.0, 3)) == "+57.5 points"
    assert points(Summary(0.05, math.nan, 1), sign=False) == "5.0 points on one seed"
    assert points(Summary(-0.00001, math.nan, 1)) == "0.0 points on one seed"


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (None, ""),
        (Interval(0.391, 0.759), " [39, 76]"),
        (Interval(-1.5, 2.0), " [−100, 100]"),
        (Interval(0.006, 0.0949), " [0.6, 9.5]"),
        (Interval(-0.044, -0.0002), " [−4.40, −0.02]"),
    ],
)
def test_a_bound_neither_reaches_zero_nor_leaves_it_by_rounding(interval: Interval | None, text: str) -> None:
    assert bounds(interval) == text
