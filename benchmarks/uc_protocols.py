"""Unlearnable Clusters under the paper's protocols: other labels, clean images mixed in, SimCLR, other models.

    python -m benchmarks.uc_protocols                 fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.uc_protocols --table         print the tables from the stored rows

1,500 drawn shapes (500 to test), so that a seed takes less than half an hour of one processor; the accuracies are
therefore lower than those of the other tables. One seed draws images, private key, weights and order. Rows are stored
in ``assets/results/uc_protocols.json`` with spec, history and environment. UC (labelled surrogate) crafts with an
encoder that has learned the classes: a control, which is not label-agnostic and bounds nothing. UC (proxy surrogate)
crafts with the embedded one.
"""

from __future__ import annotations

from typing import Any

from benchmarks import rows
from ued_core.results.row import ResultRow, guessing, stored_rows

RESULTS = rows.RESULTS / "uc_protocols.json"
DATA = {"name": "shapes", "train_size": 1500, "test_size": 500}
PLAN = {"name": "adamw", "epochs": 15, "batch_size": 64}
LONGER = {"name": "adamw", "epochs": 8, "batch_size": 64}
"""For models that take long: fewer epochs, the same for clean and poisoned."""
SIMCLR = {"name": "simclr", "epochs": 20, "batch_size": 128}
LABELLED = {"attack": {"name": "uc", "encoder": "labelled"}}
PROXY = {"attack": {"name": "uc"}}
POISONS: dict[str, dict[str, Any]] = {"clean": {}, "UC (labelled surrogate)": LABELLED, "UC (proxy surrogate)": PROXY}
LABELS: dict[str, dict[str, Any]] = {
    "10 classes": {},
    "5 classes, y mod 5": {"relabel": {"name": "modulo", "classes": 5}},
    "5 classes, ⌊5y/10⌋": {"relabel": {"name": "blocks", "classes": 5}},
    "2 classes, y mod 2": {"relabel": {"name": "modulo", "classes": 2}},
    "2 classes, ⌊2y/10⌋": {"relabel": {"name": "blocks", "classes": 2}},
}
RATES = (0.2, 0.5, 0.8)
MODELS: dict[str, dict[str, Any]] = {
    "ResNet-18, width 16": {"model": {"name": "resnet18", "width": 16}},
    "RegNetX-1.6GF at 32 px": {"model": {"name": "regnetx_1_6gf", "side": 32}},
    "EfficientNet-B1 at 32 px": {"model": {"name": "efficientnet_b1", "side": 32}},
}


def conditions() -> dict[tuple[str, str, str], dict[str, Any]]:
    """(protocol, setting, trained on) → what its spec says besides the shared part, in the order of the tables."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for setting, labels in LABELS.items():
        found |= {("relabelling", setting, name): {**poison, **labels} for name, poison in POISONS.items()}
    for rate in RATES:
        setting = f"{100 * rate:.0f} % unlearnable"
        found["mixing", setting, "all images"] = {**LABELLED, "poison_rate": rate}
        found["mixing", setting, "the clean ones alone"] = {**LABELLED, "poison_rate": rate, "train_on": "clean"}
    found |= {("SimCLR", "linear probe", name): {**poison, "plan": SIMCLR} for name, poison in POISONS.items()}
    for setting, model in MODELS.items():
        found |= {("transfer", setting, name): {**POISONS[name], **model, "plan": LONGER} for name in list(POISONS)[:2]}
    return found


def spec_of(protocol: str, setting: str, trained_on: str, seed: int) -> dict[str, Any]:
    """The run spec of one row."""
    shared = {
        "dataset": {**DATA, "seed": seed},
        "plan": PLAN,
        "seed": seed,
        "attack_seed": seed,
        "model": "small_cnn",
        "device": "cpu",
    }
    return {**shared, **conditions()[protocol, setting, trained_on], "note": f"{protocol}: {setting}, {trained_on}"}


def compute(protocol: str, setting: str, trained_on: str, seed: int) -> ResultRow:
    """One row in this process with one thread; a poison that several rows share is crafted once."""
    row = rows.train_once(spec_of(protocol, setting, trained_on, seed))
    labels = {"protocol": protocol, "setting": setting, "trained_on": trained_on, "seed": seed}
    return ResultRow.from_json({**row, **labels})


def name_of(row: ResultRow) -> tuple[str, str, str, int]:
    """What a row is called."""
    return row.protocol, row.setting, row.trained_on, row.seed


def main() -> None:
    """Fill the table or print it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--protocols", nargs="*", help="relabelling, mixing, SimCLR, transfer; all when left out")
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    order = [(*name, seed) for name in conditions() for seed in (0, 1, 2)]
    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    wanted = [job for job in sorted(order, key=lambda job: job[3]) if job[3] in options.seeds]
    wanted = [job for job in wanted if not options.protocols or job[0] in options.protocols]
    missing = [job for job in wanted if (job, RunSpec.from_json(spec_of(*job)).key()) not in there]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd over seeds; accuracies of the two parts of mixed sets are of the images as stored."""
    lines = [
        "| protocol | setting | trained on | clean test, last | clean test, best | train | unlearnable part | clean "
        "part | chance | n |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in conditions():
        own = [row for row in found if name_of(row)[:3] == name]
        if own:
            numbers = ("last", "best", "train_accuracy", "touched_accuracy", "untouched_accuracy")
            cells = [rows.spread([row.value(number) for row in own]) for number in numbers]
            chance = f"{100 * guessing(own[0]):.0f}"
            lines.append("| " + " | ".join([*name, *cells, chance, str(len(own))]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
