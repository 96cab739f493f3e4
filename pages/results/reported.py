"""The reported part of the page Results: what papers say, every value with its source, never averaged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd
import streamlit as st

from pages.frame.cache import cached
from pages.results.measured import shipped_tables
from pages.widgets.controls import pick
from pages.widgets.live_chart import live_chart
from ued_core.attacks import ATTACKS
from ued_core.csv_export import csv_text
from ued_core.defenses import DEFENSES
from ued_core.figures.results import (
    Labelled,
    accuracy_map,
    attack_order,
    beside,
    beside_label,
    condition_words,
    dots_height,
    map_height,
    reported_cells,
    source_dots,
)
from ued_core.results.measured import attack_of, conditions, data_sets, data_title, defences_of, grid, reference
from ued_core.results.phenomenon import Condition
from ued_core.results.reported import DATASET_NAMES, NOT_HERE, Name, ReportedRow, reported

EVERY = "every"
WARNING = (
    "**Not measured here, and not one experiment.** Sources differ in crafting code, budget, network, schedule and "
    "whether they print "
    "the last or the best epoch; the same attack without a defence can differ by more than 20 points between two "
    "of them. Compare within one source; never average over sources."
)


@cached(max_entries=1)
def _reported() -> tuple[ReportedRow, ...]:
    return reported()


def reported_view() -> None:
    """One data set by one source or by all of them, then one attack measured here and reported."""
    rows = _reported()
    st.warning(WARNING)
    _by_data(rows)
    _by_attack(rows)
    _sources(rows)


def _options(names: Sequence[Name]) -> dict[str, str]:
    """Keys and labels for a choice; forms of one thing stand together under its key."""
    return {name.key: name.title for name in names}


# ---- attack × defence --------------------------------------------------------------------------


def _by_data(rows: tuple[ReportedRow, ...]) -> None:
    st.header("Attack × defence, as reported")
    left, middle, right = st.columns(3)
    there = {row.dataset for row in rows}
    datasets = _options([name for name in DATASET_NAMES.values() if name in there])
    with left:
        dataset = pick("Data", datasets, key="reported_data", default=next(iter(datasets)))
    own = [row for row in rows if row.dataset.key == dataset]
    sources = {row.source.title: row.source for row in own}
    choices = {title: title for title in sources}
    with middle:
        every = {EVERY: f"all {len(sources)} sources"} if len(sources) > 1 else {}
        source = pick("Source", {**choices, **every}, key="reported_source", default=next(iter(choices)))
    if source == EVERY:
        with right:
            defenses = _options(sorted((row.defense for row in own), key=lambda name: name.key != "none"))
            defense = pick("Defence", defenses, key="reported_defence", default=next(iter(defenses)))
        _every_source([row for row in own if row.defense.key == defense], datasets[dataset], defenses[defense])
        return
    own = [row for row in own if row.source.title == source]
    models = _options([row.model for row in own])
    with right:
        model = pick("Network", models, key="reported_model", default=next(iter(models)))
    _one_source([row for row in own if row.model.key == model], datasets[dataset], models[model])


def _one_source(rows: Sequence[ReportedRow], dataset: str, model: str) -> None:
    source = rows[0].source
    cells = reported_cells(rows)
    chart = partial(
        live_chart,
        alt="; ".join(f"{row.attack.label} with {row.defense.label} {100 * row.test_accuracy:.1f} %" for row in rows),
        question=f"{dataset}, {model}: clean test accuracy (%), reported by {source.title}",
        filename="reported",
    )
    where = f"Source: **{source.title}** ({source.kind}; {source.where}). {source.note}"
    if len(cells.columns) == 1:
        chart(
            source_dots(rows), key="reported_dots", height=dots_height(len(cells.rows)),
            caption=f"This source reports the defence “{cells.columns[0]}” only. {where}",
        )  # fmt: skip
    else:
        chart(
            accuracy_map(cells.turned()), key="reported_map", height=map_height(cells.turned()),
            caption="Bright is learnable. **Read along a column**: what each defence makes of one attack. Empty: not "
                    f"reported. {where}",
        )  # fmt: skip
    _table(rows, "reported_table")


def _every_source(rows: Sequence[ReportedRow], dataset: str, defense: str) -> None:
    live_chart(
        source_dots(rows),
        key="reported_dots",
        height=dots_height(len(attack_order(rows))),
        alt="; ".join(
            f"{row.attack.label}, {row.source.title}, {row.model.label}: {100 * row.test_accuracy:.1f} %"
            for row in rows
        ),
        filename="reported_sources",
        question=f"{dataset}, defence: {defense}. How far are the sources apart?",
        caption="One symbol is one reported value; several of one kind on a line are several networks or forms of the "
        "defence. Hover for network, source and the source's own spelling.",
    )
    _table(rows, "reported_table")


def _table(rows: Sequence[ReportedRow], key: str) -> None:
    """The values of a chart with what the pointer would find on each."""
    with st.expander("The values with their sources"):
        table = [
            {
                "Attack": row.attack.label,
                "Defence": row.defense.label,
                "Clean test (%)": round(100 * row.test_accuracy, 2),
                "Source": row.source.title,
                "Data": row.dataset.label,
                "Network": row.model.label,
                "As printed": " · ".join(row.spelled[column] for column in ("attack", "defense", "dataset")),
            }
            for row in rows
        ]
        st.dataframe(
            pd.DataFrame(table), key=key, hide_index=True, height="content" if len(table) <= 12 else 460,
            alt="Table of the reported values with source, data, network and spelling.",
        )  # fmt: skip


# ---- one attack --------------------------------------------------------------------------------


def _by_attack(rows: tuple[ReportedRow, ...]) -> None:
    st.header("One attack: measured here, and reported")
    tables = _measured()
    # The program's own order first, then what only papers have.
    names = _options([row.attack for row in rows if row.attack.key != "clean"])
    measured_keys = {key for _, c, _ in tables if (key := attack_of(c))}
    ours = {key: names.get(key, ATTACKS[key].title) for key in ATTACKS if key in names or key in measured_keys}
    attacks = {**ours, **{key: f"{title} (reported only)" for key, title in names.items() if key not in ours}}
    left, right = st.columns(2)
    with left:
        attack = pick("Attack", attacks, key="beside_attack", default=next(iter(attacks)))
    of_attack = [row for row in rows if row.attack.key == attack]
    own = [entry for entry in tables if attack_of(entry[1]) == attack]
    defenses = {"none": "none", **_options([row.defense for row in of_attack])}
    with right:
        defense = pick("Defence", defenses, key="beside_defence", default="none")
    # The same data by different sources below each other: that is where they disagree.
    order = [name.key for name in DATASET_NAMES.values()]
    shown = sorted(
        (row for row in of_attack if row.defense.key == defense), key=lambda row: order.index(row.dataset.key)
    )
    here = [entry for entry in own if defences_of(entry[1]) == (() if defense == "none" else (defense,))]
    if not shown and not here:
        st.info("Neither measured here nor reported.")
        return
    words = [f"{label} {condition_words(c)}" for label, c, _ in here]
    words += [f"{beside_label(row)}, reported: {100 * row.test_accuracy:.1f} %" for row in shown]
    missing = "" if here else f"This pair has not been measured here{_why(attack, defense)}. "
    missing += "" if shown else "No source here reports this pair. "
    live_chart(
        beside(here, shown, rows),
        key="beside",
        height=dots_height(len(here) + len(shown)),
        alt="; ".join(words),
        filename=f"{attack}_reported",
        question=f"{attacks[attack]}, defence: {defenses[defense]}. Clean test accuracy here and elsewhere",
        caption=f"{missing}**Crosses or diamonds: runs on this program's small data and network. Squares: values from "
        "the named source, "
        "on other data, networks and schedules.** They show whether the direction agrees, not whether the numbers do. "
        "Blue: what the same source reaches on clean data.",
    )
    if shown:
        _table(shown, "beside_table")


def _why(attack: str, defense: str) -> str:
    """Why this program cannot measure a pair; empty when it can."""
    asked = (("attack", attack, ATTACKS), ("defense", defense, DEFENSES))
    return "".join(
        f" ({NOT_HERE[c][key]})" for c, key, known in asked if key not in (*known, "none") and key in NOT_HERE[c]
    )


def _measured() -> list[Labelled]:
    """Every measured condition of both tables with a name for people and what clean data gives in the same table."""
    found: list[Labelled] = []
    tables = shipped_tables()
    rows = tables.attacks
    for dataset in data_sets(rows):
        own = conditions(rows, dataset)
        found += [(_label(dataset, c), c, reference(c, own)) for c in own]
    there = {condition.rows[0].key for _, condition, _ in found}
    rows = tables.defences
    for dataset in data_sets(rows):
        own = list(grid(rows, dataset).cells.values())
        # The undefended runs stand in both tables.
        found += [(_label(dataset, c), c, reference(c, own)) for c in own if c.rows[0].key not in there]
    return found


def _label(dataset: str, condition: Condition) -> str:
    return f"{data_title(dataset)} · {condition.name} · measured here"


# ---- sources -----------------------------------------------------------------------------------


def _sources(rows: tuple[ReportedRow, ...]) -> None:
    with st.expander("Where the numbers come from"):
        st.markdown(
            "They were copied from the sources as printed; nothing was run again. What each source leaves open is "
            "said here."
        )
        table = [
            {
                "Source": s.title,
                "Who": s.kind,
                "Where": s.where,
                "Values": sum(row.source == s for row in rows),
                "What to know": s.note,
            }
            for s in dict.fromkeys(row.source for row in rows)
        ]
        st.dataframe(
            pd.DataFrame(table),
            hide_index=True,
            row_height=70,
            height="content",
            alt="The sources and what is known of them.",
        )
    st.download_button(
        "Every reported value as CSV",
        reported_csv(rows),
        "reported.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
    )


def reported_csv(rows: Sequence[ReportedRow]) -> str:
    """Every value as a line: names as normalised and as printed, accuracy in per cent, source."""
    lines = [
        {
            **{column: getattr(row, column).label for column in row.spelled},
            "test_accuracy_percent": round(100 * row.test_accuracy, 4),
            "source": row.source.text,
            **{f"{column}_as_printed": text for column, text in row.spelled.items()},
        }
        for row in rows
    ]
    return csv_text(pd.DataFrame(lines))
