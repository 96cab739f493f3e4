"""Runs side by side, as conditions: accuracy over the number in which they differ, or curves over epochs, and only the
parameters in which they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.frame.provenance import figures_are_about
from pages.state.run_address import compared_runs
from pages.state.run_words import (
    differing,
    other_surroundings,
    percent,
    seed_of,
    seed_words,
    short_id,
    state_text,
)
from pages.state.whose import is_open, title_of
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.analysis.confidence import ENOUGH, share_interval
from ued_core.figures.learning import QUANTITIES, Curve, Quantity, compare_figure
from ued_core.figures.roles import picture_role
from ued_core.figures.studies import Level, Point, study_curves
from ued_core.params import Parameter
from ued_core.results.evidence import over
from ued_core.results.parts import EpochRow
from ued_core.runs import RunRecord, RunSpec
from ued_core.studies.conditions import Place, Varied, conditions, one_number

MOST_RUNS = 30
MEASURES: Sequence[tuple[str, str]] = (("last", "Clean test"), ("best", "Best"), ("train_accuracy", "Training"))


@dataclass(frozen=True)
class Group:
    """Runs that are shown as one: a single one, or those that differ in their seed only."""

    label: str
    records: tuple[RunRecord, ...]


def compare_view() -> None:
    """Draw the choice, the picture and the table."""
    records = {record.id: record for record in runs.snapshot().records if record.epoch > 0}
    chosen = _choice(records)
    if len(chosen) < 2:
        st.info("Choose two or more runs above, or tick them in the table of all runs." if len(records) > 1
                else "There are not two runs with results yet. Start some, then compare them here.")  # fmt: skip
        return
    alike = any(len(group) > 1 for group in conditions(chosen))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picture = st.empty()
        together = (
            st.toggle(
                "Group seeds",
                value=True,
                key="compare_group",
                help="Runs that differ in their seeds only are one condition: mean and spread over the seeds.",
            )
            if alike
            else False
        )
    groups = grouped(chosen, together)
    figures_are_about(
        "; ".join(f"{g.label}: {', '.join(f'{r.id} (spec {r.key})' for r in g.records)}" for g in groups) + "."
    )
    varied = one_number([group.records[0].run_spec for group in groups])
    titles: dict[str, Quantity | None] = {quantity.title: quantity for quantity in QUANTITIES}
    if varied is not None:
        titles = {f"Accuracy over {varied.parameter.symbol}": None, **titles}
    title = picture.segmented_control(
        "Picture",
        list(titles),
        default=next(iter(titles)),
        required=True,
        # Another list of pictures is another control: its first one is shown.
        key=f"compare_what_{'curves' if varied is None else varied.parameter.name}",
    )
    quantity = titles[title]
    if varied is not None and quantity is None:
        _over_the_number(groups, varied)
    elif quantity is not None:
        _over_epochs(groups, quantity)
    if few := _few_words(groups):
        st.caption(few)
    _difference_table(groups)
    if any(not record.over for record in chosen):
        st.caption("Some of these runs are not over; their last epoch so far is shown.")
        st.button("Refresh", key="compare_refresh")


def _over_epochs(groups: Sequence[Group], quantity: Quantity) -> None:
    curves = [
        Curve(group.label, tuple(_rows(record) for record in group.records), role=_role(group.records[0]))
        for group in groups
    ]
    summary = "; ".join(f"{g.label}: {_measured(g.records, 'last')}" for g in groups)
    live_chart(
        compare_figure(curves, quantity), key="runs_compare", height=360 + 22 * len(groups), filename="compare",
        alt=f"{quantity.title} over the epochs of {len(groups)} curves. Clean test accuracy at the end: {summary}.",
    )  # fmt: skip


def _over_the_number(groups: Sequence[Group], varied: Varied) -> None:
    """Accuracy over the number in which the conditions differ, and the level of those that lack it."""
    of_lines = labels([groups[line[0]].records for line in varied.lines], without=varied.place)
    lines = {}
    for label, line in zip(of_lines, varied.lines, strict=True):
        lines[label or varied.of or "runs"] = [_point(groups[k], varied.values[k]) for k in line]
    levels = [
        Level(groups[k].label, point.mean, point.low, point.high, _role(groups[k].records[0]), point.words)
        for k in varied.levels
        if not math.isnan((point := _point(groups[k], math.nan)).mean)
    ]
    name = f"{varied.of} {varied.parameter.label}".strip()
    unit = f" ({varied.parameter.unit})" if varied.parameter.unit else ""
    told = [f"{label} at {p.x:g}: {p.words}" for label, points in lines.items() for p in points]
    several, single = (any((len(g.records) > 1) is wanted for g in groups) for wanted in (True, False))
    live_chart(
        study_curves(
            lines,
            f"{name}{unit}",
            levels,
            published=float(varied.parameter.default),
            role=_role(groups[varied.lines[0][0]].records[0]) if len(lines) == 1 else "",
        ),
        key="runs_over_number",
        height=400,
        filename=f"accuracy_over_{varied.parameter.name}",
        question=f"What does {varied.parameter.symbol} do to the accuracy on clean test images?",
        alt=f"Clean test accuracy over {name}: {'; '.join([*told, *(f'{v.name}: {v.words}' for v in levels)])}.",
        caption="After the last epoch. "
        + ("Bars of several seeds: the 95 % t interval of their mean. " if several else "")
        + ("Bars of a single run: what another draw of as many test images may show (95 %). " if single else "")
        + f"Dotted upright: the published value, {varied.parameter.default:g}.",
    )


def _point(group: Group, x: float) -> Point:
    low, high = _interval(group.records)
    values = [record.last for record in group.records if record.last is not None]
    return Point(x, over(values).mean, low, high, f"{group.label}: {_measured(group.records, 'last')}")


def _interval(records: Sequence[RunRecord]) -> tuple[float, float]:
    """95 %: of the mean over seeds, or of a single run over draws of the test images; nan where neither is known."""
    values = [record.last for record in records if record.last is not None]
    if len(values) > 1:
        held = over(values).interval
        return (held.low, held.high) if held else (math.nan, math.nan)
    images = _tested(records[0])
    return share_interval(values[0], images) if values and images else (math.nan, math.nan)


def _tested(record: RunRecord) -> int | None:
    """How many test images its accuracy was counted on; None while it is not over."""
    return _tested_in(runs.folder(record.id).path, record.ended) if record.state == "finished" else None


@lru_cache(maxsize=512)
def _tested_in(folder: Path, _ended: float | None) -> int | None:
    result = runs.folder(folder.name).result()
    return None if result is None else result.data.test


def _few_words(groups: Sequence[Group]) -> str:
    """A warning where one test image is more than a point."""
    counts = [count for group in groups for record in group.records if (count := _tested(record)) is not None]
    if not counts or min(counts) >= ENOUGH:
        return ""
    few = min(counts)
    return (
        f"**Only {few} test images:** one of them is {100 / few:.3g} points, so no condition is called better than "
        f"another; test on at least {ENOUGH}."
    )


def _choice(records: Mapping[str, RunRecord]) -> list[RunRecord]:
    asked = compared_runs()
    lost = [run_id for run_id in asked if _resolved(run_id, records) is None]
    if lost:
        st.warning(f"Not here, or without any finished epoch, and left out: {plain(seen(', '.join(lost)))}.")
    wanted = [found for run_id in asked if (found := _resolved(run_id, records))]
    if st.session_state.get("compare_runs") != wanted:
        st.session_state["compare_runs"] = wanted[:MOST_RUNS]
    chosen = st.multiselect(
        "Runs", list(records), key="compare_runs", format_func=lambda run_id: run_label(records[run_id]),
        max_selections=MOST_RUNS, placeholder="Choose runs", on_change=_to_address,
    )  # fmt: skip
    return [records[run_id] for run_id in chosen]


def _to_address() -> None:
    st.query_params["compare"] = ",".join(st.session_state["compare_runs"])


def _resolved(run_id: str, records: Mapping[str, RunRecord]) -> str | None:
    """The full id; links may hold the last four characters."""
    if run_id in records:
        return run_id
    match = [full for full in records if short_id(full) == run_id]
    return match[0] if len(match) == 1 else None


def run_label(record: RunRecord) -> str:
    """A run's name where several are listed."""
    return f"{title_of(record)} · seed {seed_words(record.spec)} ({short_id(record.id)})"


def grouped(records: Sequence[RunRecord], together: bool) -> list[Group]:
    """What becomes one condition each, with labels that say how they differ."""
    sets = conditions(records) if together else [[record] for record in records]
    texts = labels(sets) if len(sets) > 1 else [title_of(sets[0][0])]
    # What still reads alike differs in what it drew, or else has another id.
    texts = [
        f"{text}, seed {seed_words(m[0].spec)}".removeprefix(", ") if texts.count(text) > 1 else text
        for text, m in zip(texts, sets, strict=True)
    ]
    texts = [
        f"{text} ({short_id(m[0].id)})" if texts.count(text) > 1 else text for text, m in zip(texts, sets, strict=True)
    ]
    texts = [f"{text} · {len(m)} seeds" if len(m) > 1 else text for text, m in zip(texts, sets, strict=True)]
    return [Group(text, tuple(members)) for text, members in zip(texts, sets, strict=True)]


def labels(sets: Sequence[Sequence[RunRecord]], without: Place = ()) -> list[str]:
    """One label a condition, of what differs among them alone: ``COIN α = 1.5``, or ``α = 1.5`` where all have COIN.

    Args:
        sets: the runs of each.
        without: a place in their specs that is not named, because an axis shows it.
    """
    apart = differing([members[0].spec for members in sets])
    around = other_surroundings(sets)
    return [
        _label(members[0], {"precision": computed.get("precision", "–"), **parameters}, without)
        for members, parameters, computed in zip(sets, apart, around, strict=True)
    ]


def _label(record: RunRecord, parameters: Mapping[str, str], without: Place) -> str:
    told = []
    methods = _methods(record, parameters)
    for name, text in parameters.items():
        part = name.partition(" · ")[0]
        if name in methods:
            told.append(methods[name])
        elif part in methods or name in _DRAWN or text == "–":
            # Its method's name says it, or it is a seed.
            continue
        else:
            place, known, _ = _declared(record, name)
            if not without or place != without:
                told.append(f"{known.symbol} = {text}" if known else f"{name.rpartition(' · ')[2]} {text}")
    return ", ".join(told)


_DRAWN = frozenset({"seed", "attack seed", "dataset · seed"})


def _declared(record: RunRecord, name: str) -> tuple[Place, Parameter | None, str]:
    """Place, declaration and method of what :func:`differing` calls ``defenses · coin · strength``."""
    spec = record.run_spec
    part, _, rest = name.partition(" · ")
    if spec is None or part not in RunSpec.parts():
        known = next((p for p in RunSpec.parameters() if p.name == name.replace(" ", "_")), None)
        return ((known.name,) if known else ()), known, ""
    value = getattr(spec, part)
    several = RunSpec.parts()[part].several
    for place, method in enumerate(value if several else [value] if value is not None else []):
        for known in method.parameters():
            if rest == (f"{method.key} · {known.name}" if several else known.name).replace("_", " "):
                return (part, place, known.name), known, method.title
    return (), None, ""


def _role(record: RunRecord) -> str:
    """What a run was trained on; empty where its spec is not understood."""
    spec = record.run_spec
    return picture_role(poisoned=spec.attack is not None, defended=bool(spec.defenses)) if spec else ""


def _rows(record: RunRecord) -> list[EpochRow]:
    return runs.folder(record.id).history()


def _measured(records: Sequence[RunRecord], name: str) -> str:
    values = [value for record in records if (value := getattr(record, name)) is not None]
    if len(values) < 2:
        return percent(values[0] if values else None, 1)
    return f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f} % (n = {len(values)})"


def _heading(groups: Sequence[Group], name: str) -> str:
    """The name of a column: the method and the label of its parameter, with the unit."""
    text = name.replace("defenses", "defence")
    for group in groups:
        _, known, title = _declared(group.records[0], name)
        if known is not None:
            text = f"{title} {known.label}".strip() + (f" ({known.unit})" if known.unit else "")
            break
    return text[:1].upper() + text[1:]


def _methods(record: RunRecord, parameters: Mapping[str, str]) -> dict[str, str]:
    """The methods among the parameters, each with what is not at its default."""
    spec = record.run_spec
    if spec is None:
        return {}
    words = {
        "dataset": seen(spec.dataset.label()) if is_open(record.spec) else spec.dataset.title,
        "attack": spec.attack.named() if spec.attack else spec.dataset.without_attack,
        "defenses": " → ".join(defence.named(lead=True) for defence in spec.defenses) or "no defence",
        "model": spec.model.named(),
        "plan": spec.plan.named(),
    }
    return {name: text for name, text in words.items() if name in parameters}


def _difference_table(groups: Sequence[Group]) -> None:
    st.subheader("What differs, and what came out")
    apart = differing([group.records[0].spec for group in groups])
    around = other_surroundings([group.records for group in groups])
    grouped_seeds = any(len(group.records) > 1 for group in groups)
    headings = {name: _heading(groups, name) for name in [*apart[0], *around[0]]}
    rows: list[dict[str, Any]] = []
    for group, parameters, computed in zip(groups, apart, around, strict=True):
        first = group.records[0]
        methods = _methods(first, parameters)
        row: dict[str, Any] = {"Condition": group.label}
        row |= {title: _measured(group.records, name) for name, title in MEASURES}
        low, high = _interval(group.records)
        row["95 % interval"] = "" if math.isnan(low) else f"{100 * max(0, low):.0f} to {100 * min(1, high):.0f} %"
        told = {n: methods.get(n, text) for n, text in parameters.items()}
        row |= {headings[n]: text for n, text in told.items() if not (grouped_seeds and n in _DRAWN)}
        row |= {headings[n]: text for n, text in computed.items()}
        if grouped_seeds:
            row["Seed"] = ", ".join(str(seed) for seed in sorted(seed_of(r.spec) or 0 for r in group.records))
        row["State"] = ", ".join(dict.fromkeys(state_text(record) for record in group.records))
        rows.append(row)
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, height="content" if len(rows) <= 12 else 460,
        alt="Table of the compared runs: the parameters in which they differ, and their accuracies.",
    )  # fmt: skip
    text = (
        "Clean test: after the last epoch, on clean test images. Best: the highest of any epoch, which flatters. "
        "Training: over the last epoch, as trained. 95 % interval of the clean test accuracy: of the mean over seeds "
        "(t), or of a single run over other draws of as many test images (Wilson)."
    )
    if grouped_seeds:
        text += " ± is the sample standard deviation over n seeds; with few seeds it is itself uncertain."
    if around[0]:
        text += (
            f" What computed these runs differs too: {', '.join(around[0])}. Runs of different precision are "
            "never averaged."
        )
    if not apart[0]:
        text = "These runs have the same parameters. " + text
    st.caption(text)
