"""The page Defence: tune a defence, or several, by eye; tiles, Θ and features follow."""

from collections.abc import Sequence

import streamlit as st

from pages.defence.consistency import feature_view, theta_sidebar, theta_text, theta_view
from pages.defence.cost import cost_view
from pages.defence.tradeoff import measure_wanted, sweep_button, tradeoff_view
from pages.frame.crowd import in_turn
from pages.frame.guard import guarded, plain
from pages.frame.navigation import script
from pages.state.choice import Selection, protocol_line
from pages.state.handover import examine_this, train_with_this
from pages.state.selection import sidebar_selection
from pages.state.stack import defended, main_control, stack_sidebar, when_drawn, whole_set
from pages.widgets.tile_rows import tile_rows
from ued_core import runs
from ued_core.defenses import DefenseStack
from ued_core.errors import Unavailable
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.records import ImageSet
from ued_core.runs import RunRecord

RECENT_RUNS = 50
"""Of the newest runs, finished ones tell how long an epoch takes."""


def _not_yet(
    choice: Selection, images: ImageSet, poisoned: ImageSet, stack: DefenseStack, missing: Unavailable
) -> None:
    """What there is before a defence has learned: no mistake of the reader's."""
    tile_rows(
        [("clean", "", images.images), ("poisoned", choice.attack.title, poisoned.images)],
        alt=f"One image of each class: clean, and poisoned by {choice.attack.title}.",
        names=[choice.train.class_names[label] for label in images.labels.tolist()],
        caption=f"{protocol_line(choice)}.",
    )
    st.info(f"{plain(missing.what)}\n\n**What to do:** {plain(missing.do)}")
    for defense in stack:
        if defense.page_words:
            st.page_link(script(f"{defense.page}/page.py"), label=f"{defense.page_words} →")


@st.fragment
def follow_the_slider(
    choice: Selection, rest: DefenseStack, draw: int, samples: int, known: Sequence[RunRecord]
) -> DefenseStack:
    """What moves with the slider; the rest of the page is not run again then, so it holds as little as possible.

    Returns:
        The stack, to whoever runs the whole page.
    """
    stack = DefenseStack()
    with guarded(), in_turn():
        stack = main_control(rest)
        images, _ = choice.shown(1)
        poisoned = choice.trained_on(images)
        try:
            whole, reached = whole_set(stack, choice)
        except Unavailable as missing:
            _not_yet(choice, images, poisoned, stack, missing)
            return stack
        result = defended(poisoned, stack, draw, whole, reached)
        names = choice.train.class_names
        gain = fitting_gain(images.images, result.images)
        tile_rows(
            [
                ("clean", "", images.images),
                ("poisoned", choice.attack.title, poisoned.images),
                ("defended", stack.title or "nothing", result.images),
                (
                    "defended − clean",
                    f"× {gain:g}, grey = none",
                    amplified_difference(images.images, result.images, gain),
                ),
            ],
            alt=f"One image of each class: clean, poisoned by {choice.attack.title}, defended, "
            f"and what remains different, amplified {gain:g} times.",
            names=[names[label] for label in images.labels.tolist()],
            caption=f"{protocol_line(choice)}. {when_drawn(stack, draw)}{reached}",
        )
        cost_view(choice, stack, whole, known)
        left, right = st.columns([1, 1], gap="medium")
        with left:
            defined = theta_view(choice, stack, samples)
            if not defined:
                tradeoff_view(choice, stack, draw, whole)
        with right:
            feature_view(choice, stack, draw, whole, reached)
        if defined and measure_wanted():
            tradeoff_view(choice, stack, draw, whole)
    return stack


st.title("Defence")
st.markdown(
    "**How much must the images be shaken before the shortcut is gone?** COIN moves every pixel by a random amount of "
    "up to α. Pull the slider and watch three things: the images, the two Θ metrics, and the clusters of features. "
    "Other defences are in the sidebar, alone or one after another."
)
choice = sidebar_selection()
rest, draw = stack_sidebar(trained=True)
known = runs.snapshot().records[:RECENT_RUNS]
samples = theta_sidebar()
stack = follow_the_slider(choice, rest, draw, samples, known)
if stack:
    theta_text(choice, stack, samples)
    with st.container(horizontal=True):
        train_with_this(choice, stack, page="Defence")
        examine_this(choice, stack, draw)
        sweep_button(choice, stack, known)
