"""Which part of the page Runs is shown: the address alone decides, so every view is a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import streamlit as st

View = Literal["all", "new", "compare", "run"]
VIEWS: tuple[View, ...] = ("all", "new", "compare")
HANDED, HANDED_FROM = "handed_spec", "handed_from"


def current_view() -> View:
    """What the address asks for."""
    asked = st.query_params
    if asked.get("run"):
        return "run"
    if "compare" in asked:
        return "compare"
    # A link to a filled form need not say that it means the form.
    filled = any(name.startswith("new_") for name in asked)
    return "new" if asked.get("view") == "new" or filled else "all"


def chosen_run() -> str:
    """The run that the address names."""
    return st.query_params.get("run", "")


def compared_runs() -> list[str]:
    """The runs that the address names for comparing, in order, each once."""
    return list(dict.fromkeys(filter(None, st.query_params.get("compare", "").split(","))))


def open_view(view: View) -> None:
    """Go to a view; for callbacks, and before a rerun."""
    st.query_params.clear()
    if view == "compare":
        st.query_params["compare"] = ""
    elif view == "new":
        st.query_params["view"] = "new"


def open_run(run_id: str) -> None:
    """Go to one run."""
    st.query_params.clear()
    st.query_params["run"] = run_id


def open_compare(run_ids: Sequence[str]) -> None:
    """Go to a comparison."""
    st.query_params.clear()
    st.query_params["compare"] = ",".join(run_ids)


def hand_over(spec: Mapping[str, Any], origin: str) -> None:
    """Leave a spec for the reader to start, edit or discard.

    Args:
        spec: as :meth:`ued_core.runs.RunSpec.to_json` gives it.
        origin: where it comes from, for people.
    """
    st.session_state[HANDED] = dict(spec)
    st.session_state[HANDED_FROM] = origin


def discard_handed() -> None:
    """Forget the handed-over spec."""
    st.session_state.pop(HANDED, None)
    st.session_state.pop(HANDED_FROM, None)
