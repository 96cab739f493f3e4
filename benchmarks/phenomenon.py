"""The central table: what the attack does, what COIN gives back, and the controls.

    python -m benchmarks.phenomenon                 fill what is missing (hours become minutes: finished rows are kept)
    python -m benchmarks.phenomenon --table         print the table from the stored rows

Every row is one run of ``ued_core.runs.pipeline.execute``, the code that the app's workers run.
Rows are stored in ``assets/results/phenomenon.json`` with spec, history and environment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks import rows
from ued_core.results.measured import against, control, summary
from ued_core.results.phenomenon import Condition, conditions
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import gain_cell, level, level_cell

RESULTS = rows.RESULTS / "phenomenon.json"
SEEDS = (0, 1, 2, 3, 4)
PLANS = ("adamw", "sgd")
DATASETS = ("fashion", "shapes", "digits")
CONDITIONS: dict[str, dict[str, Any]] = {
    "clean": {},
    "CUDA": {"attack": {"name": "cuda", "blur": 0.3}},
    "CUDA + COIN": {"attack": {"name": "cuda", "blur": 0.3}, "defenses": [{"name": "coin", "strength": 2.0}]},
    "one common kernel": {"attack": {"name": "cuda", "blur": 0.3, "assignment": "common"}},
    "clean + COIN": {"defenses": [{"name": "coin", "strength": 2.0}]},
}


def spec_of(dataset: str, plan: str, condition: str, seed: int) -> dict[str, Any]:
    """The run spec of one row: one seed draws data, kernels, weights and order."""
    shared = {
        "dataset": {"name": dataset, "seed": seed},
        "plan": plan,
        "seed": seed,
        "attack_seed": seed,
        "model": "small_cnn",
    }
    return {**shared, **CONDITIONS[condition], "device": "cpu", "note": condition}


def compute(dataset: str, plan: str, condition: str, seed: int) -> ResultRow:
    """One row."""
    labels = {"dataset": dataset, "plan": plan, "condition": condition, "seed": seed}
    return ResultRow.from_json({**labels, **rows.train_once(spec_of(dataset, plan, condition, seed))})


def name_of(row: ResultRow) -> tuple[str, str, str, int]:
    """What a row is called."""
    return row.dataset, row.plan, row.condition, row.seed


def main() -> None:
    """Fill the table or print it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--datasets", nargs="*", default=DATASETS)
    parser.add_argument("--plans", nargs="*", default=PLANS)
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {row.key for row in stored_rows(RESULTS)}
    wanted = [(d, p, c, s) for d in options.datasets for p in options.plans for s in options.seeds for c in CONDITIONS]
    missing = [job for job in wanted if RunSpec.from_json(spec_of(*job)).key() not in there]
    order = [(d, p, c, s) for d in DATASETS for p in PLANS for s in SEEDS for c in CONDITIONS]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: the last epoch's clean test accuracy, its difference from the control on the same seeds, and what goes
    with it."""
    lines = [
        "| data | plan | trained on | clean test, last | against its control | best | train | wrong kernel: true class "
        "| wrong kernel: kernel's class |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    numbers = ("best", "train_accuracy", "wrong_true_rate", "wrong_perturbation_rate")
    for dataset, plan in ((d, p) for d in DATASETS for p in PLANS):
        there = conditions(found, dataset, plan)
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


if __name__ == "__main__":
    main()
