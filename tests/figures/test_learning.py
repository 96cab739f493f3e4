"""Curves show what was measured, in the right unit, and can be told apart without colour."""

import itertools

import numpy as np
import pytest

from tests.figures.test_theme import contrast
from ued_core.figures import learning
from ued_core.figures.learning import LOSS, TEST, TRAIN, Curve, pair_figure
from ued_core.results.parts import EpochRow, Probe

ROWS = [
    EpochRow({"epoch": 1, "loss": 2.0, "train_accuracy": 0.3, "test_accuracy": 0.2}),
    EpochRow({"epoch": 2, "loss": 1.0, "train_accuracy": 0.9, "test_accuracy": 0.25}),
]


def moved(by: float) -> list[EpochRow]:
    return [EpochRow({**row.numbers, "test_accuracy": row.numbers["test_accuracy"] + by}) for row in ROWS]


def test_one_run_shows_both_accuracies_in_per_cent() -> None:
    figure = learning.run_figure(ROWS, epochs=10, chance=0.1)
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name[TRAIN.title].y == pytest.approx([30, 90])
    assert by_name[TEST.title].y == pytest.approx([20, 25])
    assert by_name[TEST.title].x.tolist() == [1, 2]
    assert by_name[TRAIN.title].line.dash != by_name[TEST.title].line.dash
    assert tuple(figure.layout.xaxis.range) == (0.5, 10.5), "the axis shows the epochs still to come"
    assert figure.layout.yaxis.title.text == "Accuracy (%)"
    assert figure.layout.shapes[0].y0 == pytest.approx(10)


def test_a_run_without_epochs_is_an_empty_chart_with_axes() -> None:
    figure = learning.run_figure([], epochs=3)
    assert [len(trace.x) for trace in figure.data] == [0, 0]
    assert figure.layout.xaxis.title.text == "Epoch"
    assert not figure.layout.shapes


def test_a_row_without_a_quantity_is_left_out_not_zero() -> None:
    figure = learning.run_figure([ROWS[0], EpochRow({"epoch": 2, "train_accuracy": 0.5})], epochs=2)
    by_name = {trace.name: trace for trace in figure.data}
    assert by_name[TEST.title].x.tolist() == [1]
    assert by_name[TRAIN.title].x.tolist() == [1, 2]


def test_loss_is_not_a_percentage() -> None:
    figure = learning.loss_figure(ROWS, epochs=2)
    assert figure.data[0].y.tolist() == [2.0, 1.0]
    assert "%" not in figure.layout.yaxis.title.text


def test_mean_and_sample_deviation_over_seeds() -> None:
    found = learning.series([moved(0.0), moved(0.1), moved(0.2)], "test_accuracy")
    assert found.count == 3
    assert found.mean == pytest.approx([0.3, 0.35])
    assert found.deviation == pytest.approx([0.1, 0.1]), "divided by n - 1"
    figure = learning.compare_figure([Curve("a", (moved(0.0), moved(0.1), moved(0.2)))], TEST)
    band, line = figure.data
    assert band.fill == "toself"
    assert band.y == pytest.approx([40, 45, 25, 20])
    assert line.y == pytest.approx([30, 35])
    assert "n = 3" in line.hovertemplate


def test_seeds_are_averaged_only_where_all_have_a_value() -> None:
    found = learning.series([ROWS, ROWS[:1]], "test_accuracy")
    assert found.epochs.tolist() == [1]


def test_compared_runs_differ_in_colour_dash_and_marker() -> None:
    figure = learning.compare_figure([Curve(str(k), (ROWS,)) for k in range(12)], LOSS)
    looks = [(t.line.color, t.line.dash, t.marker.symbol) for t in figure.data]
    assert len(set(looks)) == 12
    without_colour = [look[1:] for look in looks]
    assert len(set(without_colour)) == 12, "a reader who sees no colour can tell them apart"


@pytest.mark.parametrize("paper", ["#ffffff", "#11151d"])
def test_compared_runs_stand_out_from_both_pages(paper: str) -> None:
    assert {c: contrast(c, paper) for c in learning.RUN_COLOURS if contrast(c, paper) < 3} == {}
    assert len(set(learning.RUN_COLOURS)) == len(learning.RUN_COLOURS)


def test_histogram_shows_every_class_and_the_even_share() -> None:
    figure = learning.histogram_figure([0.7, 0.2, 0.1, 0.0], ["disc", "ring", "star", "heart"])
    assert figure.data[0].y == pytest.approx([70, 20, 10, 0])
    assert list(figure.data[0].x) == ["disc", "ring", "star", "heart"]
    assert figure.layout.shapes[0].y0 == pytest.approx(25)
    assert "25 %" in figure.layout.shapes[0].name
    assert figure.layout.shapes[0].showlegend


def test_probe_bars_fill_every_row_exactly() -> None:
    probe = Probe(
        clean_accuracy=0.2,
        own_accuracy=0.97,
        wrong_true_rate=0.05,
        wrong_perturbation_rate=0.9,
        wrong_other_rate=0.05,
        clean_histogram=[0.5, 0.5],
        images=100,
    )
    figure = learning.probe_figure(probe)
    assert np.sum([trace.x for trace in figure.data], axis=0) == pytest.approx([100, 100, 100])
    by_name = {trace.name: trace.x for trace in figure.data}
    assert by_name["answers the class of the perturbation"] == pytest.approx((0, 0, 90))
    assert by_name["answers the true class"] == pytest.approx((20, 97, 5))
    patterns = [trace.marker.pattern.shape for trace in figure.data]
    assert len(set(patterns)) == 3


def test_every_axis_of_every_figure_has_a_title_or_names_its_bars() -> None:
    figures = [
        learning.run_figure(ROWS, 2),
        learning.loss_figure(ROWS, 2),
        *(learning.compare_figure([Curve("a", (ROWS,))], q) for q in learning.QUANTITIES),
        learning.histogram_figure([0.5, 0.5], ["a", "b"]),
    ]
    for figure, axis in itertools.product(figures, ("xaxis", "yaxis")):
        assert figure.layout[axis].title.text


def test_a_pair_of_runs_stands_beside_each_other_and_its_numbers_never_overlap() -> None:
    def history(train: float, test: float) -> list[EpochRow]:
        rows = ({"epoch": 1, "train_accuracy": 0.4, "test_accuracy": 0.4, "loss": 1.0},
                {"epoch": 2, "train_accuracy": train, "test_accuracy": test, "loss": 0.5})  # fmt: skip
        return [found for row in rows if (found := EpochRow.read(row, "here")) is not None]

    panels = [("without defence", "poisoned", history(0.94, 0.42)), ("with COIN", "defended", history(0.80, 0.68))]
    figure = pair_figure(panels, 8, 0.1)
    assert [list(trace.y) for trace in figure.data] == [[40, 94], [40, 42], [40, 80], [40, 68]]
    assert [trace.xaxis for trace in figure.data] == ["x", "x", "x2", "x2"]
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0]
    told = {note.text: note.yshift for note in figure.layout.annotations if note.text.endswith("%</b>")}
    assert told == {"<b>94 %</b>": 0, "<b>42 %</b>": 0, "<b>80 %</b>": 7, "<b>68 %</b>": -7}
    assert [shape.y0 for shape in figure.layout.shapes] == [10, 10]
    empty = pair_figure([("without defence", "poisoned", []), ("with COIN", "defended", [])], 8, 0.1)
    assert [len(trace.x) for trace in empty.data] == [0] * 4
    assert [note.text for note in empty.layout.annotations] == ["<b>✕ without defence</b>", "<b>◆ with COIN</b>"]
