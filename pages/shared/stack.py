"""The stack of defences that a page shows."""

from __future__ import annotations

import streamlit as st

from pages.shared.cache import cached
from pages.shared.controls import choose, method_controls, parameter_control
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense, preview
from ued_core.params import Parameter
from ued_core.records import ImageSet

DRAW = Parameter(
    name="draw", label="epoch shown", kind="int", default=0, minimum=0, maximum=9999,
    help="COIN draws new displacements in every epoch of training; this picks whose draws are shown.",
)  # fmt: skip


def stack_controls() -> tuple[tuple[Defense, ...], int]:
    """The defence's controls, the first one large and on top; returns the stack and the epoch shown."""
    with st.sidebar:
        method = choose(DEFENSES, key="defence", label="Defence") if len(DEFENSES) > 1 else next(iter(DEFENSES.values()))
    first = method.parameters()[0].name
    with st.container(border=True):
        main = method_controls(method, key="defence", only=(first,))
    with st.sidebar, st.expander(f"{method.title} parameters"):
        rest = method_controls(method, key="defence", exclude=(first,), values=main.model_dump())
        draw = parameter_control(DRAW, key="draw", default=0)
    return (rest,), draw


@cached(max_entries=64)
def defended(images: ImageSet, stack: tuple[Defense, ...], draw: int) -> ImageSet:
    """What a network would see of the images in one epoch."""
    return preview(stack, images, Context(seed=draw))
