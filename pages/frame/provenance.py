"""What a page's figures are about, for whoever takes one along: data, attack, seeds and hashes, or runs."""

from __future__ import annotations

import streamlit as st

ABOUT = "figures_are_about"


def figures_are_about(text: str) -> None:
    """Say it for the charts that follow on this page."""
    st.session_state[ABOUT] = text


def forget_what_figures_are_about() -> None:
    """Another page, or the same one anew: nothing is known yet."""
    st.session_state.pop(ABOUT, None)
