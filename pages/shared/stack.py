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


def stack_sidebar() -> tuple[Defense, int]:
    """Everything about the defence but its first parameter, in the sidebar.

    Returns:
        The defence with its first parameter's default, and the epoch shown.
    """
    with st.sidebar:
        method = choose(DEFENSES, key="defence", label="Defence") if len(DEFENSES) > 1 else next(iter(DEFENSES.values()))
        with st.expander(f"{method.title} parameters"):
            rest = method_controls(method, key="defence", exclude=(_first(method),))
            draw = parameter_control(DRAW, key="draw", default=0)
    return rest, draw


def main_control(rest: Defense) -> tuple[Defense, ...]:
    """The first parameter's control, large; returns the stack."""
    with st.container(border=True):
        return (method_controls(type(rest), key="defence", only=(_first(type(rest)),), values=rest.model_dump()),)


def _first(method: type[Defense]) -> str:
    return method.parameters()[0].name


@cached(max_entries=64)
def defended(images: ImageSet, stack: tuple[Defense, ...], draw: int) -> ImageSet:
    """What a network would see of the images in one epoch."""
    return preview(stack, images, Context(seed=draw))
