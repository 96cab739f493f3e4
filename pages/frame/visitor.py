"""Who reads the page that is being drawn."""

from __future__ import annotations

from html import escape

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.frame.door import HEADER, SIGN_OUT, base_path, is_served, read_person
from ued_core.person import OWNER, Person

NOBODY = Person("nobody", "Visitor")


def who() -> Person:
    """The reader: the owner on this computer, or a visitor.

    Asked for anew in every callback and fragment, because each is a request of its own. Where the door said nothing, a
    server that others can reach takes the reader for a visitor without a name.
    """
    said = st.context.headers.get(HEADER) if get_script_run_ctx() else None
    if said:
        return read_person(said)
    return NOBODY if is_served() else OWNER


def name_badge() -> None:
    """Who the reader is to this server, and the way out; nothing on one's own computer, where nobody signs in."""
    if not is_served():
        return
    reader = who()
    role = "" if reader.owner else " (visitor)"
    leave = f'<a href="{base_path()}{SIGN_OUT}" target="_self">Sign out</a>'
    with st.sidebar:
        st.html(f'<p class="ued-person">{escape(reader.name)}{role} · {leave}</p>')
