"""The queue and the table of all runs, kept up to date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from pages.frame.guard import guarded, plain
from pages.frame.hidden import seen
from pages.frame.visitor import who
from pages.state.run_address import current_view, open_compare, open_run
from pages.state.run_changes import CHANGED
from pages.state.run_progress import run_progress
from pages.state.run_words import (
    STATE_WORDS,
    damage_words,
    progress_of,
    seed_of,
    seed_words,
    short_id,
    state_text,
    time_left,
    told_apart,
)
from pages.state.whose import name_of, own, own_first, title_of, to_come, waiting_words
from pages.widgets.waiting import rerun_when
from ued_core import runs
from ued_core.params import fingerprint
from ued_core.person import Person
from ued_core.runs import STATES, RunRecord, Snapshot

PAGE_SIZE = 50
MOST_CARDS = 4


@st.fragment
def run_table() -> None:
    """Draw cards of what is going on, and the table; drawn again when something has changed
    (:mod:`pages.state.run_changes`)."""
    with guarded():
        shared = runs.snapshot()
        runs.attend(shared.waiting)
        now = own_first(shared, who())
        # The view has changed, or the last run has gone: the whole page decides anew.
        if current_view() != "all" or not now.records:
            st.rerun()
        rerun_when(CHANGED, [shared.version], key="runs_changed")
        _cards(to_come(shared), shared)
        _table(now)


def _cards(order: Sequence[RunRecord], shared: Snapshot) -> None:
    """What runs now, then what comes next."""
    drawn = order[:MOST_CARDS]
    for record, differs in zip(drawn, told_apart(drawn), strict=True):
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                state_badge(record)
                apart = f"{plain(differs)}, " if differs else ""
                st.markdown(f"**{plain(title_of(record))}**, {apart}seed {seed_words(record.spec)}"
                            + (f", by {plain(name_of(record))}" if record.by else ""))  # fmt: skip
                if st.button("Open", key=f"card_open_{record.id}"):
                    open_run(record.id)
                    st.rerun()
                cancel_button(record, f"card_cancel_{record.id}")
            run_progress(record)
            if record.state == "queued":
                st.caption(plain(f"Waits: {waiting_words(record, shared)}."))
    if len(order) > MOST_CARDS:
        more = len(order) - MOST_CARDS
        st.caption(
            "1 more run is queued; it is in the table."
            if more == 1
            else f"{more:,} more runs are queued; they are in the table."
        )


def state_badge(record: RunRecord) -> None:
    """The run's state as icon and word, with its meaning on demand."""
    words = STATE_WORDS[record.state]
    st.badge(state_text(record), color=words.colour, help=f"{words.word}: {words.meaning}.")


def cancel_button(record: RunRecord, key: str) -> None:
    """Stops the run when pressed; nothing for whoever may not."""
    if own([record]) and st.button("Cancel", key=key, disabled=record.cancelling):
        runs.cancel(record.id, by=who())
        st.rerun()


def _table(now: Snapshot) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"All runs ({len(now.records):,})", anchor=False)
        with st.popover("What the states mean"):
            st.markdown("\n".join(f"- {w.icon} **{w.word}**: {w.meaning}." for w in STATE_WORDS.values()))
        st.caption(
            ", ".join(
                f"{now.counts[state]:,} {STATE_WORDS[state].word.lower()}" for state in STATES if state in now.counts
            )
        )
    pages = -(-len(now.records) // PAGE_SIZE)
    page = st.pagination(pages, key="runs_page") if pages > 1 else 1
    shown = now.records[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    # A selection is kept by position: with other rows the table must be another one.
    name = "runs_table_" + fingerprint([record.id for record in shown])
    event = st.dataframe(
        _frame(now, page, st.context.timezone or "UTC", who()),
        key=name, hide_index=True, on_select="rerun", selection_mode="multi-row", placeholder="–",
        column_config=_columns(name, shown), height="content" if len(shown) <= 12 else 460,
        alt="Table of runs, newest first: state, title, seed, epochs, accuracies, device and time.",
    )  # fmt: skip
    chosen = [shown[row] for row in event.selection.rows if row < len(shown)]
    _actions(chosen)


def _actions(chosen: Sequence[RunRecord]) -> None:
    """What can be done with the selected rows."""
    if not chosen:
        st.caption("Tick rows to compare, cancel, resume or delete them; press **Open** in a row to see a run. "
                   "Every run works in a process of its own and goes on when you leave this page.")  # fmt: skip
        return
    mine = own(chosen)
    stoppable = [r for r in mine if not r.over and not r.cancelling]
    resumable = [r for r in mine if r.resumable]
    deletable = [r for r in mine if r.over]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{len(chosen)} selected", width="content")
        if len(chosen) == 1 and st.button("Open", key="table_open"):
            open_run(chosen[0].id)
            st.rerun()
        if len(chosen) > 1 and st.button(f"Compare {len(chosen)}", key="table_compare", type="primary"):
            open_compare([record.id for record in chosen])
            st.rerun()
        if stoppable and st.button(f"Cancel {len(stoppable)}", key="table_cancel"):
            _each(stoppable, partial(runs.cancel, by=who()))
        if resumable and st.button(f"Resume {len(resumable)}", key="table_resume"):
            _each(resumable, partial(runs.resume, by=who()))
        if deletable:
            delete_part(deletable, "table_delete")


def delete_part(records: Sequence[RunRecord], key: str) -> None:
    """Deletes the runs after a second word."""
    what = f"run {short_id(records[0].id)}" if len(records) == 1 else f"{len(records)} runs"
    with st.popover(f"Delete {what} …"):
        st.markdown(f"Delete {what} with curves, weights and log? This cannot be undone.")
        if st.button("Delete for good", key=f"{key}_sure", type="primary"):
            if current_view() == "run":
                st.query_params.clear()
            _each(records, partial(runs.delete, by=who()))


def _each(records: Sequence[RunRecord], act: Any) -> None:
    for record in records:
        act(record.id)
    st.rerun()


@lru_cache(maxsize=64)
def _frame(now: Snapshot, page: int, zone: str, _reader: Person) -> pd.DataFrame:
    """The rows of a page of the table, made once for each reader, and for the owner once whoever asks; not to be
    changed."""
    shown = now.records[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]
    frame = pd.DataFrame([_row(record, zone) for record in shown])
    if not any(record.damaged for record in shown):
        frame = frame.drop(columns="Damaged")
    if not any(record.by for record in shown):
        frame = frame.drop(columns="By")
    if any(differs := told_apart(shown)):
        frame.insert(list(frame.columns).index("Run") + 1, "Differs in", differs)
    return frame


def _row(record: RunRecord, zone: str) -> dict[str, Any]:
    rates = {"Clean test": record.last, "Training": record.train_accuracy, "Best": record.best}
    return {
        "Open": "Open",
        "State": state_text(record),
        "Damaged": seen(damage_words(record)),
        "Run": title_of(record),
        **{name: None if value is None else 100 * value for name, value in rates.items()},
        "Progress": progress_of(record),
        "Epoch": f"{record.epoch} / {record.epochs}",
        "Seed": seed_of(record.spec),
        "By": name_of(record),
        "Note": seen(record.note),
        "Left": time_left(record),
        "Device": record.device,
        "Created": local_time(record.created, zone),
        "Id": short_id(record.id),
    }


def local_time(moment: float | None, zone: str = "") -> datetime | None:
    """The moment in the reader's own time zone, or the one that is named, without a zone, as tables show it."""
    if moment is None:
        return None
    there: tzinfo
    try:
        there = ZoneInfo(zone or st.context.timezone or "UTC")
    except (KeyError, ValueError, OSError):
        there = UTC
    return datetime.fromtimestamp(moment, there).replace(tzinfo=None, microsecond=0)


def _columns(name: str, shown: Sequence[RunRecord]) -> dict[str, Any]:
    kit = st.column_config
    clicked = f"{name}_open"

    def open_clicked() -> None:
        row = st.session_state[clicked]["row"]
        if row < len(shown):
            open_run(shown[row].id)

    def rate(help: str) -> Any:
        return kit.NumberColumn(format="%.1f %%", help=help, width=78)

    states = ", ".join(f"{words.icon} {words.word}" for words in STATE_WORDS.values())
    return {
        "Open": kit.ButtonColumn("", key=clicked, on_click=open_clicked, width=70),
        "State": kit.TextColumn(help=f"One of {states}.", width=112),
        "Run": kit.TextColumn(help="Data set · attack · defences · model.", width=225),
        "Differs in": kit.TextColumn(
            help="What tells this run from others in the table with the same name.", width=170
        ),
        "By": kit.TextColumn(help="Who submitted it.", width=90),
        "Note": kit.TextColumn(width=110),
        "Damaged": kit.TextColumn(
            help="Values in the run's files that cannot be. What they said is unknown; the rest holds.", width=120
        ),
        "Seed": kit.NumberColumn(format="%d", width=55),
        "Progress": kit.ProgressColumn(min_value=0.0, max_value=1.0, format="percent", width=110),
        "Epoch": kit.TextColumn(help="Trained and wanted.", width=72),
        "Left": kit.TextColumn(help="Time that the run still needs, from its own speed.", width=84),
        "Clean test": rate("Accuracy on clean test images after the last epoch."),
        "Best": rate(
            "The highest clean test accuracy of any epoch. Picked by looking at the test images: it flatters."
        ),
        "Training": rate("Accuracy over the last epoch on what the model was trained on, as it saw it."),
        "Device": kit.TextColumn(width=90),
        "Created": kit.DatetimeColumn(format="D MMM, HH:mm", help="In your time zone.", width=110),
        "Id": kit.TextColumn(help="The end of the run's id; `python -m ued_core run ID` takes it.", width=60),
    }
