"""The third part of the page Results: what the field has not measured of COIN, with what this program finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.navigation import script
from pages.results.measured import (
    RUN_COLUMNS,
    condition_columns,
    gain_columns,
    made_by,
    numeric,
    run_spec,
    stored_rows,
)
from pages.widgets.controls import segments
from pages.widgets.live_chart import live_chart
from ued_core.csv_export import csv_text
from ued_core.figures import open_questions as figures
from ued_core.figures.results import condition_words
from ued_core.results import measured, open_answers
from ued_core.results import open_questions as series
from ued_core.results.evidence import RULE
from ued_core.results.measured import against, control, summary
from ued_core.results.open_answers import NOT_YET, Answer
from ued_core.results.open_questions import DRAWN, GROUNDS, PHOTOGRAPHS, QUESTIONS, Setting, setting
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow
from ued_core.runs.spec import RunSpec
from ued_core.training import PLANS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INTRODUCTION = (
    "**COIN** is the published defence against CUDA, an attack that filters the images of every class with a small "
    "secret kernel of its "
    "own. While a network trains, COIN moves every pixel by a random fraction of up to α pixels, anew in every epoch. "
    "These questions were "
    "asked about it and not answered in print. The runs here are small (a small network, images that ship with the "
    "program): read differences between conditions, not absolute values."
)
MARKS = (
    "Large marks: means over seeds; whiskers: one standard deviation either way; small dots: single runs (hover "
    "for numbers)."
)
CURVES = 380
"""Height of a plot over α in CSS pixels."""


@dataclass(frozen=True)
class Shown:
    """One question with what was measured for it.

    Attributes:
        conditions: of its table, in order; empty while there are none.
        answer: in words.
        figure, height: the picture; None without conditions.
        reading: how to read the picture.
        clean: what training on clean data reaches, by what it belongs to; the picture's dotted lines.
    """

    conditions: tuple[Condition, ...]
    answer: Answer
    figure: Figure | None = None
    height: int = CURVES
    reading: str = ""
    clean: tuple[tuple[str, Condition], ...] = ()

    @property
    def words(self) -> str:
        """The picture in words."""
        beside = [f"clean data{f' ({name})' if name else ''} {condition_words(c)}" for name, c in self.clean]
        return "; ".join([*(f"{c.name} {condition_words(c)}" for c in self.conditions), *beside]) + "."


def open_view() -> None:
    """Pick a question; its answer, figure and table."""
    st.markdown(INTRODUCTION)
    titles = {key: question.title for key, question in QUESTIONS.items()}
    key = segments("Question", titles, key="question", default=next(iter(titles)))
    st.header(QUESTIONS[key].asked)
    st.markdown(QUESTIONS[key].text)
    ground = _ground(key)
    question, shown = QUESTIONS[key].on(ground), shown_for(key, ground)
    if shown.figure is None:
        st.info(f"{NOT_YET} The command `{question.command}` fills it; it can be stopped and goes on where it was.")
        return
    _answer(shown.answer)
    live_chart(
        shown.figure,
        key=f"open_{key}_{ground}",
        height=shown.height,
        alt=shown.words,
        filename=f"open_question_{key}",
        caption=f"{shown.reading} {MARKS}",
    )
    _table(key, shown.conditions)
    made_by(shown.conditions, question.command, questions_csv(shown.conditions), f"open_question_{key}.csv")
    if key == "c":
        st.page_link(script("overview/page.py"), label="**Overview**: this experiment, setting by setting")


def _ground(key: str) -> str:
    """Photographs or drawn shapes, where the question is asked on both: photographs first, once they were trained."""
    question = QUESTIONS[key]
    if not question.grounds:
        return DRAWN
    default = PHOTOGRAPHS if question.on(PHOTOGRAPHS).file.exists() else DRAWN
    return segments("Images", dict(GROUNDS), key="ground", default=default)


def shown_for(key: str, ground: str) -> Shown:
    """Everything about one question, from the rows as they are now.

    Args:
        key: of the question.
        ground: one of :data:`ued_core.results.open_questions.GROUNDS`.
    """
    rows = stored_rows(QUESTIONS[key].on(ground).file)
    # These tables train on the same data: their clean runs serve as references where this one has none.
    known = [row for file in measured.reference_files() for row in stored_rows(file)]
    return _MAKERS[key](series.found(rows), [*rows, *known])


def _answer(answer: Answer) -> None:
    with st.container(border=True):
        st.markdown(f"**Answer so far: {answer.verdict}**")
        if answer.details:
            st.markdown("\n".join(f"- {line}" for line in answer.details))
        st.caption(f"{answer.seeds} {RULE}")


# ---- one maker a question ----------------------------------------------------------------------


def _cost(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    lines = series.cost_lines(own)
    if not lines:
        return Shown((), Answer(NOT_YET))
    return Shown(
        tuple(c for line in lines for _, c in line.points), open_answers.cost_answer(lines), figures.cost_figure(lines),
        reading="α = 0 is training without COIN. The axis does not begin at zero.",
    )  # fmt: skip


def _seeds(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    groups = series.seed_groups(stored_rows(QUESTIONS["c"].file), {key: plan.title for key, plan in PLANS.items()})
    if not groups:
        return Shown((), Answer(NOT_YET))
    named = tuple(Condition(f"{group.name}: {c.name}", c.rows) for group in groups for c in group.conditions)
    return Shown(
        named, open_answers.seeds_answer(groups), figures.seeds_figure(groups), figures.strips_height(groups),
        "The wider the dots of a line are spread, the less a single run says. With one common kernel for all classes "
        "only the blur of the attack is left, and nothing gives the class away.",
    )  # fmt: skip


def _rivals(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    group = series.rivals(own, known)
    if group is None:
        return Shown((), Answer(NOT_YET))
    return Shown(
        group.conditions,
        open_answers.rivals_answer(group),
        figures.rivals_figure(group),
        figures.strips_height([group]),
        "The further right, the more of the harm is undone: green is COIN, pink its parts alone, grey other warps.",
        _clean([group]),
    )


def _mixtures(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    groups = series.mixtures(own, known)
    if not groups:
        return Shown((), Answer(NOT_YET))
    named = tuple(replace(c, name=f"{c.name}, {group.name}") for group in groups for c in group.conditions)
    return Shown(
        named, open_answers.mixtures_answer(groups), figures.mixtures_figure(groups), figures.strips_height(groups),
        "Pink against green: is it better to shake the flagged images alone, or all? The dotted blue line is training "
        "on clean data.",
        _clean(groups),
    )  # fmt: skip


def _attackers(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    pairs = series.attackers(own)
    if not pairs:
        return Shown((), Answer(NOT_YET))
    clean = series.clean_like(own[0], known)
    both = [
        (f"{words}: {p.name}", c)
        for p in pairs
        for words, c in (("without COIN", p.without), ("with COIN", p.defended))
    ]
    return Shown(
        tuple(replace(c, name=name) for name, c in both if c), open_answers.attackers_answer(pairs),
        figures.attackers_figure(pairs, clean), figures.attackers_height(pairs), "Each line is one attacker; the bar "
                                                                                 "is what COIN gives "
        "back. An attacker wins by a short bar that ends far left.", (("", clean),) if clean else (),
    )  # fmt: skip


def _resolution(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    lines = series.resolution_lines(own, known)
    if not lines:
        return Shown((), Answer(NOT_YET))
    return Shown(
        tuple(own), open_answers.resolution_answer(lines), figures.resolution_figure(lines),
        reading="The cross is the attack without COIN; how far the line rises towards the dotted one is what COIN "
                "gives back.",
        clean=_clean(lines),
    )  # fmt: skip


def _optimum(own: Sequence[Condition], known: Sequence[ResultRow]) -> Shown:
    by_blur, by_size = series.optimum_lines(own, known)
    if not by_blur and not by_size:
        return Shown((), Answer(NOT_YET))
    return Shown(
        tuple(own), open_answers.optimum_answer(by_blur, by_size), figures.optimum_figure(by_blur, by_size),
        reading="α = 0 is the attack without COIN; look where each line is "
                "highest.", clean=_clean(by_blur[:1] or by_size[:1], ""),
    )  # fmt: skip


def _clean(parts: Sequence[series.Group | series.Line], name: str | None = None) -> tuple[tuple[str, Condition], ...]:
    """The references of groups or lines, under their own names or a given one."""
    return tuple((part.name if name is None else name, part.clean) for part in parts if part.clean is not None)


_MAKERS = {"b": _cost, "c": _seeds, "d": _rivals, "e": _mixtures, "f": _attackers, "g": _resolution, "h": _optimum}


# ---- table and download ------------------------------------------------------------------------


def _table(key: str, found: Sequence[Condition]) -> None:
    name = f"open_table_{key}"
    specs = [run_spec(c) for c in found]
    frame, seen = open_frame(found), [on_page(spec) for spec in specs]
    st.dataframe(
        frame,
        key=name,
        hide_index=True,
        placeholder="–",
        height="content",
        alt="Table of conditions: accuracies in per cent, spread and number of seeds, and what was varied.",
        column_config={
            **condition_columns(name, "condition", 250, "images", seen, specs),
            "strength": numeric("α px", "COIN's strength on all images; 0 without a defence.", "%g"),
            "blur": numeric("p_b", "Upper end of the law of the kernels' entries.", "%g", 58),
            "kernel_size": numeric("k px", "Side of the attack's kernels.", "%d", 58),
            "side": numeric("side px", "Side of the images.", "%d"),
            "poison_rate": numeric("poisoned %", "Share of the training images that are poisoned.", "%d", 84),
        },
    )
    images = (
        "**Attack →** and **Defence →** show what happens to images (there all are poisoned); "
        if "see" in frame
        else ""
    )
    st.caption(f"Click a heading to sort. {images}**Train →** hands the run to the page Runs.")


def on_page(spec: RunSpec | None) -> RunSpec | None:
    """The spec if a page can show it: an attack, alone or with one defence that works at once."""
    shown = (
        spec is not None
        and spec.attack is not None
        and len(spec.defenses) < 2
        and not any(d.trains_networks for d in spec.defenses)
    )
    return spec if shown else None


def open_frame(found: Sequence[Condition]) -> pd.DataFrame:
    """One row a condition, shares in per cent; of what was varied, only columns in which rows differ."""
    rows = []
    for condition in found:
        spec, last, own = run_spec(condition), summary(condition, "last"), setting(condition)
        rows.append(
            {
                "name": condition.name,
                "see": ("Defence →" if shown.defenses else "Attack →") if (shown := on_page(spec)) else None,
                "train": "Train →" if spec is not None else None,
                "last": 100 * last.mean,
                "spread": None if np.isnan(last.spread) else 100 * last.spread,
                "seeds": len(condition.rows),
                **gain_columns(against(condition, control(condition, found))),
                **{number: 100 * summary(condition, number).mean for number in ("best", "train_accuracy")},
                **{name: getattr(own, name) for name in ("strength", "blur", "kernel_size", "side")},
                "poison_rate": 100 * own.poison_rate or None,
            }
        )
    frame = pd.DataFrame(rows)
    varied = ("strength", "blur", "kernel_size", "side", "poison_rate")
    idle = [name for name in varied if frame[name].nunique() < 2]
    return frame.drop(columns=idle if frame["see"].notna().any() else [*idle, "see"])


def questions_csv(found: Sequence[Condition]) -> str:
    """Every run as a line: condition, what its spec says, seed, key and the numbers; shares are 0..1."""
    lines = [
        {
            "condition": c.name,
            **_words(setting(c)),
            **{"seed": row.seed, "key": row.key},
            **{n: row.value(n) for n in RUN_COLUMNS},
        }
        for c in found
        for row in c.rows
    ]
    return csv_text(lines)


def _words(own: Setting) -> dict[str, Any]:
    return {**asdict(own), "defences": " + ".join(own.defences)}
