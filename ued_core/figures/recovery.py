"""Accuracy over the number of known clean images: of one run, or the means of several poisons beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.results import ACCURACY
from ued_core.figures.starts import error_bars
from ued_core.figures.theme import INK, MUTED, ROLE_COLOURS, ROLE_DASHES, ROLE_SYMBOLS, base_layout
from ued_core.results.evidence import Summary, over
from ued_core.results.recovery import METHODS, Attacked
from ued_core.results.words import bounds, level

LOOKS = {"refitted": "defended", "tuned": "control", "alone": "neutral", "alone_one_epoch": "neutral"}
"""Number of a point → the role whose colour it has."""
PANEL = 240
"""CSS pixels that a panel takes at least."""


@dataclass(frozen=True)
class Curves:
    """One panel.

    Attributes:
        title: of the panel; may be empty.
        as_trained: accuracy of the network as it is.
        poisoned: whether it was trained on a poison.
        lines: number of a point → number of known images → its accuracies.
    """

    title: str
    as_trained: Summary
    poisoned: bool
    lines: Mapping[str, Mapping[int, Summary]]


def curves_of(own: Attacked, methods: Sequence[str] = tuple(METHODS)) -> Curves:
    """The means of the runs on one poison."""
    lines = {}
    for method in methods:
        found = {known: over(own.values(method, known).values()) for known in own.known}
        lines[method] = {known: one for known, one in found.items() if one.count}
    return Curves(
        own.attack, over(own.as_trained.values()), own.poisoned, {m: line for m, line in lines.items() if line}
    )


def recovery_figure(panels: Sequence[Curves]) -> go.Figure:
    """One panel per poison over a logarithmic axis; whiskers are 95 % intervals of means, the dashed line is the
    network as it was trained.

    Raises:
        DataError: there is no point.
    """
    known = sorted({count for panel in panels for line in panel.lines.values() for count in line})
    if not known:
        raise DataError("A plot of recovery needs at least one number of known images.")
    figure = go.Figure()
    layout: dict[str, Any] = {"annotations": [], "shapes": [], "margin": {"t": 70 if panels[0].title else 40}}
    named: set[str] = set()
    for place, panel in enumerate(panels):
        suffix = "" if place == 0 else str(place + 1)
        layout[f"xaxis{suffix}"] = {
            "type": "log", "domain": _domain(place, len(panels)), "anchor": f"y{suffix}", "tickvals": known,
            "ticktext": [f"{count:,}" for count in known], "title": {"text": "known clean images"},
        }  # fmt: skip
        layout[f"yaxis{suffix}"] = {"range": [0, 102], "anchor": f"x{suffix}"} | (
            {"title": {"text": ACCURACY}} if place == 0 else {"matches": "y", "showticklabels": False}
        )
        for method, line in panel.lines.items():
            figure.add_scatter(**_line(method, line, method not in named), xaxis=f"x{suffix}", yaxis=f"y{suffix}")
            named.add(method)
        role = "poisoned" if panel.poisoned else "clean"
        value = 100 * panel.as_trained.mean
        drawn = {"color": ROLE_COLOURS[role], "dash": ROLE_DASHES["poisoned"], "width": 2}
        layout["shapes"].append({
            "type": "line", "layer": "below", "xref": f"x{suffix} domain", "x0": 0, "x1": 1, "yref": f"y{suffix}",
            "y0": value, "y1": value, "line": drawn,
        })  # fmt: skip
        # Curves rise to the right: under a low line there is room.
        label = _text(f"as trained {value:.0f} %", suffix, 12, MUTED)
        side = {
            "x": 1,
            "xanchor": "right",
            "yref": f"y{suffix}",
            "y": value,
            "yanchor": "top" if value < 50 else "bottom",
        }
        layout["annotations"].append({**label, **side})
        if panel.title:
            title = _text(f"trained on {panel.title}", suffix, 13, INK)
            layout["annotations"].append(
                {**title, "x": 0, "xanchor": "left", "yref": "paper", "y": 1, "yanchor": "bottom"}
            )
    # With one line above the other the panels' titles would stand in the legend.
    layout["legend"] = {"y": 1.12 if panels[0].title else 1.02}
    layout["meta"] = {"least_width": 80 + PANEL * len(panels)} if len(panels) > 1 else {}
    figure.update_layout(base_layout(**layout))
    return figure


def recovery_words(panels: Sequence[Curves]) -> str:
    """What the figure shows, with its numbers."""
    told = []
    for panel in panels:
        lines = [
            f"{METHODS[method]} " + ", ".join(f"{level(one)} % with {known:,}" for known, one in line.items())
            for method, line in panel.lines.items()
        ]
        name = f"{panel.title}: " if panel.title else ""
        told.append(f"{name}as trained {level(panel.as_trained)} %; {'; '.join(lines)}")
    return f"Clean test accuracy. {'. '.join(told)}."


def _line(method: str, line: Mapping[int, Summary], named: bool) -> dict[str, Any]:
    role, short = LOOKS[method], method == "alone_one_epoch"
    colour = ROLE_COLOURS[role]
    return {
        "x": list(line),
        "y": [100 * one.mean for one in line.values()],
        "mode": "lines+markers",
        "name": METHODS[method],
        "legendgroup": method,
        "showlegend": named,
        "line": {"color": colour, "dash": "dot" if short else ROLE_DASHES[role], "width": 2},
        "marker": {"color": colour, "symbol": "cross-thin-open" if short else ROLE_SYMBOLS[role], "size": 10},
        "error_y": error_bars(list(line.values()), colour),
        "customdata": [f"{level(one)} %{bounds(one.interval)}, n = {one.count}" for one in line.values()],
        "hovertemplate": f"{METHODS[method]}, %{{x:,}} known: %{{customdata}}<extra></extra>",
    }


def _text(words: str, suffix: str, size: int, colour: str) -> dict[str, Any]:
    return {
        "text": words,
        "xref": f"x{suffix} domain",
        "showarrow": False,
        "font": {"size": size, "color": colour},
    }


def _domain(place: int, count: int) -> list[float]:
    width = (1 - 0.04 * (count - 1)) / count
    return [place * (width + 0.04), min(1.0, place * (width + 0.04) + width)]
