"""What the features of poisoned networks are worth: the last layer refitted on clean images, with its control.

    python -m benchmarks.feature_quality              fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.feature_quality --table      print the table from the stored rows

Data, attacks, network and plan of the study ``defences``, without a defence. *Untrained* is the same refit on the
network before training. Rows are stored in ``assets/results/feature_quality.json``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import rows
from ued_core.results.row import VERSION, ResultRow, stored_rows
from ued_core.runs.spec import RunSpec
from ued_core.studies.shelf import study_files
from ued_core.studies.study import Study

RESULTS = rows.RESULTS / "feature_quality.json"
DATASETS = ("shapes", "digits")
NUMBERS = ("as_trained", "refitted", "untrained")


def undefended() -> dict[tuple[str, str, int], RunSpec]:
    """The runs of the study that have no defence, by data set, attack and seed."""
    study = Study.read(study_files()["defences"])
    found = study.matching({"dataset": DATASETS, "defence": ["none"]})
    return {(c.places["dataset"], c.places["attack"], run.spec.seed): run.spec for c in found for run in c.runs}


def compute(dataset: str, attack: str, seed: int) -> ResultRow:
    """Train one network and measure it."""
    import torch

    torch.set_num_threads(1)
    from safetensors.torch import load_file

    from ued_core.analysis.feature_quality import feature_quality
    from ued_core.context import Context
    from ued_core.data import load_split
    from ued_core.runs.pipeline import execute

    began, spec = time.perf_counter(), undefended()[dataset, attack, seed]
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
    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    specs = undefended()
    order = list(specs)
    wanted = sorted((job for job in order if job[2] in options.seeds), key=lambda job: job[2])
    missing = [job for job in wanted if (job, specs[job].key()) not in there]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd over seeds, clean test accuracy."""
    lines = [
        "| data | trained on | as trained | last layer refitted | refitted, untrained | n |",
        "|---|---|---|---|---|---|",
    ]
    for dataset, attack in dict.fromkeys((row.dataset, row.attack) for row in found):
        own = [row for row in found if (row.dataset, row.attack) == (dataset, attack)]
        cells = [rows.spread([row.value(number) for row in own]) for number in NUMBERS]
        lines.append("| " + " | ".join([dataset, attack, *cells, str(len(own))]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
