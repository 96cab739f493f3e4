"""What the features of poisoned networks are worth: the last layer refitted on clean images, with its control.

    python -m benchmarks.feature_quality              fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.feature_quality --table      print the table from the stored rows

Data, attacks, network and plan of ``benchmarks.defence_table``, without a defence. *Untrained* is the same refit on the
network before training. Rows are stored in ``assets/results/feature_quality.json``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import rows
from benchmarks.defence_table import ONLY, SEEDS, spec_of
from ued_core.results.row import VERSION, ResultRow, stored_rows

RESULTS = rows.RESULTS / "feature_quality.json"
DATASETS = ("shapes", "digits")
NUMBERS = ("as_trained", "refitted", "untrained")


def compute(dataset: str, attack: str, seed: int) -> ResultRow:
    """Train one network and measure it."""
    import torch

    torch.set_num_threads(1)
    from safetensors.torch import load_file

    from ued_core.analysis.feature_quality import feature_quality
    from ued_core.context import Context
    from ued_core.data import load_split
    from ued_core.runs.pipeline import execute
    from ued_core.runs.spec import RunSpec

    began, spec = time.perf_counter(), RunSpec.from_json(spec_of(dataset, attack, "none", seed))
    data = load_split(spec.dataset, Context())
    networks = [
        spec.model.build(data.train.shape, data.train.classes, Context(seed=seed).generator("weights"))
        for _ in range(2)
    ]
    with tempfile.TemporaryDirectory() as folder:
        result = execute(spec, Context(), weights=Path(folder) / "network.safetensors")
        networks[0].load_state_dict(load_file(Path(folder) / "network.safetensors"))
    found = feature_quality(networks[0].eval(), networks[1].eval(), data.train, data.test, Context(seed=seed))
    labels: dict[str, Any] = {
        "dataset": dataset,
        "attack": attack,
        "seed": seed,
        "version": VERSION,
        "key": spec.key(),
        "spec": spec.to_json(),
    }
    measured = {**found.to_json(), "last": result.last, "environment": result.environment.to_json()}
    return ResultRow.from_json({**labels, **measured, "seconds": time.perf_counter() - began})


def name_of(row: ResultRow) -> tuple[str, str, int]:
    """What a row is called."""
    return row.dataset, row.attack, row.seed


def main() -> None:
    """Fill the table or print it."""
    options = rows.parser(__doc__).parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    order = [(dataset, attack, seed) for dataset in DATASETS for attack in ONLY[dataset] for seed in SEEDS]
    wanted = sorted((job for job in order if job[2] in options.seeds), key=lambda job: job[2])
    missing = [
        job for job in wanted if (job, RunSpec.from_json(spec_of(job[0], job[1], "none", job[2])).key()) not in there
    ]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd over seeds, clean test accuracy."""
    lines = [
        "| data | trained on | as trained | last layer refitted | refitted, untrained | n |",
        "|---|---|---|---|---|---|",
    ]
    for dataset in DATASETS:
        for attack in ONLY[dataset]:
            own = [row for row in found if (row.dataset, row.attack) == (dataset, attack)]
            if own:
                cells = [rows.spread([row.value(number) for row in own]) for number in NUMBERS]
                lines.append("| " + " | ".join([dataset, attack, *cells, str(len(own))]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
