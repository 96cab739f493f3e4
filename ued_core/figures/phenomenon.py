"""The central experiment at a glance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.theme import INK, ROLE_COLOURS, ROLE_SYMBOLS, axis_title, base_layout
from ued_core.results.phenomenon import Condition

ROLES = {
    "clean": "clean",
    "CUDA": "poisoned",
    "CUDA + COIN": "defended",
    "one common kernel": "control",
    "clean + COIN": "neutral",
}


def condition_dots(conditions: Sequence[Condition], chance: float) -> go.Figure:
    """Clean test accuracy of every run, one row a condition, with the mean as a bar.

    Args:
        conditions: what was trained on, each with its runs.
        chance: accuracy of guessing, 0..1.
    """
    figure = go.Figure()
    for condition in conditions:
        role = ROLES.get(condition.name, "neutral")
        values = 100 * condition.values("last")
        figure.add_bar(
            x=[values.mean()],
            y=[condition.name],
            orientation="h",
            marker={"color": ROLE_COLOURS[role], "opacity": 0.35},
            width=0.62,
            showlegend=False,
            hovertemplate=f"{condition.name}: mean %{{x:.1f}} % of {len(values)} seeds<extra></extra>",
        )
        figure.add_scatter(
            x=values,
            y=[condition.name] * len(values),
            mode="markers",
            marker={
                "color": ROLE_COLOURS[role],
                "symbol": ROLE_SYMBOLS[role],
                "size": 11,
                "line": {"color": INK, "width": 1},
            },
            customdata=np.array([row.seed for row in condition.rows]),
            showlegend=False,
            hovertemplate=f"{condition.name}, seed %{{customdata}}: %{{x:.1f}} %<extra></extra>",
        )
    figure.add_vline(x=100 * chance, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_layout(
        base_layout(
            xaxis={"title": {"text": axis_title("clean test accuracy after the last epoch", "%")}, "range": [0, 102]},
            yaxis={"autorange": "reversed", "title": {"text": "trained on"}},
            barmode="overlay",
            margin={"t": 8},
        )
    )
    return figure
