"""One run: how it goes, what came out, and everything needed to judge and to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.frame.guard import guarded, plain, show_error
from pages.frame.hidden import seen
from pages.frame.provenance import figures_are_about
from pages.frame.visitor import who
from pages.runs.form import cannot_edit, fill_form, start
from pages.runs.pictures import trained_on_view
from pages.runs.recovery import recovery_part
from pages.runs.table import cancel_button, delete_part, local_time, state_badge
from pages.runs.verdict import RULE, histogram_words, probe_words, verdict
from pages.state.known_words import known_caption
from pages.state.run_address import open_compare, open_run, open_view
from pages.state.run_progress import run_progress
from pages.state.run_protocol import protocol_card
from pages.state.run_words import STATE_WORDS, percent, seed_words, surroundings
from pages.state.whose import (
    error_for_reader,
    is_open,
    name_of,
    obstacle_for,
    own,
    result_for_reader,
    title_of,
    waiting_words,
)
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.csv_export import csv_text
from ued_core.defenses import DefenseStack
from ued_core.errors import RunError
from ued_core.figures.learning import histogram_figure, loss_figure, probe_figure, run_figure
from ued_core.results.known import known
from ued_core.results.parts import EpochRow, Probe
from ued_core.results.words import level
from ued_core.runs import RunRecord, RunResult
from ued_core.studies.estimate import duration

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

LOG_LINES = 40


def run_detail(run_id: str) -> None:
    """Draw the run that the address names."""
    st.button("All runs", key="detail_back", icon=":material/arrow_back:", on_click=open_view, args=("all",))
    try:
        record = runs.run(run_id)
    except RunError as error:
        show_error(error)
        return
    st.header(plain(title_of(record)), anchor=False)
    when = local_time(record.created)
    moment = f"{when:%d %b %Y, %H:%M}" if when else "unknown"
    computed = "".join(f" · {name + ' ' if name in ('torch', 'threads') else ''}{plain(text)}"
                       for name, text in surroundings([record]).items())  # fmt: skip
    by = f" by {plain(name_of(record))}" if record.by else ""
    st.caption(f"Run {record.id} · seed {seed_words(record.spec)} · submitted {moment}{by}{computed}"
               + (f" · {plain(seen(record.note))}" if record.note else ""))  # fmt: skip
    if record.run_spec:
        known_caption(record.run_spec)
    measured = runs.folder(record.id).result() if record.over else None
    result = result_for_reader(record, measured) if measured else None
    figures_are_about(_about(record, result))
    _live_part(record, result)
    if result:
        _result_part(record, result)
        recovery_part(record, result)
    _files_part(record, result)


def _about(record: RunRecord, result: RunResult | None) -> str:
    """The run, its seeds, and the hashes of what it was made from, for figures that are taken along."""
    key = f", private key {record.spec.get('attack_seed')}" if record.spec.get("attack") else ""
    hashes = f", clean images {result.data.clean_hash}, trained on {result.data.trained_on_hash}" if result else ""
    return f"Run {record.id}: {title_of(record)}, seed {seed_words(record.spec)}{key}; spec {record.key}{hashes}."


def _live_part(before: RunRecord, result: RunResult | None) -> None:
    """State, progress, buttons and curves; asks again every second until the run is over."""

    @st.fragment(run_every=None if before.over else 1.0)
    def live() -> None:
        with guarded():
            try:
                record = runs.run(before.id)
            except RunError:
                st.rerun()
            runs.attend([record])
            if record.over != before.over:
                st.rerun()
            _buttons(record)
            run_progress(record)
            _explanation(record)
            _curves(record, result)

    live()


def _buttons(record: RunRecord) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        state_badge(record)
        if not record.over:
            cancel_button(record, "detail_cancel")
        mine = bool(own([record]))
        if mine and record.craftable and st.button(
            "Stop crafting here and train with it", key="detail_stop_crafting",
            help="Ends after the part that it is in. This run then trains with what is crafted so far, and its result "
                 "says so; "
            "other runs craft on to the end.",
        ):  # fmt: skip
            runs.stop_crafting(record.id, by=who())
            st.rerun()
        if (
            mine
            and record.resumable
            and st.button("Resume", key="detail_resume", type="primary", help=resume_words(record))
        ):
            runs.resume(record.id, by=who())
            st.rerun()
        spec = record.run_spec
        if spec:
            obstacle = cannot_edit(spec)
            st.button("Use as a template", key="detail_edit", on_click=fill_form, args=(spec,), disabled=bool(obstacle),
                      help=obstacle or "Fills the form with these settings.")  # fmt: skip
        if record.epoch:
            st.button("Compare with …", key="detail_compare", on_click=open_compare, args=([record.id],))
        if mine and record.over:
            delete_part([record], "detail_delete")


def _explanation(record: RunRecord) -> None:
    """What the state means here, and what to do."""
    folder = runs.folder(record.id)
    if record.damaged:
        lines = "".join(f"\n- {plain(seen(wrong))}" for wrong in record.damaged)
        st.warning("**Damaged.** The run's files hold values that cannot be. What they said is unknown; the rest "
                   "is shown."
                   f"\n{lines}\n\n**What to do:** {_mend(record)}")  # fmt: skip
    if record.stopped_early:
        st.warning(
            plain(
                f"Crafting was stopped early, {record.stopped_early}: this run does not show the attack as configured."
            )
        )
    elif record.state == "running" and folder.usable.exists() and folder.stop_crafting_requested():
        st.caption("Crafting ends after the part that it is in; then training begins.")
    match record.state:
        case "queued":
            before = waiting_words(record, runs.snapshot())
            st.info(
                f"This run waits for a free processor or GPU: {before}. "
                "You can leave this page; it will start by itself."
            )
        case "failed":
            error = folder.error() or {"what": record.error, "do": "Delete the run and submit it again."}
            what, do = error_for_reader(record, error)
            st.error(f"{plain(what)}" + (f"\n\n**What to do:** {plain(do)}" if do else ""))
            if (trace := error.get("traceback")) and who().owner:
                with st.expander("Traceback to report"):
                    st.code(str(trace), language="text", wrap_lines=True)
        case "cancelled" | "interrupted":
            words = STATE_WORDS[record.state]
            st.warning(
                f"{words.word}: {words.meaning}. It had trained {record.epoch} of {record.epochs} epochs; resumed, it "
                f"{resume_words(record).lower()}"
            )


def resume_words(record: RunRecord) -> str:
    """Where a run that is resumed begins; a checkpoint is written after an epoch."""
    return (
        "Goes on from the last checkpoint." if record.epoch else "Starts its training anew, because no epoch was over."
    )


def _mend(record: RunRecord) -> str:
    if who().owner:
        return "Correct the files in the run's folder, or delete the run and train again."
    return "Delete the run and train again." if own([record]) else "Tell the owner of this server."


def _curves(record: RunRecord, result: RunResult | None) -> None:
    rows = runs.folder(record.id).history()
    if not rows:
        # Two empty axes say nothing; what it learns from does.
        if record.state in ("running", "queued"):
            trained_on_view(record)
        return
    chance = 1 / len(result.data.class_names) if result else None
    last = (
        f"after epoch {record.epoch} of {record.epochs}: training {percent(record.train_accuracy, 1)}, "
        f"clean test {percent(record.last, 1)}"
    )
    # A training that diverged has no loss any more, but still its accuracies.
    loss = f"{rows[-1].loss:.3f}" if rows[-1].loss is not None else "not known"
    left, right = st.columns([3, 2], gap="medium")
    with left:
        alt = f"Training accuracy and accuracy on clean test images over the epochs; {last}."
        _chart(run_figure(rows, record.epochs, chance), "accuracy", record, alt, height=340)
    with right:
        alt = f"Training loss over the epochs; the latest is {loss}."
        _chart(loss_figure(rows, record.epochs), "loss", record, alt, height=340)


def _chart(figure: Figure, name: str, record: RunRecord, alt: str, height: int = 300) -> None:
    live_chart(figure, key=f"run_{name}_{record.id}", height=height, filename=f"{name}-{record.id}", alt=alt)


def _result_part(record: RunRecord, result: RunResult) -> None:
    names = result.data.class_names
    attacked = bool(record.spec.get("attack"))
    found = verdict(result.train_accuracy, result.last, len(names), attacked, result.data.test)
    with st.container(border=True):
        st.subheader("Result", anchor=False)
        st.markdown(f"**{found.sentence}**")
        _reference_part(record)
        with st.popover("How this sentence is chosen"):
            st.markdown(RULE)
    probe = result.probe
    if probe:
        left, right = st.columns([2, 3], gap="medium")
        with left:
            st.subheader("Does it follow the object or the perturbation?", anchor=False)
            st.markdown(probe_words(probe))
        with right:
            _chart(probe_figure(probe), "probe", record, _probe_alt(probe))
        left, right = st.columns([2, 3], gap="medium")
        shares = probe.clean_histogram
        with left:
            st.subheader("What it answers on clean test images", anchor=False)
            st.markdown(histogram_words(shares, names, probe.images))
        with right:
            told = ", ".join(f"{name} {percent(share)}" for name, share in zip(names, shares, strict=True))
            _chart(histogram_figure(shares, names), "answers", record, f"Answers on clean test images: {told}.")
    protocol_card(record, result)


def _probe_alt(probe: Probe) -> str:
    return (
        f"Right when clean: {percent(probe.clean_accuracy)}; with their own class's perturbation: "
        f"{percent(probe.own_accuracy)}. With another class's perturbation: {percent(probe.wrong_true_rate)} the true "
        f"class, {percent(probe.wrong_perturbation_rate)} the class of the perturbation, "
        f"{percent(probe.wrong_other_rate)} another."
    )


def _reference_part(record: RunRecord) -> None:
    """The same run without attack and defence: what the model could have learned."""
    spec = record.run_spec
    if spec is None or (spec.attack is None and not spec.defenses):
        return
    clean = spec.with_values(
        attack=None, poison_rate=1.0, attack_seed=0, defenses=DefenseStack(), note="clean reference"
    )
    found = runs.find(clean.key())
    # Another arithmetic would make a difference of its own.
    done = next((r for r in found if r.state == "finished" and r.precision == record.precision), None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if done:
            st.markdown(
                f"The same run without attack and defence reached {percent(done.last)} on clean test images.",
                width="content",
            )
            st.button("Open it", key="detail_reference", on_click=open_run, args=(done.id,))
            st.button(
                "Compare both", key="detail_reference_compare", on_click=open_compare, args=([record.id, done.id],)
            )
        elif any(not r.over for r in found):
            st.markdown("The same run without attack and defence is on its way.", width="content")
        elif not obstacle_for(clean):
            shipped = known(clean.to_json())
            if shipped is not None:
                seeds = f"{shipped.accuracy.count} seed{'s' * (shipped.accuracy.count != 1)}"
                said = f"Shipped with the program: this recipe on clean images reaches {level(shipped.accuracy)} %"
                st.markdown(f"{said} ({seeds}).", width="content")
            else:
                st.markdown("How much was lost? Nobody has trained the same on clean images yet.", width="content")
            if st.button("Train the clean reference", key="detail_train_reference"):
                start([clean])


def _files_part(record: RunRecord, result: RunResult | None) -> None:
    folder = runs.folder(record.id)
    st.subheader("Files and repetition", anchor=False)
    with st.container(horizontal=True):
        _download("spec.json", json.dumps(seen(record.spec), indent=2, ensure_ascii=False), "application/json", record)
        if rows := folder.history():
            _download("history.csv", history_csv(rows), "text/csv", record)
        if result:
            readable = seen(result.to_json())
            _download("result.json", json.dumps(readable, indent=2, ensure_ascii=False), "application/json", record)
        if folder.weights.exists():
            _download("weights.safetensors", folder.weights.read_bytes, "application/octet-stream", record)
    if is_open(record.spec):
        st.caption("The same run without a browser, from the downloaded spec.json:")
        st.code("python -m ued_core train spec.json", language="bash")
    else:
        st.caption(
            "Only the owner can repeat this run: its images are files of the owner's, whose place spec.json leaves out."
        )
    # A worker prints what it reads and where; to visitors the run's own words above must do.
    if who().owner:
        with st.expander(f"Log (last {LOG_LINES} lines)"):
            st.code(folder.log_tail(LOG_LINES) or "The log is still empty.", language="text", wrap_lines=True)
            if not record.over:
                st.button("Refresh", key="detail_log")
    if record.started and record.ended and record.over:
        count = f", {record.attempt} attempts" if record.attempt > 1 else ""
        st.caption(
            f"Took {duration(record.ended - record.started)} on {plain(record.device or 'this machine')}{count}."
        )


def _download(name: str, data: Any, mime: str, record: RunRecord) -> None:
    st.download_button(
        name, data, f"{record.id}-{name}", mime, key=f"download_{name}", on_click="ignore", icon=":material/download:"
    )


def history_csv(rows: Sequence[EpochRow]) -> str:
    """The history as a table; a column for everything that any epoch has."""
    return csv_text([row.numbers for row in rows])
