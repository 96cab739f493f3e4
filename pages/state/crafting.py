"""Attacks that work on the whole training set: saying what crafting takes, starting it, following it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import streamlit as st

from pages.frame.guard import plain, refusable, show_refusal
from pages.frame.hidden import seen
from pages.frame.navigation import script
from pages.frame.visitor import who
from pages.state.choice import Selection
from pages.state.run_cost import crafting_seconds
from pages.state.run_words import short_id
from ued_core import runs
from ued_core.artefacts import STOPPED
from ued_core.attacks.checkpoint import crafted_card
from ued_core.attacks.looks import Look, shipped_look
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.runs import RunRecord
from ued_core.studies.estimate import duration

LOOK_EVERY_S = 2.0


def is_ready(choice: Selection) -> bool:
    """Whether the attack's images can be shown: it is not crafted, or it has been."""
    return not choice.attack.needs_whole_set or is_crafted(choice)


def shipped_look_of(choice: Selection) -> Look | None:
    """The few images of this choice's crafted set that ship with the program."""
    return shipped_look(cast(WholeSetAttack, choice.attack), choice.seed, choice.train)


def look_note(choice: Selection, look: Look) -> None:
    """Say what a page shows of a set that has yet to be crafted, and offer to craft it."""
    st.info(look_words(choice, look))
    running = crafting_run(choice, runs.snapshot().records[:50])
    # Its estimate takes a few gradient steps, so it is made for those alone who ask.
    whole = st.expander(
        "Craft the whole set", key="craft_whole", on_change="rerun", expanded=running is not None and not running.over
    )
    with whole:
        if whole.open:
            offer_crafting(choice)


def look_words(choice: Selection, look: Look) -> str:
    """What a look is, in Markdown."""
    card, log = look.card, look.card["log"]
    stopped = log.get(STOPPED)
    how = f"Its crafting was **ended early, {plain(stopped)}**. " if stopped else ""
    return (
        f"**{len(look.rows)} images of a real crafting, which ship with the program.** {plain(choice.attack.title)} "
        f"was crafted on all {card['images']:,} images of {plain(choice.dataset.title)} with the parameters and the "
        f"key at the top, in {duration(log['cpu_s'])} of processor time; a few images per class were kept. {how}"
        "They are for looking: training, detectors and measures of a whole set need the whole set."
    )


def offer_crafting(choice: Selection) -> None:
    """Say what crafting takes, and start or follow the run that does it.

    A few images say nothing to an attack whose noise follows from all of them, so pages never craft: a run does, as
    its first step, and what it made is kept for every page. The page runs again once it is done.
    """
    attack, count = cast(WholeSetAttack, choice.attack), len(choice.train)
    st.info(
        f"**{attack.title} has to be crafted before it can be shown.** The noise of one image depends on all "
        f"{count:,} images and on "
        f"the model whose gradients are followed: at most {attack.gradient_evaluations(count):,} gradient evaluations, "
        f"**at most about {duration(crafting_seconds(attack, choice.train))}** of this machine's processor. A run "
        "crafts the set as its "
        "first step; the set is then kept, and every page and every other run with the same data, parameters and key "
        "reads it."
    )
    _follow(choice)


def too_few(look: Look, why: str) -> str:
    """Why a part of a page stays empty beside a look.

    Args:
        look: what is shown.
        why: what the part needs, a sentence without its end.
    """
    return f"{why}; the {len(look.rows)} images that ship are too few. Craft the whole set, at the top of the page."


def crafting_note(choice: Selection) -> None:
    """How the crafting went, for attacks that are crafted."""
    if not choice.attack.needs_whole_set:
        return
    found = choice.look.card if choice.look else crafted_card(choice.attack, choice.seed, choice.train.content_hash)
    log = (found or {}).get("log")
    if log:
        show = st.caption if log["converged"] else st.warning
        known = f" {log['surrogate']}" if "surrogate" in log else ""
        took = f"{duration(log['cpu_s'])} of processor time" if choice.look else duration(log["seconds"])
        show(plain(f"{log['note']}{known} Crafted once in {took}."))


def is_crafted(choice: Selection) -> bool:
    """Whether the set of this choice has been crafted and can be shown."""
    return crafted_card(choice.attack, choice.seed, choice.train.content_hash) is not None


@st.fragment(run_every=LOOK_EVERY_S)
def _follow(choice: Selection) -> None:
    """The run that crafts this, or a button that starts one."""
    if is_crafted(choice):
        st.rerun(scope="app")
    show_refusal()
    found = crafting_run(choice, runs.snapshot().records[:50])
    if found is not None and not found.over:
        runs.attend([found])
        where = (
            f"The run {short_id(found.id)} is crafting it"
            if found.state == "running"
            else f"The run {short_id(found.id)} is queued"
        )
        st.progress(found.fraction if found.state == "running" else 0.0, plain(f"{where}. {seen(found.text)}"))
        st.caption("This page shows the images as soon as they are there; you may leave it meanwhile.")
    else:
        if found is not None and found.stopped_early:
            st.caption(
                plain(f"In the run {short_id(found.id)} crafting was stopped early; that set belongs to the run alone.")
            )
        elif found is not None and found.state != "finished":
            st.warning(plain(f"The last run that should craft it is {found.state}. {seen(found.error)}"))
        st.button(
            "Craft it: start a run", type="primary", on_click=_start, args=(choice,),
            help="Trains the default model on the crafted images afterwards; on the page Runs you may choose another "
                 "one instead.",
        )  # fmt: skip
    st.page_link(script("runs/page.py"), label="All runs →")


def crafting_run(choice: Selection, records: Sequence[RunRecord]) -> RunRecord | None:
    """The newest run of this data set, attack and key; one that is not over comes first."""
    wanted = {"dataset": choice.dataset.to_json(), "attack": choice.attack.to_json(), "attack_seed": choice.seed}
    alike = [r for r in records if all(r.spec.get(name) == value for name, value in wanted.items())]
    return next((r for r in alike if not r.over), next(iter(alike), None))


def _start(choice: Selection) -> None:
    with refusable():
        runs.submit(choice.spec(), by=who())
