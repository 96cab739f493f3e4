"""What stored runs let expect of staged training."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.frame.cache import cached
from ued_core.results import staged
from ued_core.results.row import ResultRow
from ued_core.results.row import stored_rows as read_rows
from ued_core.runs.spec import RunSpec


@cached(max_entries=2)
def _stored(file: str, _changed: int) -> list[ResultRow]:
    return read_rows(Path(file))


def stored_rows() -> list[ResultRow]:
    """The rows of the study as they are now; empty while there is none."""
    file = staged.FILE
    return _stored(str(file), file.stat().st_mtime_ns) if file.exists() else []


def photograph_rows() -> list[ResultRow]:
    """The rows of the study on photographs, named as scenes; of those with staged training, as long as there are
    any."""
    file = staged.FILE.with_name("fashion-staged.json")
    rows = _stored(str(file), file.stat().st_mtime_ns) if file.exists() else []
    told = {row.attack for row in rows if row.training}
    return [row.model_copy(update={"scene": f"{row.attack} photographs"}) for row in rows if row.attack in told]


def staged_expectation(spec: RunSpec) -> None:
    """What the stored runs let expect of a run under staged training; nothing for one without it."""
    if words := staged.expectation(stored_rows(), spec.to_json()):
        st.caption(words)
