"""On the Defence page: what an epoch costs under the chosen stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.frame.cache import key_of
from pages.frame.guard import guarded, plain
from pages.state import background
from pages.state.choice import Selection
from ued_core.defenses import DefenseStack
from ued_core.records import ImageSet
from ued_core.runs import RunRecord, RunSpec
from ued_core.studies.epoch_cost import EpochCost, epoch_cost, plain_seconds, treatment_of
from ued_core.studies.estimate import Estimate, duration, estimate

PER_CLASS = 10
# Only once the slider rests: every result runs this part of the page again.
AT_REST_S = 0.5


@dataclass(frozen=True)
class Costed:
    """What the cost of an epoch rests on, whatever the slider says.

    Attributes:
        images: how many are trained on.
        few: some of them, poisoned; defences are timed on them.
        spec: a run with the default model and plan, and no defence.
        plain: names the time of a step of it.
        known: runs, newest first.
    """

    images: int
    few: ImageSet
    spec: RunSpec
    plain: str
    known: Sequence[RunRecord]


def costed(choice: Selection, known: Sequence[RunRecord]) -> Costed:
    """What is spoken of for this choice; ``known`` are runs, newest first."""
    shown, _ = choice.shown(PER_CLASS)
    few, spec = choice.trained_on(shown), choice.spec()
    return Costed(len(choice.train), few, spec, key_of(plain_seconds, few, spec.model, spec.plan), known)


@st.fragment
def cost_view(of: Costed, stack: DefenseStack, whole: ImageSet | None) -> None:
    """The time of an epoch, the network's work, what of it is augmentation, and what comes once.

    Args:
        of: the run.
        stack: the defences.
        whole: the poisoned training set, for defences that must see all of it.
    """
    with guarded():
        plain_step = background.ask(
            plain_seconds, of.few, of.spec.model, of.spec.plan, slot="cost_plain", key=of.plain, after_s=AT_REST_S
        )
        # What was measured at another place of the slider stands until the new numbers are there.
        treatment = background.ask(
            treatment_of,
            of.few,
            stack,
            0,
            whole,
            slot="cost_treatment",
            like=f"{of.few.content_hash} {' '.join(defense.key for defense in stack.defenses)}",
            after_s=AT_REST_S,
        )
        background.wait_for(plain_step, treatment, slot="cost")
        for step in (plain_step, treatment):
            if step.error is not None:
                st.warning(plain(f"What the defence costs could not be measured: {step.error}"))
        measured = None
        if plain_step.value is not None and treatment.value is not None:
            measured = epoch_cost(stack, plain_step.value, treatment.value)
        pace = estimate(of.spec.with_values(defenses=stack), of.known) if of.known else None
        _show(of.spec, stack, measured, pace, of.images, len(of.few))


def _show(
    spec: RunSpec, stack: DefenseStack, cost: EpochCost | None, pace: Estimate | None, images: int, few: int
) -> None:
    if cost is None:
        st.markdown(f"**An epoch of {images:,} images:** the cost of these defences is being measured …")
        st.caption("It takes a second.")
        return
    step = cost.step
    work = "**as in a plain epoch**" if step.passes == 1 else f"**{step.passes:.3g} ×** that of a plain epoch"
    share = (
        f"**{100 * cost.augmenting_share:.0f} %** of the time"
        if cost.augmenting_share >= 0.005
        else "**under 1 %** of the time"
    )
    drawn = f", {step.draws:.3g} draws per step" if step.draws != 1 else ""
    once = f"about {_span(cost.once_s(images))}" if cost.once_s(images) else "nothing"
    st.markdown(
        f"**An epoch of {images:,} images takes about {_span(images * _seconds_an_image(cost, pace))} on this machine "
        "when it is idle.**"
    )
    with st.expander("What of it the defences cost"):
        st.markdown(
            f"The network's work: {work} · augmenting the batches: "
            f"{f'{share}{drawn}' if cost.augmenting_s else '**nothing**'} · once before training: **{once}**"
        )
        st.caption(plain(" ".join(_sources(spec, stack, cost, pace, few))))


def _seconds_an_image(cost: EpochCost, pace: Estimate | None) -> float:
    if pace is None:
        return cost.image_s
    # Runs with these very defences augmented too.
    return 1 / pace.images_per_s / (1.0 if pace.same_defences else 1 - cost.augmenting_share)


def _sources(spec: RunSpec, stack: DefenseStack, cost: EpochCost, pace: Estimate | None, few: int) -> list[str]:
    """Where the numbers come from, and what is not in them."""
    names = f"{spec.model.title}, {spec.plan.title}."
    if pace is None:
        time = (
            f"Measured on one CPU thread with {few} images: no run of this model on this data set has finished here "
            "yet."
        )
    else:
        time = f"The time is {pace.source()}" + (
            "." if pace.same_defences or not cost.augmenting_s else "; its share is added."
        )
    said = {d.beyond_step_cost for d in stack if d.beyond_step_cost}
    return [
        names,
        time,
        f"The network's work is declared by each defence, augmentation is measured on {few} images shown here.",
        *said,
    ]


def _span(seconds: float) -> str:
    """A time, with a decimal where whole seconds say too little."""
    return duration(seconds) if seconds >= 10 else f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
