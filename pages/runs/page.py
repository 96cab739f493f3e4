"""The page Runs: start training runs, follow them, understand and compare their results."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from pages.runs.compare import compare_view
from pages.runs.detail import run_detail
from pages.runs.form import run_form, start
from pages.runs.spec_card import handed_card, json_part
from pages.runs.table import run_table
from pages.state.run_address import HANDED, VIEWS, View, chosen_run, current_view, open_view
from pages.state.train_here import IMAGES, MODEL, PLAN
from ued_core import runs
from ued_core.runs import RunSpec

TITLES: dict[View, str] = {"all": "Queue and results", "new": "New run", "compare": "Compare"}
QUICK = {
    "dataset": {"name": "fashion", "train_size": IMAGES, "test_size": 1000},
    "attack": "cuda",
    "model": dict(MODEL),
    "plan": dict(PLAN),
    "note": "quick run",
}
"""One of the two runs that are trained beside the pictures of Defence."""
QUICK_SECONDS = 15
"""From the click to the result, measured on two processor cores."""


def first_steps() -> None:
    """What a stranger sees before there is any run."""
    with st.container(border=True):
        st.subheader("No run yet", anchor=False)
        st.markdown(
            "A run trains a small network on images that an attack has changed, and tests it on clean ones. "
            "If the attack works, the network does well in training and badly on clean images: the data is "
            "*unlearnable*.\n\n"
            "The quick run poisons 2,000 photographs with **CUDA** and trains eight short epochs. That is too short "
            "for a result to quote, but long enough for the trap to show, and every part of this page has real numbers."
        )
        with st.container(horizontal=True):
            help = "Measured on two processor cores; most of it is starting a process and loading the libraries."
            # Beside a configuration that was handed over, that one is to be started.
            kind: Literal["primary", "secondary"] = "secondary" if HANDED in st.session_state else "primary"
            label = f"Start a quick run (about {QUICK_SECONDS} s on an idle machine)"
            if st.button(label, type=kind, key="quick_run", help=help):
                start([RunSpec.from_json(QUICK)])
            st.button("Set up a run of your own", key="own_run", on_click=open_view, args=("new",))


def choose_view(view: View) -> None:
    """The views as a row of buttons; the address stays the one place that knows."""
    st.session_state["runs_view"] = view
    st.segmented_control(
        "View", VIEWS, format_func=TITLES.__getitem__, required=True, key="runs_view", label_visibility="collapsed",
        on_change=lambda: open_view(st.session_state["runs_view"]),
    )  # fmt: skip


st.title("Runs")
view = current_view()
if view != "run":
    st.write(
        "Train a model on clean, poisoned or defended images. "
        "Every run works in a process of its own and outlives this page."
    )
    choose_view(view)
handed_card()
match view:
    case "run":
        run_detail(chosen_run())
    case "compare":
        compare_view()
    case "new":
        run_form()
        json_part()
    case _:
        if runs.snapshot().records:
            run_table()
        else:
            first_steps()
