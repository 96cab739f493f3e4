"""Parts of the page Staged training: stored runs of the study, and runs of one's own, as one set of charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import pandas as pd
import streamlit as st

from pages.frame.guard import guarded, plain, refusable, show_refusal
from pages.frame.hidden import seen
from pages.frame.navigation import script
from pages.frame.visitor import who
from pages.state import background
from pages.state.choice import Selection, protocol_line
from pages.state.run_progress import run_progress
from pages.state.run_words import method_words, percent, short_id
from pages.state.selection import selection_chips
from pages.state.staged_expectation import photograph_rows, staged_expectation, stored_rows
from pages.state.whose import title_of
from pages.widgets.controls import choose, method_controls, pick
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.defenses.staged_training import StagedTraining
from ued_core.figures.learning import TEST, Curve, compare_figure
from ued_core.figures.roles import marked, picture_role
from ued_core.figures.staged import (
    Reading,
    growth_figure,
    legend_growth,
    rates_figure,
    readings_figure,
    readings_height,
    signal_figure,
)
from ued_core.models import MODELS, Model
from ued_core.results import staged
from ued_core.results.evidence import compare
from ued_core.results.parts import EpochRow
from ued_core.results.row import ResultRow
from ued_core.results.staged import COMMAND, HELD, PLAIN, WATCHED, Trace, find, trace_of
from ued_core.results.words import points
from ued_core.runs import RunRecord
from ued_core.runs.spec import RunSpec
from ued_core.studies.epoch_cost import plain_seconds
from ued_core.studies.estimate import duration, estimate

LOOK_EVERY_S = 2.0
HEIGHT = 360
MOST_RUNS = 200
TIMED_PER_CLASS = 2
STAGED = "ST"
"""How the names of readings of staged training begin."""
PHOTOGRAPHS, LEAST_SEEDS = "photographs", 3


@dataclass(frozen=True)
class Shown:
    """One run under staged training, and plain training beside it.

    Attributes:
        name: of the run, for people.
        trace: its checks.
        plain: history of the same training without any reaction; None while there is none.
        watched: the checks of such a run, if it was watched.
        slug: part of the names of downloads.
        role: of the images that were trained on, ``poisoned`` or ``clean``.
    """

    name: str
    trace: Trace
    plain: Sequence[EpochRow] | None
    watched: Trace | None
    slug: str
    role: str = "poisoned"


# ---- stored runs -------------------------------------------------------------------------------


def stored_part() -> None:
    """Choose data and attack, reading and seed among the stored runs."""
    rows = [*photograph_rows(), *stored_rows()]
    shown = [row for row in rows if row.training]
    if not shown:
        st.info(f"No run is stored yet. Make them: `{COMMAND}`.")
        return
    left, middle, right = st.columns([2, 2, 1])
    with left:
        scenes = list(dict.fromkeys(row.scene for row in shown))
        poisoned = opening_scene(shown)
        scene = pick("Data and attack", {name: name for name in scenes}, key="scene", default=poisoned)
    arms = list(dict.fromkeys(row.arm for row in shown if row.scene == scene))
    with middle:
        arm = pick("Trained with", {name: name for name in arms}, key="arm", default="ST" if "ST" in arms else arms[0])
    seeds = [str(row.seed) for row in shown if (row.scene, row.arm) == (scene, arm)]
    with right:
        seed = int(pick("Seed", {name: name for name in seeds}, key="seed", default=seeds[0]))
    row = next(row for row in shown if (row.scene, row.arm, row.seed) == (scene, arm, seed))
    base, watched = find(rows, scene, PLAIN, seed), find(rows, scene, WATCHED, seed)
    own = trace_of(row.spec, row.history, row.training)
    beside = trace_of(watched.spec, watched.history, watched.training) if watched and arm != WATCHED else None
    plain_run = base or watched
    history = plain_run.history if plain_run else None
    of_scene = [r for r in rows if r.scene == scene]
    table = _table(of_scene)
    if said := punch_line(table):
        st.markdown(said)
    if own is not None:
        charts(
            Shown(
                f"{scene} · {arm}",
                own,
                history,
                beside,
                f"staged_{scene}_{arm}_{seed}".replace(" ", "_"),
                _role(row.spec),
            )
        )
    _all_readings(of_scene, table, scene)


def opening_scene(rows: Sequence[ResultRow]) -> str:
    """The data and attack that the page begins with: photographs where enough seeds were run, otherwise the first.

    Args:
        rows: those with a report of staged training, at least one.
    """
    poisoned = [row for row in rows if not row.scene.startswith("clean")] or list(rows)
    seeds: dict[str, set[int]] = {}
    for row in poisoned:
        if row.scene.endswith(PHOTOGRAPHS):
            seeds.setdefault(row.scene, set()).add(row.seed)
    others = [row.scene for row in poisoned if not row.scene.endswith(PHOTOGRAPHS)] or [poisoned[0].scene]
    return next((scene for scene, own in seeds.items() if len(own) >= LEAST_SEEDS), others[0])


def _table(rows: Sequence[ResultRow]) -> list[dict[str, Any]]:
    arms = list(dict.fromkeys(row.arm for row in rows))
    return [_summary(arm, [row for row in rows if row.arm == arm]) for arm in arms]


def punch_line(table: Sequence[Mapping[str, Any]]) -> str:
    """What the readings come to, in Markdown: the highest staged one against the highest control and plain training."""
    plain = next((line for name in (PLAIN, WATCHED) for line in table if line["trained with"] == name), None)
    own = [line for line in table if line["trained with"].startswith(STAGED)]
    controls = [line for line in table if line not in own and line["trained with"] not in (PLAIN, WATCHED)]
    if plain is None or not own:
        return ""
    best = max(own, key=lambda line: line["mean"])
    said = f"{best['trained with']} {percent(best['mean'], 1)}, plain training {percent(plain['mean'], 1)}"
    if not controls:
        return f"**On clean test images: {said}.**"
    control = max(controls, key=lambda line: line["mean"])
    name = control["trained with"]
    if control["mean"] > best["mean"]:
        return (
            f"**{name[:1].upper()}{name[1:]} reaches {percent(control['mean'], 1)} and so beats every staged "
            f"reading** (the highest: {said}). It is a control that looks at no layer."
        )
    return f"**The highest staged reading beats every control**: {said}; {name} {percent(control['mean'], 1)}."


def _all_readings(rows: Sequence[ResultRow], table: Sequence[Mapping[str, Any]], scene: str) -> None:
    st.header(f"Every reading on {scene}")
    plain = "clean" if scene.startswith("clean") else "poisoned"
    readings = [
        Reading(
            name, "defended" if name.startswith(STAGED) else plain if name in (PLAIN, WATCHED) else "control",
            [row.last for row in rows if row.arm == name],
        )
        for name in dict.fromkeys(row.arm for row in rows)
    ]  # fmt: skip
    live_chart(
        readings_figure(readings),
        key="readings",
        height=readings_height(readings),
        alt="; ".join(f"{line['trained with']} {line['clean test, last epoch']}" for line in table) + ".",
        filename=f"staged_readings_{scene}".replace(" ", "_"),
        question="How much do they learn about clean images?",
        caption=f"Each mark is one run, the bar is their mean. {marked('defended')}: staged training, "
        f"{marked('control')}: controls that look at no layer, {marked(plain)}: plain training.",
    )
    frame = pd.DataFrame(
        [{name: cell for name, cell in line.items() if name not in ("mean", "by seed")} for line in table]
    )
    st.dataframe(
        frame, hide_index=True, width="stretch", height="content", alt="Accuracies, alarms and time of every reading."
    )
    st.caption(_reading(table))
    st.caption(
        f"One seed draws images, private key, weights and order; all runs have the same number of accepted epochs. "
        f"Mean ± sample standard deviation. Made by `{COMMAND}`."
    )


def _summary(arm: str, rows: Sequence[ResultRow]) -> dict[str, Any]:
    last = [row.last for row in rows]
    alarms = [str(row.training[0]["alarms"]) for row in rows if row.training]
    return {
        "trained with": arm,
        "clean test, last epoch": percent(mean(last), 1) + (f" ± {100 * stdev(last):.1f}" if len(last) > 1 else ""),
        "clean test, best epoch": percent(mean(row.best for row in rows), 1),
        "training": percent(mean(row.train_accuracy for row in rows), 1),
        "alarms": ", ".join(alarms) or "–",
        "processor time": f"{mean(row.cpu_s or 0.0 for row in rows):.0f} s",
        "runs": len(rows),
        "mean": mean(last),
        "by seed": {row.seed: row.last for row in rows},
    }


def _reading(table: Sequence[Mapping[str, Any]]) -> str:
    """The highest reading against plain training, in words that follow the numbers."""
    base = next((line for name in (PLAIN, WATCHED) for line in table if line["trained with"] == name), None)
    others = [line for line in table if line["trained with"] not in (PLAIN, WATCHED)]
    if base is None or not others:
        return ""
    best = max(others, key=lambda line: line["mean"])
    found = compare(best["by seed"], base["by seed"])
    away = found.gain
    doubt = "; whether it is better cannot be told" if found.word == "cannot be told" else ""
    seeds = f" ({away.count} seeds of both)" if away.count > 1 else ""
    against = (
        f"{points(away)} against plain training{seeds}{doubt}"
        if away.count
        else "no seed of it has a plain run beside it"
    )
    held = next((line for line in table if line["trained with"] == HELD), None)
    control = (
        " The control whose shallow layers stay as they were drawn, without looking at anything, reaches "
        f"{held['clean test, last epoch']}."
        if held is not None and best is not held
        else ""
    )
    name, level = best["trained with"], best["clean test, last epoch"]
    return f"Highest mean at the last epoch: **{name}**, {level}; {against}.{control}"


# ---- runs of one's own -------------------------------------------------------------------------


def own_part() -> None:
    """Start a pair of runs, and look into one that was started."""
    choice = selection_chips(attacked=False)
    model_class = choose(
        MODELS, key="staged_model", label="Model",
        help="Architectures differ in how many layers they have and in what their shallow layers see.",
    )  # fmt: skip
    left, right = st.columns(2)
    with left, st.expander(f"Parameters of {model_class.title}"):
        model = method_controls(model_class, key="staged_model")
    with right, st.expander("Parameters of staged training"):
        method = method_controls(StagedTraining, key=StagedTraining.key)
    wanted = pair(choice.spec((method,), model), method)
    st.markdown(_announced(choice, model, method, len(wanted)))
    staged_expectation(wanted[0])
    _time(choice, wanted)
    show_refusal()
    st.button("Start both runs", type="primary", key="staged_start", on_click=_start, args=(wanted,))
    going = any(staged.method_of(r.spec) and not r.over for r in runs.snapshot().records[:MOST_RUNS])
    st.fragment(_look, run_every=LOOK_EVERY_S if going else None)(going)


def _announced(choice: Selection, model: Model, method: StagedTraining, count: int) -> str:
    names = model.layer_names()
    second = (
        "one as set above, the other only **watched** (reaction *none*: bit for bit the same as training without this "
        "defence, with the layers measured)"
        if count > 1
        else "only **watched** (bit for bit the same as training without this defence, with the layers measured)"
    )
    return (
        f"{plain(protocol_line(choice))}: {'two runs' if count > 1 else 'one run'} of "
        f"**{plain(method_words(model))}** with the default "
        f"plan, {second}. Its layers from the image on: {', '.join(names)}; the first {min(method.depth, len(names))} "
        "may be slowed."
    )


@st.fragment
def _time(choice: Selection, specs: Sequence[RunSpec]) -> None:
    """What the runs will take: from finished runs, or from a few steps that are timed beside the server."""
    with guarded():
        spec = specs[0]
        known = estimate(spec, runs.snapshot().records)
        timed = []
        if known is None:
            few, _ = choice.shown(TIMED_PER_CLASS)
            timed = [background.ask(plain_seconds, few, spec.model, spec.plan, slot="staged_time", after_s=0.3)]
        background.wait_for(*timed, slot="staged_time")
        st.caption(
            known.sentence(len(specs)) if known is not None else _timed(timed[0], spec, len(choice.train), len(specs))
        )


def _timed(step: background.Answer[float], spec: RunSpec, images: int, count: int) -> str:
    if step.error is not None:
        return plain(f"No time estimate: {seen(str(step.error))}")
    if step.value is None:
        return "Timing a few steps of this model …"
    each = step.value * images * spec.plan.epochs
    return (
        f"**About {duration(each)}** each"
        + (f", {duration(count * each)} for both" if count > 1 else "")
        + f", from a few steps on one "
        f"thread of this machine's processor: {images:,} images, {spec.plan.epochs} epochs. Checks, and steps that "
        "are taken back, come on "
        "top. No run of this model on this data set has finished here yet; after the first one the estimate "
        "rests on it."
    )


def pair(spec: RunSpec, method: StagedTraining) -> tuple[RunSpec, ...]:
    """The run, and the same one without a reaction; one alone when they are the same."""
    other = _without_reaction(spec)
    return (spec,) if method.reaction == "none" else (spec, other)


def _without_reaction(spec: RunSpec) -> RunSpec:
    stack = [d.with_values(reaction="none") if isinstance(d, StagedTraining) else d for d in spec.defenses]
    return spec.with_values(defenses=tuple(stack))


def _start(specs: Sequence[RunSpec]) -> None:
    usable = ("queued", "running", "finished")
    missing = [spec for spec in specs if not any(r.state in usable and not r.outdated for r in runs.find(spec.key()))]
    with refusable():
        runs.submit_many(missing, by=who())
        some = f"{len(missing)} of {len(specs)} runs are queued; the others are there."
        st.toast(some if len(missing) < len(specs) else "Both are queued.")


def _look(was_going: bool) -> None:
    """The chosen run; asked again and again while one with this defence is under way."""
    with guarded():
        own = [r for r in runs.snapshot().records[:MOST_RUNS] if staged.method_of(r.spec)]
        runs.attend(own)
        if was_going and all(r.over for r in own):
            st.rerun()
        found = {r.id: r for r in own if r.epoch}
        if not found:
            waits = "No run with this defence has trained an epoch yet."
            st.info("The first epoch of a run is not over yet." if was_going else waits)
            st.page_link(script("runs/page.py"), label="All runs →")
            return
        labels = {
            run_id: f"{title_of(r)}{', watched only' * _only_watched(r)} · {short_id(run_id)} · {r.state}"
            for run_id, r in found.items()
        }
        # Beside a run that reacts stands the one that was only watched; beside that one there is nothing.
        first = next((run_id for run_id, r in found.items() if not _only_watched(r)), next(iter(found)))
        chosen = found[pick("Run", labels, key="staged_run", default=first)]
        run_progress(chosen)
        shown = _of_run(chosen)
        if shown is not None:
            charts(shown)


def _only_watched(record: RunRecord) -> bool:
    return (staged.method_of(record.spec) or {}).get("reaction") == "none"


def _of_run(record: RunRecord) -> Shown | None:
    spec = record.run_spec
    if spec is None:
        st.info("This run's spec names something that this version of the program does not know.")
        return None
    trace = _trace(record, spec)
    if trace is None:
        st.info("This run has not written any check yet.")
        return None
    bare = spec.with_values(defenses=tuple(d for d in spec.defenses if not isinstance(d, StagedTraining)))
    other = _without_reaction(spec)
    alike = [
        r
        for key in (other.key(), bare.key())
        if key != spec.key()
        for r in runs.find(key)
        if r.precision == record.precision
    ]
    partner = next((r for r in alike if r.epoch), None)
    history = runs.folder(partner.id).history() if partner else None
    watched = _trace(partner, other) if partner and partner.spec_key == other.key() else None
    return Shown(title_of(record), trace, history, watched, f"staged_{record.id}", _role(record.spec))


def _role(spec: Mapping[str, Any]) -> str:
    return picture_role(poisoned=spec.get("attack") is not None, defended=False)


def _trace(record: RunRecord, spec: RunSpec) -> Trace | None:
    folder = runs.folder(record.id)
    result = folder.result()
    reports = [report.to_json() for report in result.training] if result else ()
    return trace_of(spec.to_json(), folder.history(), reports)


# ---- the charts --------------------------------------------------------------------------------


def charts(shown: Shown) -> None:
    """Numbers, then four charts over the same epochs."""
    trace = shown.trace
    _numbers(shown)
    left, right = st.columns(2)
    with left:
        curves = [Curve("staged training", (trace.history,), role="defended")]
        if shown.plain:
            curves = [Curve("plain training", (shown.plain,), role=shown.role), *curves]
        live_chart(
            compare_figure(curves, TEST), key="traced_accuracy", height=HEIGHT, filename=f"{shown.slug}_accuracy",
            alt="Clean test accuracy by epoch: "
                f"{_ends(shown)}.", question="What does a model learn about clean images?",
            caption=f"{_ends(shown).capitalize()}. Steps that were taken back are not epochs.",
        )  # fmt: skip
    with right:
        crossed = _crossing(shown)
        live_chart(
            signal_figure(trace, _same_sign(shown), shown.role),
            key="traced_signal",
            height=HEIGHT,
            filename=f"{shown.slug}_signal",
            alt=f"The sign of the trap by epoch, with its threshold of {trace.threshold:g}. {crossed}",
            question="When do the shallow layers fall into the trap?",
            caption=crossed,
        )
    left, right = st.columns(2)
    with left:
        live_chart(
            growth_figure(trace, shown.watched),
            key="traced_growth",
            height=HEIGHT + legend_growth(trace),
            filename=f"{shown.slug}_layers",
            alt="Activation-cluster measure of every layer, relative to the first check, by epoch.",
            question="At which layer do classes become clusters?",
            formula="ACM = distance between classes / distance inside classes",
            caption="Measured on training images as they are stored. Upright dashes: alarms; 5× means that training "
            "was taken back there five times.",
        )
    with right:
        when = "at the end" if trace.whole else "so far"
        frozen = f"Frozen {when}: {', '.join(trace.frozen)}." if trace.frozen else f"No layer is frozen {when}."
        live_chart(
            rates_figure(trace),
            key="traced_rates",
            height=HEIGHT + legend_growth(trace),
            filename=f"{shown.slug}_rates",
            alt=f"Factor on every layer's learning rate by epoch. {frozen}",
            question="What happens to each layer's learning rate?",
            caption="The factor beside the plan's own schedule; the image is below, the head (not shown) always "
            f"keeps 1. {frozen}",
        )


def _numbers(shown: Shown) -> None:
    trace = shown.trace
    own, other = trace.history[-1].test_accuracy, (shown.plain[-1].test_accuracy if shown.plain else None)
    first, second, third, fourth = st.columns(4)
    first.metric("Staged", percent(own, 1), help="Accuracy on clean test images after the last epoch.")
    second.metric(
        "Plain", percent(other, 1), help="The same training without any reaction: accuracy on clean test images."
    )
    at = trace.trapped_at
    seen = f"epoch {at:.3g}" if at is not None else "never" if trace.whole else "not yet"
    third.metric("Trap seen", seen, help="The first check above the threshold, in this run.")
    answered = str(trace.answered)
    fourth.metric(
        "Alarms", answered, help="Those that were answered; with rollback each took training back to the check before."
    )
    if not trace.whole:
        st.caption(
            "Until the run is over, only the state at the end of each epoch is known; then every check is shown."
        )


def _ends(shown: Shown) -> str:
    parts = [("staged training", shown.trace.history), *([("plain training", shown.plain)] if shown.plain else [])]
    return ", ".join(
        f"{name} at {percent(rows[-1].test_accuracy, 1)} after epoch {rows[-1].epoch}" for name, rows in parts
    )


def _same_sign(shown: Shown) -> Trace | None:
    """The watched plain run, where its signals measure the same."""
    return shown.watched if shown.watched and shown.watched.sign == shown.trace.sign else None


def _crossing(shown: Shown) -> str:
    parts = []
    limit = shown.trace.threshold
    for name, trace in (("Plain training", _same_sign(shown)), ("Staged training", shown.trace)):
        if trace is not None:
            at = trace.trapped_at if trace.threshold == limit else trace.first_above(limit)
            never = "never exceeds the threshold" if trace.whole else "has not exceeded the threshold so far"
            words = never if at is None else f"first exceeds the threshold after {at:.3g} epoch{'s' * (at != 1)}"
            parts.append(f"{name} {words}.")
    return " ".join(parts)
