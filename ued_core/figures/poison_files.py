"""Pictures of what a loader makes of a poison."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.theme import ROLE_COLOURS, axis_title, base_layout

MOST_LEVELS = 32


def change_histogram(ours: np.ndarray, released: np.ndarray) -> go.Figure:
    """How many pixel values are changed by how many levels, by our rule and by a released loader.

    Changes beyond ±32 levels are counted at the ends.

    Args:
        ours, released: integers of one shape, poisoned minus clean, in 1/255.

    Raises:
        DataError: nothing to count, or two shapes.
    """
    if ours.shape != released.shape or ours.size == 0:
        raise DataError(f"Two stacks of one shape are compared, not {ours.shape} and {released.shape}.")
    reach = int(min(MOST_LEVELS, max(np.abs(ours).max(), np.abs(released).max(), 1)))
    levels = np.arange(-reach, reach + 1)
    traces = []
    for values, name, role in (
        (ours, "our rule: signed, rounded", "neutral"),
        (released, "released loader", "poisoned"),
    ):
        counts = np.bincount(np.clip(values.reshape(-1), -reach, reach).astype(np.int64) + reach, minlength=len(levels))
        traces.append(
            {
                "type": "bar",
                "x": levels,
                "y": 100 * counts / values.size,
                "name": name,
                "marker": {"color": ROLE_COLOURS[role]},
                "hovertemplate": f"{name}<br>%{{x:+d}}/255: %{{y:.2f}} % of the values<extra></extra>",
            }
        )
    layout = base_layout(
        barmode="group",
        bargap=0.15,
        xaxis={"title": {"text": axis_title("change of a pixel value", "1/255")}},
        yaxis={"title": {"text": axis_title("pixel values", "%")}, "rangemode": "tozero"},
    )
    return compose(traces, layout)
