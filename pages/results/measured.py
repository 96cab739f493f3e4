"""The measured part of the page Results: stored runs of this program, with the way back to each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.cache import cached
from pages.frame.navigation import script
from pages.state.run_address import hand_over
from pages.state.run_protocol import in_words
from pages.state.run_words import percent
from pages.state.selection import selection_address
from pages.widgets.controls import method_address, segments
from pages.widgets.live_chart import live_chart
from ued_core.attacks import Attack
from ued_core.csv_export import csv_text
from ued_core.data import DATASETS
from ued_core.errors import UedError
from ued_core.figures.results import (
    accuracy_map,
    attack_dots,
    condition_words,
    dots_height,
    map_height,
    measured_cells,
)
from ued_core.results import measured
from ued_core.results.evidence import RULE, Comparison, like_with_like, over
from ued_core.results.measured import (
    ATTACKS_COMMAND,
    DEFENCES_COMMAND,
    Grid,
    against,
    attack_of,
    by_effect,
    conditions,
    crossed,
    data_sets,
    data_title,
    defences_of,
    grid,
    reference,
    summary,
    undefended,
)
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, guessing
from ued_core.results.row import stored_rows as read_rows
from ued_core.results.words import LEGEND, bounds, points
from ued_core.runs.spec import RunSpec

Columns = dict[str, Any]
GO_TO = "results_go_to"
ACCURACIES, COSTS = ("last", "best", "train_accuracy"), ("crafting_cpu_s", "crafting_s", "evaluations")
RUN_COLUMNS = (*ACCURACIES, "linf", "l2", "psnr", *COSTS, "agreement", "epochs", "seconds")
SIZES = ("linf", "l2", "crafting_cpu_s")
GAIN_TITLES = {"attack": "vs clean (pts)", "images": "vs control (pts)"}
"""What a table's differences are from, by where its first button leads."""
STRONG, WEAK = 0.5, 0.9
"""Shares of the clean accuracy: below the first an attack is counted as strong, above the second it is named as
weak."""


@cached(max_entries=4)
def _stored(file: str, _changed: int) -> list[ResultRow]:
    return read_rows(Path(file))


def stored_rows(file: Path) -> list[ResultRow]:
    """The rows of a table as they are now; empty while there is none."""
    return _stored(str(file), file.stat().st_mtime_ns) if file.exists() else []


@dataclass(frozen=True)
class Tables:
    """All that is shown of attacks and defences.

    Attributes:
        attacks: rows of conditions without a defence, and those of the attack table.
        defences: rows of attack × defence.
        commands: data set → what fills its rows, where that is a study.
    """

    attacks: Sequence[ResultRow]
    defences: Sequence[ResultRow]
    commands: Mapping[str, str]


def shipped_tables() -> Tables:
    """The rows of studies that cross attacks with defences, a run that stands in several of them once, and those of the
    table of attacks."""
    own = (measured.ATTACKS_FILE, measured.DEFENCES_FILE)
    studies = {n: crossed(stored_rows(file)) for n, file in measured.study_tables().items() if file not in own}
    found = [row for rows in studies.values() for row in rows]
    # A run that stands in several tables is one run.
    cells = {(r.dataset, r.attack, r.defence, r.key): r for r in [*found, *stored_rows(measured.DEFENCES_FILE)]}
    return Tables(
        [*undefended(found), *stored_rows(measured.ATTACKS_FILE)],
        list(cells.values()),
        {row.dataset: measured.study_command(name) for name, rows in studies.items() for row in rows},
    )


def plain_name(name: str) -> str:
    """The same in letters and digits, for files and keys."""
    return re.sub(r"\W+", "_", name)


def go_where_asked() -> None:
    """Follow the button that was pressed in a table; at the top of the page, because callbacks cannot change pages."""
    match st.session_state.pop(GO_TO, None):
        case ("images", RunSpec(attack=Attack() as attack) as spec) if spec.defenses:
            address = selection_address(spec.dataset, attack, spec.attack_seed)
            # An empty list of further defences, in place of what was chosen there before.
            address |= {**method_address(spec.defenses[0], key="defence"), "further": ""}
            st.switch_page(script("defence/page.py"), query_params=address)
        case ("attack" | "images", RunSpec(attack=Attack() as attack) as spec):
            st.switch_page(
                script("attack/page.py"), query_params=selection_address(spec.dataset, attack, spec.attack_seed)
            )
        case ("runs", RunSpec() as spec):
            hand_over(spec.to_json(), "the page Results")
            st.switch_page(script("runs/page.py"))


def measured_view() -> None:
    """Attacks on one data set, then attack × defence on the same."""
    tables = shipped_tables()
    attacks, defences = tables.attacks, tables.defences
    known = list(dict.fromkeys(run.spec["dataset"]["name"] for run in [*attacks, *defences]))
    if not known:
        st.info(f"Nothing has been measured yet. Fill the tables with `{ATTACKS_COMMAND}` and `{DEFENCES_COMMAND}`.")
        return
    # In the order of the catalogue: the tables are filled in any order.
    known.sort(key=lambda name: list(DATASETS).index(name) if name in DATASETS else len(DATASETS))
    dataset = segments("Data", {name: data_title(name) for name in known}, key="results_data", default=known[0])
    _attack_part(attacks, dataset, tables.commands.get(dataset, ATTACKS_COMMAND))
    st.header("What each defence gives back")
    own = data_sets([run for run in defences if run.spec["dataset"]["name"] == dataset])
    for table in own:
        _defence_table(defences, table, tables.commands.get(table, DEFENCES_COMMAND))
    if not own:
        st.info(f"No defence has been measured on {data_title(dataset)} yet: `{DEFENCES_COMMAND}`.")


# ---- attacks -----------------------------------------------------------------------------------


def _attack_part(rows: Sequence[ResultRow], dataset: str, command: str) -> None:
    st.header("How much accuracy each attack leaves")
    found = by_effect(conditions(rows, dataset))
    if not found:
        st.info(f"No attack has been measured on {data_title(dataset)} yet: `{ATTACKS_COMMAND}`.")
        return
    words = "; ".join(f"{c.name} {condition_words(c)}" for c in found)
    live_chart(
        attack_dots(found, guessing(found[0].rows[0])),
        key="attack_dots",
        height=dots_height(len(found)),
        alt=f"Clean test accuracy after the last epoch, mean over seeds: {words}.",
        filename=f"attacks_{dataset}",
        question=f"{data_title(dataset)}: how well does a model do on clean images after training on …?",
        caption="Each mark is one run (hover for its numbers), the upright bar is the mean, the blue line what the "
        f"same training reaches on clean data. {reading(found)}",
    )
    _attack_table(found, dataset)
    made_by(found, command, runs_csv(found), f"attacks_{dataset}.csv")


def gain_columns(found: Comparison) -> Columns:
    """The difference from a control in points, and its interval with the number of seeds; None without a common one."""
    if not found.gain.count:
        return {"gain": None, "interval": None}
    doubt = "?" if found.word == "cannot be told" else ""
    words = f"{doubt}{bounds(found.gain.interval)} n{found.gain.count}".strip()
    # Plus zero: what rounds to nothing has no sign.
    return {"gain": round(100 * found.gain.mean, 1) + 0.0, "interval": words}


def reading(found: Sequence[Condition]) -> str:
    """What the numbers say, in words that follow them; empty where no attack has a clean run beside it."""
    shares = {}
    for c in found:
        if attack_of(c) and not defences_of(c) and (clean := reference(c, found)) is not None:
            after, before = (over(values.values()) for values in like_with_like(c.rows, clean.rows))
            if after.count:
                shares[c.name] = after.mean / before.mean
    if not shares:
        return ""
    strongest = min(shares, key=shares.__getitem__)
    own = next(c for c in found if c.name == strongest)
    parts = [f"Lowest mean: **{strongest}** with {percent(summary(own, 'last').mean)}."]
    strong = [name for name, share in shares.items() if share < STRONG]
    without = [name for name, share in shares.items() if share > WEAK]
    leave = "leaves" if len(strong) == 1 else "leave"
    parts.append(f"{len(strong)} of {len(shares)} attacked data sets {leave} less than half of the clean accuracy.")
    if without:
        # Some names hold commas.
        parts.append(f"More than 90 % of it is left by {' · '.join(without)}.")
    return " ".join(parts)


def condition_columns(
    name: str, heading: str, width: int, goal: str, seen: Sequence[RunSpec | None], specs: Sequence[RunSpec | None]
) -> Columns:
    """The columns that every table of conditions begins with: name, buttons, accuracies, seeds.

    Args:
        name: of the table.
        heading, width: of the conditions' names; CSS pixels.
        goal: where the first button leads, as in :func:`table_button`.
        seen, specs: one per row: what the first and the second button take.
    """
    kit = st.column_config
    return {
        "name": kit.TextColumn(heading, pinned=True, width=width),
        "see": kit.ButtonColumn("look", key=f"{name}_see", on_click=table_button(f"{name}_see", goal, seen), width=90),
        "train": kit.ButtonColumn(
            "train", key=f"{name}_train", on_click=table_button(f"{name}_train", "runs", specs), width=72
        ),
        "last": numeric("last %", "Accuracy on clean test images after the last epoch, mean over the seeds."),
        "spread": numeric(
            "± sd", "Sample standard deviation of the last epoch's accuracy over the seeds, in points.", width=58
        ),
        "seeds": numeric("seeds", "How many runs the means are over.", "%d", 58),
        "gain": numeric(GAIN_TITLES[goal], f"In points, on the same seeds as the control. {RULE}", "%+.1f", 104),
        "interval": kit.TextColumn("95 %, n", width=96, help="Its paired t interval, and how many seeds both have."),
        "best": numeric(
            "best %", "The highest clean test accuracy of any epoch. Picked by looking at the test images: it flatters."
        ),
        "train_accuracy": numeric(
            "train %", "Accuracy over the last epoch on what the model was trained on, as it saw it."
        ),
    }


def numeric(title: str, help: str, form: str = "%.1f", width: int = 66) -> Any:
    """A column of numbers; width in CSS pixels."""
    return st.column_config.NumberColumn(title, format=form, help=help, width=width)


def _attack_table(found: Sequence[Condition], dataset: str) -> None:
    name = f"attack_table_{dataset}"
    specs = [run_spec(c) for c in found]
    st.dataframe(
        attack_frame(found),
        key=name,
        hide_index=True,
        placeholder="–",
        height="content",
        alt="Table of what was trained on: accuracies in per cent, size and cost of the perturbation, number of seeds.",
        column_config={
            **condition_columns(name, "trained on", 205, "attack", specs, specs),
            "linf": numeric("L∞ (1/255)", "Largest change of a pixel value in 1/255, mean over the images.", width=84),
            "l2": numeric(
                "L2 (0..1)", "Length of the change with pixel values in 0..1, mean over the images.", "%.2f", 76
            ),
            "crafting_cpu_s": numeric(
                "crafting (CPU s)", "Seconds of processor time on one thread to poison the training set.", width=112
            ),
            "evaluations": numeric(
                "gradient steps",
                "How often an image went through a model while the poison was crafted.",
                "localized",
                104,
            ),
            "agreement": numeric(
                "NMI", "Agreement of the attack's clusters with the labels, 0..1; for Unlearnable Clusters.", "%.2f", 56
            ),
        },
    )
    st.caption(
        "Click a heading to sort. **Attack →** shows what the attack does, **Train →** hands the run to the page Runs."
    )


def attack_frame(found: Sequence[Condition]) -> pd.DataFrame:
    """One row per condition: means over the seeds, shares in per cent; None where a number is not there, and no column
    of sizes or costs that no row has."""

    def mean(condition: Condition, number: str, scale: float = 1.0) -> float | None:
        value = summary(condition, number).mean
        return None if np.isnan(value) else scale * value

    rows = []
    for condition in found:
        clean, last = reference(condition, found), summary(condition, "last")
        attacked = attack_of(condition) is not None
        spec = run_spec(condition)
        rows.append(
            {
                "name": condition.name,
                "see": "Attack →" if spec is not None and spec.attack is not None else None,
                "train": "Train →" if spec is not None else None,
                "last": 100 * last.mean,
                "spread": None if np.isnan(last.spread) else 100 * last.spread,
                "seeds": len(condition.rows),
                "best": mean(condition, "best", 100),
                "train_accuracy": mean(condition, "train_accuracy", 100),
                **gain_columns(against(condition, clean if attacked else None)),
                **{number: mean(condition, number) for number in SIZES},
                "evaluations": None if (counted := mean(condition, "evaluations")) is None else round(counted),
                "agreement": mean(condition, "agreement"),
            }
        )
    frame = pd.DataFrame(rows)
    return frame.drop(columns=[name for name in (*SIZES, "evaluations", "agreement") if frame[name].isna().all()])


def run_spec(condition: Condition) -> RunSpec | None:
    """The first run of a condition as it can be repeated today; None where a method has changed since."""
    try:
        return RunSpec.from_json(condition.rows[0].spec)
    except UedError:
        return None


def table_button(key: str, goal: str, specs: Sequence[RunSpec | None]) -> Any:
    """What a column of buttons calls: it notes where to go, for :func:`go_where_asked`.

    Args:
        key: of the column.
        goal: ``attack``, ``runs``, or ``images``: the page Defence where the run has a defence, otherwise Attack.
        specs: one per row of the table; None where its button leads nowhere.
    """

    def clicked() -> None:
        spec = specs[row] if (row := st.session_state[key]["row"]) < len(specs) else None
        if spec is not None and (goal == "runs" or spec.attack is not None):
            st.session_state[GO_TO] = (goal, spec)

    return clicked


def runs_csv(found: Sequence[Condition]) -> str:
    """Every run as a line: condition, seed, key of the run, and the numbers; shares are 0..1."""
    lines = [
        {
            "trained_on": c.name,
            **{"dataset": run.dataset, "seed": run.seed, "key": run.key},
            **{n: run.value(n) for n in RUN_COLUMNS},
        }
        for c in found
        for run in c.rows
    ]
    return csv_text(lines)


def made_by(found: Sequence[Condition], command: str, table: str, filename: str) -> None:
    """Protocol of the conditions, the command that fills them, and their runs (CSV) to download."""
    st.caption(f"{protocol(found)} Made by `{command}`.")
    st.download_button(
        "Every run as CSV", table, filename, "text/csv", on_click="ignore", icon=":material/download:", key=filename
    )


def protocol(found: Sequence[Condition]) -> str:
    """How the runs were made, read from the run without attack and defence, or the first one."""
    plain = next((c for c in found if attack_of(c) is None and not defences_of(c)), found[0])
    run, spec = plain.rows[0], run_spec(plain)
    counts = sorted({len(c.rows) for c in found})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    names = (
        [in_words(spec.model), in_words(spec.plan)] if spec else [run.spec[part]["name"] for part in ("model", "plan")]
    )
    machine = run.environment
    computed = f"; {machine.precision}, {machine.device}, PyTorch {machine.torch}" if machine else ""
    several = len({c.rows[0].spec["dataset"]["name"] for c in found}) > 1
    sizes = dict.fromkeys(_size(c.rows[0], several) for c in found)
    return (
        f"Unless a name says otherwise: {', '.join(names)}; {'; '.join(sizes)}; "
        f"{seeds} {'seed' if seeds == '1' else 'seeds'} each (one seed draws images, private key, weights and order)"
        f"{computed}."
    )


def _size(run: ResultRow, named: bool) -> str:
    name = f"{data_title(run.spec['dataset']['name'])}: " if named else ""
    return f"{name}{run.data.train:,} training and {run.data.test:,} test images" if run.data else name


# ---- defences ----------------------------------------------------------------------------------


def _defence_table(rows: Sequence[ResultRow], dataset: str, command: str) -> None:
    table = grid(rows, dataset)
    # Attacks across in every map; the defence that gives back most stands first.
    cells = measured_cells(table).sorted_columns(_by_gain(table)).turned().single_seeds_bracketed()
    live_chart(
        accuracy_map(cells),
        key=f"defence_map_{plain_name(dataset)}",
        height=map_height(cells),
        alt="; ".join(
            f"{attack} with {defence} {condition_words(table.cells[attack, defence])}"
            + (f", {points(gain.gain)} over none" if (gain := table.gain(attack, defence)) else "")
            for attack in table.attacks
            for defence in table.defences
            if (attack, defence) in table.cells
        ),
        filename=f"defences_{plain_name(dataset)}",
        question=f"{data_title(dataset)}: clean test accuracy after training on attacked images, and what defences "
        "change of it",
        caption="**Read along a column**: its first cell is the attack alone (per cent ± standard deviation), the "
        "others are what each defence adds to it on the same seeds, the most helpful first. In the column of clean "
        f"images a loss is what a defence costs where nothing was attacked. {LEGEND} In brackets: a single seed. "
        "Bright is learnable: the first cell's mean plus the gain.",
    )
    found = list(table.cells.values())
    made_by(found, command, runs_csv(found), f"defences_{plain_name(dataset)}.csv")


def _by_gain(table: Grid) -> list[int]:
    """The defences by what they give back on average over the attacks, the most first; none comes before them."""

    def mean(defence: str) -> float:
        gains = [gain.gain.mean for attack in table.attacks if (gain := _of_attack(table, attack, defence))]
        return float(np.mean(gains)) if gains else -np.inf

    own = {defence for (_, defence), cell in table.cells.items() if defences_of(cell)}
    places = range(len(table.defences))
    return sorted(places, key=lambda k: -mean(table.defences[k]) if table.defences[k] in own else -np.inf)


def _of_attack(table: Grid, attack: str, defence: str) -> Comparison | None:
    """What a defence gives back of an attack; None on clean images and where nothing can be paired."""
    cell = table.cells.get((attack, defence))
    if cell is None or attack_of(cell) is None:
        return None
    gain = table.gain(attack, defence)
    return gain if gain and gain.gain.count else None
