"""Feature layouts: every point once, in its class's colour and its copy's symbol."""

import numpy as np

from ued_core.figures.layouts import embedding_scatter
from ued_core.figures.theme import CLASS_COLOURS, ROLE_SYMBOLS
from ued_core.records import Embedding

NAMES = ("disc", "ring", "star")


def embedding(method: str = "umap") -> Embedding:
    points = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32)
    rows = np.tile(np.array([5, 9, 70, 3]), 3)
    labels = np.tile(np.array([0, 1, 2, 1]), 3)
    return Embedding(points, rows, labels, np.repeat(np.array(["clean", "poisoned", "defended"]), 4), method, "shapes")


def test_every_point_is_drawn_once_in_its_place() -> None:
    laid = embedding()
    figure = embedding_scatter(laid, NAMES)
    assert [trace.name for trace in figure.data] == ["clean", "poisoned", "defended"]
    for trace in figure.data:
        own = laid.group == trace.name
        assert np.array_equal(np.column_stack([trace.x, trace.y]), laid.points[own])
        assert np.asarray(trace.customdata).tolist() == laid.rows[own].tolist(), "a click says which image it is"
        assert list(trace.text) == [NAMES[label] for label in laid.labels[own]]
        assert list(trace.marker.color) == [CLASS_COLOURS[label] for label in laid.labels[own]]
        assert trace.marker.symbol == ROLE_SYMBOLS[trace.name]
    assert len({trace.marker.symbol for trace in figure.data}) == 3, "copies are told apart without colour"


def test_axes_have_the_same_scale_and_no_numbers() -> None:
    figure = embedding_scatter(embedding("pca"), NAMES)
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.xaxis.showticklabels is False
    assert "PCA" in figure.layout.xaxis.title.text
    assert "no unit" in figure.layout.xaxis.title.text
    assert figure.layout.uirevision == "pca", "the view survives a new layout of the same kind"
    assert figure.layout.meta["animate"] is True
