"""The dots of trained edge detectors: every share in its row, a band only where the detector can tell."""

from __future__ import annotations

from ued_core.figures.detection import EdgeRow, edge_dots
from ued_core.figures.theme import ROLE_COLOURS

ROWS = (
    EdgeRow("CUDA", 0.4, 0.5, None, {"clean": 0.41, "poisoned": 0.6, "defended": 0.42}),
    EdgeRow("HUDA", 0.1, 0.9, 0.5, {"clean": 0.11, "poisoned": 0.8, "defended": 0.2}),
)


def test_edge_dots() -> None:
    figure = edge_dots(ROWS)
    by_name = {trace.name: trace for trace in figure.data}
    assert list(by_name) == ["clean", "poisoned", "defended", "other clean images", "its own attack, another key"]
    assert list(by_name["poisoned"].x) == [0.6, 0.8]
    assert by_name["poisoned"].marker.color == ROLE_COLOURS["poisoned"]
    assert list(by_name["other clean images"].x) == [0.4, 0.1]
    assert list(by_name["its own attack, another key"].x) == [0.5, 0.9]
    # The first detector stands above the second one; only the second has a bound, and its band stays in its row.
    assert list(by_name["other clean images"].y) == [1, 0]
    (band,) = figure.layout.shapes
    assert (band.x0, band.y0, band.y1) == (0.5, -0.4, 0.4)
    assert list(figure.layout.yaxis.ticktext) == ["CUDA:<br>not counted", "HUDA"]
    above, on, below = (by_name[role].y[1] for role in ("clean", "poisoned", "defended"))
    assert above > on > below
