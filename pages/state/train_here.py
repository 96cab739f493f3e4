"""Training in place: two short runs beside the pictures, one on the poisoned data, one with the defence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import streamlit as st

from pages.frame.guard import guarded, show_error
from pages.frame.navigation import script
from pages.frame.visitor import who
from pages.state.choice import Selection
from pages.state.own_data import for_looking
from pages.state.run_words import method_words, percent
from pages.state.whose import waiting_words
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.defenses import DefenseStack
from ued_core.errors import RunError, UedError
from ued_core.figures.learning import pair_figure
from ued_core.models import MODELS
from ued_core.runs import RunRecord, RunSpec
from ued_core.studies.estimate import duration, estimate
from ued_core.training import PLANS

IMAGES, EPOCHS = 2000, 8
MODEL: Mapping[str, Any] = MappingProxyType({"name": "small_cnn", "width": 16})
PLAN: Mapping[str, Any] = MappingProxyType({"name": "adamw", "epochs": EPOCHS, "batch_size": 32})
"""The shortest recipe that was found to show the trap: it needs some 450 steps."""
LOOK_S = 0.5
STARTED = "train_here"


@dataclass(frozen=True)
class Pair:
    """What is trained.

    Attributes:
        alone: on the poisoned pictures as they are.
        defended: with the defence.
        words: the defence with what differs from its defaults.
        classes: of the data.
    """

    alone: RunSpec
    defended: RunSpec
    words: str
    classes: int


def short(spec: RunSpec) -> RunSpec:
    """The spec with a small network, few images and few epochs; data without a number of images stays whole."""
    data = spec.dataset
    if (size := getattr(data, "train_size", None)) is not None:
        data = data.with_values(train_size=min(IMAGES, size))
    return spec.with_values(
        dataset=data,
        model=MODELS.parse(dict(MODEL)),
        plan=PLANS.parse(dict(PLAN)),
        note="trained beside the pictures",
    )


def pair_of(choice: Selection, stack: DefenseStack) -> Pair | None:
    """Both runs of a page's choice; None where one of them is no matter of seconds, or where the pictures are there to
    be looked at only."""
    if for_looking(choice.data):
        return None
    spec, classes = choice.spec(stack), choice.train.classes
    words = " → ".join(method_words(defence) for defence in stack)
    made = short(spec)
    pair = Pair(made.with_values(defenses=DefenseStack()), made, words, classes)
    return pair if pair.alone.quick and pair.defended.quick else None


def train_here(pair: Pair | None, *, key: str) -> None:
    """The strip: a button, two curves that grow, and what came out.

    Args:
        pair: what the button trains; None says that it would take longer.
        key: unique on the page.
    """
    with st.container(border=True, key=f"{key}_strip"):
        left, right = st.columns([0.26, 0.74], gap="medium", vertical_alignment="top")
        with left:
            st.subheader("Train it here", anchor=False)
            if pair is None:
                st.markdown(
                    "This attack, defence or data takes more than seconds: **Train with this** starts an ordinary run."
                )
                return
            st.caption(_what(pair))
            if st.button("Train both", type="primary", key=f"{key}_start", icon=":material/play_arrow:"):
                _start(pair, key)
            place = st.container()
        started: list[str] = st.session_state.get(STARTED, {}).get(key, [])
        with right:
            _live(started, st.session_state.get(STARTED, {}).get(f"{key}:words", pair.words), pair.classes, key, place)


def _what(pair: Pair) -> str:
    images = getattr(pair.alone.dataset, "train_size", 0)
    found = estimate(pair.alone, runs.snapshot().records)
    takes = (
        f"about {duration(found.seconds)} each here"
        if found is not None
        else "seconds each on an idle core, more on a busy one"
    )
    return f"Two small networks, {images:,} pictures, {EPOCHS} epochs: {takes}."


def _start(pair: Pair, key: str) -> None:
    """Queue what has not been trained already; equal keys mean equal results."""
    done = {record.key.partition("-")[0]: record.id for record in runs.snapshot().records if record.state == "finished"}
    ids = []
    try:
        for spec in (pair.alone, pair.defended):
            ids.append(done.get(spec.key()) or runs.submit(spec, by=who()))
    except UedError as error:
        show_error(error)
        return
    st.session_state.setdefault(STARTED, {})[key] = ids
    st.session_state[STARTED][f"{key}:words"] = pair.words


def _records(ids: Sequence[str]) -> list[RunRecord]:
    found = []
    for run_id in ids:
        try:
            found.append(runs.run(run_id))
        except RunError:
            return []
    return found


def _live(ids: Sequence[str], words: str, classes: int, key: str, place: Any) -> None:
    before = _records(ids)
    moving = any(not record.over for record in before)

    @st.fragment(run_every=LOOK_S if moving else None)
    def strip() -> None:
        with guarded():
            records = _records(ids)
            if moving and all(record.over for record in records):
                st.rerun()
            runs.attend([record for record in records if not record.over])
            histories = [runs.folder(record.id).history() for record in records] or [[], []]
            roles = ("poisoned", "defended")
            titles = ("without defence", f"with {words}")
            live_chart(
                pair_figure(list(zip(titles, roles, histories, strict=True)), EPOCHS, 1 / classes),
                key=f"{key}_curves",
                height=128,
                alt=_said(records, words) or "Two empty panels: nothing has been trained here yet.",
                filename="train_here",
                caption=_said(records, words),
            )

    strip()
    with place:
        if moving and st.button("Stop", key=f"{key}_stop"):
            for record in before:
                if not record.over:
                    runs.cancel(record.id, by=who())
            st.rerun()
        if before and not moving:
            st.page_link(
                script("runs/page.py"),
                label="Both runs, with everything that was measured →",
                query_params={"compare": ",".join(ids)},
            )


def _said(records: Sequence[RunRecord], words: str) -> str:
    """State and outcome of both runs, as Markdown of a caption."""
    if not records:
        return ""
    alone, defended = records
    if all(record.state == "finished" for record in records) and None not in (alone.last, defended.last):
        gain = round(100 * (defended.last or 0.0)) - round(100 * (alone.last or 0.0))
        return (
            f"**{gain:+d} points on clean pictures with {words}**: {percent(defended.last)} instead of "
            f"{percent(alone.last)}. One seed and a short training: a demonstration, not a result to quote."
        ).replace("-", "−", 1)
    said = []
    for name, record in (("without defence", alone), (f"with {words}", defended)):
        match record.state:
            case "queued":
                state = f"waits: {waiting_words(record, runs.snapshot())}"
            case "running":
                state = f"epoch {record.epoch} of {record.epochs}" if record.epoch else "starts"
            case other:
                state = other
        said.append(f"{name}: {state}")
    return " · ".join(said)
