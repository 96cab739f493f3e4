"""Figures that are drawn again at every move of a slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go


def compose(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> go.Figure:
    """A figure without Plotly's checks, which cost ten times the figure itself.

    For figures behind a control only; their tests build them once more with the checks on:
    ``go.Figure(figure.to_dict())``.

    Args:
        traces: one dict a trace with its ``type``.
        layout: as :func:`ued_core.figures.theme.base_layout` returns it.
    """
    return go.Figure(data=[dict(trace) for trace in traces], layout=dict(layout), _validate=False)
