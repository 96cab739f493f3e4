"""Staged training: how each layer's clusters grow, when the alarm rings, and what becomes of the learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import plotly.graph_objects as go

from ued_core.figures.learning import RUN_COLOURS, RUN_DASHES, whole_step
from ued_core.figures.theme import (
    CLASS_SYMBOLS,
    INK,
    MUTED,
    ROLE_COLOURS,
    ROLE_DASHES,
    ROLE_SYMBOLS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
    faded,
)
from ued_core.results.staged import TAKEN_BACK, Trace

FROZEN = -4.0
"""Where a frozen layer stands on the logarithmic scale of rates; 0.3⁶, the slowest of the defaults, is at −3.1."""

BESIDE, EXPLAINED, LINES, LINE_PX = 3, 2, 2, 20
"""Legends: entries beside each other, those that are no layer, lines for which every chart has room, their height."""
TICKS = {FROZEN: "frozen", -3: "0.001", -2: "0.01", -1: "0.1", 0: "1"}


@dataclass(frozen=True)
class Alarm:
    """All answered alarms after one accepted epoch."""

    epoch: float
    count: int
    action: str


@dataclass(frozen=True)
class Reading:
    """One way of training, with its runs.

    Attributes:
        name: for people.
        role: ``defended`` for staged training, ``control`` for what is set against it, otherwise what plain training
            was given.
        accuracies: clean test accuracy of every run, 0..1, at least one.
    """

    name: str
    role: str
    accuracies: Sequence[float]


def alarms(trace: Trace) -> list[Alarm]:
    """The answered alarms of a run, those of one epoch together."""
    found: dict[tuple[float, str], int] = {}
    for check in trace.alarms:
        # What was taken back is counted where training went back to.
        epoch = (
            max((c.epoch for c in trace.kept if c.epoch < check.epoch), default=0.0)
            if check.action == TAKEN_BACK
            else check.epoch
        )
        found[epoch, check.action] = found.get((epoch, check.action), 0) + 1
    return [Alarm(epoch, count, action) for (epoch, action), count in found.items()]


def legend_growth(trace: Trace) -> int:
    """By how many pixels :func:`growth_figure` must be higher than the other charts, so that its legend fits above."""
    lines = math.ceil((len(trace.layers) + EXPLAINED) / BESIDE)
    return LINE_PX * max(0, lines - LINES)


def growth_figure(trace: Trace, plain: Trace | None = None) -> go.Figure:
    """Each layer's activation-cluster measure relative to the first check, which is before training.

    Args:
        trace: the run.
        plain: the same training without any reaction, drawn thin behind it.
    """
    figure = go.Figure(layout=_over_epochs(trace, plain, axis_title("Clusters, relative to the first check", "×")))
    for drawn, thin in ((plain, True), (trace, False)):
        if drawn is None:
            continue
        for place, layer in enumerate(drawn.layers):
            points = drawn.growth(layer)
            colour = RUN_COLOURS[place % len(RUN_COLOURS)]
            # Layers are told apart by symbol; the plain run is dotted and faded.
            figure.add_trace(
                go.Scatter(
                    x=[x for x, _ in points], y=[y for _, y in points], name=layer, showlegend=not thin,
                    mode="lines" if thin else "lines+markers",
                    line={"color": faded(colour, 0.55) if thin else colour, "width": 1.5 if thin else 2.5,
                          "dash": "dot" if thin else RUN_DASHES[place % len(RUN_DASHES)]},
                    marker={"color": colour, "symbol": CLASS_SYMBOLS[place % len(CLASS_SYMBOLS)], "size": 6},
                    hovertemplate=f"{layer}{', plain training' if thin else ''}<br>epoch %{{x:.3g}}: %{{y:.2f}} "
                                  "×<extra></extra>",
                )
            )  # fmt: skip
    if plain is not None:
        line = {"color": MUTED, "dash": "dot", "width": 1.5}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name="the same layer, plain training"))
    _mark_alarms(figure, trace)
    figure.update_layout(margin={"t": figure.layout.margin.t + legend_growth(trace)})
    return figure


def signal_figure(trace: Trace, plain: Trace | None = None, plain_role: str = "poisoned") -> go.Figure:
    """The sign of the trap over the epochs, its threshold, and the checks that rang the alarm.

    Args:
        trace: the run.
        plain: the same training without any reaction.
        plain_role: what that was trained on, ``poisoned`` or ``clean``.
    """
    figure = go.Figure(
        layout=_over_epochs(trace, plain, axis_title("Sign of the trap, relative to before training", "×"))
    )
    if plain is not None:
        figure.add_trace(
            go.Scatter(
                x=[c.epoch for c in plain.checks],
                y=[c.signal for c in plain.checks],
                name="plain training",
                mode="lines",
                line={"color": ROLE_COLOURS[plain_role], "dash": ROLE_DASHES[plain_role], "width": 2},
                hovertemplate="plain training<br>epoch %{x:.3g}: %{y:.2f}<extra></extra>",
            )
        )
    kept = trace.kept
    figure.add_trace(
        go.Scatter(
            x=[c.epoch for c in kept], y=[c.signal for c in kept], name="staged training", mode="lines+markers",
            line={"color": ROLE_COLOURS["defended"], "width": 2.5},
            marker={"size": 7, "symbol": ROLE_SYMBOLS["defended"], "color": ROLE_COLOURS["defended"]},
            hovertemplate="staged training<br>epoch %{x:.3g}: %{y:.2f}<extra></extra>",
        )
    )  # fmt: skip
    back = [c for c in trace.checks if c.action == TAKEN_BACK]
    if back:
        figure.add_trace(
            go.Scatter(
                x=[c.epoch for c in back], y=[c.signal for c in back], name="alarm, taken back", mode="markers",
                marker={"color": ROLE_COLOURS["control"], "symbol": "square", "size": 9},
                hovertemplate="taken back<br>epoch %{x:.3g}: %{y:.2f}<extra></extra>",
            )
        )  # fmt: skip
    figure.add_hline(
        y=trace.threshold,
        name=f"threshold {trace.threshold:g}",
        showlegend=True,
        line={"color": MUTED, "width": 1.5, "dash": "dot"},
    )
    return figure


def rates_figure(trace: Trace) -> go.Figure:
    """The factor on every layer's learning rate over the epochs; the image is at the bottom, the head is never
    slowed."""
    kept = trace.kept
    spans = [(a, b) for a, b in pairwise(kept) if b.epoch > a.epoch] or [(kept[0], kept[-1])]
    # What happened at an epoch's edge counts from there on: the rates of a span are those it was accepted with.
    edges = [spans[0][0].epoch, *(b.epoch for _, b in spans)]
    if edges[0] == edges[-1]:
        edges[0] = edges[-1] - 1
    rates = [[_log(_rate_in(trace, a.epoch, layer)) for a, _ in spans] for layer in trace.layers]
    text = [[_words(_rate_in(trace, a.epoch, layer)) for a, _ in spans] for layer in trace.layers]
    layout = _over_epochs(trace, None, "")
    figure = go.Figure(layout=layout)
    figure.add_trace(
        go.Heatmap(
            x=edges, y=list(trace.layers), z=rates, text=text, zmin=FROZEN, zmax=0, colorscale=colour_scale(SEQUENTIAL),
            colorbar={"title": {"text": "× rate"}, "tickvals": list(TICKS), "ticktext": list(TICKS.values())},
            hovertemplate="%{y}<br>from epoch %{x:.3g}: %{text}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(showlegend=False, margin={"r": 80})
    figure.update_yaxes(type="category")
    return figure


def readings_figure(readings: Sequence[Reading]) -> go.Figure:
    """Clean test accuracy of every run, one row per reading, with the mean as a bar.

    Args:
        readings: from top to bottom.
    """
    figure = go.Figure()
    for reading in readings:
        colour, symbol = ROLE_COLOURS[reading.role], ROLE_SYMBOLS[reading.role]
        values = [100 * value for value in reading.accuracies]
        figure.add_bar(
            x=[sum(values) / len(values)], y=[reading.name], orientation="h", width=0.62, showlegend=False,
            marker={"color": colour, "opacity": 0.35},
            hovertemplate=f"{reading.name}: mean %{{x:.1f}} % of {len(values)} seeds<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            x=values, y=[reading.name] * len(values), mode="markers", showlegend=False,
            marker={"color": colour, "symbol": symbol, "size": 9, "line": {"color": INK, "width": 1}},
            hovertemplate=f"{reading.name}: %{{x:.1f}} %<extra></extra>",
        )  # fmt: skip
    figure.update_layout(
        base_layout(
            xaxis={"title": {"text": axis_title("clean test accuracy after the last epoch", "%")}, "range": [0, 102]},
            yaxis={"autorange": "reversed", "title": {"text": ""}, "type": "category"},
            barmode="overlay",
            margin={"t": 8},
        )
    )
    return figure


def readings_height(readings: Sequence[Reading]) -> int:
    """Height of such a figure in CSS pixels."""
    return 80 + 30 * max(3, len(readings))


def _rate_in(trace: Trace, epoch: float, layer: str) -> float:
    """The last rate that was set before training went on from an epoch."""
    rate, at = trace.checks[0].rates[layer], 0.0
    for check in trace.checks:
        at = at if check.action == TAKEN_BACK else check.epoch
        if at > epoch:
            break
        rate = check.rates[layer]
    return rate


def _log(rate: float) -> float:
    return max(FROZEN, math.log10(rate)) if rate > 0 else FROZEN


def _words(rate: float) -> str:
    return f"× {rate:.3g}" if rate > 0 else "frozen"


def _over_epochs(trace: Trace, plain: Trace | None, title: str) -> dict:
    last = max((len(t.history) for t in (trace, plain) if t is not None), default=1)
    end = max([last, *(c.epoch for t in (trace, plain) if t is not None for c in t.checks)])
    return base_layout(
        xaxis={"title": {"text": "Accepted epochs"}, "range": [-0.2, end + 0.2], "dtick": whole_step(math.ceil(end))},
        yaxis={"title": {"text": title}},
        legend={"font": {"size": 12}},
        showlegend=True,
    )


def _mark_alarms(figure: go.Figure, trace: Trace) -> None:
    found: Sequence[Alarm] = alarms(trace)
    if found:
        line = {"color": ROLE_COLOURS["control"], "dash": "dash", "width": 1.5}
        figure.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name="alarms at once, how many"))
    for alarm in found:
        figure.add_vline(x=alarm.epoch, line={"color": ROLE_COLOURS["control"], "width": 1.5, "dash": "dash"})
        figure.add_annotation(
            x=alarm.epoch, y=1, yref="paper", yanchor="top", xanchor="left", showarrow=False, text=f" {alarm.count}×",
            font={"size": 11, "color": ROLE_COLOURS["control"]},
        )  # fmt: skip
