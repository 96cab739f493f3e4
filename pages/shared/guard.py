"""Where errors become words: a mistake that users can mend, or a bug that they can report."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from ued_core.errors import Cancelled, UedError

log = logging.getLogger("ued")


def show_error(error: UedError) -> None:
    """Say what is wrong and what to do about it."""
    st.error(f"{plain(error.what)}\n\n**What to do:** {plain(error.do)}" if error.do else plain(error.what))


@contextmanager
def guarded() -> Iterator[None]:
    """Show errors of the block on the page instead of letting them through.

    A :class:`UedError` is shown with what to do. Anything else is a bug: it is logged and shown
    with its traceback. Streamlit's own control flow (stop, rerun, page switch) passes, as it
    does not derive from ``Exception`` there.
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
        log.exception("A page failed")
        st.error(
            f"This is a bug in UED Studio, not a mistake of yours: **{type(error).__name__}**: {plain(str(error))}"
        )
        with st.expander("Details to report"):
            st.code("".join(traceback.format_exception(error)), language="text", wrap_lines=True)


def plain(text: str) -> str:
    """Text that Markdown leaves alone."""
    for character in "\\`*_{}[]<>#|~$:":
        text = text.replace(character, f"\\{character}")
    return text
