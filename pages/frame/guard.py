"""Where errors become words: a mistake that users can mend, or a bug that they can report."""

from __future__ import annotations

import logging
import secrets
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from pages.frame.hidden import seen
from pages.frame.visitor import who
from ued_core.errors import Cancelled, UedError, told_by_system

BUG = "This is a bug in UED Studio, not a mistake of yours"
REFUSED = "refused"
log = logging.getLogger("ued")


def show_error(error: UedError) -> None:
    """Say what is wrong and what to do about it."""
    what, do = plain(seen(error.what)), plain(seen(error.do))
    st.error(f"{what}\n\n**What to do:** {do}" if do else what)


@contextmanager
def guarded() -> Iterator[None]:
    """Show errors of the block on the page instead of letting them through.

    A :class:`UedError` is shown with what to do, and so is what the system says of a file or folder: the disk,
    permissions and paths are the user's. Anything else is a bug: it is logged under a number and shown, to the owner
    with its traceback, to visitors with the number alone. Streamlit's own control flow (stop, rerun, page switch)
    passes, as it does not derive from ``Exception`` there.
    """
    try:
        yield
    except UedError as error:
        show_error(error)
    except Cancelled:
        st.info("Stopped.")
    except Exception as error:
        if type(error).__module__.startswith("streamlit.runtime"):
            raise
        if isinstance(error, OSError) and (told := told_by_system(error)):
            log.warning("A page was refused by the system: %s", error)
            show_error(told)
            return
        show_bug(error)


@contextmanager
def refusable() -> Iterator[None]:
    """For callbacks, which must draw nothing: an error of the user's is kept for :func:`show_refusal` of the page that
    follows."""
    try:
        yield
    except UedError as error:
        st.session_state[REFUSED] = error


def show_refusal() -> None:
    """Why the last callback did nothing, once."""
    if error := st.session_state.pop(REFUSED, None):
        show_error(error)


def show_bug(error: Exception) -> None:
    """Own up to a bug; its number finds it in the log."""
    number = secrets.token_hex(4)
    log.error("Bug %s: a page failed", number, exc_info=error)
    if not who().owner:
        st.error(f"{BUG}. Its number is **{number}**; the owner of this server finds it in the log.")
        return
    st.error(f"{BUG}: **{type(error).__name__}**: {plain(str(error))} (number {number} in the log)")
    with st.expander("Details to report"):
        st.code("".join(traceback.format_exception(error)), language="text", wrap_lines=True)


def plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    for character in "\\`*_{}[]<>#|~$:":
        text = text.replace(character, f"\\{character}")
    return text
