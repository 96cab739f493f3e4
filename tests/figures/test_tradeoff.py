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
    assert data[-1]["mode"] == "markers+text"
    assert list(data[-1]["text"]) == ["all of it", "in its old place"], "there is no legend for one trace"


def test_values_close_together_are_not_written_over_each_other():
    curve = [(15.0, 0.5, 0.2), (17.00, 0.30, 0.2), (17.02, 0.29, 0.2), (17.1, 0.295, 0.2), (17.11, 0.29, 0.2)]
    data = tradeoff(curve, (1, 26, 50, 75, 100), "quality", (16.0, 0.4, 0.2)).to_plotly_json()["data"]
    assert list(data[0]["text"]) == ["1", "", "", "", "100"]
    assert len(data[0]["customdata"]) == 5, "hovering still names each"
