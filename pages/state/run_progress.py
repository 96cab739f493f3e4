"""How far a running run is, as a bar with words."""

from __future__ import annotations

import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.state.run_words import percent, progress_of, time_left
from ued_core.runs import RunRecord


def run_progress(record: RunRecord) -> None:
    """How far a running run is; nothing for any other."""
    if record.state == "running":
        parts = [
            f"epoch {record.epoch} of {record.epochs} done",
            seen(record.text) if not record.text.startswith("epoch") else "",
        ]
        parts += [time_left(record), record.device]
        if record.last is not None:
            parts.append(f"training {percent(record.train_accuracy)}, clean test {percent(record.last)}")
        # Crafting and purifying can take longer than the training after them.
        # A step before it that is done leaves its report until the first epoch has one.
        before_training = not record.epoch and not record.text.startswith("epoch") and record.fraction < 1
        st.progress(
            record.fraction if before_training else progress_of(record),
            text=" · ".join(plain(part) for part in parts if part),
        )
        if record.cancelling:
            st.caption("Asked to stop; it does within seconds.")
        elif not record.responding:
            st.warning(
                "Its process has shown no life for 30 seconds. "
                "It may be in a long step, or the machine may be overloaded."
            )
