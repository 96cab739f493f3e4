"""What every attack does to the default model: attack × {shapes, digits} × three seeds.

    python -m benchmarks.attack_table                 fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.attack_table --table         print the table from the stored rows

One seed draws the images, the private key, the weights and the order. Rows are stored in
``assets/results/attacks.json`` with spec, history and environment. Crafting is timed apart from training, in seconds of
processor time on one thread, and counted in gradient evaluations: how many times an image went through a model.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks import rows
from ued_core.results.measured import against, conditions, data_sets, reference, summary
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import gain_cell, level, level_cell

RESULTS = rows.RESULTS / "attacks.json"
SHARED = rows.RESULTS / "phenomenon.json"
"""Runs of the central table that are the same run are not computed again."""
SEEDS = (0, 1, 2)
DATASETS = ("shapes", "digits")
PLAIN = {"name": "adamw", "crop": 0, "flip": "off"}
SLOW_SGD = {"name": "sgd", "learning_rate": 0.02, "crop": 0, "flip": "off"}
"""The recipe under which, of those tried on digits with seed 0, the painted pixel was followed most."""
REM = {"name": "rem", "train_steps": 400, "noise_steps": 3, "adversarial_steps": 1, "adversarial_radius": 1}
"""A quarter of the published radius of the shifts: what of REM converges in minutes of one core."""
CONDITIONS: dict[str, dict[str, Any]] = {
    "clean": {},
    "clean, no augmentation": {"plan": PLAIN},
    "class-wise noise ε 8": {"attack": {"name": "class_noise"}},
    "region noise ε 8": {"attack": {"name": "region"}},
    "one common kernel": {"attack": {"name": "cuda", "blur": 0.3, "assignment": "common"}},
    "CUDA": {"attack": {"name": "cuda", "blur": 0.3}},
    "VUDA": {"attack": {"name": "vuda"}},
    "HUDA": {"attack": {"name": "huda"}},
    "LSP": {"attack": {"name": "synper"}},
    "LSP + JPEG": {"attack": {"name": "synper"}, "defenses": [{"name": "jpeg"}]},
    "AR": {"attack": {"name": "autoregressive"}},
    "OPS": {"attack": {"name": "one_pixel"}},
    "OPS, no augmentation": {"attack": {"name": "one_pixel"}, "plan": PLAIN},
    "OPS, SGD without augmentation": {"attack": {"name": "one_pixel"}, "plan": SLOW_SGD},
    "clean, SGD without augmentation": {"plan": SLOW_SGD},
    "TAP": {"attack": {"name": "tap"}},
    "TAP, no augmentation": {"attack": {"name": "tap"}, "plan": PLAIN},
    "HYPO": {"attack": {"name": "hypo"}},
    "EM": {"attack": {"name": "em"}},
    "EM, as released": {"attack": {"name": "em", "as_released": True}},
    "EM, class-wise": {"attack": {"name": "em", "granularity": "class"}},
    "EM ε 16": {"attack": {"name": "em", "epsilon": 16}},
    "UC (proxy surrogate)": {"attack": {"name": "uc"}},
    "UC (labelled surrogate)": {"attack": {"name": "uc", "encoder": "labelled"}},
    "NTGA": {"attack": {"name": "ntga"}},
    "DeepConfuse": {"attack": {"name": "deep_confuse"}},
    "EMaxN": {"attack": {"name": "emax"}},
    "REM, 300 steps": {"attack": {"name": "rem", "train_steps": 300}},
    "REM, radius 1, 400 steps": {"attack": REM},
}
LATE = ("REM, 300 steps", "REM, radius 1, 400 steps")
"""Crafted after everything else: they take longest."""


def spec_of(dataset: str, condition: str, seed: int) -> dict[str, Any]:
    """The run spec of one row."""
    shared = {
        "dataset": {"name": dataset, "seed": seed},
        "plan": "adamw",
        "seed": seed,
        "attack_seed": seed,
        "model": "small_cnn",
    }
    return {**shared, **CONDITIONS[condition], "device": "cpu", "note": condition}


def compute(dataset: str, condition: str, seed: int) -> ResultRow:
    """Craft, measure and train one row in this process with one thread."""
    import torch

    torch.set_num_threads(1)
    from ued_core.context import Context
    from ued_core.data import load_split
    from ued_core.runs.spec import RunSpec

    wanted = spec_of(dataset, condition, seed)
    spec = RunSpec.from_json(wanted)
    train = load_split(spec.dataset, Context()).train
    poison = measure(spec, train) if spec.attack is not None else None
    known = next((r for r in stored_rows(SHARED) if r.key == spec.key()), None)
    result = known.to_json() if known else rows.train_once(wanted)
    labels = {"dataset": dataset, "condition": condition, "seed": seed, "poison": poison}
    return ResultRow.from_json({**result, **labels})


def measure(spec: Any, train: Any) -> dict[str, Any]:
    """Craft the poison and say how large it is and what it cost.

    Returns:
        ``linf`` (in 1/255), ``l2`` (pixel values in 0..1) and ``psnr`` (dB), means over the images; ``crafting_cpu_s``,
        ``crafting_s`` and ``evaluations`` (0 for attacks without a model), None where the set had been crafted before;
        ``agreement`` (NMI of the clusters with the labels; for Unlearnable Clusters).
    """
    from ued_core.analysis.perturbation import distortion
    from ued_core.attacks.checkpoint import crafted_card, poison_once
    from ued_core.context import Context

    told: list[tuple[float, str]] = []
    known = spec.attack.needs_whole_set and crafted_card(spec.attack, spec.attack_seed, train.content_hash) is not None
    began, cpu = time.perf_counter(), time.process_time()
    ctx = Context(seed=spec.attack_seed, on_report=lambda done, total, text: told.append((done, text)))
    poisoned = poison_once(spec.attack, train, ctx)
    spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu
    card = crafted_card(spec.attack, spec.attack_seed, train.content_hash) if spec.attack.needs_whole_set else None
    evaluations = 0.0
    if card is not None:
        # The last report jumps to the end, whatever was needed.
        evaluations = max((done for done, text in told if not text.startswith(card["log"]["note"])), default=0.0)
    size = distortion(train.images, poisoned.images)
    grouped = getattr(spec.attack, "agreement", None)
    return {
        "linf": float(size.linf.mean()),
        "l2": float(size.l2.mean()),
        "psnr": float(size.psnr.mean()),
        "crafting_s": None if known else spent,
        "crafting_cpu_s": None if known else cpu_spent,
        "evaluations": None if known else int(evaluations),
        "agreement": grouped(train, Context(seed=spec.attack_seed)) if grouped else None,
    }


def name_of(row: ResultRow) -> tuple[str, str, int]:
    """What a row is called."""
    return row.dataset, row.condition, row.seed


def main() -> None:
    """Fill the table or print it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--datasets", nargs="*", default=DATASETS)
    parser.add_argument("--conditions", nargs="*", default=tuple(CONDITIONS))
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    ordered = sorted(options.conditions, key=lambda condition: condition in LATE)
    wanted = sorted(
        ((d, c, s) for s in options.seeds for c in ordered for d in options.datasets), key=lambda job: job[1] in LATE
    )
    missing = [job for job in wanted if (job, RunSpec.from_json(spec_of(*job)).key()) not in there]
    order = [(d, c, s) for d in DATASETS for c in CONDITIONS for s in SEEDS]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd over seeds, and the difference from the same training on clean data, on the same seeds."""
    lines = [
        "| data | trained on | clean test, last | against clean | best | train | L∞ | L2 | crafting, CPU s | gradient "
        "evaluations | NMI |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    for dataset in dict.fromkeys([*DATASETS, *data_sets(found)]):
        there = conditions(found, dataset)
        order = [*CONDITIONS, *(c.name for c in there)]
        for condition in sorted(there, key=lambda c: order.index(c.name)):
            clean = reference(condition, there)
            lost = "" if clean is condition else gain_cell(against(condition, clean))
            own = condition.rows
            best, train = (level(summary(condition, k)) for k in ("best", "train_accuracy"))
            poison = [r.poison or {} for r in own]
            sizes = [_mean([p.get(k) for p in poison], 1) for k in ("linf", "l2")]
            costs = [_mean([p.get(k) for p in poison], 0) for k in ("crafting_cpu_s", "evaluations")]
            nmi = _mean([p.get("agreement") for p in poison], 2)
            last = level_cell(summary(condition, "last"))
            cells = [dataset, condition.name, last, lost, best, train, *sizes, *costs, nmi]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(values: list[float | None], digits: int) -> str:
    return rows.spread(values, digits, 1.0).split(" ")[0]


if __name__ == "__main__":
    main()
