"""The stack of defences that a page shows."""

from __future__ import annotations

import streamlit as st

from pages.frame.cache import cached
from pages.frame.chips import chip
from pages.state.choice import Selection
from pages.widgets.controls import (
    choose,
    choose_several,
    method_address,
    method_controls,
    parameter_control,
    value_of,
)
from ued_core.catalogue import Catalogue
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense, DefenseStack
from ued_core.errors import Unavailable
from ued_core.params import Parameter
from ued_core.records import ImageSet
from ued_core.studies.estimate import duration

QUICK: Catalogue[Defense] = Catalogue("defence", [d for d in DEFENSES.values() if not d.trains_networks])
"""Those whose work can be seen at once; the others train for minutes."""
CHOSEN_AT_FIRST: type[Defense] = next(iter(DEFENSES.values()))
PATIENCE_S = 30.0
"""What a page may spend on learning before it shows anything."""
DRAW = Parameter(
    name="draw", label="epoch shown", kind="int", default=0, minimum=0, maximum=9999,
    help="Defences with random draws, such as COIN, draw anew in every epoch of training; this picks whose draws "
         "are shown.",
)  # fmt: skip


def stack_chip(*, trained: bool = False) -> tuple[DefenseStack, int]:
    """Everything about the defences but the first parameter of the first one, as a chip at the top of the page.

    Args:
        trained: offer those too that train for minutes; the page calls :func:`whole_set` before it shows their work.

    Returns:
        The stack, whose first defence has its first parameter's default, and the epoch shown.
    """
    offered = DEFENSES if trained else QUICK
    with chip("Defence", _title_of(offered, value_of("defence", CHOSEN_AT_FIRST.key))):
        method = choose(offered, key="defence", label="Defence")
        with st.expander(f"{method.title} parameters"):
            rest = [method_controls(method, key="defence", exclude=_first(method))]
            draw = parameter_control(DRAW, key="draw", default=0)
        further = choose_several(
            offered, key="further", label="Further defences", without=(method.key,),
            help="They act after the first one, in this order. Those that treat images once, before training, come "
                 "before those "
            "that act in every epoch.",
        )  # fmt: skip
        for added in further:
            if added.parameters():
                with st.expander(f"{added.title} parameters"):
                    rest.append(method_controls(added, key="further"))
            else:
                rest.append(added())
    return DefenseStack(rest), draw


def stack_address(stack: DefenseStack, draw: int) -> dict[str, str]:
    """The address under which every page with :func:`stack_chip` shows this stack."""
    main, *further = stack
    address = {**method_address(main, key="defence"), DRAW.name: str(draw)}
    for defense in further:
        address |= method_address(defense, key="further")
    return {**address, "further": ",".join(defense.key for defense in further)}


def main_control(rest: DefenseStack, *, named: bool = False) -> DefenseStack:
    """The first parameter of the first defence, large; returns the stack.

    Args:
        named: say which defence it is, where the page does not begin with it.
    """
    main, *further = rest.defenses
    with st.container(border=True):
        if named and (main.parameters() or further):
            st.markdown(f"The defence that is tried: **{rest.title}**. Others are under *Defence* at the top.")
        if not main.parameters():
            st.markdown(f"**{main.title}.** {main.summary()} It has no parameters.")
            return rest
        if not named:
            introduce(main)
        main = method_controls(type(main), key="defence", only=(main.parameters()[0].name,), values=main.model_dump())
        return DefenseStack([main, *further])


def introduce(main: Defense) -> None:
    """What the first defence does, unless it is the one that a page begins with: its first lines are about that one,
    and a slider called "quality" would be anybody's."""
    if type(main) is not CHOSEN_AT_FIRST:
        st.markdown(f"**{main.title}.** {main.summary()}")


def _title_of(offered: Catalogue[Defense], name: str) -> str:
    """The title behind a name, that of the first defence where it is none of the page's, and how many further ones
    stand behind it."""
    further = value_of("further", "")
    count = len(list(filter(None, further.split(",")))) if isinstance(further, str) else len(further)
    title = offered[name if name in offered else CHOSEN_AT_FIRST.key].title
    return f"{title} + {count}" if count else title


def _first(method: type[Defense]) -> tuple[str, ...]:
    """Name of the first parameter, if there is one."""
    return tuple(p.name for p in method.parameters()[:1])


def when_drawn(stack: DefenseStack, draw: int) -> str:
    """Whether what is shown is one draw of many, in words for a caption."""
    if "augment" in stack.acts:
        hidden = " What is done to the training itself cannot be seen on images." if "training" in stack.acts else ""
        return (
            f"These are the draws of one epoch (number {draw}); training draws anew in every epoch, with the same "
            f"code.{hidden}"
        )
    if stack.acts == {"training"}:
        return "These defences leave the images as they are and act on the training itself."
    return "Every image is treated once, before training, with the same code; there are no random draws."


def whole_set(stack: DefenseStack, choice: Selection) -> tuple[ImageSet | None, str]:
    """What a stack needs besides a few images to be shown.

    Returns:
        The poisoned training set when a defence must see all of it, which has then learned what it needs or does so
        quickly, and None otherwise; and for a caption which states of unfinished work are shown.

    Raises:
        Unavailable: a defence would learn longer than a page should wait.
    """
    if not stack.needs_whole_set:
        return None, ""
    whole = choice.trained_on(choice.train)
    for learner in stack.learners(whole, _purified):
        if not learner.ready(PATIENCE_S):
            takes = duration(_estimate(learner.defense, learner.given))
            looked_at = learner.last and learner.defense.trains_networks
            when = "from its first saved state on" if looked_at else "when it has learned"
            raise Unavailable(
                f"{learner.defense.title} first learns from all {len(whole):,} images, which takes about {takes} here.",
                "Start a training run with it: the run learns first and keeps it, and this page shows the images "
                f"{when}.",
            )
    return whole, stack.state_words(whole, _purified)


@cached(max_entries=16)
def _estimate(learner: Defense, given: ImageSet) -> float:
    return learner.seconds_before(given)


@cached(max_entries=4)
def _purified(whole: ImageSet, stack: DefenseStack) -> ImageSet:
    return stack.purify(whole, Context())


@cached(max_entries=64)
def defended(
    images: ImageSet, stack: DefenseStack, draw: int, whole: ImageSet | None = None, reached: str = ""
) -> ImageSet:
    """What a network would see of the images in one epoch; ``whole`` and ``reached`` are those of :func:`whole_set`."""
    return stack.preview(images, Context(seed=draw), whole=whole)
