"""The page Defence: tune a defence, or several, by eye; tiles, Θ and features follow."""

from contextlib import suppress
from dataclasses import dataclass

import streamlit as st

from pages.defence.consistency import (
    Explained,
    Watched,
    explained,
    feature_view,
    theta_chip,
    theta_text,
    theta_view,
    watched,
    who_looks,
)
from pages.defence.cost import Costed, cost_view, costed
from pages.defence.left import left_view
from pages.defence.tradeoff import MEASURE, measure_wanted, sweep_button, tradeoff_view
from pages.frame.crowd import in_turn
from pages.frame.guard import guarded, plain
from pages.frame.navigation import script
from pages.state.choice import Selection, protocol_line
from pages.state.handover import examine_this, train_with_this
from pages.state.known_words import known_caption, known_table
from pages.state.selection import selection_chips
from pages.state.stack import defended, stack_chip, when_drawn, whole_set
from pages.state.strength import Strength, following, strength_control, strength_of
from pages.state.train_here import pair_of, train_here
from pages.widgets.controls import value_of
from pages.widgets.tile_rows import Picture, picture, tile_rows
from ued_core import runs
from ued_core.defenses import DefenseStack
from ued_core.errors import Unavailable
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.records import ImageSet

POISONED, DEFENDED = 1, 2
"""Places of these rows of tiles."""
RECENT_RUNS = 50
"""Of the newest runs, finished ones tell how long an epoch takes."""


@dataclass(frozen=True)
class Still:
    """What the slider does not move, prepared by the run of the whole page.

    Attributes:
        choice: data, attack and key.
        images, poisoned: one image of each class, clean and as the attack leaves it.
        rows: both as rows of tiles.
        names: their classes.
        line: the choice in words.
        strength: the slider under what was measured along it; None where the defence has none.
        theta, features, cost: what the views below the images are about.
    """

    choice: Selection
    images: ImageSet
    poisoned: ImageSet
    rows: tuple[tuple[str, str, Picture], ...]
    names: tuple[str, ...]
    line: str
    strength: Strength | None
    theta: Explained | None
    features: Watched
    cost: Costed


def prepared(choice: Selection, rest: DefenseStack, samples: int) -> Still:
    """Everything for :func:`follow_the_slider` that stays where it is."""
    known = runs.snapshot().records
    images, _ = choice.shown(1)
    poisoned = choice.trained_on(images)
    return Still(
        choice,
        images,
        poisoned,
        (("clean", "", picture(images.images)), ("poisoned", choice.attack.title, picture(poisoned.images))),
        tuple(choice.train.class_names[label] for label in images.labels.tolist()),
        protocol_line(choice),
        strength_of(choice, rest, known),
        explained(choice, rest, samples),
        watched(choice),
        costed(choice, known[:RECENT_RUNS]),
    )


def _not_yet(still: Still, stack: DefenseStack, missing: Unavailable) -> None:
    """What there is before a defence has learned: no mistake of the reader's."""
    attack = still.choice.attack.title
    tile_rows(
        still.rows,
        alt=f"One image of each class: clean, and poisoned by {attack}.",
        names=still.names,
        caption=f"{still.line}.",
    )
    st.info(f"{plain(missing.what)}\n\n**What to do:** {plain(missing.do)}")
    for defense in stack:
        if defense.page_words:
            st.page_link(script(f"{defense.page}/page.py"), label=f"{defense.page_words} →")


@st.fragment
def follow_the_slider(still: Still, rest: DefenseStack, draw: int) -> DefenseStack:
    """What moves with the slider; the rest of the page is not run again then, so it holds as little as possible.

    Returns:
        The stack, to the run of the whole page.
    """
    stack = DefenseStack()
    with guarded(), in_turn():
        stack = strength_control(still.strength, rest)
        choice, before = still.choice, still.images.images
        try:
            whole, reached = whole_set(stack, choice)
        except Unavailable as missing:
            _not_yet(still, stack, missing)
            return stack
        after = defended(still.poisoned, stack, draw, whole, reached)
        measured = bool(value_of(MEASURE.name, False))
        gain = fitting_gain(before, after.images)
        left_over = amplified_difference(before, after.images, gain) if measured else None
        pictures, beside = st.columns([0.77, 0.23], gap="medium")
        with pictures:
            tile_rows(
                [
                    *still.rows,
                    ("defended", stack.title or "nothing", after.images),
                    *([("defended − clean", f"× {gain:g}, grey = none", left_over)] if measured else ()),
                ],
                alt=f"One image of each class: clean, poisoned by {choice.attack.title}, defended"
                f"{f', and what remains different, amplified {gain:g} times' if measured else ''}.",
                names=still.names,
                caption=f"{still.line}. {when_drawn(stack, draw)}{reached}",
                live=following(still.strength, still.poisoned, rest, stack, draw, DEFENDED, POISONED),
            )
        with beside:
            looks = who_looks(still.features.onlookers)
            left_view(still.strength, choice, rest, stack, draw, still.features.onlookers)
        left, right = st.columns(2, gap="medium")
        with left:
            theta_view(still.theta, stack, "" if still.strength is None else still.strength.key)
            if still.theta is None:
                tradeoff_view(choice, stack, draw, whole)
        with right:
            feature_view(still.features, looks, stack, draw, whole, reached)
        if still.theta is not None and measured:
            tradeoff_view(choice, stack, draw, whole)
    return stack


@st.fragment
def what_it_costs(still: Still, stack: DefenseStack) -> None:
    """What the defences cost; hardly anything of it depends on the slider, so it stands outside its fragment."""
    with st.container(), guarded(), suppress(Unavailable):
        whole, _ = whole_set(stack, still.choice)
        cost_view(still.cost, stack, whole)


st.title("Defence")
st.markdown("Shake until the poison is gone, but the shapes are not: **drag the slider**.")
choice = selection_chips(looks=True)
rest, draw = stack_chip(trained=True)
samples = theta_chip()
with in_turn():
    still = prepared(choice, rest, samples)
stack = follow_the_slider(still, rest, draw)
if stack:
    train_here(pair_of(choice, stack), key="defence")
    with st.container(horizontal=True):
        train_with_this(choice, stack, page="Defence")
        examine_this(choice, stack, draw)
        sweep_button(choice, stack, runs.snapshot().records[:RECENT_RUNS])
        if still.theta is not None:
            measure_wanted()
    what_it_costs(still, stack)
known_caption(choice.spec(), rest)
known_table(choice.spec())
theta_text(still.theta)
