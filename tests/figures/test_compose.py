"""Figures built without Plotly's checks pass them."""

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.compose import compose
from ued_core.figures.consistency import theta_curves
from ued_core.figures.layouts import embedding_scatter
from ued_core.figures.theme import base_layout
from ued_core.records import Embedding


def test_unchecked_figures_are_valid_and_carry_no_template():
    alpha = np.linspace(0, 6, 7)
    points = np.random.default_rng(0).random((12, 2)).astype(np.float32)
    layout = Embedding(
        points,
        np.tile(np.arange(4), 3),
        np.tile(np.arange(4), 3),
        np.repeat(["clean", "poisoned", "defended"], 4),
        "umap",
        "x",
    )
    for figure in (
        theta_curves(alpha, (alpha, alpha / 9), (alpha / 2, alpha / 10), 20, (1.5, 0.3, 0.4)),
        embedding_scatter(layout, tuple("abcd")),
    ):
        checked = go.Figure(figure.to_dict(), layout_template={})
        assert checked.to_dict()["data"] == figure.to_dict()["data"]
        assert len(figure.to_json(validate=False)) < 10_000


def test_arrays_and_layout_survive():
    figure = compose([{"type": "scatter", "y": np.arange(3.0)}], base_layout(yaxis={"range": [0, 1]}))
    assert list(figure.data[0].y) == [0, 1, 2]
    assert tuple(figure.layout.yaxis.range) == (0, 1)
