"""Runs side by side: their curves on the same axes, and only the parameters in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.state.run_address import compared_runs
from pages.state.run_words import (
    differing,
    method_words,
    other_surroundings,
    percent,
    seed_of,
    seed_words,
    short_id,
    state_text,
)
from pages.state.whose import title_of
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.figures.learning import QUANTITIES, Curve, Quantity, compare_figure
from ued_core.figures.roles import picture_role
from ued_core.params import fingerprint
from ued_core.results.parts import EpochRow
from ued_core.runs import RunRecord

MOST_RUNS = 30
MEASURES: Sequence[tuple[str, str]] = (("last", "Clean test"), ("best", "Best"), ("train_accuracy", "Training"))


@dataclass(frozen=True)
class Group:
    """Runs that are shown as one: a single one, or those that differ in their seed only."""

    label: str
    records: tuple[RunRecord, ...]


def compare_view() -> None:
    """Draw the choice, the curves and the table."""
    records = {record.id: record for record in runs.snapshot().records if record.epoch > 0}
    chosen = _choice(records)
    if len(chosen) < 2:
        st.info("Choose two or more runs above, or tick them in the table of all runs." if len(records) > 1
                else "There are not two runs with results yet. Start some, then compare them here.")  # fmt: skip
        return
    alike = any(len(group) > 1 for group in same_but_seed(chosen))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        titles = {quantity.title: quantity for quantity in QUANTITIES}
        title = st.segmented_control(
            "Curves", list(titles), default=QUANTITIES[0].title, required=True, key="compare_what"
        )
        together = (
            st.toggle(
                "Group seeds",
                value=True,
                key="compare_group",
                help="Runs that differ in their seed only become one curve: mean ± sample standard deviation.",
            )
            if alike
            else False
        )
    groups = grouped(chosen, together)
    quantity: Quantity = titles[title]
    curves = [
        Curve(group.label, tuple(_rows(record) for record in group.records), role=_role(group.records[0]))
        for group in groups
    ]
    summary = "; ".join(f"{g.label}: {_measured(g.records, 'last')}" for g in groups)
    live_chart(
        compare_figure(curves, quantity), key="runs_compare", height=360 + 22 * len(groups), filename="compare",
        alt=f"{quantity.title} over the epochs of {len(groups)} curves. Clean test accuracy at the end: {summary}.",
    )  # fmt: skip
    _difference_table(groups)
    if any(not record.over for record in chosen):
        st.caption("Some of these runs are not over; their last epoch so far is shown.")
        st.button("Refresh", key="compare_refresh")


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


def same_but_seed(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """The runs in groups that differ in their seed only, computed in the same arithmetic; a repeated seed starts a
    group of its own."""
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        spec = {k: v for k, v in record.spec.items() if k not in ("seed", "note", "device")}
        # A run that was trained on a half-crafted set, or in another arithmetic, is another experiment.
        name, copy = fingerprint(spec | {"early": record.stopped_early, "precision": record.precision}), 0
        # The same seed twice is the same experiment twice: it must not pass for a second sample.
        while any(seed_of(other.spec) == seed_of(record.spec) for other in groups.get(f"{name}/{copy}", [])):
            copy += 1
        groups.setdefault(f"{name}/{copy}", []).append(record)
    return list(groups.values())


def grouped(records: Sequence[RunRecord], together: bool) -> list[Group]:
    """What becomes one curve each, with labels that say how they differ."""
    sets = same_but_seed(records) if together else [[record] for record in records]
    apart = differing([members[0].spec for members in sets])
    around = other_surroundings(sets)
    labels = []
    for members, parameters, computed in zip(sets, apart, around, strict=True):
        parameters = {"precision": computed.get("precision", "–"), **parameters}
        if len(members) > 1:
            # The first one's seed is not that of all.
            parameters.pop("seed", None)
        words = ", ".join(
            f"{name} {value}" for name, value in list(parameters.items())[:4] if name not in _IN_TITLE and value != "–"
        )
        text = title_of(members[0]) + (f" · {words}" if words else "")
        labels.append(text + (f" · {len(members)} seeds" if len(members) > 1 else ""))
    # What still reads alike gets its run's id.
    labels = [
        f"{text} ({short_id(m[0].id)})" if labels.count(text) > 1 else text
        for text, m in zip(labels, sets, strict=True)
    ]
    return [Group(text, tuple(members)) for text, members in zip(labels, sets, strict=True)]


_IN_TITLE = frozenset({"dataset", "attack", "defenses", "model"})


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


def _heading(name: str) -> str:
    text = name.replace("defenses", "defences")
    return text[:1].upper() + text[1:]


def _methods(record: RunRecord, parameters: Mapping[str, str]) -> dict[str, str]:
    """The methods among the parameters, each with what is not at its default."""
    spec = record.run_spec
    if spec is None:
        return {}
    words = {
        "dataset": method_words(spec.dataset),
        "attack": method_words(spec.attack) if spec.attack else "none",
        "defenses": " → ".join(method_words(defence) for defence in spec.defenses) or "none",
        "model": method_words(spec.model),
        "plan": method_words(spec.plan),
    }
    return {name: text for name, text in words.items() if name in parameters}


def _difference_table(groups: Sequence[Group]) -> None:
    st.subheader("What differs, and what came out")
    apart = differing([group.records[0].spec for group in groups])
    around = other_surroundings([group.records for group in groups])
    grouped_seeds = any(len(group.records) > 1 for group in groups)
    rows: list[dict[str, Any]] = []
    for group, parameters, computed in zip(groups, apart, around, strict=True):
        row: dict[str, Any] = {"Run": group.label}
        row |= {title: _measured(group.records, name) for name, title in MEASURES}
        row |= {_heading(n): text for n, text in (parameters | _methods(group.records[0], parameters)).items()}
        row |= {_heading(n): text for n, text in computed.items()}
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
        "Training: over the last epoch, as trained."
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
