"""What else a defender may have: pretrained weights to start from, and some clean images."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.results.measured import RUN_COLUMNS, made_by, stored_rows
from pages.widgets.live_chart import live_chart
from ued_core.csv_export import csv_text
from ued_core.figures.recovery import curves_of, recovery_figure, recovery_words
from ued_core.figures.starts import starts_figure, starts_height, starts_words
from ued_core.results import recovery, starts
from ued_core.results.evidence import RULE, over
from ued_core.results.open_answers import Answer
from ued_core.results.phenomenon import Condition
from ued_core.results.recovery import METHODS, Attacked
from ued_core.results.starts import Starts
from ued_core.results.words import gain_cell, level_cell

CURVES = 400
"""Height of the plot of recovery in CSS pixels."""


def starts_view() -> None:
    """Both questions, each with its answer, figure and table."""
    _starts_part(starts.starts_of(stored_rows(starts.FILE)))
    _recovery_part(recovery.by_attack(stored_rows(recovery.FILE)))


def answer_box(answer: Answer) -> None:
    """An answer, what it rests on and how comparisons are judged."""
    with st.container(border=True):
        st.markdown(f"**Answer so far:** {answer.verdict}")
        if answer.details:
            st.markdown("\n".join(f"- {line}" for line in answer.details))
        st.caption(f"{answer.seeds} {RULE}")


# ---- a pretrained start ------------------------------------------------------------------------


def _starts_part(found: Starts) -> None:
    st.header("Does poison survive a pretrained start?")
    st.markdown(
        "Papers of 2026 say that unlearnable examples fail where training does not start from scratch "
        "([BAIT](https://arxiv.org/abs/2603.04731), [SSC](https://arxiv.org/abs/2605.05224)). Here three starts see "
        "the same poisoned photographs in the same number of steps: a small CNN from drawn weights, a linear layer on "
        "frozen EfficientNet-Lite0 (a probe), and Lite0 with all its weights learning. Each is compared with clean "
        "images under the same start."
    )
    if not found.cells:
        st.info(f"Nothing has been measured yet. The command `{starts.COMMAND}` trains it.")
        return
    answer_box(starts.answer(found))
    live_chart(
        starts_figure(found),
        key="starts",
        height=starts_height(found),
        alt=starts_words(found),
        filename="pretrained_start",
        caption="Left: small dots are runs, large marks their means. Right: what the attack changes on the same seeds, "
        "with its 95 % interval; the further left, the more it takes.",
    )
    st.dataframe(
        starts_frame(found),
        key="starts_table",
        hide_index=True,
        placeholder="–",
        height="content",
        alt="Table of starts and attacks: clean test accuracy in per cent, and differences in points.",
    )
    conditions = list(found.cells.values())
    made_by(conditions, starts.COMMAND, starts_csv(conditions), "pretrained_start.csv")


def starts_frame(found: Starts) -> pd.DataFrame:
    """One row per start and attack: accuracy, change by the attack, and how that differs from the start from
    scratch."""
    rows = []
    for (start, attack), condition in found.cells.items():
        lost, spared = (
            found.losses.get((start, attack)),
            found.spared(start, attack) if start != starts.SCRATCH else None,
        )
        is_attacked = (start, attack) in found.losses
        rows.append({
            "start": start,
            "trained on": attack,
            "clean test, last %": level_cell(over(condition.values("last"))),
            "change by the attack": gain_cell(lost) if lost else None,
            "against from scratch": gain_cell(spared) if spared and is_attacked else None,
        })  # fmt: skip
    return pd.DataFrame(rows)


def starts_csv(found: Sequence[Condition]) -> str:
    """Every run as a line; shares are 0..1."""
    return csv_text([
        {"condition": c.name, "seed": row.seed, "key": row.key, **{n: row.value(n) for n in RUN_COLUMNS}}
        for c in found for row in c.rows
    ])  # fmt: skip


# ---- known clean images ------------------------------------------------------------------------


def _recovery_part(found: Sequence[Attacked]) -> None:
    st.header("How many clean images bring the accuracy back?")
    st.markdown(
        "A defender who knows a few clean images can repair a poisoned network: fit its **last layer** anew to their "
        "features, or move **all weights** for one epoch. The control is the same network trained on **these images "
        "alone**: what lies above it was still in the poisoned network. Learning rates are chosen on the known images, "
        "never on test images."
    )
    if not found:
        st.info(f"Nothing has been measured yet. The command `{recovery.COMMAND}` fills it.")
        return
    answer_box(recovery.answer(found))
    panels = [curves_of(own) for own in found]
    live_chart(
        recovery_figure(panels),
        key="recovery",
        height=CURVES,
        alt=recovery_words(panels),
        filename="recovery",
        caption="Means over seeds with their 95 % intervals, over the number of known clean images. The dashed line is "
        "the network as it was trained.",
    )
    st.dataframe(
        recovery_frame(found),
        key="recovery_table",
        hide_index=True,
        placeholder="–",
        height="content",
        alt="Table of poisons and numbers of known images: clean test accuracies in per cent.",
    )
    conditions = [Condition(own.attack, own.rows) for own in found]
    made_by(conditions, recovery.COMMAND, recovery_csv(found), "recovery.csv")


def recovery_frame(found: Sequence[Attacked]) -> pd.DataFrame:
    """One row per poison and number of known images: mean ± standard deviation and number of seeds."""
    rows = []
    for own in found:
        for known in own.known:
            cells = {words: level_cell(over(own.values(m, known).values())) or None for m, words in METHODS.items()}
            trained = level_cell(over(own.as_trained.values()))
            rows.append({"trained on": own.attack, "known": known, "as trained": trained, **cells})
    return pd.DataFrame(rows)


def recovery_csv(found: Sequence[Attacked]) -> str:
    """Every point as a line; shares are 0..1."""
    return csv_text([
        {"trained_on": own.attack, "seed": row.seed, "run": row.key, "as_trained": row.value("as_trained"), **point}
        for own in found for row in own.rows for point in row.value("points")
    ])  # fmt: skip
