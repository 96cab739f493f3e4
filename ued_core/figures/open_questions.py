"""What nobody has measured of COIN: one figure a question, each with means, spread and every run.

A large mark is a mean, its whiskers are one sample standard deviation to either side, and the small dots beside it are
the runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.results import ACCURACY, condition_words, role_of
from ued_core.figures.theme import INK, MUTED, ROLE_COLOURS, ROLE_SYMBOLS, axis_title, base_layout, faded
from ued_core.results.measured import defences_of, summary
from ued_core.results.open_questions import COIN, COIN_PARTS, UNDEFENDED, Attacker, Group, Line, setting
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow

STRENGTH = axis_title("strength α of COIN", "px")
ROW = 40
"""CSS pixels of one line of a strip plot."""
BELOW = 0.27
"""How far under a mean its runs stand, in lines."""
BESIDE = 0.022
"""How far to the left of a mean its runs stand on a curve, in shares of the axis; the right belongs to the names of
lines."""
# Colour, symbol, dash, and the symbol as text. Colours and symbols are no role's; they have at least 3 : 1 contrast on
# both pages.
LINE_LOOKS = (
    ("#a0527a", "triangle-up", "solid", "▲"),
    ("#9c7a1a", "square", "dash", "■"),
    ("#6f7a93", "star", "dot", "★"),
    ("#8f6bc9", "cross", "dashdot", "✚"),
)
CLEAN_WORDS = "clean data"


# ---- curves over α -----------------------------------------------------------------------------


def cost_figure(lines: Sequence[Line]) -> go.Figure:
    """(b) Accuracy on clean data over α, one line per data set; the axis begins below the lowest run.

    Raises:
        DataError: there are no lines.
    """
    lowest = min((row.last for line in lines for _, c in line.points for row in c.rows), default=0.0)
    return _curves([("", lines)], [max(0.0, 100 * lowest - 3), 101])


def resolution_figure(lines: Sequence[Line]) -> go.Figure:
    """(g) The attack over α, one panel a side of the images, with what clean data gives.

    Raises:
        DataError: there are no lines.
    """
    return _curves([(line.name, [line]) for line in lines], [0, 104], direct=False)


def optimum_figure(by_blur: Sequence[Line], by_size: Sequence[Line]) -> go.Figure:
    """(h) The attack over α: one line per p_b on the left, one per kernel size on the right.

    Raises:
        DataError: there are no lines.
    """
    panels = [(_held(by_blur, lambda c: f"k = {setting(c).kernel_size}", "how strongly kernels blur"), by_blur)]
    panels += [(_held(by_size, lambda c: f"p_b = {setting(c).blur:g}", "how wide kernels are"), by_size)]
    return _curves([panel for panel in panels if panel[1]], [0, 104])


def _held(lines: Sequence[Line], same: Callable[[Condition], str], varies: str) -> str:
    """A panel's title: what varies, and what all lines share."""
    return f"{varies} ({same(lines[0].points[0][1])})" if lines else ""


def _curves(panels: Sequence[tuple[str, Sequence[Line]]], reach: list[float], direct: bool = True) -> go.Figure:
    """Panels side by side; with ``direct``, every line is named at its end."""
    if not any(lines for _, lines in panels):
        raise DataError("A plot over α needs at least one line.")
    layout: dict[str, Any] = {"annotations": [], "showlegend": False, "margin": {"t": 34, "r": 78 if direct else 16}}
    figure = go.Figure()
    strengths = [s for _, lines in panels for line in lines for s, _ in line.points]
    low, high = min(strengths), max(strengths)
    margin = 0.06 * max(high - low, 1.0)
    for place, (title, lines) in enumerate(panels):
        axes, suffix = _axes(place)
        layout[f"xaxis{suffix}"] = {
            "title": {"text": STRENGTH},
            "domain": _domain(place, len(panels), 0.14 if direct else 0.05),
            "anchor": f"y{suffix}",
            "range": [low - margin, high + margin],
            "tickvals": sorted(set(strengths)),
            "tickformat": "~g",
            "zeroline": False,
        }
        layout[f"yaxis{suffix}"] = _value_axis(place, suffix, reach)
        layout["annotations"] += [_panel_title(suffix, title)] if title else []
        ends = []
        for number, line in enumerate(lines):
            look = (
                LINE_LOOKS[number % len(LINE_LOOKS)] if direct else (ROLE_COLOURS["defended"], "diamond", "solid", "")
            )
            for trace in _line(line, look, BESIDE * (high - low), own_roles=not direct):
                figure.add_scatter(**trace, **axes)
            last, condition = line.points[-1]
            ends.append((last, 100 * summary(condition, "last").mean, line.name, look))
        layout["annotations"] += _names(ends, suffix, reach) if direct else []
        clean = next((line.clean for line in lines if line.clean is not None), None)
        if clean is not None:
            value = 100 * summary(clean, "last").mean
            figure.add_shape(
                _reference("clean", xref=f"x{suffix} domain", x0=0, x1=1, yref=f"y{suffix}", y0=value, y1=value)
            )
            layout["annotations"].append(
                {
                    "text": f"{CLEAN_WORDS} {value:.0f} %",
                    "xref": f"x{suffix} domain",
                    "x": 0,
                    "yref": f"y{suffix}",
                    "y": value,
                    "xanchor": "left",
                    "yanchor": "top",
                    "showarrow": False,
                    "font": {"size": 12, "color": MUTED},
                }
            )
    figure.update_layout(base_layout(**layout))
    return figure


def _line(line: Line, look: tuple[str, str, str, str], beside: float, own_roles: bool) -> list[dict[str, Any]]:
    """The runs of a line as dots, then its means with their spread."""
    colour, symbol, dash, _ = look
    conditions = [c for _, c in line.points]
    # Where a line is about one attack, its first point is the attack alone and looks like one.
    roles = [role_of(c) for c in conditions]
    colours = [ROLE_COLOURS[role] for role in roles] if own_roles else [colour] * len(roles)
    symbols = [ROLE_SYMBOLS[role] for role in roles] if own_roles else [symbol] * len(roles)
    means = {
        "x": [s for s, _ in line.points],
        "y": [100 * summary(c, "last").mean for c in conditions],
        "mode": "lines+markers",
        "name": line.name,
        "line": {"color": colour, "dash": dash, "width": 2},
        "marker": {"color": colours, "symbol": symbols, "size": 11},
        "error_y": _whiskers(conditions, colour),
        "customdata": [condition_words(c) for c in conditions],
        "hovertemplate": f"{line.name}, α = %{{x:g}} px<br>mean %{{customdata}}<extra></extra>",
    }
    runs = [(s, row) for s, c in line.points for row in c.rows]
    dots = {
        "x": [s - beside for s, _ in runs],
        "y": [100 * row.last for _, row in runs],
        "mode": "markers",
        "name": f"{line.name}, one run",
        "marker": _small(colour),
        "customdata": [f"α = {s:g} px<br>{_run_words(row)}" for s, row in runs],
        "hovertemplate": f"{line.name}, %{{customdata}}<extra></extra>",
    }
    return [means, dots]


def _names(
    ends: Sequence[tuple[float, float, str, tuple[str, str, str, str]]], suffix: str, reach: list[float]
) -> list[dict[str, Any]]:
    """A name beside the last point of every line, pushed apart where lines end close together."""
    gap = 0.065 * (reach[1] - reach[0])
    placed: list[float] = []
    names = []
    for last, value, name, (colour, _, _, symbol) in sorted(ends, key=lambda end: end[1]):
        at = max(value, placed[-1] + gap) if placed else value
        placed.append(at)
        names.append(
            {
                "text": f'<span style="color:{colour}">{symbol}</span> {name}',
                "xref": f"x{suffix}",
                "x": last,
                "xshift": 9,
                "yref": f"y{suffix}",
                "y": at,
                "xanchor": "left",
                "showarrow": False,
                "font": {"size": 13, "color": INK},
            }
        )
    return names


# ---- strips of seeds ---------------------------------------------------------------------------


def seeds_figure(groups: Sequence[Group]) -> go.Figure:
    """(c) Every run of the central experiment, one panel a data set and plan.

    Raises:
        DataError: there are no groups.
    """
    return _strips(groups, lambda c: "control" if setting(c).assignment == "common" else role_of(c))


def rivals_figure(group: Group) -> go.Figure:
    """(d) COIN, its parts alone and the warps, with lines for no defence and for clean data.

    Raises:
        DataError: the group is empty.
    """
    return _strips([group], rival_role)


def rival_role(condition: Condition) -> str:
    """COIN and its parts have looks of their own; every other defence is neutral."""
    names = defences_of(condition)
    return role_of(condition) if not names or names == (COIN,) else "control" if names[0] in COIN_PARTS else "neutral"


def mixtures_figure(groups: Sequence[Group]) -> go.Figure:
    """(e) No defence, COIN on all, on the flagged, the clean images alone, one panel a share of poisoned images.

    Raises:
        DataError: there are no groups.
    """
    return _strips(
        groups, lambda c: "clean" if setting(c).left_clean else "control" if setting(c).strength is None else role_of(c)
    )


def strips_height(groups: Sequence[Group]) -> int:
    """Height of such a figure in CSS pixels."""
    return 130 + ROW * len(_labels(groups))


def _labels(groups: Sequence[Group]) -> list[str]:
    return list(dict.fromkeys(c.name for group in groups for c in group.conditions))


def _strips(groups: Sequence[Group], role: Callable[[Condition], str]) -> go.Figure:
    """Panels side by side that share their lines, one a condition."""
    labels = _labels(groups)
    if not labels:
        raise DataError("A plot of runs needs at least one condition.")
    layout: dict[str, Any] = {"annotations": [], "showlegend": False, "margin": {"t": 52}}
    figure = go.Figure()
    for place, group in enumerate(groups):
        axes, suffix = _axes(place)
        layout[f"xaxis{suffix}"] = {
            "domain": _domain(place, len(groups), 0.07 if len(groups) > 2 else 0.05), "anchor": f"y{suffix}",
            "range": [0, 104], "zeroline": False, "tickvals": _ticks(len(groups)),
            # The title of the middle one is enough; under all of them it would not fit.
            "title": {"text": ACCURACY if place == (len(groups) - 1) // 2 else ""},
        }  # fmt: skip
        layout[f"yaxis{suffix}"] = _line_axis(labels, place, suffix)
        layout["annotations"] += [_panel_title(suffix, group.name, 20)] if group.name else []
        for condition in group.conditions:
            for trace in _strip(condition, labels.index(condition.name), role(condition)):
                figure.add_scatter(**trace, **axes)
        # A second line where there is room for its label: what the attack alone leaves.
        undefended = next((c for c in group.conditions if c.name == UNDEFENDED), None)
        references = [
            (group.clean, "clean", CLEAN_WORDS, 0),
            (undefended if len(groups) == 1 else None, "poisoned", UNDEFENDED, 15),
        ]
        for reference, kind, words, shift in references:
            if reference is not None:
                value = 100 * summary(reference, "last").mean
                figure.add_shape(
                    _reference(kind, xref=f"x{suffix}", x0=value, x1=value, yref=f"y{suffix} domain", y0=0, y1=1)
                )
                layout["annotations"].append(
                    {
                        "text": f"{words} {value:.0f} %",
                        "xref": f"x{suffix}",
                        "x": value,
                        "yref": f"y{suffix} domain",
                        "y": 1,
                        "xanchor": "right" if value > 50 else "left",
                        "yanchor": "bottom",
                        "yshift": shift,
                        "showarrow": False,
                        "font": {"size": 12, "color": MUTED},
                    }
                )
    figure.update_layout(base_layout(**layout))
    return figure


def _ticks(panels: int) -> list[int]:
    return [0, 50, 100] if panels > 2 else [0, 20, 40, 60, 80, 100]


def _strip(condition: Condition, at: float, role: str, number: str = "top center") -> list[dict[str, Any]]:
    """Mean with its spread and its number, and the runs under it."""
    colour, mean = ROLE_COLOURS[role], 100 * summary(condition, "last").mean
    shown = {
        "x": [mean],
        "y": [at],
        "mode": "markers+text",
        "name": condition.name,
        "text": [f"{mean:.0f}"],
        "textposition": number,
        "textfont": {"size": 12, "color": INK},
        "marker": {"color": colour, "symbol": ROLE_SYMBOLS[role], "size": 12},
        "error_x": _whiskers([condition], colour),
        "customdata": [condition_words(condition)],
        "cliponaxis": False,
        "hovertemplate": f"{condition.name}<br>mean %{{customdata}}<extra></extra>",
    }
    dots = {
        "x": [100 * row.last for row in condition.rows],
        "y": [at + BELOW] * len(condition.rows),
        "mode": "markers",
        "name": f"{condition.name}, one run",
        "marker": _small(colour),
        "customdata": [_run_words(row) for row in condition.rows],
        "hovertemplate": f"{condition.name}<br>%{{customdata}}<extra></extra>",
        "cliponaxis": False,
    }
    return [shown, dots]


# ---- attackers ---------------------------------------------------------------------------------


def attackers_figure(pairs: Sequence[Attacker], clean: Condition | None = None) -> go.Figure:
    """(f) Each attacker without and with COIN, joined by a line.

    Args:
        pairs: one line each, from top to bottom.
        clean: the same training on clean data, if known.

    Raises:
        DataError: there are no pairs.
    """
    if not pairs:
        raise DataError("A plot of attackers needs at least one.")
    figure = go.Figure()
    for at, pair in enumerate(pairs):
        both = [c for c in (pair.without, pair.defended) if c is not None]
        if len(both) == 2:
            ends = [100 * summary(c, "last").mean for c in both]
            bar = faded(ROLE_COLOURS["defended"], 0.3)
            figure.add_scatter(
                x=ends, y=[at, at], mode="lines", name=pair.name, line={"color": bar, "width": 7}, hoverinfo="skip"
            )
        # Numbers stand outside of the pair: marks can lie close together.
        for condition in both:
            lower = condition is min(both, key=lambda c: summary(c, "last").mean)
            side = "top center" if len(both) < 2 else "top left" if lower else "top right"
            for trace in _strip(condition, at, role_of(condition), side):
                figure.add_scatter(**trace)
    first = pairs[0]
    words = [(c, text) for c, text in ((first.without, "without COIN"), (first.defended, "with COIN")) if c is not None]
    notes: list[dict[str, Any]] = [
        {
            "text": f"<b>{text}</b>",
            "x": 100 * summary(c, "last").mean,
            "y": 0,
            "yshift": 30,
            "yanchor": "bottom",
            "showarrow": False,
            "font": {"size": 13, "color": ROLE_COLOURS[role_of(c)]},
        }
        for c, text in words
    ]
    if clean is not None:
        value = 100 * summary(clean, "last").mean
        figure.add_shape(_reference("clean", x0=value, x1=value, yref="paper", y0=0, y1=1))
        notes.append(
            {
                "text": f"{CLEAN_WORDS} {value:.0f} %",
                "x": value,
                "yref": "paper",
                "y": 1,
                "xanchor": "right",
                "yanchor": "bottom",
                "showarrow": False,
                "font": {"size": 12, "color": MUTED},
            }
        )
    layout = {
        "xaxis": {"title": {"text": ACCURACY}, "range": [0, 104]},
        "yaxis": _line_axis([p.name for p in pairs], 0, "", 1.0),
    }
    figure.update_layout(base_layout(**layout, annotations=notes, showlegend=False, margin={"t": 30}))
    return figure


def attackers_height(pairs: Sequence[Attacker]) -> int:
    """Height of such a figure in CSS pixels."""
    return 120 + ROW * (len(pairs) + 1)


# ---- shared by all -----------------------------------------------------------------------------


def _whiskers(conditions: Sequence[Condition], colour: str) -> dict[str, Any]:
    """One sample standard deviation; nothing below two runs."""
    spreads = [summary(c, "last") for c in conditions]
    return {
        "type": "data",
        "array": [100 * s.spread if s.count > 1 else 0 for s in spreads],
        "color": colour,
        "thickness": 2,
        "width": 5,
    }


def _reference(role: str, **place: Any) -> dict[str, Any]:
    """A thin line for what a role reaches."""
    return {
        "type": "line",
        "layer": "below",
        "line": {"color": ROLE_COLOURS[role], "width": 1.5, "dash": "dot"},
        **place,
    }


def _small(colour: str) -> dict[str, Any]:
    return {"color": colour, "size": 6, "opacity": 0.6, "symbol": "circle"}


def _run_words(row: ResultRow) -> str:
    last, best, train = (100 * share for share in (row.last, row.best, row.train_accuracy))
    return f"seed {row.seed}: last epoch {last:.1f} %, best epoch {best:.1f} %, training {train:.1f} %"


def _axes(place: int) -> tuple[dict[str, str], str]:
    """Axes of a trace in a panel, and the panel's number in the layout."""
    suffix = "" if place == 0 else str(place + 1)
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}, suffix


def _domain(place: int, count: int, gap: float) -> list[float]:
    width = (1 - gap * (count - 1)) / count
    left = place * (width + gap)
    return [left, min(1.0, left + width)]


def _panel_title(suffix: str, title: str, shift: int = 4) -> dict[str, Any]:
    return {
        "text": title,
        "xref": f"x{suffix} domain",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "yshift": shift,
        "showarrow": False,
        "font": {"size": 13, "color": INK},
    }


def _value_axis(place: int, suffix: str, reach: list[float]) -> dict[str, Any]:
    shared = {"range": reach, "anchor": f"x{suffix}", "zeroline": False}
    return (
        {**shared, "title": {"text": ACCURACY}} if place == 0 else {**shared, "matches": "y", "showticklabels": False}
    )


def _line_axis(labels: Sequence[str], place: int, suffix: str, above: float = 0.7) -> dict[str, Any]:
    """One line a label, the first on top, with ``above`` lines of room over it."""
    return {
        "range": [len(labels) - 0.45, -above],
        "tickvals": list(range(len(labels))),
        "ticktext": list(labels),
        "anchor": f"x{suffix}",
        "showticklabels": place == 0,
        "showgrid": True,
        "zeroline": False,
        "tickfont": {"color": INK} if place == 0 else {"color": MUTED},
    }
