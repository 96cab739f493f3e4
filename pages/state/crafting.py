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
from ued_core.attacks.checkpoint import crafted_card
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.runs import RunRecord
from ued_core.studies.estimate import duration

LOOK_EVERY_S = 2.0


def stop_until_crafted(choice: Selection) -> None:
    """Let the page run on when the attack's images can be shown; otherwise say what is missing, and end the page
    here."""
    if not choice.attack.needs_whole_set or is_crafted(choice):
        return
    offer_crafting(choice)
    st.stop()


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


def crafting_note(choice: Selection) -> None:
    """How the crafting went, for attacks that are crafted."""
    if not choice.attack.needs_whole_set:
        return
    log = (crafted_card(choice.attack, choice.seed, choice.train.content_hash) or {}).get("log")
    if log:
        show = st.caption if log["converged"] else st.warning
        known = f" {log['surrogate']}" if "surrogate" in log else ""
        show(plain(f"{log['note']}{known} Crafted once in {duration(log['seconds'])}."))


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
