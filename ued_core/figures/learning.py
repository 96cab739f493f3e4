"""How runs learn: curves over epochs, predictions on clean images, the shortcut probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.roles import ROLES
from ued_core.figures.theme import CLASS_SYMBOLS, MUTED, ROLE_COLOURS, axis_title, base_layout, faded
from ued_core.results.parts import EpochRow, Probe

# The cycle for runs that differ in something else than their role: no colour of one. At least 3 : 1 contrast on both
# pages of the app; the dash and the marker tell runs apart without any colour.
RUN_COLOURS = ("#a0527a", "#9c7a1a", "#6f7a93", "#a3614f", "#7b8526", "#2f8fa3", "#bd5669", "#8f6bc9")
RUN_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "5px,2px", "2px,4px,8px,4px", "12px,3px")
FEW_CURVES, SHORT_LABEL = 3, 20
"""So many curves with names of so many letters find room in one line above the plot."""
CLOSE, APART_PX = 0.3, 7
"""Two numbers at the end of flat panels that are closer than this share are moved apart by so many pixels each."""
MARKED_EPOCHS = 25
"""Up to this many epochs every one has a marker."""


@dataclass(frozen=True)
class Quantity:
    """Something that is measured every epoch.

    Attributes:
        column: its name in a row of the history.
        title: for people.
        percent: a share of 0..1 that is shown in per cent.
    """

    column: str
    title: str
    percent: bool = True

    @property
    def axis(self) -> str:
        """Title of its axis, with the unit."""
        return axis_title(self.title, "%") if self.percent else axis_title(self.title, "cross-entropy, nats")


TEST = Quantity("test_accuracy", "Accuracy on clean test images")
TRAIN = Quantity("train_accuracy", "Training accuracy, as trained")
LOSS = Quantity("loss", "Training loss", percent=False)
QUANTITIES: tuple[Quantity, ...] = (TEST, TRAIN, LOSS)


@dataclass(frozen=True)
class Curve:
    """One run, or several runs that differ in their seed only.

    Attributes:
        label: its name in the legend.
        runs: the history of each run; rows with the quantities.
        look: number of its colour, dash and marker; its place among the curves when left out.
        role: what it was trained on (``clean``, ``poisoned``, ``defended``); empty where that is not known.
    """

    label: str
    runs: tuple[Sequence[EpochRow], ...]
    look: int | None = None
    role: str = ""


@dataclass(frozen=True)
class Series:
    """Mean and spread over runs at every epoch that all of them have reached.

    Attributes:
        epochs: int (E,).
        mean: float64 (E,), as measured: shares are 0..1.
        deviation: float64 (E,), sample standard deviation; nan for a single run.
        count: number of runs.
    """

    epochs: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    count: int


def series(runs: Sequence[Sequence[EpochRow]], column: str) -> Series:
    """One quantity of one or several runs; rows that lack it are left out."""
    tables = [{row.epoch: float(row.numbers[column]) for row in rows if column in row.numbers} for rows in runs]
    epochs = sorted(set.intersection(*map(set, tables))) if tables else []
    values = np.array([[table[epoch] for epoch in epochs] for table in tables], dtype=np.float64)
    values = values.reshape(len(tables), len(epochs))
    empty = np.full(len(epochs), np.nan)
    deviation = values.std(axis=0, ddof=1) if len(tables) > 1 else empty
    mean = values.mean(axis=0) if tables else empty
    return Series(np.array(epochs, dtype=np.int64), mean, deviation, len(tables))


def run_figure(rows: Sequence[EpochRow], epochs: int, chance: float | None = None) -> go.Figure:
    """The two accuracies of one run over its epochs.

    Args:
        rows: its history so far; may be empty.
        epochs: how many it will have; fixes the axis so that a growing curve does not jump.
        chance: accuracy of guessing, 0..1; a thin line when given.
    """
    figure = go.Figure(layout=_layout(TEST, epochs))
    figure.update_layout(yaxis_title_text=axis_title("Accuracy", "%"), hovermode="x unified")
    for quantity, role in ((TRAIN, ROLES["poisoned"]), (TEST, ROLES["clean"])):
        measured = series([rows], quantity.column)
        figure.add_trace(_line(measured, quantity, quantity.title, role.light, role.dash, role.symbol, epochs))
    if chance is not None:
        figure.add_hline(y=100 * chance, name=f"guessing ({100 * chance:.3g} %)", **_thin_line())
    return figure


def pair_figure(
    panels: Sequence[tuple[str, str, Sequence[EpochRow]]], epochs: int, chance: float | None = None
) -> go.Figure:
    """Runs beside each other, each with the accuracy in training and on clean pictures, at the right end in numbers.

    Args:
        panels: title, role of what it is trained on (``clean``, ``poisoned``, ``defended``) and history so far of each
            run; a history may be empty.
        epochs: how many all of them will have.
        chance: accuracy of guessing, 0..1; a thin line when given.
    """
    ticks = {"tick0": 0, "dtick": whole_step(max(1, epochs)), "tickangle": 0, "tickformat": "d"}
    layout = base_layout(
        showlegend=False,
        hovermode="x unified",
        margin={"t": 30, "r": 60},
        annotations=[],
        shapes=[],
        yaxis={"title": {"text": axis_title("right", "%")}, "range": [0, 104], "nticks": 3},
    )
    traces = []
    gap = 0.08
    width = (1 - gap * (len(panels) - 1)) / len(panels)
    for place, (title, role, rows) in enumerate(panels):
        number = "" if place == 0 else str(place + 1)
        left = place * (width + gap)
        layout[f"xaxis{number}"] = {
            "domain": [left, left + width * 0.88],
            "range": [0.5, max(1, epochs) + 0.5],
            "title": {"text": ""},
            **ticks,
        }
        layout["annotations"].append(
            {
                "text": f"<b>{ROLES[role].mark} {title}</b>",
                "font": {"color": ROLES[role].light},
                "showarrow": False,
                "xref": "paper",
                "yref": "paper",
                "x": left,
                "y": 1.04,
                "xanchor": "left",
                "yanchor": "bottom",
            }
        )
        ends = {q: series([rows], q.column) for q in (TRAIN, TEST)}
        last = [float(measured.mean[-1]) for measured in ends.values() if len(measured.epochs)]
        close = len(last) == 2 and abs(last[0] - last[1]) < CLOSE
        for quantity, own in ((TRAIN, role), (TEST, "clean")):
            measured = ends[quantity]
            upper = bool(last) and len(measured.epochs) > 0 and float(measured.mean[-1]) == max(last)
            dash = "dash" if quantity is TRAIN else ROLES[own].dash
            line = _line(measured, quantity, quantity.title, ROLES[own].light, dash, ROLES[own].symbol, epochs)
            line.update(xaxis=f"x{number}", yaxis="y")
            traces.append(line)
            if len(measured.epochs):
                layout["annotations"].append(
                    {
                        "text": f"<b>{100 * measured.mean[-1]:.0f} %</b>",
                        "font": {"color": ROLES[own].light},
                        "showarrow": False,
                        "xref": f"x{number}",
                        "yref": "y",
                        "x": float(measured.epochs[-1]) + 0.2,
                        "y": 100 * float(measured.mean[-1]),
                        "yshift": (APART_PX if upper else -APART_PX) if close else 0,
                        "xanchor": "left",
                    }
                )
        if chance is not None:
            layout["shapes"].append(
                {
                    "type": "line",
                    "xref": f"x{number} domain",
                    "x0": 0,
                    "x1": 1,
                    "yref": "y",
                    "y0": 100 * chance,
                    "y1": 100 * chance,
                    "line": {"color": MUTED, "width": 1, "dash": "dot"},
                }
            )
    return go.Figure(traces, layout=layout)


def loss_figure(rows: Sequence[EpochRow], epochs: int) -> go.Figure:
    """The training loss of one run over its epochs."""
    figure = go.Figure(layout=_layout(LOSS, epochs))
    colour, dash = ROLE_COLOURS["neutral"], "solid"
    figure.add_trace(_line(series([rows], LOSS.column), LOSS, LOSS.title, colour, dash, "circle", epochs))
    figure.update_layout(showlegend=False)
    return figure


def compare_figure(curves: Sequence[Curve], quantity: Quantity) -> go.Figure:
    """One quantity of several runs on the same axes: one dash and marker each.

    The colour is that of the role where roles differ; of runs with one role every run has its own.

    A curve of several runs is their mean with a band of one sample standard deviation either way.
    """
    longest = max((row.epoch for curve in curves for rows in curve.runs for row in rows), default=1)
    figure = go.Figure(layout=_layout(quantity, longest))
    for curve, (colour, dash, symbol) in zip(curves, curve_looks(curves), strict=True):
        measured = series(curve.runs, quantity.column)
        if measured.count > 1:
            figure.add_trace(_band(measured, quantity, colour, curve.label))
        figure.add_trace(_line(measured, quantity, curve.label, colour, dash, symbol, longest))
    if len(curves) <= FEW_CURVES and max((len(curve.label) for curve in curves), default=0) <= SHORT_LABEL:
        return figure
    # Long names one below the other: beside each other they would not fit.
    figure.update_layout(legend={"orientation": "v", "y": -0.22, "yanchor": "top"}, margin={"b": 40 + 22 * len(curves)})
    return figure


def curve_looks(curves: Sequence[Curve]) -> list[tuple[str, str, str]]:
    """Colour, dash and marker of each curve; no two are drawn alike, with colours or without them."""
    by_role = all(curve.role for curve in curves) and (len(curves) == 1 or len({curve.role for curve in curves}) > 1)
    looks, before = [], dict.fromkeys(ROLES, 0)
    for place, curve in enumerate(curves):
        if not by_role:
            index = place if curve.look is None else curve.look
            looks.append((
                RUN_COLOURS[index % len(RUN_COLOURS)],
                RUN_DASHES[index % len(RUN_DASHES)],
                CLASS_SYMBOLS[index % len(CLASS_SYMBOLS)],
            ))  # fmt: skip
            continue
        role, number = ROLES[curve.role], before[curve.role]
        before[curve.role] += 1
        dashes = (role.dash, *(dash for dash in RUN_DASHES if dash != role.dash))
        # The first of a role looks as it does everywhere; further ones are its open marks.
        looks.append((role.light, dashes[number % len(dashes)], f"{role.symbol}{'-open' * (number % 2)}"))
    return looks


def histogram_figure(shares: Sequence[float], class_names: Sequence[str]) -> go.Figure:
    """How often each class is the answer on clean test images.

    Args:
        shares: of the answers, one per class, sum 1.
        class_names: in the same order.
    """
    values = 100 * np.asarray(shares, dtype=np.float64)
    even = 100 / len(values)
    layout = base_layout(
        xaxis={"title": {"text": "Predicted class"}, "type": "category"},
        yaxis={
            "title": {"text": axis_title("Share of the answers", "%")},
            "range": [0, max(1.12 * values.max(), 2 * even)],
        },
        bargap=0.25,
        showlegend=True,
    )
    bars = go.Bar(
        x=list(class_names), y=values, marker={"color": ROLE_COLOURS["clean"]}, showlegend=False,
        hovertemplate="%{x}: %{y:.1f} % of the answers<extra></extra>",
    )  # fmt: skip
    figure = go.Figure(bars, layout=layout)
    figure.add_hline(y=even, name=f"every class equally often ({even:.3g} %)", **_thin_line())
    return figure


PROBE_ROWS = ("Clean<br>images", "Own class's<br>perturbation", "Another class's<br>perturbation")


def probe_shares(probe: Probe) -> list[tuple[str, str, str, tuple[float, float, float]]]:
    """The probe as stacked parts: name, colour, hatch, and the share in each of :data:`PROBE_ROWS`, 0..1.

    On clean images and with the own class's perturbation every answer but the true class is "another".
    """
    clean, own = probe.clean_accuracy, probe.own_accuracy
    true, followed, other = probe.wrong_true_rate, probe.wrong_perturbation_rate, probe.wrong_other_rate
    return [
        ("answers the true class", ROLE_COLOURS["clean"], "", (clean, own, true)),
        ("answers the class of the perturbation", ROLE_COLOURS["poisoned"], "/", (0.0, 0.0, followed)),
        ("answers another class", ROLE_COLOURS["neutral"], ".", (1 - clean, 1 - own, other)),
    ]


def probe_figure(probe: Probe) -> go.Figure:
    """What a trained model follows: the image or the perturbation."""
    layout = base_layout(
        barmode="stack",
        xaxis={"title": {"text": axis_title("Share of the test images", "%")}, "range": [0, 100]},
        yaxis={"title": {"text": ""}, "autorange": "reversed"},
        legend={"traceorder": "normal"},
    )
    figure = go.Figure(layout=layout)
    for name, colour, hatch, shares in probe_shares(probe):
        values = [100 * share for share in shares]
        figure.add_trace(
            go.Bar(
                name=name,
                y=PROBE_ROWS,
                x=values,
                orientation="h",
                marker={
                    "color": colour,
                    "pattern": {"shape": hatch, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.35)", "size": 6},
                },
                text=[f"{value:.0f} %" if value >= 8 else "" for value in values],
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                constraintext="none",
                textfont={"color": "white"},
                hovertemplate=f"%{{y}}<br>{name}: %{{x:.1f}} %<extra></extra>",
            )  # fmt: skip
        )
    return figure


def _thin_line() -> dict:
    return {"line": {"color": MUTED, "width": 1.5, "dash": "dot"}, "showlegend": True}


def whole_step(epochs: int) -> int:
    """Distance of the epoch ticks: 1, 2, 5, 10, … so that at most eight have to fit."""
    return next(
        step for step in (factor * 10**power for power in range(9) for factor in (1, 2, 5)) if epochs <= 8 * step
    )


def _layout(quantity: Quantity, epochs: int) -> dict:
    # Half a step of air on both sides keeps the first and the last marker whole.
    reach = max(1, epochs)
    ticks = {"tick0": 0, "dtick": whole_step(reach), "tickangle": 0}
    y = {"title": {"text": quantity.axis}}
    return base_layout(
        xaxis={"title": {"text": "Epoch"}, "range": [0.5, reach + 0.5], "tickformat": "d", **ticks},
        yaxis={**y, "range": [0, 102]} if quantity.percent else {**y, "rangemode": "tozero"},
        legend={"font": {"size": 12}},
        showlegend=True,
    )


def _line(
    measured: Series, quantity: Quantity, name: str, colour: str, dash: str, symbol: str, epochs: int
) -> go.Scatter:
    factor, unit, digits = (100, " %", 1) if quantity.percent else (1, "", 3)
    more = f" ± %{{customdata:.{digits}f}}{unit} (n = {measured.count})" if measured.count > 1 else ""
    return go.Scatter(
        x=measured.epochs,
        y=factor * measured.mean,
        customdata=factor * measured.deviation if measured.count > 1 else None,
        name=name,
        mode="lines+markers" if epochs <= MARKED_EPOCHS else "lines",
        line={"color": colour, "dash": dash, "width": 2.5},
        marker={"color": colour, "symbol": symbol, "size": 7},
        hovertemplate=f"epoch %{{x}}: %{{y:.{digits}f}}{unit}{more}<extra>{name}</extra>",
    )


def _band(measured: Series, quantity: Quantity, colour: str, name: str) -> go.Scatter:
    factor = 100 if quantity.percent else 1
    low, high = factor * (measured.mean - measured.deviation), factor * (measured.mean + measured.deviation)
    return go.Scatter(
        x=np.concatenate([measured.epochs, measured.epochs[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=faded(colour, 0.18),
        line={"width": 0},
        mode="lines",
        name=name,
        hoverinfo="skip",
        showlegend=False,
    )
