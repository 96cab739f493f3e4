"""The record on the page Results: one line per condition, shipped and contributed, with its evidence."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.frame.cache import cached
from pages.results.measured import numeric, plain_name
from pages.widgets.controls import pick
from ued_core.analysis.confidence import Interval
from ued_core.data import DATASETS
from ued_core.results.evidence import RULE
from ued_core.results.measured import data_title
from ued_core.results.record import Entry, Record
from ued_core.results.record_sources import every, files_state
from ued_core.results.record_tables import TABLES, recovery_text
from ued_core.results.words import bounds

INTRODUCTION = (
    "The **record** holds one entry per condition: the shipped tables and what others contributed with "
    "`ued record add`. Each entry keeps the keys of its runs, so every number can be computed again."
)
FILES = {"csv": ("CSV", "csv"), "markdown": ("Markdown", "md"), "latex": ("LaTeX", "tex"), "json": ("JSON", "json")}
"""Forms in which the record leaves the page: title and ending."""


@cached(max_entries=2)
def _entries(_state: str) -> tuple[list[Entry], int]:
    """The entries, and how many contributed files cannot be read."""
    damage: list[str] = []
    return every(damage), len(damage)


def record_view() -> None:
    """Pick data and a defence; their entries as a table, and as files."""
    st.markdown(INTRODUCTION)
    found, damaged = _entries(files_state())
    if damaged:
        count = "One contributed file cannot be read" if damaged == 1 else f"{damaged} contributed files cannot be read"
        st.warning(f"{count}; `ued record show` says why.")
    left, right = st.columns(2)
    names = dict.fromkeys(entry.card.dataset["name"] for entry in found)
    known = sorted(names, key=[*DATASETS, *names].index)
    with left:
        data = pick("Data", {name: data_title(name) for name in known}, key="record_data", default=known[0])
    own = [entry for entry in found if entry.card.dataset["name"] == data]
    attacks = {"every": "every attack"} | {name: name for entry in own for name in sorted(entry.names()["attack"])}
    with right:
        attack = pick("Attack", attacks, key="record_attack", default="every")
    shown = [entry for entry in own if attack == "every" or attack in entry.names()["attack"]]
    _table(shown)
    st.caption(
        f"{RULE} Recovery is the share of the loss that came back, (defended − poisoned) ÷ (clean − poisoned), where "
        "the loss itself can be told. The test set's error is that of counting on so many images."
    )
    _downloads(shown, data)


def _table(shown: Sequence[Entry]) -> None:
    text = st.column_config.TextColumn
    st.dataframe(
        record_frame(shown),
        key="record_table",
        hide_index=True,
        placeholder="–",
        height="content" if len(shown) <= 16 else 600,
        alt="Table of the record: accuracy, gain over no defence, interval, verdict and recovery of every condition.",
        column_config={
            "condition": text("condition", pinned=True, width=205),
            "trained": text("trained", width=150),
            "n": numeric("n", "How many runs.", "%d", 48),
            "accuracy": numeric("last %", "Clean test accuracy after the last epoch, mean over the runs."),
            "around": text("95 %", width=84, help="The t interval of that mean."),
            "next_run": text("new seed, 95 %", width=104, help="Where a run with a further seed lies with 95 %."),
            "test_error": numeric(
                "test set ±", "Standard error from the number of test images alone, in points.", width=78
            ),
            "gain": numeric(
                "gain", "Over the same attack without a defence, in points, on the same seeds.", "%+.1f", 62
            ),
            "gain_around": text("95 %, n", width=98, help="The gain's paired t interval, and on how many seeds."),
            "verdict": text("verdict", width=104),
            "recovery": text(
                "recovery", width=130, help="Share of the loss that came back, with its Fieller interval."
            ),
            "reported": text("reported", width=120, help="Values of papers for this data, attack and defence."),
            "remarks": text("remarks", width=190),
            "origin": text("made by", width=200),
        },
    )


def record_frame(shown: Sequence[Entry]) -> pd.DataFrame:
    """One row an entry, shares in per cent and points; None where a number is not known."""
    return pd.DataFrame(
        [
            {
                "condition": entry.condition,
                "trained": ", ".join(str(method["name"]) for method in (entry.card.model, entry.card.plan)),
                "n": entry.accuracy.n,
                "accuracy": 100 * entry.accuracy.mean,
                "around": _around(entry.accuracy.interval),
                "next_run": _around(entry.accuracy.next_run),
                "test_error": None if entry.test_error is None else 100 * entry.test_error,
                "gain": entry.gain and 100 * entry.gain.mean,
                "gain_around": entry.gain and f"{_around(entry.gain.interval) or ''} n{entry.gain.n}".strip(),
                "verdict": entry.gain and entry.gain.verdict,
                "recovery": entry.recovery and recovery_text(entry.recovery),
                "reported": "; ".join(f"{100 * p.accuracy:.1f} {p.source}" for p in entry.reported) or None,
                "remarks": "; ".join([reason.split(":")[0].lower() for reason in entry.unreliable]) or None,
                "origin": entry.origin,
            }
            for entry in shown
        ]
    )


def _around(interval: tuple[float, float] | None) -> str | None:
    return bounds(Interval(*interval)).strip() if interval else None


def _downloads(shown: Sequence[Entry], data: str) -> None:
    for column, (form, (title, ending)) in zip(st.columns(len(FILES)), FILES.items(), strict=True):
        if form == "json":
            content = json.dumps(Record(entries=list(shown)).to_json(), indent=2, ensure_ascii=False)
        else:
            content = TABLES[form](shown)
        with column:
            st.download_button(
                title,
                content,
                f"record_{plain_name(data)}.{ending}",
                on_click="ignore",
                icon=":material/download:",
                key=f"record_{form}",
            )
