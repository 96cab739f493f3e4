"""The images that the reader has marked: their rows in the training set, in the address as ``rows=3,17,44``.

Any page may read or set them; a link restores them. They belong to one data set: marks made on
another one are forgotten, because there the same numbers are other images.
"""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.frame.guard import plain

NAME = "rows"
MOST = 120
"""More rows than this do not go into an address."""
_MARKS, _READ_ON, _NOTICE = "marked_rows", "marked_read_on", "marked_notice"


def marked_rows(data: str, count: int) -> tuple[int, ...]:
    """The marked rows, rising; a link that asks for other things is answered in words.

    Args:
        data: names the data set, e.g. by its content hash.
        count: how many rows it has.
    """
    state, context = st.session_state, get_script_run_ctx()
    here = getattr(context, "page_script_hash", "")
    went_back = getattr(context, "is_history_navigation", False)
    arrived = state.get(_READ_ON) != here
    state[_READ_ON] = here
    if (arrived or went_back) and (went_back or NAME in st.query_params):
        rows, problem = read_rows(st.query_params.get(NAME, ""), count)
        state[_MARKS], state[_NOTICE] = (data, rows), problem
    belongs_to, rows = state.get(_MARKS, (data, ()))
    if belongs_to != data:
        rows = ()
        state[_MARKS], state[_NOTICE] = (data, rows), ""
    if notice := state.get(_NOTICE):
        st.warning(f"**Marked images** in the link: {plain(notice)}")
    _write(rows)
    return rows


def mark_rows(data: str, rows: Iterable[int]) -> tuple[int, ...]:
    """Mark these rows and no others; of more than :data:`MOST` the first ones.

    Args:
        data: as in :func:`marked_rows`.
        rows: in any order.

    Returns:
        The rows that are marked now, rising.
    """
    kept = tuple(sorted({int(row) for row in rows})[:MOST])
    st.session_state[_MARKS] = (data, kept)
    # The address has been answered for; reading it again on this page would undo the change.
    st.session_state[_READ_ON] = getattr(get_script_run_ctx(), "page_script_hash", "")
    st.session_state.pop(_NOTICE, None)
    _write(kept)
    return kept


def read_rows(text: str, count: int) -> tuple[tuple[int, ...], str]:
    """The rows that a link's text means, rising, and what was wrong with it (empty when nothing was).

    What can be used is used: one row that is not there does not spoil the others.
    """
    found: set[int] = set()
    refused: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part.isascii() and part.isdigit() and len(part) <= 12 and int(part) < count:
            found.add(int(part))
        else:
            refused.append(part)
    problems = []
    if refused:
        some = ", ".join(repr(part[:20]) for part in refused[:3]) + (", …" if len(refused) > 3 else "")
        problems.append(
            f"{some} was asked for, but a row must be a whole number from 0 to {count - 1}; it is left out."
        )
    if len(found) > MOST:
        problems.append(f"{len(found)} rows were asked for; the first {MOST} are marked.")
    return tuple(sorted(found)[:MOST]), " ".join(problems)


def _write(rows: tuple[int, ...]) -> None:
    text = ",".join(map(str, rows))
    if not rows:
        if NAME in st.query_params:
            del st.query_params[NAME]
    elif st.query_params.get(NAME) != text:
        st.query_params[NAME] = text
