"""What a page is about, as a row of chips at its top: each says its value and opens the controls that set it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.frame.guard import plain

PLACE = "chips_place"


def chips_row() -> None:
    """Make room for the chips of the page that is drawn next."""
    st.session_state[PLACE] = st.container(key="chips", horizontal=True)


@contextmanager
def chip(name: str, value: str = "") -> Iterator[None]:
    """A chip; what is drawn inside it appears when the chip is opened.

    Args:
        name: what it sets, one word.
        value: what that is now.
    """
    place = st.session_state.get(PLACE) or st.container(horizontal=True)
    with place, st.popover(f"{plain(name)} **{plain(value)}**" if value else plain(name), width="content"):
        yield
