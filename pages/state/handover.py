"""Handing a configuration from the page where it was tuned to the page that trains it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.frame.navigation import script
from pages.state.choice import Selection
from pages.state.own_data import for_looking, one_each_words
from pages.state.run_address import hand_over
from pages.state.selection import PICK, selection_address
from pages.state.stack import stack_address
from ued_core.defenses import Defense, DefenseStack


def train_with_this(choice: Selection, defenses: Sequence[Defense] = (), *, page: str) -> None:
    """A button that carries the configuration on this page to a new run.

    Args:
        choice: data, attack, key.
        defenses: the stack on the page.
        page: name of this page, said on the next one.
    """
    if st.button(
        "Train with this →",
        disabled=for_looking(choice.data),
        help=one_each_words("Training needs")
        if for_looking(choice.data)
        else "Opens a run with exactly this configuration; nothing starts before you say so.",
    ):
        hand_over(choice.spec(defenses).to_json(), page)
        st.switch_page(script("runs/page.py"))


def examine_this(choice: Selection, stack: DefenseStack, draw: int) -> None:
    """A button that opens Detection with the configuration on this page.

    Args:
        choice: data, attack, key, images.
        stack: the defences on the page, at least one.
        draw: the epoch shown.
    """
    slow = [defense.title for defense in stack if defense.trains_networks]
    why = (
        f" Detection shows defences whose work is seen at once; {' and '.join(slow)} trains networks first."
        if slow
        else ""
    )
    if st.button(
        "Would anybody notice? →", disabled=bool(slow), key="examine_this",
        help="Opens Detection with the same data, attack, key and defences: its tests on the clean, the poisoned and "
             "the defended "
        f"images.{why}",
    ):  # fmt: skip
        address = {**selection_address(choice.dataset, choice.attack, choice.seed), PICK.name: str(choice.pick)}
        st.switch_page(script("detection/page.py"), query_params={**address, **stack_address(stack, draw)})
