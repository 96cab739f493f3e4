"""A study while it fills: its matrix with the number of runs in every cell, and a parameter's curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.learning import RUN_COLOURS
from ued_core.figures.results import ACCURACY, Cells, accuracy_map
from ued_core.figures.theme import CLASS_SYMBOLS, INK, base_layout

MOST_WRITTEN = 40
"""Columns up to which a cell has room for its number; of more, colours and what the pointer finds tell."""
MOST_NAMED = 20
"""So many names stand above more columns than that."""


class Point(NamedTuple):
    """A condition on a curve.

    Attributes:
        x: the parameter.
        mean, low, high: accuracy and its 95 % interval, 0..1; nan where they are not known.
        words: what the pointer finds.
    """

    x: float
    mean: float
    low: float
    high: float
    words: str


def study_map(cells: Cells, marks: Sequence[Sequence[str]]) -> go.Figure:
    """A map of accuracies that also says how far each cell is.

    Args:
        cells: accuracies; nan where nothing has finished.
        marks: short texts, (R, C), such as ``3/5``; empty for a place without a condition. They are left out where
            there are too many columns for them.

    Raises:
        DataError: the table is empty.
    """
    figure = accuracy_map(cells)
    if len(cells.columns) > MOST_WRITTEN:
        # A browser takes a second for hundreds of texts that nobody can read.
        figure.data = figure.data[:1]
        figure.data[0].update(hoverongaps=True, xgap=0)
        figure.update_xaxes(dtick=math.ceil(len(cells.columns) / MOST_NAMED))
        return figure
    bright = {(row, column): colour for row, column, colour in _colours(figure, cells)}
    figure.data[1].textposition = "top center"
    places = [(r, k) for r, k in np.ndindex(cells.values.shape) if marks[r][k]]
    figure.add_scatter(
        x=[cells.columns[k] for _, k in places],
        y=[cells.rows[r] for r, _ in places],
        text=[marks[r][k] for r, k in places],
        mode="text",
        textposition="bottom center",
        textfont={"size": 10, "color": [bright.get((r, k), INK) for r, k in places]},
        hoverinfo="skip",
    )
    return figure


def _colours(figure: go.Figure, cells: Cells) -> list[tuple[int, int, str]]:
    """The colour of the number in each cell that has one."""
    known = np.argwhere(np.isfinite(cells.values)).tolist()
    return [(r, k, colour) for (r, k), colour in zip(known, figure.data[1].textfont.color, strict=True)]


def study_curves(lines: Mapping[str, Sequence[Point]], parameter: str) -> go.Figure:
    """Clean test accuracy over a parameter, with the interval of every mean.

    Args:
        lines: name → its points, in the order of the parameter.
        parameter: what the horizontal axis shows.

    Raises:
        DataError: there are no points.
    """
    if not any(lines.values()):
        raise DataError("A curve needs at least one point.")
    figure = go.Figure(
        layout=base_layout(
            xaxis={"title": {"text": parameter}},
            yaxis={"title": {"text": ACCURACY}, "range": [0, 102]},
        )
    )
    for place, (name, points) in enumerate(lines.items()):
        known = [point for point in points if not math.isnan(point.mean)]
        colour = RUN_COLOURS[place % len(RUN_COLOURS)]
        figure.add_scatter(
            x=[point.x for point in known],
            y=[100 * point.mean for point in known],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [100 * _or_zero(point.high - point.mean) for point in known],
                "arrayminus": [100 * _or_zero(point.mean - point.low) for point in known],
                "color": colour,
            },
            name=name,
            mode="lines+markers",
            line={"color": colour},
            marker={"color": colour, "symbol": CLASS_SYMBOLS[place % len(CLASS_SYMBOLS)], "size": 8},
            customdata=[point.words for point in known],
            hovertemplate="%{customdata}<extra></extra>",
        )
    return figure


def _or_zero(length: float) -> float:
    return 0.0 if math.isnan(length) else length
