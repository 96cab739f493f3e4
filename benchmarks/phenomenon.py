"""The central table: what the attack does, what COIN gives back, and the controls.

    python -m benchmarks.phenomenon                 fill what is missing (hours become minutes: finished rows are kept)
    python -m benchmarks.phenomenon --table         print the table from the stored rows

Every row is one run of ``ued_core.runs.pipeline.execute``, the code that the app's workers run.
Rows are stored in ``assets/results/phenomenon.json`` with spec, history and environment.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "assets" / "results" / "phenomenon.json"
SEEDS = (0, 1, 2)
PLANS = ("adamw", "sgd")
DATASETS = ("shapes", "digits")
CONDITIONS: dict[str, dict[str, Any]] = {
    "clean": {},
    "CUDA": {"attack": {"name": "cuda", "blur": 0.3}},
    "CUDA + COIN": {"attack": {"name": "cuda", "blur": 0.3}, "defenses": [{"name": "coin", "strength": 2.0}]},
    "one common kernel": {"attack": {"name": "cuda", "blur": 0.3, "assignment": "common"}},
    "clean + COIN": {"defenses": [{"name": "coin", "strength": 2.0}]},
}


def spec_of(dataset: str, plan: str, condition: str, seed: int) -> dict[str, Any]:
    """The run spec of one row: one seed draws data, kernels, weights and order."""
    shared = {"dataset": {"name": dataset, "seed": seed}, "plan": plan, "seed": seed, "attack_seed": seed, "model": "small_cnn"}
    return {**shared, **CONDITIONS[condition], "device": "cpu", "note": condition}


def compute(dataset: str, plan: str, condition: str, seed: int) -> dict[str, Any]:
    """Run one row in this process with one thread."""
    import torch

    torch.set_num_threads(1)
    from ued_core.context import Context
    from ued_core.runs.pipeline import execute
    from ued_core.runs.spec import RunSpec

    spec = RunSpec.from_json(spec_of(dataset, plan, condition, seed))
    result = execute(spec, Context())
    labels = {"dataset": dataset, "plan": plan, "condition": condition, "seed": seed}
    return {**labels, "key": spec.key(), "spec": spec.to_json(), **result}


def stored() -> list[dict[str, Any]]:
    """The rows that are there."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else []


def store(row: dict[str, Any]) -> None:
    """Add one row to the file, in the table's order; two programs may do so at once."""
    from filelock import FileLock

    from ued_core.files import write_atomic

    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(RESULTS.with_suffix(".lock")):
        rows = {r["key"]: r for r in stored()} | {row["key"]: row}
        order = [(d, p, s, c) for d in DATASETS for p in PLANS for s in SEEDS for c in CONDITIONS]
        kept = sorted(rows.values(), key=lambda r: order.index((r["dataset"], r["plan"], r["seed"], r["condition"])))
        text = "[\n" + ",\n".join(json.dumps(r, ensure_ascii=False) for r in kept) + "\n]\n"
        write_atomic(RESULTS, lambda path: path.write_text(text, encoding="utf-8") and None)


def main() -> None:
    """Fill the table or print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    parser.add_argument("--datasets", nargs="*", default=DATASETS)
    parser.add_argument("--plans", nargs="*", default=PLANS)
    options = parser.parse_args()
    if options.table:
        print(table(stored()))
        return
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from ued_core.runs.spec import RunSpec

    rows = {row["key"]: row for row in stored()}
    wanted = [(d, p, c, s) for d in options.datasets for p in options.plans for s in SEEDS for c in CONDITIONS]
    keys = {job: RunSpec.from_json(spec_of(*job)).key() for job in wanted}
    missing = [job for job in wanted if keys[job] not in rows]
    began = time.monotonic()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(compute, *job): job for job in missing}
        for done, future in enumerate(as_completed(futures), 1):
            row = future.result()
            store(row)
            left = (time.monotonic() - began) / done * (len(missing) - done)
            print(
                f"{done}/{len(missing)} {futures[future]} last {row['last']:.3f} {row['seconds']:.0f} s; {left / 60:.0f} min left",
                flush=True,
            )


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean ± sd over seeds of the last epoch's clean test accuracy, and what goes with it."""
    from statistics import mean, stdev

    lines = [
        "| data | plan | trained on | clean test, last | clean test, best | train | wrong kernel: true class | wrong "
        "kernel: kernel's class | n |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset in DATASETS:
        for plan in PLANS:
            for condition in CONDITIONS:
                own = [r for r in rows if (r["dataset"], r["plan"], r["condition"]) == (dataset, plan, condition)]
                if not own:
                    continue

                def show(values: list[float]) -> str:
                    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
                    return f"{100 * mean(values):.1f}{spread}"

                probes = [r["probe"] for r in own if r["probe"]]
                probe = [show([p[k] for p in probes]) if probes else "" for k in ("wrong_true_rate", "wrong_perturbation_rate")]
                numbers = [show([r[k] for r in own]) for k in ("last", "best", "train_accuracy")]
                lines.append("| " + " | ".join([dataset, plan, condition, *numbers, *probe, str(len(own))]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
