"""Figures of starts and of recovery: every number in its place, nothing that Plotly refuses."""

from __future__ import annotations

import pytest

from tests.figures.test_perturbation import valid
from tests.results.test_recovery_rows import CLEAN, runs
from tests.results.test_starts import cell, table
from ued_core.errors import DataError
from ued_core.figures.recovery import curves_of, recovery_figure, recovery_words
from ued_core.figures.starts import APART, starts_figure, starts_height, starts_words
from ued_core.results.recovery import by_attack
from ued_core.results.starts import starts_of


def test_starts_stand_beside_each_other_in_the_line_of_their_attack() -> None:
    found = starts_of(table())
    figure = starts_figure(found)
    valid(figure)
    means = {trace.name: trace for trace in figure.data if trace.name in found.starts and trace.xaxis != "x2"}
    assert list(means["from scratch"].x) == pytest.approx([80, 30])
    assert list(means["from scratch"].y) == pytest.approx([-APART / 2, 1 - APART / 2])
    assert list(means["linear probe"].y) == pytest.approx([APART / 2, 1 + APART / 2])
    lost = [trace for trace in figure.data if trace.xaxis == "x2"]
    assert [list(trace.x) for trace in lost] == [pytest.approx([-50]), pytest.approx([-10])]
    interval = found.losses["from scratch", "CUDA"].gain.interval
    assert interval is not None
    assert lost[0].error_x.array[0] == pytest.approx(50 * (interval.high - interval.low))
    assert starts_height(found) < starts_height(starts_of([*table(), *cell("from scratch", "EM", [0.2])]))
    assert "from scratch · CUDA −50.0 [−51, −49] points" in starts_words(found)


def test_an_attack_without_its_clean_runs_has_accuracies_and_no_loss() -> None:
    figure = starts_figure(starts_of(cell("fine-tuned", "CUDA", [0.5])))
    valid(figure)
    assert [len(trace.x) for trace in figure.data] == [1, 1, 0]


def test_curves_of_poisons_stand_in_panels_and_share_a_legend() -> None:
    panels = [curves_of(own) for own in by_attack([*CLEAN, *runs("CUDA", 0.3, {10: (0.7, 0.35, 0.3)})])]
    figure = recovery_figure(panels)
    valid(figure)
    refitted = [trace for trace in figure.data if trace.name == "last layer refitted"]
    assert [list(trace.x) for trace in refitted] == [[10, 1000], [10]]
    assert [list(trace.y) for trace in refitted] == [pytest.approx([88, 90]), pytest.approx([70])]
    assert [trace.showlegend for trace in refitted] == [True, False]
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([90, 30])
    assert figure.layout.xaxis.type == "log"
    assert "CUDA: as trained 30.0 ± 0.4 %; last layer refitted 70.0 ± 0.8 % with 10" in recovery_words(panels)


def test_nothing_is_no_figure() -> None:
    with pytest.raises(DataError):
        starts_figure(starts_of([]))
    with pytest.raises(DataError):
        recovery_figure([])
