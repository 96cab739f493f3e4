"""Pictures of feature layouts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.compose import compose
from ued_core.figures.theme import CLASS_COLOURS, INK, ROLE_SYMBOLS, base_layout
from ued_core.records import Embedding


def embedding_scatter(embedding: Embedding, class_names: Sequence[str]) -> go.Figure:
    """Points coloured by class, shaped by copy; they move when the next layout arrives.

    Args:
        embedding: the layout; ``group`` names the copy of each point.
        class_names: one a class.
    """
    groups = list(dict.fromkeys(embedding.group.tolist()))
    traces = []
    names = np.array(class_names)
    for group in groups:
        own = embedding.group == group
        labels = embedding.labels[own]
        traces.append(
            {
                "type": "scatter",
                "x": embedding.points[own, 0],
                "y": embedding.points[own, 1],
                "mode": "markers",
                "name": group,
                "marker": {
                    "symbol": ROLE_SYMBOLS.get(group, "circle"),
                    "size": 8 if group != "poisoned" else 7,
                    "color": [CLASS_COLOURS[label % len(CLASS_COLOURS)] for label in labels.tolist()],
                    "opacity": 0.85,
                    "line": {"width": 0.5, "color": INK},
                },
                "customdata": embedding.rows[own].astype(np.int32),
                "text": names[labels].tolist(),
                "hovertemplate": "%{text} · " + group + "<br>image %{customdata}<extra></extra>",
            }
        )
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    word = embedding.method.upper()
    return compose(
        traces,
        base_layout(
            xaxis={**axis, "title": {"text": f"{word} axis 1 (no unit)"}},
            yaxis={**axis, "title": {"text": f"{word} axis 2 (no unit)"}, "scaleanchor": "x"},
            meta={"animate": True},
            uirevision=embedding.method,
        ),
    )
