"""What a run will cost, shown before it starts."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.frame import cache
from pages.frame.guard import plain
from pages.state.sets import split
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.data.base import Dataset
from ued_core.data.cache import is_kept
from ued_core.defenses import Defense
from ued_core.errors import Unavailable
from ued_core.records import ImageSet
from ued_core.runs import RunRecord, RunSpec
from ued_core.studies.estimate import UNKNOWN, CraftingCost, crafting_cost, duration, estimate, in_all


@cache.cached(max_entries=64)
def crafting_seconds(attack: WholeSetAttack, train: ImageSet) -> float:
    """:meth:`WholeSetAttack.seconds_for`, timed once."""
    return attack.seconds_for(train)


def run_cost(spec: RunSpec, known: Sequence[RunRecord], runs: int = 1) -> None:
    """Say what crafting, training and both will take.

    Args:
        spec: the run to come.
        known: all runs, newest first.
        runs: how many that differ in their seed only are to come.
    """
    for defense in spec.defenses:
        if defense.trains_networks:
            _purifying(defense, spec.dataset)
    training = estimate(spec, known)
    crafting = (
        _crafting(spec) if spec.attack is not None and spec.attack.needs_whole_set and spec.poison_rate > 0 else None
    )
    if crafting is None:
        st.caption(training.sentence(runs) if training else UNKNOWN)
        return
    show = st.caption if crafting.ready else st.info
    told = training.sentence(runs) if training else UNKNOWN
    show(
        plain(
            f"{crafting.sentence()} Training: {told[:1].lower()}{told[1:]} {in_all(crafting, training, runs)}".strip()
        )
    )


@cache.cached(max_entries=64)
def _purifying_seconds(defense: Defense, train: ImageSet) -> float:
    return defense.seconds_for(train)


def _purifying(defense: Defense, dataset: Dataset) -> None:
    """Say what a defence that trains networks of its own takes; whether it is ready is known once the poison is
    there."""
    train = _at_hand(dataset)
    takes = (
        f"about {duration(_purifying_seconds(defense, train))} of this machine's processor"
        if train is not None
        else "minutes to hours"
    )
    st.info(
        plain(
            f"{defense.title} trains its own networks on the poisoned set first: {takes}, unless a run has done "
            "exactly that before. "
            "What is cancelled goes on later where it was; the purified set is kept for every run with the same "
            "images and parameters."
        )
    )


def _crafting(spec: RunSpec) -> CraftingCost | None:
    train = _at_hand(spec.dataset)
    assert isinstance(spec.attack, WholeSetAttack)
    if train is None:
        st.info(
            f"{spec.attack.title} is crafted first, from all training images. How long that takes is known once "
            f"{plain(spec.dataset.title)} has been loaded here; the page Attack does that, and the run itself."
        )
        return None
    try:
        return crafting_cost(spec.attack, train, spec.attack_seed, crafting_seconds)
    except Unavailable as error:
        st.warning(plain(f"This run cannot be crafted as it is. {error}"))
        return None


def _at_hand(dataset: Dataset) -> ImageSet | None:
    """The training images when they need no download."""
    return split(dataset).train if dataset.embedded or is_kept(dataset) else None
