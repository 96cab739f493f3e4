"""What attacks leave of several starts of training: accuracies, and losses on the same seeds with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.open_questions import LINE_LOOKS
from ued_core.figures.results import ACCURACY, condition_words
from ued_core.figures.theme import INK, axis_title, base_layout
from ued_core.results.evidence import Summary
from ued_core.results.measured import summary
from ued_core.results.starts import Starts
from ued_core.results.words import points

ROW = 74
"""CSS pixels of the lines of one attack."""
APART = 0.26
"""How far the starts of one attack stand from each other, in lines."""
WIDTH = 640


def starts_figure(found: Starts) -> go.Figure:
    """Left the accuracies of every run with their means, right what each attack takes on the same seeds, with the 95 %
    interval; one colour and symbol per start.

    Raises:
        DataError: there are no runs.
    """
    if not found.cells:
        raise DataError("A plot of starts needs at least one run.")
    figure, attacks = go.Figure(), list(found.attacks)
    for number, start in enumerate(found.starts):
        look = LINE_LOOKS[number % len(LINE_LOOKS)]
        shift = APART * (number - (len(found.starts) - 1) / 2)
        places = {attack: attacks.index(attack) + shift for attack in attacks}
        for trace in _accuracies(found, start, places, look[:2]):
            figure.add_scatter(**trace)
        figure.add_scatter(**_losses(found, start, places, look[:2]), xaxis="x2", yaxis="y2")
    lines: dict[str, Any] = {
        "range": [len(attacks) - 0.45, -0.55],
        "tickvals": list(range(len(attacks))),
        "zeroline": False,
    }
    figure.update_layout(
        base_layout(
            xaxis={"domain": [0, 0.54], "range": [0, 102], "title": {"text": ACCURACY}, "anchor": "y"},
            xaxis2={
                "domain": [0.6, 1], "anchor": "y2", "title": {"text": axis_title("change by the attack", "points")},
                "zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1,
            },
            yaxis={**lines, "ticktext": attacks, "anchor": "x"},
            yaxis2={**lines, "showticklabels": False, "anchor": "x2", "matches": "y"},
            margin={"t": 40},
            meta={"least_width": WIDTH},
        )
    )  # fmt: skip
    return figure


def starts_height(found: Starts) -> int:
    """Height of such a figure in CSS pixels."""
    return 120 + ROW * len(found.attacks)


def starts_words(found: Starts) -> str:
    """What the figure shows, with its numbers."""
    cells = [f"{condition.name} {condition_words(condition)}" for condition in found.cells.values()]
    lost = [f"{' · '.join(place)} {points(one.gain)}" for place, one in found.losses.items()]
    return f"Clean test accuracy: {'; '.join(cells)}. Change by the attack: {'; '.join(lost)}."


def _accuracies(found: Starts, start: str, places: dict[str, float], look: Sequence[str]) -> list[dict[str, Any]]:
    own = [(at, found.cells[start, attack]) for attack, at in places.items() if (start, attack) in found.cells]
    runs = [(at, row) for at, condition in own for row in condition.rows]
    colour, symbol = look
    dots = {
        "x": [100 * row.last for _, row in runs],
        "y": [at for at, _ in runs],
        "mode": "markers",
        "name": f"{start}, one run",
        "showlegend": False,
        "marker": {"color": colour, "size": 6, "opacity": 0.5},
        "customdata": [f"{row.attack}, seed {row.seed}" for _, row in runs],
        "hovertemplate": f"{start}, %{{customdata}}: %{{x:.1f}} %<extra></extra>",
    }
    means = {
        "x": [100 * summary(condition, "last").mean for _, condition in own],
        "y": [at for at, _ in own],
        "mode": "markers",
        "name": start,
        "marker": {"color": colour, "symbol": symbol, "size": 12, "line": {"color": INK, "width": 1}},
        "customdata": [f"{condition.name}: {condition_words(condition)}" for _, condition in own],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    return [dots, means]


def _losses(found: Starts, start: str, places: dict[str, float], look: Sequence[str]) -> dict[str, Any]:
    own = [
        (at, attack, found.losses[start, attack]) for attack, at in places.items() if (start, attack) in found.losses
    ]
    colour, symbol = look
    return {
        "x": [100 * one.gain.mean for _, _, one in own],
        "y": [at for at, _, _ in own],
        "mode": "markers",
        "name": start,
        "showlegend": False,
        "marker": {"color": colour, "symbol": symbol, "size": 11},
        "error_x": error_bars([one.gain for _, _, one in own], colour),
        "customdata": [f"{start}, {attack}: {points(one.gain)}, n = {one.gain.count}" for _, attack, one in own],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def error_bars(found: Sequence[Summary], colour: str) -> dict[str, Any]:
    """The 95 % intervals of means, in per cent; nothing where there is none."""
    halves = [0.0 if (around := one.interval) is None else 50 * (around.high - around.low) for one in found]
    return {"type": "data", "array": halves, "color": colour, "thickness": 2, "width": 5}
