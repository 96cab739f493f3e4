"""Pictures of the room for Θ: curves with sampled points, accuracy against the metrics, the one-dimensional
experiment."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.theme import (
    CLASS_COLOURS,
    DIVERGING,
    INK,
    MUTED,
    ROLE_COLOURS,
    axis_title,
    base_layout,
    class_colour,
    class_symbol,
    colour_scale,
    faded,
)
from ued_core.theory.jitter import Repeated

IMI, IMC = "Θ<sub>imi</sub>", "Θ<sub>imc</sub>"
IMI_TITLE, IMC_TITLE = f"{IMI}: spread within classes", f"{IMC}: likeness between classes"
#: colours and dashes of compared curves; blue, red, violet are told apart by every eye, and the dashes by any printer
LINES: tuple[tuple[str, str], ...] = (
    (CLASS_COLOURS[0], "solid"),
    (CLASS_COLOURS[2], "dash"),
    (CLASS_COLOURS[4], "dot"),
)
Curves = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MeasuredPoint:
    """A trained model as a point in the figures of Θ.

    Attributes:
        strength: COIN's α, 0 without COIN, in pixels.
        accuracy: clean test accuracy, 0..1.
        imi, imc: both metrics of its matrices for n → ∞.
        group: what it has in common with others; one legend entry.
        label: what tells it apart, for the hover text.
    """

    strength: float
    accuracy: float
    imi: float
    imc: float
    group: str
    label: str


@dataclass(frozen=True)
class MetricCurve:
    """A way through the plane of the metrics, with the accuracy on it.

    Attributes:
        name: for the legend.
        parameter: what moves, with its unit, for the hover text.
        values: float (S,), its values.
        imi, imc: float (S,).
        accuracy: float (S,), 0..1.
    """

    name: str
    parameter: str
    values: np.ndarray
    imi: np.ndarray
    imc: np.ndarray
    accuracy: np.ndarray


def _groups(points: Sequence[MeasuredPoint]) -> dict[str, list[MeasuredPoint]]:
    groups: dict[str, list[MeasuredPoint]] = {}
    for point in points:
        groups.setdefault(point.group, []).append(point)
    return groups


def _dots(index: int) -> dict[str, Any]:
    return {"color": class_colour(index), "symbol": class_symbol(index), "size": 10, "line": {"color": INK, "width": 1}}


def theta_curves(
    strengths: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    expectations: tuple[np.ndarray, np.ndarray],
    samples: int,
    current: tuple[float, float, float],
) -> go.Figure:
    """Θ_imi and Θ_imc against COIN's strength, beside each other, with the current one marked on both curves.

    Traces 0 to 3 belong to Θ_imi, 4 to 7 to Θ_imc: the curve for all possible draws, what n samples show on average,
    the point on the first, the sample just drawn.

    Args:
        strengths: float (S,), α in pixels.
        limits: Θ_imi and Θ_imc for n → ∞, each float (S,).
        expectations: what n samples show on average, each float (S,).
        samples: n.
        current: α and the two values of the sample just drawn.
    """
    traces: list[dict[str, Any]] = []
    for i, (name, x, y) in enumerate(((IMI, "x", "y"), (IMC, "x2", "y2"))):
        curve = {"type": "scatter", "x": strengths.astype(np.float32), "xaxis": x, "yaxis": y, "mode": "lines"}
        point = {
            **curve,
            "mode": "markers",
            "x": np.array([current[0]]),
            "cliponaxis": False,
            "showlegend": False,
        }
        drawn = strengths.astype(np.float32), limits[i].astype(np.float32)
        limit = {
            **curve, "y": drawn[1], "name": "all possible draws", "legendgroup": "limit",
            "showlegend": i == 0, "line": {"color": ROLE_COLOURS["defended"], "width": 3},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n → ∞)<extra></extra>",
        }  # fmt: skip
        expected = {
            **curve, "y": expectations[i].astype(np.float32), "name": f"what {samples} draws show",
            "legendgroup": "expected", "showlegend": i == 0,
            "line": {"color": ROLE_COLOURS["neutral"], "width": 1.5, "dash": "dash"},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n = {samples}, expected)<extra></extra>",
        }  # fmt: skip
        exact = {
            **point, "y": np.array([np.interp(current[0], *drawn)]), "legendgroup": "exact",
            "name": "all possible draws, here",
            "marker": {
                "color": ROLE_COLOURS["defended"], "symbol": "diamond", "size": 13, "line": {"color": INK, "width": 1},
            },
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n → ∞)<extra></extra>",
        }  # fmt: skip
        now = {
            **point, "y": np.array([current[1 + i]]), "legendgroup": "now", "name": f"drawn now (n = {samples})",
            "marker": {
                "color": ROLE_COLOURS["neutral"], "symbol": "circle-open", "size": 9, "line": {"width": 2},
            },
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (drawn now)<extra></extra>",
        }  # fmt: skip
        traces += [limit, expected, exact, now]
    mark = {"type": "line", "x0": current[0], "x1": current[0], "yref": "paper", "y0": 0, "y1": 1}
    line = {"color": faded(ROLE_COLOURS["defended"], 0.6), "width": 1.5, "dash": "dot"}
    heading = {
        "xref": "paper",
        "yref": "paper",
        "y": 1.02,
        "yanchor": "bottom",
        "xanchor": "left",
        "showarrow": False,
        "font": {"size": 12},
    }
    axis = {"rangemode": "tozero", "ticksuffix": " px", "showticksuffix": "last"}
    return compose(
        traces,
        base_layout(
            xaxis={**axis, "domain": [0, 0.46], "anchor": "y"},
            xaxis2={**axis, "domain": [0.54, 1], "anchor": "y2"},
            yaxis={"rangemode": "tozero", "exponentformat": "power", "nticks": 4},
            yaxis2={"range": [0, 1.05], "anchor": "x2", "nticks": 4},
            shapes=[{**mark, "line": line}, {**mark, "xref": "x2", "line": line}],
            annotations=[
                {**heading, "x": 0, "text": f"<b>{IMI}</b>, varied within a class: ↑ good"},
                {**heading, "x": 0.54, "text": f"<b>{IMC}</b>, alike between them: ↑ good"},
            ],
            showlegend=False,
            margin={"t": 26, "b": 10},
        ),
    )


def moved_to(figure: str, current: tuple[float, ...]) -> dict[str, Any]:
    """What changes in a figure with a current strength when that is another one: only its points and a line move.

    Building the figure anew costs a third of the work behind the slider, and sending it more than all the rest.

    Args:
        figure: JSON of a figure made by :func:`theta_curves`, :func:`theta_panels` or another one of this module.
        current: α and, where the figure marks them, the two values of the sample just drawn.

    Returns:
        New values by their place in the figure, as in ``{"data/2/x": [1.5]}``.
    """
    shapes, points = _moving(figure)
    changes: dict[str, Any] = {f"layout/shapes/{i}/{end}": current[0] for i in range(shapes) for end in ("x0", "x1")}
    for (trace, curve), value in zip(points, current[1:], strict=True):
        changes |= {f"data/{trace}/x": [current[0]], f"data/{trace}/y": [value]}
        if curve:
            exact, x, y = curve
            changes |= {f"data/{exact}/x": [current[0]], f"data/{exact}/y": [float(np.interp(current[0], x, y))]}
    return changes


def marks_on_curves(figure: str) -> tuple[tuple[int, int], ...]:
    """Which points of :func:`theta_curves` move on which curves while α is dragged: pairs of traces."""
    return ((2, 0), (3, 1), (6, 4), (7, 5)) if any(curve for _, curve in _moving(figure)[1]) else ()


_Curve = tuple[int, tuple[float, ...], tuple[float, ...]]


@lru_cache(maxsize=64)
def _moving(figure: str) -> tuple[int, tuple[tuple[int, _Curve | None], ...]]:
    """How many lines mark the strength; the traces with a sampled point, each with that of its exact one, if any, and
    the curve under that."""
    read = json.loads(figure)
    groups = [trace.get("legendgroup") for trace in read["data"]]
    points: list[tuple[int, _Curve | None]] = []
    for place, group in enumerate(groups):
        if group != "now":
            continue
        exact: _Curve | None = None
        if place and groups[place - 1] == "exact":
            curve = read["data"][place - 3]
            exact = (place - 1, _numbers(curve["x"]), _numbers(curve["y"]))
        points.append((place, exact))
    return len(read["layout"]["shapes"]), tuple(points)


def _numbers(values: Any) -> tuple[float, ...]:
    """A list of a figure's JSON, in which Plotly packs arrays."""
    if isinstance(values, dict):
        values = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    return tuple(float(value) for value in values)


def theta_panels(
    strengths: np.ndarray,
    limits: Curves,
    expectations: Curves,
    samples: int,
    current: tuple[float, float, float],
    sampled: Repeated | None = None,
    runs: Sequence[MeasuredPoint] = (),
) -> go.Figure:
    """Θ_imi and Θ_imc against COIN's strength, and below them, on the same axis, what trained models score.

    :func:`moved_to` names what another current strength changes in its JSON.

    Args:
        strengths: float (S,), α in pixels.
        limits: both metrics for n → ∞, each float (S,).
        expectations: what n samples show on average, each float (S,).
        samples: n.
        current: α and the two values of the sample just drawn.
        sampled: repeated draws; their means are drawn with two standard errors to either side.
        runs: trained models; without any, the third panel is left out.
    """
    traces: list[dict[str, Any]] = []
    for i, (name, key) in enumerate(((IMI, "y"), (IMC, "y2"))):
        base = {
            "type": "scatter",
            "x": strengths.astype(np.float32),
            "yaxis": key,
            "mode": "lines",
            "showlegend": i == 0,
        }
        traces.append({
            **base, "y": limits[i].astype(np.float32), "name": "all possible draws (n → ∞)", "legendgroup": "limit",
            "line": {"color": ROLE_COLOURS["defended"], "width": 3},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n → ∞)<extra></extra>",
        })  # fmt: skip
        traces.append({
            **base, "y": expectations[i].astype(np.float32), "name": "expected for n = "
                                                                     f"{samples}", "legendgroup": "expected",
            "line": {"color": ROLE_COLOURS["neutral"], "width": 2, "dash": "dash"},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n = {samples}, expected)<extra></extra>",
        })  # fmt: skip
        if sampled is not None:
            repeats = sampled.imi.shape[1]
            error = 2 * sampled.standard_error()[i]
            traces.append(
                {
                    **base,
                    "x": sampled.strengths.astype(np.float32),
                    "y": sampled.mean()[i].astype(np.float32),
                    "mode": "markers",
                    "name": f"sampled: mean of {repeats} × n = {sampled.samples}, ± 2 standard errors",
                    "legendgroup": "sampled",
                    "marker": {"color": ROLE_COLOURS["control"], "symbol": "square", "size": 7},
                    "error_y": {
                        "type": "data",
                        "array": error.astype(np.float32),
                        "color": ROLE_COLOURS["control"],
                        "thickness": 2,
                        "width": 5,
                    },
                    "customdata": error.astype(np.float32),
                    "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} ± %{{customdata:.2g}}<extra></extra>",
                }
            )
        traces.append({
            **base, "x": np.array([current[0]]), "y": np.array([current[1 + i]]), "mode": "markers",
            "name": f"drawn now (n = {samples})", "legendgroup": "now",
            "marker": {"color": INK, "symbol": "circle-open", "size": 12, "line": {"width": 3}},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (drawn now)<extra></extra>",
        })  # fmt: skip
    for index, (name, points) in enumerate(_groups(runs).items()):
        traces.append(
            {
                "type": "scatter",
                "yaxis": "y3",
                "mode": "markers",
                "name": name,
                "legendgroup": f"run {name}",
                "legend": "legend2",
                "marker": _dots(index),
                "x": np.array([p.strength for p in points]),
                "y": 100 * np.array([p.accuracy for p in points]),
                "text": [p.label for p in points],
                "hovertemplate": "α %{x:.2f} px: %{y:.1f} %<br>%{text}<extra></extra>",
            }
        )
    domains = [[0.71, 1.0], [0.37, 0.66], [0.0, 0.27]] if runs else [[0.54, 1.0], [0.0, 0.46], None]
    layout: dict[str, Any] = {
        "xaxis": {
            "title": {"text": axis_title("COIN strength α", "px")},
            "anchor": "y3" if runs else "y2",
            "range": [-0.12, float(strengths.max()) + 0.12],
        },
        "yaxis": {"title": {"text": IMI_TITLE}, "domain": domains[0], "rangemode": "tozero", "exponentformat": "power"},
        "yaxis2": {"title": {"text": IMC_TITLE}, "domain": domains[1], "range": [0, 1.02]},
        "shapes": [_mark(current[0])],
    }
    if runs:
        layout["yaxis3"] = {
            "title": {"text": axis_title("clean test accuracy", "%")},
            "domain": domains[2],
            "range": [0, 102],
        }
        layout["legend2"] = {"orientation": "h", "x": 0, "y": -0.1, "yanchor": "top", "title": {"text": ""}}
    return compose(traces, base_layout(**layout))


def _mark(strength: float) -> dict[str, Any]:
    line = {"color": MUTED, "width": 1.5, "dash": "dot"}
    return {"type": "line", "x0": strength, "x1": strength, "yref": "paper", "y0": 0, "y1": 1, "line": line}


def support_curves(strengths: np.ndarray, curves: Mapping[str, Curves], strength: float) -> go.Figure:
    """Both metrics (n → ∞) against α for up to three kernel supports.

    Args:
        strengths: float (S,), α in pixels.
        curves: name → Θ_imi and Θ_imc, each float (S,).
        strength: current α, marked.

    Raises:
        DataError: more than three supports.
    """
    if len(curves) > len(LINES):
        raise DataError(f"{len(curves)} supports were given, but at most {len(LINES)} can be told apart.")
    traces = []
    for i, (title, key) in enumerate(((IMI, "y"), (IMC, "y2"))):
        for place, ((name, values), (colour, dash)) in enumerate(zip(curves.items(), LINES, strict=False)):
            # Two supports may lie on each other: the second is a broad band below the third.
            line = {"color": faded(colour, 0.45), "width": 8} if place == 1 else {"color": colour, "width": 2.5}
            traces.append(
                {
                    "type": "scatter",
                    "x": strengths.astype(np.float32),
                    "y": values[i].astype(np.float32),
                    "yaxis": key,
                    "mode": "lines",
                    "name": name,
                    "legendgroup": name,
                    "showlegend": i == 0,
                    "line": {**line, "dash": dash},
                    "hovertemplate": f"{name}, α %{{x:.2f}} px<br>{title} %{{y:.4g}}<extra></extra>",
                }
            )
    return compose(
        traces,
        base_layout(
            xaxis={
                "title": {"text": axis_title("COIN strength α", "px")},
                "anchor": "y2",
                "range": [-0.12, float(strengths.max()) + 0.12],
            },
            yaxis={
                "title": {"text": IMI_TITLE},
                "domain": [0.54, 1.0],
                "rangemode": "tozero",
                "exponentformat": "power",
            },
            yaxis2={"title": {"text": IMC_TITLE}, "domain": [0.0, 0.46], "range": [0, 1.02]},
            shapes=[_mark(strength)],
        ),
    )


def _metric_layout(**more: Any) -> dict[str, Any]:
    accuracy = {"title": {"text": axis_title("clean test accuracy", "%")}, "range": [0, 102]}
    return base_layout(
        xaxis={"title": {"text": IMI_TITLE}, "domain": [0.0, 0.47], "exponentformat": "power"},
        xaxis2={"title": {"text": IMC_TITLE}, "domain": [0.53, 1.0], "anchor": "y"},
        yaxis=accuracy,
        **more,
    )


def accuracy_points(points: Sequence[MeasuredPoint], chance: float) -> go.Figure:
    """Clean test accuracy of trained models against both metrics, side by side.

    Args:
        points: the models; one legend entry a group.
        chance: accuracy of guessing, 0..1; a dotted line.
    """
    traces = []
    for index, (name, own) in enumerate(_groups(points).items()):
        for axis, metric in (("x", "imi"), ("x2", "imc")):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "xaxis": axis,
                    "name": name,
                    "legendgroup": name,
                    "showlegend": axis == "x",
                    "x": np.array([getattr(p, metric) for p in own]),
                    "y": 100 * np.array([p.accuracy for p in own]),
                    "marker": _dots(index),
                    "text": [f"α {p.strength:g} px, {p.label}" for p in own],
                    "hovertemplate": f"{IMI if axis == 'x' else IMC} %{{x:.4g}}: %{{y:.1f}} "
                    f"%<br>%{{text}}<extra></extra>",
                }
            )
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * chance, "y1": 100 * chance}
    return compose(traces, _metric_layout(shapes=[{**line, "line": {"color": MUTED, "width": 1, "dash": "dot"}}]))


def accuracy_curves(curves: Sequence[MetricCurve], current: tuple[float, float, float], clean: float) -> go.Figure:
    """Accuracy along several ways through the metrics, side by side, with the current state marked.

    :func:`with_state` moves the mark in its JSON.

    Args:
        curves: at most three.
        current: Θ_imi, Θ_imc and accuracy (0..1) now.
        clean: accuracy of the classifier of clean data, 0..1; a dotted line.

    Raises:
        DataError: more than three curves.
    """
    if len(curves) > len(LINES):
        raise DataError(f"{len(curves)} curves were given, but at most {len(LINES)} can be told apart.")
    traces: list[dict[str, Any]] = []
    for curve, (colour, dash) in zip(curves, LINES, strict=False):
        for axis, x in (("x", curve.imi), ("x2", curve.imc)):
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "xaxis": axis,
                    "name": curve.name,
                    "legendgroup": curve.name,
                    "showlegend": axis == "x",
                    "x": x.astype(np.float32),
                    "y": (100 * curve.accuracy).astype(np.float32),
                    "line": {"color": colour, "dash": dash, "width": 2},
                    "marker": {"color": colour, "size": 4},
                    "customdata": curve.values.astype(np.float32),
                    "hovertemplate": f"{curve.parameter} %{{customdata:.2f}}<br>{IMI if axis == 'x' else IMC} "
                    f"%{{x:.4g}}: "
                    "%{y:.1f} %<extra></extra>",
                }
            )
    for axis, place in (("x", 0), ("x2", 1)):
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "xaxis": axis,
                "name": "now",
                "legendgroup": "now",
                "showlegend": axis == "x",
                "x": [current[place]],
                "y": [100 * current[2]],
                "marker": {"color": INK, "symbol": "circle-open", "size": 13, "line": {"width": 3}},
                "hovertemplate": "now: %{y:.1f} %<extra></extra>",
            }
        )
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 100 * clean, "y1": 100 * clean}
    return compose(
        traces, _metric_layout(shapes=[{**line, "line": {"color": ROLE_COLOURS["clean"], "width": 1.5, "dash": "dot"}}])
    )


def with_state(figure: str, current: tuple[float, float, float]) -> str:
    """The JSON of :func:`accuracy_curves` with another current state: only the two points move.

    Args:
        figure: JSON of a figure made by :func:`accuracy_curves`.
        current: Θ_imi, Θ_imc and accuracy (0..1) now.
    """
    parts = json.loads(figure)
    for trace, place in zip((t for t in parts["data"] if t["legendgroup"] == "now"), (0, 1), strict=True):
        trace["x"], trace["y"] = [current[place]], [100 * current[2]]
    return json.dumps(parts)


def score_histograms(scores: np.ndarray, bins: int = 60) -> go.Figure:
    """The discriminant score of clean test samples of both classes, and where the decision falls.

    Args:
        scores: float (2, N), log p_{+1} - log p_{-1} of the samples of class +1 and of class -1.
        bins: over the middle 99 % of all scores and zero.
    """
    low, high = np.percentile(scores, [0.5, 99.5])
    low, high = min(low, 0.0), max(high, 0.0)
    edges = np.linspace(low, high, bins + 1) if high > low else np.linspace(-1, 1, bins + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    traces = []
    for own, name, colour, pattern in zip(
        scores, ("class +1", "class −1"), (LINES[0][0], LINES[1][0]), ("", "/"), strict=True
    ):
        counts, _ = np.histogram(np.clip(own, edges[0], edges[-1]), edges)
        traces.append({
            "type": "bar", "x": middle.astype(np.float32), "y": (100 * counts / len(own)).astype(np.float32),
            "name": name,
            "marker": {"color": faded(colour, 0.6), "pattern": {"shape": pattern, "size": 6}},
            "hovertemplate": f"{name}: score near %{{x:.3g}}, %{{y:.1f}} % of its samples<extra></extra>",
        })  # fmt: skip
    # Both words beside the border need room.
    room = 0.2 * float(edges[-1] - edges[0])
    low, high = min(float(edges[0]), -room), max(float(edges[-1]), room)
    note = {
        "xref": "x",
        "yref": "paper",
        "y": 1.0,
        "showarrow": False,
        "font": {"size": 12, "color": INK},
        "x": 0,
        "yanchor": "top",
    }
    return compose(
        traces,
        base_layout(
            barmode="overlay",
            bargap=0,
            xaxis={"title": {"text": "score log p<sub>+1</sub>(x) − log p<sub>−1</sub>(x)"}, "range": [low, high]},
            yaxis={"title": {"text": axis_title("share of the class's clean samples", "%")}},
            shapes=[
                {
                    "type": "line",
                    "x0": 0,
                    "x1": 0,
                    "yref": "paper",
                    "y0": 0,
                    "y1": 1,
                    "line": {"color": INK, "width": 2, "dash": "dot"},
                }
            ],
            annotations=[
                {**note, "text": "← decides −1 ", "xanchor": "right"},
                {**note, "text": " decides +1 →", "xanchor": "left"},
            ],
        ),
    )


def mini_matrices(plus: np.ndarray, minus: np.ndarray, random: np.ndarray, cells: int = 10) -> go.Figure:
    """The upper left corners of A_{+1}, A_{−1} and A_r as heat maps with one colour scale.

    Args:
        plus, minus, random: float (d, d).
        cells: rows and columns shown.
    """
    cells = min(cells, len(plus))
    titles = ("A<sub>+1</sub>", "A<sub>−1</sub>", "A<sub>r</sub>")
    blocks = [matrix[:cells, :cells] for matrix in (plus, minus, random)]
    limit = max(float(np.abs(block).max()) for block in blocks) or 1.0
    traces, axes = [], {}
    for i, (block, title) in enumerate(zip(blocks, titles, strict=True)):
        number = "" if i == 0 else str(i + 1)
        left = i * 0.345
        shown = np.where(block == 0, np.nan, block).astype(np.float32)
        traces.append(
            {
                "type": "heatmap",
                "z": shown,
                "xaxis": f"x{number}",
                "yaxis": f"y{number}",
                "zmin": -limit,
                "zmax": limit,
                "colorscale": colour_scale(DIVERGING),
                "xgap": 1,
                "ygap": 1,
                "hoverongaps": False,
                "hovertemplate": f"{title}, row %{{y}}, column %{{x}}: %{{z:.3f}}<extra></extra>",
                "showscale": i == 2,
                "colorbar": {
                    "title": {"text": "entry", "side": "right"},
                    "orientation": "h",
                    "thickness": 10,
                    "len": 0.5,
                    "y": 1.06,
                    "yanchor": "bottom",
                },
            }
        )
        axes[f"xaxis{number}"] = {
            "domain": [left, left + 0.31],
            "anchor": f"y{number}",
            "title": {"text": f"{title}: {axis_title('column', 'index')}"},
            "range": [-0.5, cells - 0.5],
            "constrain": "domain",
            "showgrid": False,
            "zeroline": False,
        }
        axes[f"yaxis{number}"] = {
            "anchor": f"x{number}",
            "range": [cells - 0.5, -0.5],
            "scaleanchor": f"x{number}",
            "constrain": "domain",
            "showgrid": False,
            "zeroline": False,
            "constraintoward": "top",
            "title": {"text": axis_title("row", "index") if i == 0 else ""},
        }
    return compose(traces, base_layout(uirevision=f"mini {cells}", margin={"t": 64}, **axes))
