"""The stack of defences that a page shows."""

from __future__ import annotations

import streamlit as st

from pages.shared.cache import cached
from pages.shared.controls import choose, choose_several, method_controls, parameter_control
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense, preview
from ued_core.defenses.purified import TrainedDefense
from ued_core.params import Catalogue, Parameter
from ued_core.records import ImageSet

QUICK: Catalogue[Defense] = Catalogue("defence", [d for d in DEFENSES.values() if not issubclass(d, TrainedDefense)])
"""Those whose work can be seen at once; the others train for minutes and have pages of their own."""
DRAW = Parameter(
    name="draw", label="epoch shown", kind="int", default=0, minimum=0, maximum=9999,
    help="Defences with random draws, such as COIN, draw anew in every epoch of training; this picks whose draws are shown.",
)  # fmt: skip


def stack_sidebar() -> tuple[tuple[Defense, ...], int]:
    """Everything about the defences but the first parameter of the first one, in the sidebar.

    Returns:
        The stack, whose first defence has its first parameter's default, and the epoch shown.
    """
    with st.sidebar:
        method = choose(QUICK, key="defence", label="Defence")
        with st.expander(f"{method.title} parameters"):
            rest = [method_controls(method, key="defence", exclude=_first(method))]
            draw = parameter_control(DRAW, key="draw", default=0)
        further = choose_several(
            QUICK, key="further", label="Further defences", without=(method.key,),
            help="They act after the first one, in this order. Those that treat images once, before training, come before those "
            "that act in every epoch.",
        )  # fmt: skip
        for added in further:
            if added.parameters():
                with st.expander(f"{added.title} parameters"):
                    rest.append(method_controls(added, key="further"))
            else:
                rest.append(added())
    return tuple(rest), draw


def main_control(rest: tuple[Defense, ...]) -> tuple[Defense, ...]:
    """The first parameter of the first defence, large; returns the stack."""
    main, *further = rest
    with st.container(border=True):
        if not main.parameters():
            st.markdown(f"**{main.title}.** {main.summary()} It has no parameters.")
            return rest
        return (method_controls(type(main), key="defence", only=_first(type(main)), values=main.model_dump()), *further)


def _first(method: type[Defense]) -> tuple[str, ...]:
    """Name of the first parameter, if there is one."""
    return tuple(p.name for p in method.parameters()[:1])


def when_drawn(stack: tuple[Defense, ...], draw: int) -> str:
    """Whether what is shown is one draw of many, in words for a caption."""
    if any("augment" in d.acts for d in stack):
        return f"These are the draws of one epoch (number {draw}); training draws anew in every epoch, with the same code."
    if stack and all(d.acts == {"training"} for d in stack):
        return "These defences leave the images as they are and act on the training itself."
    return "Every image is treated once, before training, with the same code; there are no random draws."


@cached(max_entries=64)
def defended(images: ImageSet, stack: tuple[Defense, ...], draw: int) -> ImageSet:
    """What a network would see of the images in one epoch."""
    return preview(stack, images, Context(seed=draw))
