"""Loading a chosen data set, with a progress bar, once for all readers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import streamlit as st

from pages.frame.cache import Recent, Shelf
from pages.frame.visitor import who
from ued_core.context import Context
from ued_core.params import fingerprint
from ued_core.records import DataSplit

if TYPE_CHECKING:
    from ued_core.data import Dataset


@functools.cache
def _splits() -> Shelf:
    return Shelf(4)


@functools.cache
def _identities() -> Recent:
    return Recent()


def split(data: Dataset) -> DataSplit:
    """The data set; shows a progress bar while it is loaded, made or downloaded.

    Where looking for changed files takes long, a change is seen some seconds later; runs look for themselves.

    Args:
        data: a configured data set.

    Raises:
        UedError: it cannot be loaded.
        NotAllowed: it is not for a visitor.
    """
    from ued_core.data import load_split
    from ued_core.runs.permission import check_data

    check_data(data, who())

    def load() -> DataSplit:
        place = st.empty()
        bar = place.progress(0.0, f"Loading {data.title} …")

        def report(done: float, total: float, text: str) -> None:
            bar.progress(min(1.0, done / total if total else 0.0), text or f"Loading {data.title} …")

        try:
            return load_split(data, Context(on_report=report))
        finally:
            place.empty()

    name = fingerprint(data.to_json())
    key = _identities().known(name)
    # What is loaded is kept under the state of the files that it was loaded from, and under no older one.
    if key is None or key not in _splits():
        key = _identities().ask(name, lambda: fingerprint(data.identity()))
    return _splits().get(key, load)
