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
from ued_core.figures.roles import ROLES, role_of
from ued_core.figures.theme import CLASS_SYMBOLS, INK, MUTED, base_layout, faded

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


class Level(NamedTuple):
    """A condition without the parameter, which is the same everywhere along it.

    Attributes:
        name: for the legend.
        mean, low, high: accuracy and its 95 % interval, 0..1; the bounds are nan where they are not known.
        role: what was trained on, as in :data:`ued_core.figures.roles.ROLES`; empty where that is not known.
        words: what the pointer finds.
    """

    name: str
    mean: float
    low: float
    high: float
    role: str = ""
    words: str = ""


def study_curves(
    lines: Mapping[str, Sequence[Point]],
    parameter: str,
    levels: Sequence[Level] = (),
    *,
    published: float | None = None,
    role: str = "",
) -> go.Figure:
    """Clean test accuracy over a parameter, with the interval of every mean.

    Args:
        lines: name → its points, in the order of the parameter.
        parameter: what the horizontal axis shows.
        levels: conditions that lack the parameter, such as the attack without a defence: level lines with a band.
        published: the paper's value of the parameter; a thin upright line.
        role: of all lines; each has its own colour where it is empty.

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
    at = [point.x for points in lines.values() for point in points]
    margin = 0.03 * (max(at) - min(at)) or 0.5
    ends = [min(at) - margin, max(at) + margin]
    for level in levels:
        _add_level(figure, level, ends)
    for place, (name, points) in enumerate(lines.items()):
        known = [point for point in points if not math.isnan(point.mean)]
        # A line that is called clean looks like everything else that is.
        own = role or role_of(name.partition(" ")[0])
        colour = ROLES[own].light if own else RUN_COLOURS[place % len(RUN_COLOURS)]
        symbol = ROLES[own].symbol if own else CLASS_SYMBOLS[place % len(CLASS_SYMBOLS)]
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
            marker={"color": colour, "symbol": symbol, "size": 8},
            customdata=[point.words for point in known],
            hovertemplate="%{customdata}<extra></extra>",
        )
    if levels:
        figure.update_layout(xaxis_range=ends, showlegend=True)
    if published is not None and ends[0] <= published <= ends[1]:
        figure.add_vline(
            x=published,
            line={"color": MUTED, "width": 1, "dash": "dot"},
            annotation={
                "text": "published",
                "font": {"color": MUTED, "size": 11},
                "yref": "paper",
                "y": 1,
                "yanchor": "bottom",
            },
        )
    return figure


def _add_level(figure: go.Figure, level: Level, ends: Sequence[float]) -> None:
    look = ROLES[level.role or "neutral"]
    if not math.isnan(level.low):
        low, high = 100 * max(0.0, level.low), 100 * min(1.0, level.high)
        figure.add_scatter(
            x=[ends[0], ends[1], ends[1], ends[0]],
            y=[high, high, low, low],
            fill="toself",
            fillcolor=faded(look.light, 0.14),
            line={"width": 0},
            mode="lines",
            name=level.name,
            hoverinfo="skip",
            showlegend=False,
        )
    figure.add_scatter(
        x=list(ends),
        y=[100 * level.mean] * 2,
        name=level.name,
        mode="lines",
        line={"color": look.light, "dash": look.dash, "width": 2},
        text=[level.words or level.name] * 2,
        hovertemplate="%{text}<extra></extra>",
    )


def _or_zero(length: float) -> float:
    return 0.0 if math.isnan(length) else length
