"""The trade-off chart: one point a value, and where the reader stands."""

import math

from ued_core.figures.tradeoff import BEST_PSNR, tradeoff


def test_points_follow_the_values():
    figure = tradeoff([(math.inf, 1.0, 1.0), (20.0, 0.4, 0.1)], (0.0, 2.0), "strength α (px)", (25.0, 0.6, 0.3))
    energy, aligned, now = figure.to_plotly_json()["data"]
    assert list(energy["x"]) == list(aligned["x"]) == [BEST_PSNR, 20.0]
    assert list(energy["y"]) == [1.0, 0.4]
    assert list(aligned["y"]) == [1.0, 0.1]
    assert energy["customdata"][1] == "strength α (px) = 2"
    assert (list(now["x"]), list(now["y"])) == ([25.0, 25.0], [0.6, 0.3])


def test_without_a_curve_only_the_present_setting():
    data = tradeoff((), (), "", (25.0, 0.6, 0.3)).to_plotly_json()["data"]
    assert list(data[-1]["y"]) == [0.6, 0.3]
