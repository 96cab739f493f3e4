"""The Markdown tables of the shipped studies, for the documents; rows and columns stand in the order of the studies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import rows
from ued_core.results.measured import (
    Grid,
    against,
    conditions,
    control,
    data_sets,
    defences_of,
    grid,
    reference,
    summary,
)
from ued_core.results.phenomenon import Condition
from ued_core.results.phenomenon import conditions as of_plan
from ued_core.results.row import ResultRow
from ued_core.results.words import gain_cell, level, level_cell


def phenomenon(found: Sequence[ResultRow]) -> str:
    """The last epoch's clean test accuracy, its difference from the control on the same seeds, and what goes with
    it."""
    lines = [
        "| data | plan | trained on | clean test, last | against its control | best | train | wrong kernel: true class "
        "| wrong kernel: kernel's class |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    numbers = ("best", "train_accuracy", "wrong_true_rate", "wrong_perturbation_rate")
    for dataset, plan in dict.fromkeys((row.dataset, row.plan) for row in found):
        there = of_plan(found, dataset, plan)
        for own in there:
            last = level_cell(summary(own, "last"))
            cells = [last, against_control(own, there), *(level(summary(own, k)) for k in numbers)]
            lines.append("| " + " | ".join([dataset, plan, own.name, *cells]) + " |")
    return "\n".join(lines)


def against_control(own: Condition, there: Sequence[Condition]) -> str:
    """The difference from what a condition is compared with, and the name of that; empty without either."""
    other = control(own, there)
    cell = gain_cell(against(own, other))
    return f"{cell} ({other.name})" if other and cell else ""


def attacks(found: Sequence[ResultRow]) -> str:
    """Mean ± sd over seeds, and the difference from the same training on clean data, on the same seeds; size and cost
    of the perturbation."""
    lines = [
        "| data | trained on | clean test, last | against clean | best | train | L∞ | L2 | crafting, CPU s | gradient "
        "evaluations | NMI |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset in data_sets(found):
        there = conditions(found, dataset)
        for condition in there:
            clean = reference(condition, there)
            lost = "" if clean is condition else gain_cell(against(condition, clean))
            best, train = (level(summary(condition, k)) for k in ("best", "train_accuracy"))
            sizes = [_mean([_poison(row, k) for row in condition.rows], 1) for k in ("linf", "l2")]
            costs = [_mean([_poison(row, k) for row in condition.rows], 0) for k in ("cpu_s", "evaluations")]
            nmi = _mean([_poison(row, "agreement") for row in condition.rows], 2)
            last = level_cell(summary(condition, "last"))
            cells = [dataset, condition.name, last, lost, best, train, *sizes, *costs, nmi]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _poison(row: ResultRow, name: str) -> float | None:
    """A number of the perturbation; what crafting took stands in its own part since runs measure it themselves."""
    stored: dict[str, Any] = row.poison or {}
    crafted = row.crafting.to_json() if row.crafting is not None else {}
    return stored.get(name, stored.get(f"crafting_{name}", crafted.get(name)))


def _mean(values: list[float | None], digits: int) -> str:
    return rows.spread(values, digits, 1.0).split(" ")[0]


def defences(found: Sequence[ResultRow]) -> str:
    """One table per data set; the row *none* has accuracies, the others what a defence adds to it.

    A cell that shares no seed with its *none* is dropped.
    """
    parts = []
    for dataset in data_sets(found):
        measured = grid(found, dataset)
        lines = [f"| {dataset} | " + " | ".join(measured.attacks) + " |", "|---" * (len(measured.attacks) + 1) + "|"]
        for defence in measured.defences:
            cells = [_cell(measured, attack, defence) for attack in measured.attacks]
            if any(cells):
                lines.append("| " + " | ".join([defence, *cells]) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _cell(measured: Grid, attack: str, defence: str) -> str:
    cell = measured.cells.get((attack, defence))
    if cell is None:
        return ""
    if not defences_of(cell):
        return level_cell(summary(cell, "last"))
    gain = measured.gain(attack, defence)
    return gain_cell(gain) if gain else ""
