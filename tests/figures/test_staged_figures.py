"""Figures of staged training show every check once, alarms where training went back to, and rates as they were in
force."""

from __future__ import annotations

import math

import pytest

from ued_core.figures.roles import ROLES
from ued_core.figures.staged import (
    FROZEN,
    Alarm,
    Reading,
    alarms,
    growth_figure,
    legend_growth,
    rates_figure,
    readings_figure,
    readings_height,
    signal_figure,
)
from ued_core.results.parts import EpochRow
from ued_core.results.staged import Check, Trace, trace_of

LAYERS = ("block 1", "penultimate")
METHOD = {"name": "staged", "threshold": 1.5, "signal": "acm"}


def check(epoch: float, acm: float, action: str, rate: float) -> Check:
    return Check(
        epoch, {"block 1": acm, "penultimate": 2 * acm}, acm, acm > 1.5, action, {"block 1": rate, "penultimate": 1.0}
    )


TRACE = Trace(
    LAYERS,
    (
        check(0.0, 1.0, "start", 1.0),
        check(0.5, 1.2, "accepted", 1.0),
        check(1.0, 1.8, "rolled back", 0.1),
        check(1.0, 1.7, "rolled back", 0.01),
        check(1.0, 1.4, "accepted", 0.01),
        check(1.5, 1.6, "slowed", 0.0),
        check(2.0, 1.9, "noted", 0.0),
    ),
    1.5,
    "acm",
    ({"epoch": 1, "test_accuracy": 0.4}, {"epoch": 2, "test_accuracy": 0.6}),
)


def test_what_a_trace_says() -> None:
    assert [c.epoch for c in TRACE.kept] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert TRACE.growth("penultimate") == [(0.0, 1.0), (0.5, 1.2), (1.0, 1.4), (1.5, 1.6), (2.0, 1.9)]
    assert [TRACE.first_above(threshold) for threshold in (1.5, 1.85, 2.0)] == [1.0, 2.0, None]
    assert len(TRACE.alarms) == 3
    assert TRACE.frozen == ("block 1",)
    assert alarms(TRACE) == [Alarm(0.5, 2, "rolled back"), Alarm(1.5, 1, "slowed")]


def test_rates_are_those_in_force_between_two_checks() -> None:
    heat = rates_figure(TRACE).data[0]
    assert list(heat.x) == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert list(heat.y) == list(LAYERS)
    # After the two alarms training went back to 0.5 and on from there with 0.01.
    assert heat.z[0] == pytest.approx([0.0, -2.0, -2.0, FROZEN])
    assert heat.z[1] == pytest.approx([0.0] * 4)
    assert [*heat.text[0]] == ["× 1", "× 0.01", "× 0.01", "frozen"]
    assert math.log10(0.3**6) > FROZEN


def test_signal_and_growth_show_plain_training_behind() -> None:
    plain = Trace(LAYERS, (check(0.0, 1.0, "start", 1.0), check(2.0, 3.0, "noted", 1.0)), 1.5, "acm", ())
    by_name = {t.name: t for t in signal_figure(TRACE, plain).data}
    assert list(by_name["plain training"].y) == [1.0, 3.0]
    assert list(by_name["staged training"].y) == [1.0, 1.2, 1.4, 1.6, 1.9]
    assert list(by_name["alarm, taken back"].y) == [1.8, 1.7]
    assert "alarm, taken back" not in {t.name for t in signal_figure(plain).data}
    growth = growth_figure(TRACE, plain)
    assert [t.name for t in growth.data if t.showlegend is not False] == [
        *LAYERS, "the same layer, plain training", "alarms at once, how many",
    ]  # fmt: skip
    assert [a.text for a in growth.layout.annotations] == [" 2×", " 1×"]
    assert len(growth_figure(TRACE).data) == 3


def test_readings_show_every_run_and_its_mean_in_the_colour_of_its_role() -> None:
    bars = readings_figure([Reading("ST", "defended", [0.5, 0.7]), Reading("plain", "poisoned", [0.2])]).data
    assert [list(trace.x) for trace in bars] == [[60.0], [50.0, 70.0], [20.0], [20.0]]
    assert [trace.marker.color for trace in bars] == [ROLES[r].light for r in ("defended",) * 2 + ("poisoned",) * 2]
    assert readings_height([Reading("ST", "defended", [0.5])] * 9) > readings_height([])


def test_the_legend_of_many_layers_has_room() -> None:
    """Ten layers, as EfficientNet has them: the chart grows by what the margin above it grows, the plot keeps its
    height."""
    names = tuple(f"stage {n}" for n in range(10))
    checks = tuple(
        Check(e, dict.fromkeys(names, 1.0 + e), 1.0, False, "accepted", dict.fromkeys(names, 1.0)) for e in (0.0, 1.0)
    )
    many = Trace(names, checks, 1.5, "acm", TRACE.history)
    assert legend_growth(TRACE) == 0
    grown = growth_figure(many).layout.margin.t - growth_figure(TRACE).layout.margin.t
    assert grown == legend_growth(many) > 0
    styles = {(t.line.color, t.line.dash, t.marker.symbol) for t in growth_figure(many).data}
    assert len(styles) == 10


def test_a_run_under_way_is_read_from_its_history() -> None:
    row = {
        "staged signal": 1.7,
        "staged alarms": 1.0,
        "test_accuracy": 0.5,
        "staged acm block 1": 1.1,
        "staged acm penultimate": 2.0,
        "staged rate block 1": 0.3,
        "staged rate penultimate": 1.0,
    }
    spec = {"defenses": [METHOD]}
    trace = trace_of(spec, [EpochRow({"epoch": 1, **row})])
    assert trace.layers == LAYERS
    assert trace.checks[0] == Check(
        1, {"block 1": 1.1, "penultimate": 2.0}, 1.7, True, "", {"block 1": 0.3, "penultimate": 1.0}
    )
    assert [len(figure(trace).data) > 0 for figure in (rates_figure, signal_figure, growth_figure)] == [True] * 3
    assert trace_of(spec, [EpochRow({"epoch": 1, "test_accuracy": 0.5})]) is None
    assert trace_of({"defenses": []}, [EpochRow({"epoch": 1, **row})]) is None
