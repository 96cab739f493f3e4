"""Figures of Unlearnable Clusters: every number in its place, the picked cluster marked, nothing that Plotly
refuses."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.figures.test_perturbation import numbers, valid
from ued_core.errors import DataError
from ued_core.figures import clusters as figures
from ued_core.figures.theme import ROLE_SYMBOLS, class_colour
from ued_core.records import Embedding
from ued_core.results.reported import reported

ANCHORS = (1, 2, 0)


def embedding(copies: tuple[str, ...] = ("clean", "poisoned"), method: str = "umap") -> Embedding:
    """Four images of three clusters, copy after copy, then the three centres."""
    count = 4 * len(copies)
    points = np.random.default_rng(0).normal(size=(count + 3, 2)).astype(np.float32)
    own = np.array([0, 1, 1, 2])
    return Embedding(
        points,
        np.concatenate([np.tile([7, 3, 9, 1], len(copies)), [-1] * 3]),
        np.concatenate([np.tile(own, len(copies)), np.arange(3)]),
        np.concatenate([np.repeat(list(copies), 4), ["centre"] * 3]),
        method,
        "embedded",
    )


def named(figure: go.Figure, start: str) -> list:
    return [trace for trace in figure.data if (trace.name or "").startswith(start)]


# ---------------------------------------------------------------- the layout


def test_scatter_shows_every_image_and_centre_in_its_place() -> None:
    laid = embedding()
    figure = valid(figures.cluster_scatter(laid, ANCHORS))
    for copy in ("clean", "poisoned"):
        (trace,) = named(figure, copy)
        own = laid.group == copy
        assert np.array_equal(np.column_stack([numbers(trace.x), numbers(trace.y)]), laid.points[own])
        assert list(trace.marker.color) == [class_colour(c) for c in (0, 1, 1, 2)]
        assert trace.marker.symbol == ROLE_SYMBOLS[copy]
        assert numbers(trace.customdata).tolist() == [0, 1, 1, 2], "a click says which cluster it is"
        assert trace.text[2] == "cluster 2 · image 9"
    (centres,) = named(figure, "centre")
    assert np.array_equal(np.column_stack([numbers(centres.x), numbers(centres.y)]), laid.points[-3:])
    assert list(centres.text) == ["<b>1</b>", "<b>2</b>", "<b>3</b>"]
    assert numbers(centres.customdata).tolist() == [0, 1, 2]
    assert "moves to cluster 1" in centres.hovertext[2]


def test_an_arrow_leads_from_each_centre_to_its_anchor() -> None:
    laid = embedding()
    arrows = named(valid(figures.cluster_scatter(laid, ANCHORS)), "planned shift")
    assert len(arrows) == 3
    for cluster, arrow in enumerate(arrows):
        ends = np.column_stack([arrow.x, arrow.y]).astype(np.float32)
        assert np.array_equal(ends, laid.points[-3:][[cluster, ANCHORS[cluster]]])
        assert arrow.marker.angleref == "previous", "the head points along the arrow"
    assert [arrow.showlegend for arrow in arrows] == [True, False, False]


def test_picked_cluster_stands_out_and_its_arrow_is_alone() -> None:
    figure = valid(figures.cluster_scatter(embedding(), ANCHORS, selected=1))
    for copy in ("clean", "poisoned"):
        opacity = numbers(named(figure, copy)[0].marker.opacity)
        assert (opacity > 0.5).tolist() == [False, True, True, False]
    (arrow,) = named(figure, "planned shift")
    assert arrow.line.color == class_colour(1)
    assert arrow.showlegend


def test_before_crafting_there_is_no_poisoned_copy() -> None:
    figure = valid(figures.cluster_scatter(embedding(("clean",), "pca"), ANCHORS))
    assert not named(figure, "poisoned")
    assert figure.layout.xaxis.title.text == "Principal component 1 (no unit)"
    assert figure.layout.yaxis.scaleanchor == "x"


# ---------------------------------------------------------------- where they have gone


def test_bars_are_the_shares_and_fill_the_whole() -> None:
    shares = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]])
    panels = {"by distance": shares, "by profile": shares[::-1]}
    figure = valid(figures.destination_bars(panels))
    assert [trace.name for trace in figure.data] == ["the anchor", "the own centre", "another centre"] * 2
    for place, expected in enumerate(panels.values()):
        drawn = np.column_stack([numbers(trace.x) for trace in figure.data[3 * place : 3 * place + 3]])
        assert np.array_equal(drawn, expected)
        assert drawn.sum(1).tolist() == [1, 1]
    assert [a.text for a in figure.layout.annotations] == ["by distance", "by profile"]
    assert sum(trace.showlegend for trace in figure.data) == 3, "one legend for both panels"
    assert figure.layout.barmode == "stack"
    marked = valid(figures.destination_bars(panels, selected=1))
    assert [list(trace.marker.opacity) for trace in marked.data] == [[0.35, 1.0]] * 6


# ---------------------------------------------------------------- labels


def test_agreement_map_holds_shares_and_numbers() -> None:
    counts = np.array([[3, 1], [0, 0], [0, 8]])
    figure = valid(figures.agreement_map(counts, ["disc", "ring"], selected=2))
    (cells,) = figure.data
    assert numbers(cells.z).tolist() == [[0.75, 0.25], [0, 0], [0, 1]], "shares of the cluster; an empty one has none"
    assert np.array_equal(numbers(cells.text), counts)
    assert cells.texttemplate == "%{text}"
    assert list(figure.layout.yaxis.ticktext) == ["cluster 1", "cluster 2", "cluster 3"]
    assert list(figure.layout.xaxis.ticktext) == ["disc", "ring"]
    (frame,) = figure.layout.shapes
    assert (frame.y0, frame.y1) == (1.5, 2.5)
    assert not figures.agreement_map(counts, ["disc", "ring"]).layout.shapes


def test_large_map_has_no_numbers_and_few_ticks() -> None:
    figure = valid(figures.agreement_map(np.ones((64, 100), np.int64), [str(i) for i in range(100)]))
    assert figure.data[0].texttemplate is None
    assert len(figure.layout.xaxis.tickvals) <= 40


# ---------------------------------------------------------------- learning


def trace(steps: tuple[int, ...] = (0, 10, 20)) -> list[dict]:
    return [
        {
            "cluster": cluster,
            "images": 9,
            "anchor": ANCHORS[cluster],
            "clean_kl": 2.0 + cluster,
            "clean_own_kl": 0.5,
            "first_kl": 1.5,
            "last_kl": 0.5,
            "ratio": 1 / 3,
            "hit_rate": 0.5,
            "curve": {"step": list(steps), "anchor_kl": [1.5, 1.0, 0.5 + cluster], "own_kl": [0.6, 0.8, 1.0]},
        }
        for cluster in range(3)
    ]


def test_curves_are_those_of_the_log_on_one_scale() -> None:
    rows = trace()
    figure = valid(figures.distance_curves(rows))
    for axis, number in (("x", "anchor_kl"), ("x2", "own_kl")):
        own = [t for t in figure.data if t.xaxis == axis and t.name.startswith("a cluster")]
        assert [list(t.y) for t in own] == [row["curve"][number] for row in rows]
        assert [numbers(t.customdata).tolist() for t in own] == [[0] * 3, [1] * 3, [2] * 3]
    assert sum(t.showlegend for t in figure.data if t.legendgroup == "clusters") == 1, "ten lines would fill the legend"
    means = named(figure, "mean")
    assert numbers(means[0].y).tolist() == pytest.approx([1.5, 1.0, 1.5])
    assert numbers(means[1].y).tolist() == pytest.approx([0.6, 0.8, 1.0])
    assert numbers(means[0].customdata).tolist() == [-1] * 3, "the mean is no cluster that a click could pick"
    clean = named(figure, "without noise")
    assert [list(t.y) for t in clean] == [[3.0, 3.0], [0.5, 0.5]]
    assert figure.layout.yaxis2.matches == "y"
    assert "nats" in figure.layout.yaxis.title.text


def test_picked_curve_stands_out() -> None:
    figure = valid(figures.distance_curves(trace(), selected=2))
    shown = [t for t in figure.data if t.legendgroup == "clusters" and t.xaxis == "x"]
    assert [t.line.width for t in shown] == [1.5, 1.5, 4]
    assert [t.opacity for t in shown] == [0.25, 0.25, 1]
    assert [(t.name, t.showlegend) for t in shown] == [("cluster 3", False), ("cluster 3", False), ("cluster 3", True)]


def test_clusters_measured_at_other_steps_have_no_mean() -> None:
    rows = trace()
    rows[0]["curve"]["step"] = [0, 5, 20]
    assert not named(valid(figures.distance_curves(rows)), "mean")


def test_older_logs_become_bars() -> None:
    rows = [{name: value for name, value in row.items() if name != "curve"} for row in trace()]
    figure = valid(figures.distance_bars(rows, selected=1))
    assert [list(t.y) for t in figure.data] == [[2.0, 3.0, 4.0], [1.5] * 3, [0.5] * 3]
    assert list(figure.data[0].x) == ["cluster 1", "cluster 2", "cluster 3"]
    assert [list(t.marker.opacity) for t in figure.data] == [[0.35, 1.0, 0.35]] * 3


# ---------------------------------------------------------------- reported


def test_reported_values_stand_at_their_attack_and_data_set() -> None:
    rows = [row for row in reported() if row.source.title == "UC slides, Table 1"]
    with pytest.raises(DataError, match="two values"):
        figures.across_data(rows)
    own = [row for row in rows if row.model.key == "resnet18"]
    cells = figures.across_data(own)
    assert len(own) == cells.values.size == len(cells.rows) * len(cells.columns)
    assert cells.values[cells.rows.index("UC (CLIP)"), cells.columns.index("Pets")] == pytest.approx(0.0469)
    figure = valid(figures.data_map(cells))
    assert figure.layout.xaxis.title.text == "data set"
    assert np.allclose(numbers(figure.data[0].z), 100 * cells.values)
