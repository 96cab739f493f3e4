"""Handing a configuration from the page where it was tuned to the page that trains it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from pages.shared.navigation import script
from pages.shared.selection import Selection
from ued_core.defenses import Defense
from ued_core.models import MODELS
from ued_core.runs.spec import RunSpec
from ued_core.training import PLANS


def spec_of(choice: Selection, defenses: Sequence[Defense]) -> RunSpec:
    """The run that trains exactly what the page shows, with the default model and plan."""
    plan = PLANS.build(next(iter(PLANS)), **choice.dataset.recommended_plan)
    return RunSpec(
        dataset=choice.dataset,
        attack=choice.attack,
        attack_seed=choice.seed,
        defenses=tuple(defenses),
        model=MODELS.build(next(iter(MODELS))),
        plan=plan,
        seed=choice.seed,
    )


def train_with_this(choice: Selection, defenses: Sequence[Defense] = (), *, page: str) -> None:
    """A button that carries the configuration on this page to a new run.

    Args:
        choice: data, attack, key.
        defenses: the stack on the page.
        page: name of this page, said on the next one.
    """
    if st.button(
        "Train with this →", type="primary", help="Opens a run with exactly this configuration; nothing starts before you say so."
    ):
        st.session_state["handed_spec"] = spec_of(choice, defenses).to_json()
        st.session_state["handed_from"] = page
        st.switch_page(script("runs.py"))
