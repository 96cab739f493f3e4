"""Pictures of class kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.theme import (
    INK,
    MUTED,
    SEQUENTIAL,
    base_layout,
    colour_scale,
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
            frame = [{"type": "rect", **corners, "line": {"color": INK, "width": 3}}]
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
