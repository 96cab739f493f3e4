"""How many clean images undo a poison: finished runs are refitted and fine-tuned on few clean images, with controls.

    python -m benchmarks.recovery --queue        queue the runs that are missing in this home, and measure nothing
    python -m benchmarks.recovery                measure the finished runs of this home that have no row yet
    python -m benchmarks.recovery --table        print the table from the stored rows

Data, attacks, network and plan of the study ``fashion``, without a defence; the runs are found by their keys. The
known images are clean originals of training images, drawn by the seed of the run: the same ones for all attacks. Rows
are stored in ``assets/results/recovery.json``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from typing import Any

from benchmarks import rows
from ued_core import runs
from ued_core.analysis.recovery import RecoveryTest
from ued_core.records import ImageSet
from ued_core.results import recovery
from ued_core.results.evidence import over
from ued_core.results.row import VERSION, ResultRow, stored_rows
from ued_core.results.words import level
from ued_core.runs.spec import RunSpec
from ued_core.studies.shelf import study_files
from ued_core.studies.study import Study

ATTACKS = ("clean", "CUDA", "LSP", "region")
SEEDS = (0, 1, 2, 3, 4)


@cache
def wanted() -> dict[tuple[str, int], RunSpec]:
    """The runs of the study that have no defence, by attack and seed."""
    study = Study.read(study_files()["fashion"])
    found = study.matching({"attack": ATTACKS, "defence": ["none"]})
    specs = {(c.places["attack"], run.spec.seed): run.spec for c in found for run in c.runs}
    return dict(sorted(specs.items(), key=lambda entry: (entry[0][1], ATTACKS.index(entry[0][0]))))


def finished(spec: RunSpec) -> str | None:
    """The id of a finished run of this home; None where there is none."""
    return next((record.id for record in runs.find(spec.key()) if record.state == "finished"), None)


def measure(seed: int, attacks: list[str]) -> Iterator[ResultRow]:
    """Measure the runs of one seed; all of them share the control."""
    from ued_core.studies.recovery_room import recover

    alone: dict[int, tuple[float, int]] = {}

    def control(test: RecoveryTest, known: ImageSet) -> tuple[float, int]:
        if len(known) not in alone:
            alone[len(known)] = test.alone(known)
        return alone[len(known)]

    for attack in attacks:
        began, spec = time.perf_counter(), wanted()[attack, seed]
        run = finished(spec)
        assert run is not None, "only finished runs are asked for"
        result, found = runs.folder(run).result(), recover(run, control=control).to_json()
        assert result is not None
        labels: dict[str, Any] = {"dataset": "fashion", "attack": attack, "seed": seed, "version": VERSION}
        measured = {name: found[name] for name in ("key", "as_trained", "steps", "tested", "points")}
        made = {"last": result.last, "data": result.data.to_json(), "environment": result.environment.to_json()}
        seconds = time.perf_counter() - began
        yield ResultRow.from_json({**labels, **measured, "spec": spec.to_json(), **made, "seconds": seconds})


def name_of(row: ResultRow) -> tuple[str, int]:
    """What a row is called."""
    return row.attack, row.seed


def main() -> None:
    """Queue runs, measure them, or print the table."""
    parser = rows.parser(__doc__)
    parser.add_argument("--queue", action="store_true", help="queue the runs that are missing in this home")
    parser.set_defaults(seeds=SEEDS)
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(recovery.FILE)))
        return
    specs = {name: spec for name, spec in wanted().items() if name[1] in options.seeds}
    if options.queue:
        print(f"{len(runs.submit_many(spec for spec in specs.values() if not runs.find(spec.key())))} runs queued")
        return
    there = {(name_of(row), row.key) for row in stored_rows(recovery.FILE)}
    missing = [name for name, spec in specs.items() if (name, spec.key()) not in there]
    ready = [name for name in missing if finished(specs[name])]
    if len(ready) < len(missing):
        print(f"{len(missing) - len(ready)} runs have not finished in this home; --queue trains what is missing")
    import torch

    torch.set_num_threads(1)
    order = sorted(wanted(), key=lambda name: (ATTACKS.index(name[0]), name[1]))
    for seed in dict.fromkeys(seed for _, seed in ready):
        for row in measure(seed, [attack for attack, own in ready if own == seed]):
            rows.store(recovery.FILE, row, name_of, order)
            print(f"{row.attack}, seed {seed}: {row.seconds or 0.0:.0f} s", flush=True)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd over seeds of the clean test accuracy."""
    lines = [
        "| trained on | known clean images | as trained | last layer refitted | one epoch of all weights | the same "
        "images alone | one epoch on them alone | n |",
        "|---" * 8 + "|",
    ]
    for own in recovery.by_attack(found):
        for known in own.known:
            cells = [level(over(own.values(method, known).values())) for method in recovery.METHODS]
            trained = level(over(own.as_trained.values()))
            line = [own.attack, f"{known:,}", trained, *cells, str(len(own.rows))]
            lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
