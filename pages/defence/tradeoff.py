"""Under the Defence page's slider: damage against suppression, and runs over several values of the slider."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import streamlit as st

from pages.frame.cache import key_of
from pages.frame.guard import guarded, plain
from pages.frame.navigation import script
from pages.frame.visitor import who
from pages.state import background
from pages.state.choice import Selection
from pages.state.run_cost import run_cost
from pages.widgets.controls import parameter_control
from pages.widgets.live_chart import live_chart
from ued_core import runs
from ued_core.defenses import DefenseStack
from ued_core.figures.tradeoff import tradeoff
from ued_core.params import Parameter
from ued_core.records import ImageSet
from ued_core.runs import RunRecord
from ued_core.studies.suppression import Suppression, suppression, suppression_curve, sweep_values
from ued_core.studies.sweep import start_sweep

MEASURE = Parameter(
    name="measure", label="measure what is taken: perturbation against image", kind="bool", default=False,
    help="PSNR and SSIM to the clean images, the share of the perturbation that is left, border scores before and "
         "after, and the "
    "curve over the slider's range.",
)  # fmt: skip
PER_CLASS = 10
MOST_RUNS = 9
SWEPT_FROM = "sweep_from"
"""Which value of the slider the chosen values of a sweep belong to."""
MOST_SEEDS, USUAL_SEEDS = 10, 3


def measure_wanted() -> bool:
    """Whether the reader wants the measurement beside Θ; it costs a second a move, so it is asked for."""
    return parameter_control(MEASURE, key="measure", default=MEASURE.default)


def tradeoff_view(choice: Selection, stack: DefenseStack, draw: int, whole: ImageSet | None) -> None:
    """What the stack takes from the perturbation and from the images; the curve over the first defence's first
    parameter.

    The fragment around the call runs again when the measurement is done.
    """
    with st.container(), guarded():
        if trained := [d for d in stack if d.trains_networks]:
            # What is left of the perturbation needs the clean images treated alike, which are in no purified set.
            st.info(
                f"What {trained[0].title} takes from the perturbation and from the images is measured on its own page."
            )
            return
        clean, _ = choice.shown(PER_CLASS)
        poisoned = choice.trained_on(clean)
        # What is learned, and what acts inside training alone, has no curve that a page could wait for.
        drawn = not any(d.needs_whole_set or d.acts == {"training"} for d in stack)
        parameter = _swept(stack) if drawn else None
        # The last ones stand until the new ones are there: of the same images, and of defences of the same names.
        alike = key_of(suppression, clean, poisoned, [d.key for d in stack])
        point = background.ask(
            suppression,
            clean,
            poisoned,
            stack,
            draw,
            whole,
            slot="suppression",
            key=key_of(suppression, clean, poisoned, stack, draw),
            like=alike,
        )
        asked: list[background.Answer[Any]] = [point]
        curve: tuple[Suppression, ...] | None = None
        values: tuple[float, ...] = ()
        if parameter is not None:
            values = sweep_values(parameter)
            base = stack.with_first(**{parameter.name: parameter.default})
            swept = background.ask(
                suppression_curve,
                clean,
                poisoned,
                base,
                parameter.name,
                values,
                draw,
                whole,
                slot="suppression_curve",
                key=key_of(suppression_curve, clean, poisoned, base, parameter.name, values, draw),
                like=alike,
            )
            asked.append(swept)
            curve = swept.value
        background.wait_for(*asked, slot="suppression")
        for answer in asked:
            if answer.error is not None:
                st.warning(plain(f"This could not be measured: {answer.error}"))
        if point.value is None:
            st.info(f"Measuring {len(clean)} images …")
            return
        _show(choice, stack, point.value, curve, values, parameter)


def _swept(stack: DefenseStack) -> Parameter | None:
    """The first parameter of the first defence, when it has a range."""
    first = stack[0].parameters()[:1] if stack else ()
    return first[0] if first and sweep_values(first[0]) else None


def _show(
    choice: Selection,
    stack: DefenseStack,
    now: Suppression,
    curve: tuple[Suppression, ...] | None,
    values: tuple[float, ...],
    parameter: Parameter | None,
) -> None:
    if math.isnan(now.energy):
        st.info("The attack changes nothing in the images that are measured, so there is nothing to suppress.")
        return
    label = "" if parameter is None else parameter.label + (f" ({parameter.unit})" if parameter.unit else "")
    words = (
        f"**{100 * now.energy:.0f} %** of the perturbation's energy is left (**{100 * now.aligned:.0f} %** in its old "
        f"place) for a PSNR of **{now.psnr:.1f} dB** and an SSIM of {now.ssim:.3f} to the clean images (poisoned: "
        f"{now.psnr_poisoned:.1f} dB, "
        f"{now.ssim_poisoned:.3f}). Border score {now.border_poisoned:.3f} before, {now.border:.3f} after."
    )
    live_chart(
        tradeoff([_point(s) for s in curve or ()], values if curve else (), label, _point(now)),
        key="tradeoff",
        height=360,
        alt=words.replace("**", ""),
        filename=f"{choice.attack.key}_{stack[0].key}_tradeoff",
        question="What does the defence take: the perturbation, or the image?",
        formula="left = ‖D(x+δ) − D(x)‖^{2} / ‖δ‖^{2};  in its old place = ⟨D(x+δ) − D(x), δ⟩ / ‖δ‖^{2}",
        caption=f"{words} {f'The curve runs over {label}.' if curve else ''} Less energy is not everything: COIN "
        "moves a "
        "perturbation rather than removing it, and an attack by filters changes what a defence sees of every edge.",
    )


def _point(measured: Suppression) -> tuple[float, float, float]:
    return measured.psnr, measured.energy, measured.aligned


def sweep_choice(parameter: Parameter, now: float) -> tuple[list[float], list[float]]:
    """The values that are offered for a sweep and those that are chosen at first, each in order.

    Offered are evenly spaced ones over the range, the present value and the published one; chosen are the last two
    and a few over the whole range.
    """
    even = sweep_values(parameter)
    wanted = {now, parameter.default}
    few = even[:: max(1, len(even) // 4)]
    return sorted({*even, *wanted}), sorted({*few, *wanted})


@st.fragment
def sweep_button(choice: Selection, stack: DefenseStack, known: Sequence[RunRecord]) -> None:
    """Start a study of the first defence's first parameter, or a visitor's runs, one per value; ``known`` are runs,
    newest first, which tell how long one takes.

    It runs by itself: its box would close with a run of the whole page. What the slider moves meanwhile is what is
    swept.
    """
    parameter = _swept(stack)
    if parameter is None:
        return
    with st.popover("Sweep this parameter …"):
        now = getattr(stack[0], parameter.name)
        offered, first = sweep_choice(parameter, now)
        marks = {parameter.default: "published", now: "now"}
        if parameter.default == now:
            marks = {now: "now, published"}
        # What the slider says is among the values, also when it has moved since the box was opened.
        if st.session_state.get(SWEPT_FROM) != (stack[0].key, parameter.name, now):
            st.session_state[SWEPT_FROM] = (stack[0].key, parameter.name, now)
            st.session_state["sweep_values"] = first
        chosen = st.multiselect(
            f"Values of {parameter.label}",
            offered,
            format_func=lambda v: f"{v:g} ({marks[v]})" if v in marks else f"{v:g}",
            key="sweep_values",
            max_selections=MOST_RUNS,
        )
        if who().owner:
            _start_study(choice, stack, parameter, chosen, known)
        else:
            _start_runs(choice, stack, parameter, chosen, known)


def _start_study(
    choice: Selection, stack: DefenseStack, parameter: Parameter, chosen: Sequence[float], known: Sequence[RunRecord]
) -> None:
    """The owner's way: every value with several seeds, beside the attack alone and clean images."""
    count = int(st.number_input("Seeds", 1, MOST_SEEDS, USUAL_SEEDS, key="sweep_seeds"))
    st.caption(
        "A study: one run per value and seed, everything else as on this page, beside the attack alone and clean "
        "images with the same seeds. Its curve fills on the page Studies."
    )
    total = (len(chosen) + 2) * count
    if chosen:
        run_cost(choice.spec(stack), known, total)
    if st.button(f"Start {total} runs", type="primary", disabled=not chosen, key="sweep_start"):
        seeds = range(choice.seed, choice.seed + count)
        name, _ = start_sweep(choice.spec(stack), parameter.name, sorted(chosen), seeds, by=who())
        st.switch_page(script("studies/page.py"), query_params={"study": name})


def _start_runs(
    choice: Selection, stack: DefenseStack, parameter: Parameter, chosen: Sequence[float], known: Sequence[RunRecord]
) -> None:
    """A visitor's way: one run per value."""
    st.caption(
        "One training run per value, everything else as on this page. They are queued and can be compared on the page "
        "Runs."
    )
    if chosen:
        run_cost(choice.spec(stack), known, len(chosen))
    if st.button(f"Start {len(chosen)} runs", type="primary", disabled=not chosen, key="sweep_start"):
        stacks = [stack.with_first(**{parameter.name: value}) for value in chosen]
        runs.submit_many([choice.spec(own) for own in stacks], by=who())
        st.switch_page(script("runs/page.py"))
