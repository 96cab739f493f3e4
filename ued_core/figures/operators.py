"""Pictures of kernels, of the matrices that they are, and of the two Θ metrics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.theme import (
    DIVERGING,
    INK,
    MUTED,
    ROLE_COLOURS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
    faded,
)

MOST_CELLS = 70_000
BAR = {"title": {"text": "entry", "side": "top"}, "thickness": 10, "orientation": "h", "y": 1.02, "yanchor": "bottom", "len": 0.6}


def kernel_grid(kernels: np.ndarray, names: Sequence[str], columns: int = 5, selected: int | None = None) -> go.Figure:
    """Every class's kernel with its numbers.

    Args:
        kernels: float (c, k, k), 0..1.
        names: one a class.
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


def matrix_pattern(
    rows: np.ndarray, columns: np.ndarray, values: np.ndarray, size: int, row: int | None = None, signed: bool = False
) -> go.Figure:
    """The non-zero entries of a d×d matrix, coloured by value; one row marked.

    Args:
        rows, columns: int (M,), places of the non-zeros.
        values: float (M,).
        size: d.
        row: row to mark.
        signed: use the diverging scale, for differences of two matrices.

    Raises:
        DataError: more than 70,000 entries; the browser would choke.
    """
    if len(values) > MOST_CELLS:
        raise DataError(f"{len(values)} entries are too many to draw; the limit is {MOST_CELLS}.", "Take a smaller image.")
    limit = float(np.abs(values).max()) if len(values) else 1.0
    small = np.int16 if size < 32_000 else np.int32
    points = go.Scattergl(
        x=columns.astype(small),
        y=rows.astype(small),
        mode="markers",
        marker={
            "symbol": "square",
            "size": max(2.5, 420 / size),
            "color": values.astype(np.float32),
            "colorscale": colour_scale(DIVERGING if signed else SEQUENTIAL),
            "cmin": -limit if signed else 0.0,
            "cmax": limit,
            "colorbar": BAR,
        },
        hovertemplate="row %{y}, column %{x}<br>entry %{marker.color:.4f}<extra></extra>",
    )
    shapes = []
    if row is not None:
        shapes.append(
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": row,
                "y1": row,
                "line": {"color": ROLE_COLOURS["poisoned"], "width": 1.5},
            }
        )
    edge = [-0.5, size - 0.5]
    layout = base_layout(
        xaxis={"title": {"text": axis_title("input pixel", "index")}, "range": edge, "constrain": "domain", "showgrid": False},
        yaxis={
            "title": {"text": axis_title("output pixel", "index")},
            "range": edge[::-1],
            "scaleanchor": "x",
            "constrain": "domain",
            "showgrid": False,
        },
        dragmode="zoom",
        uirevision=f"matrix {size}",
        shapes=shapes,
        showlegend=False,
    )
    return go.Figure(points, layout)


def matrix_heatmap(block: np.ndarray, first_row: int, first_column: int, numbers: bool = False, signed: bool = False) -> go.Figure:
    """A block of a matrix as coloured cells; zeros stay empty, so that the pattern can be read.

    Args:
        block: float (R, C).
        first_row, first_column: place of its first entry in the whole matrix.
        numbers: write the values into the cells.
        signed: use the diverging scale.
    """
    if block.size > MOST_CELLS:
        raise DataError(f"A block of {block.shape[0]}×{block.shape[1]} cells is too large to draw; the limit is {MOST_CELLS} cells.")
    limit = float(np.abs(block).max()) or 1.0
    shown = np.where(block == 0, np.nan, block).astype(np.float32)
    cells = go.Heatmap(
        z=shown,
        x0=first_column,
        dx=1,
        y0=first_row,
        dy=1,
        colorscale=colour_scale(DIVERGING if signed else SEQUENTIAL),
        zmin=-limit if signed else 0.0,
        zmax=limit,
        xgap=1 if block.shape[1] <= 100 else 0,
        ygap=1 if block.shape[0] <= 100 else 0,
        hoverongaps=False,
        hovertemplate="row %{y}, column %{x}<br>entry %{z:.4f}<extra></extra>",
        colorbar=BAR,
    )
    if numbers:
        cells.text = np.where(np.isnan(shown), "", np.char.mod("%.2f", np.nan_to_num(shown)))
        cells.texttemplate = "%{text}"
    # Given, not found by Plotly: a range that is found anew takes the reader's zoom away.
    across = [first_column - 0.5, first_column + block.shape[1] - 0.5]
    down = [first_row + block.shape[0] - 0.5, first_row - 0.5]
    layout = base_layout(
        xaxis={"title": {"text": axis_title("input pixel", "index")}, "range": across, "constrain": "domain", "showgrid": False},
        yaxis={
            "title": {"text": axis_title("output pixel", "index")},
            "range": down,
            "scaleanchor": "x",
            "constrain": "domain",
            "showgrid": False,
        },
        uirevision=f"block {block.shape}",
    )
    return go.Figure(cells, layout)


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
        curve = {"type": "scatter", "x": strengths.astype(np.float32), "yaxis": key, "mode": "lines", "showlegend": i == 0}
        limit = {
            **curve, "y": limits[i].astype(np.float32), "name": "all possible draws (n → ∞)", "legendgroup": "limit",
            "line": {"color": ROLE_COLOURS["defended"], "width": 3},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n → ∞)<extra></extra>",
        }  # fmt: skip
        expected = {
            **curve, "y": expectations[i].astype(np.float32), "name": f"expected for n = {samples}", "legendgroup": "expected",
            "line": {"color": ROLE_COLOURS["neutral"], "width": 2, "dash": "dash"},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (n = {samples}, expected)<extra></extra>",
        }  # fmt: skip
        now = {
            **curve, "x": np.array([current[0]]), "y": np.array([current[1 + i]]), "mode": "markers",
            "name": f"drawn now (n = {samples})", "legendgroup": "now",
            "marker": {"color": ROLE_COLOURS["poisoned"], "size": 12, "line": {"color": INK, "width": 1}},
            "hovertemplate": f"α %{{x:.2f}} px<br>{name} %{{y:.4g}} (drawn now)<extra></extra>",
        }  # fmt: skip
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
            yaxis2={"title": {"text": "Θ<sub>imc</sub>: likeness between classes"}, "domain": [0.0, 0.46], "range": [0, 1.02]},
            shapes=[{**mark, "line": {"color": faded(ROLE_COLOURS["poisoned"], 0.6), "width": 1.5, "dash": "dot"}}],
        ),
    )


def with_current(figure: str, current: tuple[float, float, float]) -> str:
    """The JSON of :func:`theta_curves` with another current strength: only two points and a line move.

    Building the figure anew costs a third of the work behind the slider.

    Args:
        figure: JSON of a figure made by :func:`theta_curves`.
        current: α and the two values of the sample just drawn.
    """
    parts = json.loads(figure)
    for trace, value in zip((t for t in parts["data"] if t["legendgroup"] == "now"), current[1:], strict=True):
        trace["x"], trace["y"] = [current[0]], [value]
    mark = parts["layout"]["shapes"][0]
    mark["x0"] = mark["x1"] = current[0]
    return json.dumps(parts)
