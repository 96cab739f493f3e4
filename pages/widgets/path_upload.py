"""What a path would name is uploaded: the files are kept under the home and named by a handle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.frame.guard import show_error
from ued_core.context import Context
from ued_core.data.handles import is_handle, located
from ued_core.data.uploads import keep_files
from ued_core.errors import UedError
from ued_core.runs.storage import tidy_uploads

_ROOM_FOR = "room_made_for"


def upload_control(label: str, help: str, key: str, endings: Sequence[str] | None = None, several: bool = True) -> str:
    """Let the reader upload what a path parameter names; the handle, or what stood there before.

    Args:
        label, help: of the control.
        key: of the parameter's control; holds the handle.
        endings: of the files that are taken; None for any.
        several: whether more than one file is taken.
    """
    state, done, refused = st.session_state, f"{key}_taken", f"{key}_refused"
    given = st.file_uploader(
        label, type=endings, key=f"{key}_upload", accept_multiple_files=several,
        help=f"{help} A zip is unpacked; other files that belong together are uploaded together.",
    )  # fmt: skip
    uploads = given if isinstance(given, list) else [given] if given else []
    names = [upload.file_id for upload in uploads]
    if names and state.get(done) != names:
        state[done], state[refused] = names, None
        try:
            state[key] = kept(uploads)
        except UedError as error:
            state[refused] = error
    if names and (problem := state.get(refused)):
        show_error(problem)
    if not uploads and is_handle(state.get(key, "")):
        st.caption("What was uploaded before is shown.")
    return state.get(key, "")


def make_room_for(new: Path) -> None:
    """Keep uploads within their limit, and tell what was removed for it.

    Raises:
        DataError: there is no room.
    """
    done = st.session_state.setdefault(_ROOM_FOR, set())
    if str(new) in done:
        # Every rerun of a page comes by.
        return
    if told := tidy_uploads(new):
        st.toast(told, duration="long")
    done.add(str(new))


def kept(uploads: list[UploadedFile]) -> str:
    """Keep what was uploaded; its handle.

    Raises:
        DataError: as :func:`ued_core.data.uploads.keep_files`, or there is no room.
    """
    bar = st.progress(0.0, "Unpacking …")

    def report(done: float, total: float, text: str) -> None:
        bar.progress(min(1.0, done / total if total else 0.0), text or "Unpacking …")

    try:
        handle = keep_files([(upload.name, upload) for upload in uploads], Context(on_report=report))
        make_room_for(located(handle))
        return handle
    finally:
        bar.empty()
