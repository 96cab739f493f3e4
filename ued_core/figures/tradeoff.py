"""Damage to the images against what is left of the perturbation."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.graph_objects import Figure

from ued_core.figures.compose import compose
from ued_core.figures.theme import INK, MUTED, ROLE_COLOURS, axis_title, base_layout

Point = tuple[float, float, float]
"""PSNR to the clean images in dB; perturbation left, all of it and in its old place, both 0..1."""
BEST_PSNR = 60.0
"""Stands in for the infinite PSNR of images that were not changed."""
LABEL_ROOM = 0.06
"""Share of an axis that the word at a point needs."""


def tradeoff(curve: Sequence[Point], values: Sequence[float], label: str, now: Point) -> Figure:
    """How the perturbation goes and the image with it, over one parameter.

    Args:
        curve: one point per value.
        values: of the parameter.
        label: of the parameter, with its unit.
        now: the point of the setting on the page.
    """
    words = [f"{label} = {v:g}" for v in values]
    lines = ((1, "all of it", "poisoned", "solid"), (2, "in its old place", "control", "dot"))
    traces = [
        {
            "type": "scatter",
            "mode": "lines+markers+text",
            "name": f"perturbation left, {name}",
            "x": [_finite(point[0]) for point in curve],
            "y": [point[number] for point in curve],
            "text": _with_room(curve, values) if number == 1 else None,
            "textposition": "top center",
            "textfont": {"size": 11, "color": MUTED},
            "customdata": words,
            "line": {"color": ROLE_COLOURS[role], "dash": dash},
            "hovertemplate": "%{customdata}<br>PSNR %{x:.1f} dB<br>left %{y:.1%}<extra></extra>",
        }
        for number, name, role, dash in lines
    ]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers" if curve else "markers+text",
            "name": "now",
            "x": [_finite(now[0])] * 2,
            "y": list(now[1:]),
            # Without a curve there is no legend. The two may lie in one place: their names stand on either side.
            "text": [name for _, name, *_ in lines],
            "textposition": ["middle left", "middle right"],
            "textfont": {"color": INK},
            "marker": {"size": 15, "symbol": "circle-open", "color": INK, "line": {"width": 2.5, "color": INK}},
            "hovertemplate": "now<br>PSNR %{x:.1f} dB<br>left %{y:.1%}<extra></extra>",
        }
    )
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": axis_title("PSNR of defended against clean images", "dB, right is less damage")}},
            yaxis={"title": {"text": "perturbation left"}, "tickformat": ".0%", "rangemode": "tozero"},
        ),
    )


def _with_room(curve: Sequence[Point], values: Sequence[float]) -> list[str]:
    """The values as words where they do not stand in each other's way; the ends come first."""
    places = [(_finite(psnr), energy) for psnr, energy, _ in curve]
    reach = [max(axis) - min(axis) or 1.0 for axis in zip(*places, strict=True)]
    kept: list[int] = []
    for i in sorted(range(len(places)), key=lambda i: 0 < i < len(places) - 1):
        if all(
            max(abs(a - b) / r for a, b, r in zip(places[i], places[k], reach, strict=True)) >= LABEL_ROOM for k in kept
        ):
            kept.append(i)
    return [f"{v:g}" if i in kept else "" for i, v in enumerate(values)]


def _finite(psnr: float) -> float:
    return min(psnr, BEST_PSNR)
