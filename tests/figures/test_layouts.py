"""Feature layouts: every point once, in its class's colour and its copy's symbol."""

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.layouts import (
    LABEL_ROOM,
    clearest_copy,
    embedding_scatter,
    feature_scatter,
    point_colours,
)
from ued_core.figures.theme import CLASS_COLOURS, ROLE_COLOURS, ROLE_SYMBOLS
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
    drawn = [trace for trace in figure.data if trace.mode == "markers" and trace.x[0] is not None]
    assert [trace.name for trace in drawn] == ["clean", "poisoned", "defended"]
    for trace in drawn:
        own = laid.group == trace.name
        assert np.array_equal(np.column_stack([trace.x, trace.y]), laid.points[own])
        assert np.asarray(trace.customdata).tolist() == laid.rows[own].tolist(), "a click says which image it is"
        assert list(trace.text) == [NAMES[label] for label in laid.labels[own]]
        assert list(trace.marker.color) == [CLASS_COLOURS[label] for label in laid.labels[own]]
        assert trace.marker.symbol == ROLE_SYMBOLS[trace.name]
    assert len({trace.marker.symbol for trace in drawn}) == 3, "copies are told apart without colour"


def test_the_legend_shows_marks_in_the_colours_of_their_roles() -> None:
    """A mark in the first class's colour would look like a class."""
    for figure in (embedding_scatter(embedding(), NAMES), room()):
        legend = [trace for trace in figure.data if trace.showlegend is not False and trace.name in ROLE_SYMBOLS]
        assert [trace.name for trace in legend] == ["clean", "poisoned", "defended"]
        assert [trace.marker.symbol for trace in legend] == [ROLE_SYMBOLS[trace.name] for trace in legend]
        assert [trace.marker.color for trace in legend] == [ROLE_COLOURS[trace.name] for trace in legend]
        assert not set(ROLE_COLOURS.values()) & set(CLASS_COLOURS)
        points = [trace for trace in figure.data if trace.mode == "markers" and trace.legendgroup == "defended"]
        assert [len(trace.x) for trace in points] == [4, 1], "a click on the legend hides the points"


def test_nothing_is_cut_off_wherever_the_points_went() -> None:
    laid = embedding()
    for scale in (1, 30):
        far = Embedding(laid.points * scale, laid.rows, laid.labels, laid.group, "umap", "shapes")
        for figure in (embedding_scatter(far, NAMES), feature_scatter(far, NAMES, ANSWERS)):
            for axis, letter in ((figure.layout.xaxis, "x"), (figure.layout.yaxis, "y")):
                values = [v for trace in figure.data for v in trace[letter] if v is not None]
                assert axis.range[0] < min(values)
                assert max(values) < axis.range[1]
    still = Embedding(np.zeros((12, 2), np.float32), laid.rows, laid.labels, laid.group, "umap", "shapes")
    low, high = embedding_scatter(still, NAMES).layout.xaxis.range
    assert low < 0 < high


def test_classes_are_named_beside_the_copy_that_tells_them_apart() -> None:
    """Poisoned copies lie in three places, the others anywhere: the names belong to the poisoned ones."""
    laid = embedding()
    points = laid.points.copy()
    corners = np.float32([[-9, 0], [9, 0], [0, 9]])
    poisoned = laid.group == "poisoned"
    points[poisoned] = corners[laid.labels[poisoned]]
    apart = Embedding(points, laid.rows, laid.labels, laid.group, "umap", "shapes")
    assert clearest_copy(apart) == "poisoned"
    (names,) = named(embedding_scatter(apart, NAMES), "classes")
    assert list(names.text) == [f"<b>{name}</b>" for name in NAMES]
    assert list(names.x) == [-9, 9, 0]
    assert all(above > corner for above, corner in zip(names.y, corners[:, 1], strict=True))
    many = [str(number) for number in range(100)]
    assert not named(embedding_scatter(apart, many), "classes"), "a hundred names cannot be read"
    assert not named(room(colouring="correctness"), "classes")


def test_names_in_one_place_do_not_lie_on_each_other() -> None:
    laid = embedding()
    one_place = Embedding(np.where(laid.group[:, None] == "clean", 0, laid.points), *_rest(laid))
    assert clearest_copy(one_place) == "clean"
    (names,) = named(embedding_scatter(one_place, NAMES), "classes")
    heights = sorted(names.y)
    least = LABEL_ROOM[1] * float(np.ptp(one_place.points[:, 1]))
    assert all(b - a >= 0.99 * least for a, b in zip(heights, heights[1:], strict=False))


def _rest(laid: Embedding) -> tuple:
    return laid.rows, laid.labels, laid.group, laid.method, laid.source


def test_axes_have_the_same_scale_and_no_numbers() -> None:
    figure = embedding_scatter(embedding("pca"), NAMES)
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.xaxis.showticklabels is False
    assert "PCA" in figure.layout.xaxis.title.text
    assert "no unit" in figure.layout.xaxis.title.text
    assert figure.layout.uirevision == "pca", "the view survives a new layout of the same kind"
    assert figure.layout.meta["animate"] is True


ANSWERS = np.array([0, 1, 2, 1, 0, 0, 2, 1, 2, 2, 2, 2])


def room(**more) -> go.Figure:
    return feature_scatter(embedding(), NAMES, ANSWERS, **more)


def named(figure: go.Figure, name: str) -> list:
    return [trace for trace in figure.data if trace.name == name]


def test_feature_points_name_their_rows_for_a_selection() -> None:
    laid, figure = embedding(), room()
    for name in ("clean", "poisoned", "defended"):
        trace = named(figure, name)[0]
        own = laid.group == name
        assert np.array_equal(np.column_stack([trace.x, trace.y]), laid.points[own])
        assert np.asarray(trace.customdata).tolist() == [5, 9, 70, 3]
        assert list(trace.marker.color) == [CLASS_COLOURS[label] for label in laid.labels[own]]
    assert named(figure, "poisoned")[0].text[1] == "ring → disc", "true class and answer"
    dots = [t.name for t in figure.data if t.x[0] is None and t.name not in ROLE_SYMBOLS]
    assert dots == list(NAMES), "the legend says what a colour means"
    assert figure.layout.dragmode == "lasso"
    assert go.Figure(figure.to_dict()).layout.xaxis.title.text == "UMAP axis 1 (no unit)"


def test_colours_by_hand() -> None:
    laid = embedding()
    by = {
        c: point_colours(c, laid.labels, ANSWERS, laid.group, NAMES)
        for c in ("class", "prediction", "correctness", "copy")
    }
    assert by["class"].index.tolist() == [0, 1, 2, 1] * 3
    assert by["prediction"].index.tolist() == ANSWERS.tolist()
    assert by["correctness"].index.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 1]
    assert [by["correctness"].palette[i] for i in (0, 1)] == [ROLE_COLOURS["clean"], ROLE_COLOURS["poisoned"]]
    assert by["copy"].index.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert by["copy"].palette == tuple(ROLE_COLOURS[name] for name in ("clean", "poisoned", "defended"))
    frames = point_colours("correctness", laid.labels, np.stack([ANSWERS, laid.labels]), laid.group, NAMES)
    assert frames.index.shape == (2, 12)
    assert frames.index[1].sum() == 0
    many = point_colours("class", laid.labels, ANSWERS, laid.group, [str(i) for i in range(100)])
    assert many.legend == ()


def test_copies_are_joined_on_demand() -> None:
    laid, figure = embedding(), room(joined=True)
    (lines,) = named(figure, "copies of one image")
    x = np.asarray(lines.x)
    assert lines.mode == "lines"
    assert np.isnan(x[3::4]).all(), "a gap between two images"
    assert np.array_equal(x.reshape(4, 4)[1, :3], laid.points[[1, 5, 9], 0]), "clean, poisoned, defended of one image"
    assert not named(room(), "copies of one image")


def test_marked_rows_are_ringed_joined_and_stand_out() -> None:
    laid, figure = embedding(), room(marked=(70, 5, 1234))
    (rings,) = named(figure, "marked")
    assert sorted(np.asarray(rings.customdata).tolist()) == [5, 5, 5, 70, 70, 70], (
        "all three copies; unknown rows are left out"
    )
    assert np.array_equal(np.column_stack([rings.x, rings.y])[:2], laid.points[[0, 2]])
    assert list(named(figure, "clean")[0].selectedpoints) == [0, 2]
    assert named(figure, "clean")[0].unselected.marker.opacity < 0.85
    assert len(named(figure, "copies of one image")) == 1
    assert named(room(), "clean")[0].selectedpoints is None
    (found,) = named(room(marked=(70,), focus=70), "image 70")
    assert found.marker.size > rings.marker.size
    assert len(found.x) == 3


def test_many_points_are_drawn_by_webgl() -> None:
    count = 3 * 600
    points = np.zeros((count, 2), np.float32)
    labels = np.zeros(count, np.int64)
    laid = Embedding(
        points,
        np.tile(np.arange(600), 3),
        labels,
        np.repeat(np.array(["clean", "poisoned", "defended"]), 600),
        "pca",
        "x",
    )
    figure = feature_scatter(laid, NAMES, labels)
    assert {trace.type for trace in figure.data} == {"scattergl"}
    assert figure.layout.meta["animate"] is False
    assert "Principal component 2" in figure.layout.yaxis.title.text
    assert len(figure.to_json()) < 300_000
