"""What every defence gives back, and costs: attack × defence × {shapes, digits} × three seeds.

    python -m benchmarks.defence_table                fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.defence_table --table        print the tables from the stored rows

The default CNN and plan, in batches of 64; digits as they are, shapes with 2,000 images to train and 500 to test on, so
that a row takes a quarter of a minute. *Shapes, 5,000 images* is the default data set with the default plan, for the
family of convolutions; *30 epochs* the same trained three times as long, for what random augmentation gains by it. One
seed draws the images, the private key, the weights and the order. Rows are stored in ``assets/results/defences.json``
with spec, history and environment. The row *none* is the undefended run, the column *clean* is what a defence costs
where nothing was poisoned. D-VAE is learnt for minutes and has a table of its own (``benchmarks.dvae``), and so have
the ablations of staged training (``benchmarks.staged``).
"""

from __future__ import annotations

from typing import Any

from benchmarks import rows
from ued_core.results.measured import Grid, data_sets, defences_of, grid, summary
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import gain_cell, level_cell

RESULTS = rows.RESULTS / "defences.json"
OTHERS = tuple(rows.RESULTS / name for name in ("open_questions.json", "attacks.json", "phenomenon.json"))
"""Runs of other tables that are the same run are not computed again."""
SEEDS = (0, 1, 2)
LARGE = "shapes, 5,000 images"
LONGER = "shapes, 5,000 images, 30 epochs"
DATASETS: dict[str, dict[str, Any]] = {
    "shapes": {"name": "shapes", "train_size": 2000, "test_size": 500},
    "digits": {"name": "digits"},
    LARGE: {"name": "shapes"},
    LONGER: {"name": "shapes"},
}
PLAN = {"name": "adamw", "batch_size": 64}
PLANS: dict[str, str | dict[str, Any]] = {LARGE: "adamw", LONGER: {"name": "adamw", "epochs": 30}}
"""Where it is another plan."""
ATTACKS: dict[str, dict[str, Any] | None] = {
    "clean": None,
    "CUDA": {"name": "cuda", "blur": 0.3},
    "VUDA": {"name": "vuda"},
    "HUDA": {"name": "huda"},
    "LSP": {"name": "synper"},
    "EM ε 16": {"name": "em", "epsilon": 16},
    "EM": {"name": "em"},
    "TAP": {"name": "tap"},
    "UC": {"name": "uc"},
}
ONLY = {
    "shapes": ("clean", "CUDA", "VUDA", "HUDA", "EM ε 16", "UC"),
    "digits": ("clean", "LSP", "EM", "TAP"),
    LARGE: ("clean", "CUDA", "VUDA", "HUDA"),
    LONGER: ("clean", "CUDA"),
}
"""The attacks that have an effect on a data set; the others are in the attack table."""
DEFENCES: dict[str, list[Any]] = {
    "none": [],
    "COIN": [{"name": "coin", "strength": 2.0}],
    "COIN, α = 1": [{"name": "coin", "strength": 1.0}],
    "JPEG 10": ["jpeg"],
    "COIN, shifts only": ["coin_shifts"],
    "COIN, interpolation only": ["coin_interpolation"],
    "elastic": ["elastic"],
    "smooth field": ["smooth_field"],
    "random affine": ["random_affine"],
    "random perspective": ["random_perspective"],
    "greyscale": ["greyscale"],
    "bit depth 2": ["bit_depth"],
    "bit depth 2, unbiased": [{"name": "bit_depth", "unbiased": True}],
    "Gaussian blur": ["gaussian_blur"],
    "Gaussian blur, as published": ["gaussian_as_published"],
    "Gaussian noise": ["gaussian_noise"],
    "random noise": ["random_noise"],
    "RSK + FF": ["rsk"],
    "SSK + FF": ["ssk"],
    "FF": ["frequency_filter"],
    "Cutout": ["cutout"],
    "Mixup": ["mixup"],
    "CutMix": ["cutmix"],
    "orthogonal projection": ["orthogonal_projection"],
    "strong augmentation": ["strong_augmentation"],
    "ST": [{"name": "staged", "threshold": 1.1}],
    "EPD-gated COIN": ["gated_coin"],
    "UEraser": ["ueraser"],
    "UEraser-lite": [{"name": "ueraser", "variant": "lite"}],
    "UEraser-max": [{"name": "ueraser", "variant": "max"}],
    "SDA+AN": ["sda_an"],
    "adversarial training": [{"name": "adversarial_training", "steps": 3, "step": 0.5}],
    "adversarial training, L2": [
        {"name": "adversarial_training", "norm": "l2", "radius": 128.0, "steps": 3, "step": 0.5}
    ],
    "TRADES": [{"name": "trades", "steps": 3, "step": 0.5}],
}
FAMILY = (
    "none",
    "COIN",
    "COIN, α = 1",
    "JPEG 10",
    "COIN, shifts only",
    "COIN, interpolation only",
    "RSK + FF",
    "SSK + FF",
)
WITH = {
    "shapes": tuple(DEFENCES),
    "digits": tuple(DEFENCES),
    LARGE: FAMILY,
    LONGER: ("none", "COIN", "JPEG 10", "SSK + FF"),
}
"""The defences that are tried on a data set."""


def spec_of(dataset: str, attack: str, defence: str, seed: int) -> dict[str, Any]:
    """The run spec of one row."""
    return {
        "dataset": {**DATASETS[dataset], "seed": seed},
        "attack": ATTACKS[attack],
        "defenses": DEFENCES[defence],
        "model": "small_cnn",
        "plan": PLANS.get(dataset, PLAN),
        "seed": seed,
        "attack_seed": seed,
        "device": "cpu",
        "note": f"{attack} · {defence}",
    }


def compute(dataset: str, attack: str, defence: str, seed: int) -> ResultRow:
    """One row."""
    labels = {"dataset": dataset, "attack": attack, "defence": defence, "seed": seed}
    return ResultRow.from_json({**labels, **rows.train_once(spec_of(dataset, attack, defence, seed), OTHERS)})


def name_of(row: ResultRow) -> tuple[str, str, str, int]:
    """What a row is called."""
    return row.dataset, row.attack, row.defence, row.seed


def main() -> None:
    """Fill the table or print it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--datasets", nargs="*", default=tuple(DATASETS), choices=tuple(DATASETS))
    parser.add_argument("--attacks", nargs="*", default=tuple(ATTACKS), choices=tuple(ATTACKS))
    parser.add_argument("--defences", nargs="*", default=tuple(DEFENCES), choices=tuple(DEFENCES))
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    cells = [(d, a) for d in options.datasets for a in options.attacks if a in ONLY[d]]
    wanted = [(d, a, f, s) for s in options.seeds for f in options.defences for d, a in cells if f in WITH[d]]
    missing = [job for job in wanted if (job, RunSpec.from_json(spec_of(*job)).key()) not in there]
    order = [(d, a, f, s) for d in DATASETS for a in ATTACKS for f in DEFENCES for s in SEEDS]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: one table per data set; the row *none* has accuracies, the others what a defence adds to it.

    A cell that shares no seed with its *none* is dropped.
    """
    parts = []
    for dataset in dict.fromkeys([*DATASETS, *data_sets(found)]):
        measured = grid(found, dataset)
        if not measured.cells:
            continue
        attacks = sorted(measured.attacks, key=[*ATTACKS, *measured.attacks].index)
        lines = [f"| {dataset} | " + " | ".join(attacks) + " |", "|---" * (len(attacks) + 1) + "|"]
        for defence in sorted(measured.defences, key=[*DEFENCES, *measured.defences].index):
            cells = [_cell(measured, attack, defence) for attack in attacks]
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


if __name__ == "__main__":
    main()
