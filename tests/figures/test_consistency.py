"""Figures of the room for Θ: they hold the numbers they were given, and pass Plotly's checks."""

from __future__ import annotations

import base64
import json

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.changed_figure import changed
from ued_core.errors import DataError
from ued_core.figures.consistency import (
    MeasuredPoint,
    MetricCurve,
    accuracy_curves,
    accuracy_points,
    mini_matrices,
    moved_to,
    score_histograms,
    support_curves,
    theta_panels,
    with_state,
)
from ued_core.theory import tridiagonal
from ued_core.theory.jitter import Repeated

LINE = np.linspace(0, 6, 5)
SAMPLED = Repeated(
    np.array([0.0, 1.0, 2.0]), np.array([[0, 0], [1, 3], [2, 6.0]]), np.array([[0.5, 0.5], [0.6, 0.8], [0.9, 0.9]]), 20
)
POINTS = [
    MeasuredPoint(0.0, 0.2, 0.0, 0.45, "CUDA", "seed 0"),
    MeasuredPoint(2.0, 0.8, 3e-4, 0.9, "CUDA", "seed 1"),
    MeasuredPoint(0.0, 0.95, 0.0, 1.0, "common", "seed 0"),
]
WAYS = [MetricCurve(n, "j", LINE, LINE / 100, LINE / 6, LINE / 6) for n in ("a", "b", "c")]


def decoded(value: object) -> object:
    """Plotly's packed arrays as lists, however deep they lie."""
    if isinstance(value, dict) and "bdata" in value:
        flat = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return flat.reshape([int(n) for n in str(value.get("shape", len(flat))).split(",")]).tolist()
    if isinstance(value, dict):
        return {name: decoded(part) for name, part in value.items()}
    return [decoded(part) for part in value] if isinstance(value, list) else value


def checked(figure: go.Figure) -> go.Figure:
    """The same figure with Plotly's checks on."""
    return go.Figure(decoded(json.loads(figure.to_json(validate=False))))


def named(figure: go.Figure, group: str) -> list:
    return [trace for trace in figure.data if trace.legendgroup == group]


def panels(**more: object) -> go.Figure:
    return checked(theta_panels(LINE, (LINE, LINE / 6), (LINE / 2, LINE / 7), 20, (1.5, 0.4, 0.3), **more))  # type: ignore[arg-type]


def test_panels_hold_curves_samples_and_the_current_strength() -> None:
    figure = panels(sampled=SAMPLED)
    for i, (limit, expected) in enumerate(((LINE, LINE / 2), (LINE / 6, LINE / 7))):
        assert np.allclose(named(figure, "limit")[i].y, limit)
        assert np.allclose(named(figure, "expected")[i].y, expected)
        assert np.allclose(named(figure, "sampled")[i].y, SAMPLED.mean()[i])
        assert np.allclose(named(figure, "sampled")[i].error_y.array, 2 * SAMPLED.standard_error()[i])
        assert [*named(figure, "now")[i].x, *named(figure, "now")[i].y] == [1.5, (0.4, 0.3)[i]]
    assert named(figure, "sampled")[0].name == "sampled: mean of 2 × n = 20, ± 2 standard errors"
    assert named(panels(), "sampled") == []
    (mark,) = figure.layout.shapes
    assert mark.x0 == mark.x1 == 1.5
    assert "(px)" in figure.layout.xaxis.title.text


def test_trained_models_share_the_axis_below() -> None:
    figure = panels(runs=POINTS)
    below = [trace for trace in figure.data if trace.yaxis == "y3"]
    assert [trace.name for trace in below] == ["CUDA", "common"]
    assert list(below[0].x) == [0.0, 2.0]
    assert np.allclose(below[0].y, [20, 80])
    assert below[0].marker.symbol != below[1].marker.symbol
    assert figure.layout.xaxis.anchor == "y3"
    tops = [figure.layout[name].domain for name in ("yaxis3", "yaxis2", "yaxis")]
    assert all(lower[1] < upper[0] for lower, upper in zip(tops, tops[1:], strict=False)), "the panels do not overlap"
    assert panels().layout.xaxis.anchor == "y2", "without models there is no third panel"


def test_only_the_current_strength_moves() -> None:
    kept = theta_panels(LINE, (LINE, LINE), (LINE, LINE), 20, (0.0, 0.0, 0.0), SAMPLED, POINTS).to_json(validate=False)
    anew = json.loads(
        theta_panels(LINE, (LINE, LINE), (LINE, LINE), 20, (1.5, 0.1, 0.2), SAMPLED, POINTS).to_json(validate=False)
    )
    assert decoded(changed(kept, moved_to(kept, (1.5, 0.1, 0.2)))) == decoded(anew)
    supports = support_curves(LINE, {"CUDA": (LINE, LINE)}, 0.0).to_json(validate=False)
    moved = changed(supports, moved_to(supports, (2.5,)))
    assert moved["layout"]["shapes"][0]["x1"] == 2.5


def test_supports_are_told_apart_without_colour() -> None:
    curves = {name: (LINE * k, LINE / (6 * k)) for k, name in enumerate(("CUDA", "VUDA", "HUDA"), 1)}
    figure = checked(support_curves(LINE, curves, 2.0))
    for name, values in curves.items():
        upper, lower = named(figure, name)
        assert np.allclose(upper.y, values[0])
        assert np.allclose(lower.y, values[1])
        assert (upper.line.dash, upper.line.color) == (lower.line.dash, lower.line.color)
    assert len({trace.line.dash for trace in figure.data}) == 3
    with pytest.raises(DataError, match="at most 3"):
        support_curves(LINE, {str(k): (LINE, LINE) for k in range(4)}, 0.0)


def test_accuracy_points_stand_over_both_metrics() -> None:
    figure = checked(accuracy_points(POINTS, 0.1))
    first, second = named(figure, "CUDA")
    assert list(first.x) == [0.0, 3e-4]
    assert list(second.x) == [0.45, 0.9]
    assert np.allclose(first.y, [20, 80])
    assert (first.xaxis, second.xaxis) == ("x", "x2")
    assert figure.layout.shapes[0].y0 == pytest.approx(10), "guessing"


def test_ways_and_the_current_state() -> None:
    figure = checked(accuracy_curves(WAYS, (0.01, 0.9, 0.75), 0.977))
    left, right = named(figure, "b")
    assert np.allclose(left.x, LINE / 100)
    assert np.allclose(right.x, LINE / 6)
    assert np.allclose(left.y, 100 * LINE / 6)
    assert np.allclose(left.customdata, LINE)
    assert [(t.x[0], t.y[0]) for t in named(figure, "now")] == [(0.01, 75.0), (0.9, 75.0)]
    assert figure.layout.shapes[0].y0 == pytest.approx(97.7)
    kept = accuracy_curves(WAYS, (0.0, 0.0, 0.0), 0.977).to_json(validate=False)
    assert json.loads(with_state(kept, (0.01, 0.9, 0.75))) == json.loads(
        accuracy_curves(WAYS, (0.01, 0.9, 0.75), 0.977).to_json(validate=False)
    )
    with pytest.raises(DataError, match="at most 3"):
        accuracy_curves([*WAYS, WAYS[0]], (0, 0, 0), 1.0)


def test_histograms_hold_every_sample_on_its_side() -> None:
    scores = np.array([np.linspace(-1, 9, 1000), np.linspace(-9, 1, 1000)])
    figure = checked(score_histograms(scores))
    plus, minus = figure.data
    for bars, own in ((plus, scores[0]), (minus, scores[1])):
        shares = np.asarray(bars.y, dtype=np.float64)
        assert shares.sum() == pytest.approx(100, abs=1e-3)
        right = shares[np.asarray(bars.x) > 0].sum()
        assert right == pytest.approx(100 * (own > 0).mean(), abs=3)
    assert figure.layout.shapes[0].x0 == 0
    assert plus.marker.pattern.shape != minus.marker.pattern.shape


def test_histogram_of_scores_that_are_all_alike() -> None:
    figure = checked(score_histograms(np.zeros((2, 10))))
    assert sum(figure.data[0].y) == pytest.approx(100)


def test_far_scores_keep_the_decision_in_view() -> None:
    figure = checked(score_histograms(np.array([np.linspace(50, 60, 100), np.linspace(70, 80, 100)])))
    low, high = figure.layout.xaxis.range
    assert low <= 0 < high


def test_mini_matrices_show_the_corner_with_one_scale() -> None:
    plus, minus = tridiagonal(100, 0.3), tridiagonal(100, -0.2)
    figure = checked(mini_matrices(plus, minus, np.eye(100), cells=8))
    for trace, matrix in zip(figure.data, (plus, minus, np.eye(100)), strict=True):
        shown = np.array(trace.z, dtype=np.float64)
        assert np.allclose(np.nan_to_num(shown), matrix[:8, :8])
        assert np.isnan(shown[matrix[:8, :8] == 0]).all(), "zeros stay empty"
        assert (trace.zmin, trace.zmax) == (-1, 1)
    titles = [figure.layout[axis].title.text.split(":")[0] for axis in ("xaxis", "xaxis2", "xaxis3")]
    assert titles == ["A<sub>+1</sub>", "A<sub>−1</sub>", "A<sub>r</sub>"]
    assert figure.layout.yaxis2.range[0] > figure.layout.yaxis2.range[1], "row 0 is at the top"
