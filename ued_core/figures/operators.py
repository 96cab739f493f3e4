"""Pictures of kernels and of the two Θ metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.compose import compose
from ued_core.figures.theme import (
    INK,
    MUTED,
    ROLE_COLOURS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
    faded,
)


def kernel_grid(kernels: np.ndarray, names: Sequence[str], columns: int = 5, selected: int | None = None) -> go.Figure:
    """Every class's kernel with its numbers.

    Args:
        kernels: float (c, k, k), 0..1.
        names: one per class.
        columns: kernels in a row.
        selected: class to frame.

    Returns:
        One heat map; a click's ``customdata`` is the class.
    """
    count, k, _ = kernels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    pitch = k + 1
    canvas = np.full((rows * (k + 2), columns * pitch - 1), np.nan, np.float32)
    owner = np.full(canvas.shape, -1, np.int16)
    labels = []
    frame = []
    for c in range(count):
        top, left = (c // columns) * (k + 2) + 1, (c % columns) * pitch
        canvas[top : top + k, left : left + k] = kernels[c]
        owner[top : top + k, left : left + k] = c
        chosen = c == selected
        labels.append(
            {
                "x": left + (k - 1) / 2,
                "y": top - 0.9,
                "text": f"<b>{names[c]}</b>" if chosen else names[c],
                "showarrow": False,
                "font": {"size": 13, "color": INK if chosen else MUTED},
            }
        )
        if chosen:
            corners = {"x0": left - 0.5, "x1": left + k - 0.5, "y0": top - 0.5, "y1": top + k - 0.5}
            frame = [{"type": "rect", **corners, "line": {"color": ROLE_COLOURS["poisoned"], "width": 3}}]
    values = go.Heatmap(
        z=canvas,
        customdata=owner,
        colorscale=colour_scale(SEQUENTIAL),
        zmin=0,
        zmax=1,
        hoverongaps=False,
        hovertemplate="weight %{z:.4f}<extra></extra>",
        showscale=k > 5,
        colorbar={"title": {"text": "weight"}, "thickness": 12, "len": 0.9},
    )
    if k <= 5:
        values.text = np.where(np.isnan(canvas), "", np.char.mod("%.2f", np.nan_to_num(canvas)))
        values.texttemplate = "%{text}"
        values.textfont = {"size": 11 if k == 3 else 9}
    hidden = {"visible": False, "fixedrange": True}
    layout = base_layout(
        xaxis={**hidden, "constrain": "domain"},
        yaxis={**hidden, "autorange": "reversed", "scaleanchor": "x", "constrain": "domain"},
        margin={"l": 4, "r": 4, "t": 4, "b": 4},
        annotations=labels,
        shapes=frame,
    )
    return go.Figure(values, layout)


def theta_curves(
    strengths: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray],
    expectations: tuple[np.ndarray, np.ndarray],
    samples: int,
    current: tuple[float, float, float],
) -> go.Figure:
    """Θ_imi and Θ_imc against COIN's strength, one above the other, with the current one marked.

    Args:
        strengths: float (S,), α in pixels.
        limits: Θ_imi and Θ_imc for n → ∞, each float (S,).
        expectations: what n samples show on average, each float (S,).
        samples: n.
        current: α and the two values of the sample just drawn.
    """
    traces: list[dict[str, Any]] = []
    for i, (name, key) in enumerate((("Θ<sub>imi</sub>", "y"), ("Θ<sub>imc</sub>", "y2"))):
        curve = {
            "type": "scatter",
            "x": strengths.astype(np.float32),
            "yaxis": key,
            "mode": "lines",
            "showlegend": i == 0,
        }
        limit = {
            **curve, "y": limits[i].astype(np.float32), "name": "all possible draws (n → ∞)", "legendgroup": "limit",
            "line": {"color": ROLE_COLOURS["defended"], "width": 3},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n → ∞)<extra></extra>",
        }  # fmt: skip
        expected = {
            **curve, "y": expectations[i].astype(np.float32), "name": "expected for n = "
                                                                      f"{samples}", "legendgroup": "expected",
            "line": {"color": ROLE_COLOURS["neutral"], "width": 2, "dash": "dash"},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n = {samples}, expected)<extra></extra>",
        }  # fmt: skip
        now = {
            **curve,
            "x": np.array([current[0]]),
            "y": np.array([current[1 + i]]),
            "mode": "markers",
            "cliponaxis": False,
            "name": f"drawn now (n = {samples})",
            "legendgroup": "now",
            "marker": {"color": ROLE_COLOURS["poisoned"], "size": 12, "line": {"color": INK, "width": 1}},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (drawn now)<extra></extra>",
        }
        traces += [limit, expected, now]
    mark = {"type": "line", "x0": current[0], "x1": current[0], "yref": "paper", "y0": 0, "y1": 1}
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": axis_title("COIN strength α", "px")}, "anchor": "y2", "rangemode": "tozero"},
            yaxis={
                "title": {"text": "Θ<sub>imi</sub>: spread within classes"},
                "domain": [0.54, 1.0],
                "rangemode": "tozero",
                "exponentformat": "power",
            },
            yaxis2={
                "title": {"text": "Θ<sub>imc</sub>: likeness between classes"},
                "domain": [0.0, 0.46],
                "range": [0, 1.02],
            },
            shapes=[{**mark, "line": {"color": faded(ROLE_COLOURS["poisoned"], 0.6), "width": 1.5, "dash": "dot"}}],
        ),
    )


def moved_to(figure: str, current: tuple[float, ...]) -> dict[str, Any]:
    """What changes in a figure with a current strength when that is another one: only its points and a line move.

    Building the figure anew costs a third of the work behind the slider, and sending it more than all the rest.

    Args:
        figure: JSON of a figure made by :func:`theta_curves` or :mod:`ued_core.figures.consistency`.
        current: α and, where the figure marks them, the two values of the sample just drawn.

    Returns:
        New values by their place in the figure, as in ``{"data/2/x": [1.5]}``.
    """
    changes: dict[str, Any] = {"layout/shapes/0/x0": current[0], "layout/shapes/0/x1": current[0]}
    for trace, value in zip(_now_traces(figure), current[1:], strict=True):
        changes |= {f"data/{trace}/x": [current[0]], f"data/{trace}/y": [value]}
    return changes


@lru_cache(maxsize=64)
def _now_traces(figure: str) -> tuple[int, ...]:
    return tuple(i for i, trace in enumerate(json.loads(figure)["data"]) if trace.get("legendgroup") == "now")
