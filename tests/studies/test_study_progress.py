"""What a study has reached, from runs and rows that are made up: worked by hand."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from tests.studies.tiny_study import tiny
from ued_core.results.shipped_runs import ShippedRun, shipped_row, shipped_runs
from ued_core.runs import RunRecord
from ued_core.runs.devices import Slot
from ued_core.runs.listing import Snapshot
from ued_core.studies.progress import Cost, StudyProgress, progress_of, seconds_left
from ued_core.studies.study import Study

SLOT = Slot("cpu:0", "", "CPU")


def record(study: Study, label: str, unit: int, state: str = "finished", **more: Any) -> RunRecord:
    run = study.by_label[label].runs[unit]
    number = more.pop("number", 0)
    known = {"last": 0.5, "started": 100.0, "ended": 110.0, "cpu_s": 8.0} if state == "finished" else {}
    return RunRecord(
        id=f"20261129-120000-{number:03d}-abcd", key=run.key, state=state, **{"epochs": 1, **known, **more}
    )


def read(study: Study, *records: RunRecord, shipped: dict[str, ShippedRun] | None = None) -> StudyProgress:
    return progress_of(study, Snapshot("", tuple(records)), shipped or {})


def test_counts_means_and_cost() -> None:
    study = Study.from_json(tiny())
    found = read(
        study,
        record(study, "CUDA · none", 0, last=0.2, number=1),
        record(study, "CUDA · none", 1, last=0.4, number=2, cpu_s=12.0),
        record(study, "CUDA · COIN", 0, "running", number=3),
        record(study, "CUDA · COIN", 1, "queued", number=4),
        record(study, "clean · none", 0, "failed", number=5),
        record(study, "clean · none", 1, "interrupted", number=6),
        record(study, "clean · COIN", 1, "cancelled", number=7),
    )
    assert found.counts == {
        "finished": 2, "running": 1, "queued": 1, "failed": 1, "interrupted": 1, "cancelled": 1, "missing": 1
    }  # fmt: skip
    cell = found.cells["CUDA · none"]
    assert (cell.accuracy.mean, cell.accuracy.count) == (pytest.approx(0.3), 2)
    assert cell.accuracy.spread == pytest.approx(math.sqrt(0.02))
    assert cell.run_ids == ("20261129-120000-001-abcd", "20261129-120000-002-abcd")
    assert found.spent == Cost(20.0, 20.0)
    # Ahead are the running, the waiting, the interrupted and the missing one, each as long as the median condition.
    assert found.left == Cost(40.0, 40.0)
    assert seconds_left(found, (SLOT, SLOT)) == 20.0
    assert found.going
    assert not found.complete
    assert math.isnan(found.cells["CUDA · COIN"].accuracy.mean)


def test_a_running_run_is_ahead_by_its_epochs_and_without_any_time_nothing_is_said() -> None:
    value = tiny(seeds=[0])
    study = Study.from_json(value)
    runs_of = [record(study, label, 0, "finished") for label in ("clean · none", "clean · COIN", "CUDA · none")]
    found = read(study, *runs_of, record(study, "CUDA · COIN", 0, "running", epoch=3, epochs=4))
    # The record says how many epochs there are; the condition's own spec does not matter here.
    assert found.left == Cost(2.0, 2.5)
    assert read(study).left is None
    assert seconds_left(read(study), (SLOT,)) is None
    done = read(study, *runs_of, record(study, "CUDA · COIN", 0))
    assert (done.complete, done.left, seconds_left(done, (SLOT,))) == (True, Cost(0, 0), 0.0)


def test_which_run_counts() -> None:
    study = Study.from_json(tiny())
    key = study.by_label["CUDA · none"].runs[0].key
    row = ShippedRun("attacks.json", 0.7, "float32", 20.0, 15.0)
    failed, waiting = (record(study, "CUDA · none", 0, s, number=n) for s, n in (("failed", 1), ("queued", 2)))
    done = record(study, "CUDA · none", 0, last=0.6, number=3)
    assert read(study, failed).trials[key].state == "failed"
    assert read(study, failed, waiting).trials[key].record is waiting
    shipped = read(study, failed, waiting, shipped={key: row})
    assert (shipped.trials[key].last, shipped.shipped, shipped.spent) == (0.7, 1, Cost(0, 0))
    assert shipped.cells["CUDA · none"].run_ids == ()
    here = read(study, failed, waiting, done, shipped={key: row})
    assert (here.trials[key].last, here.shipped) == (0.6, 0)
    # auto took bfloat16 on a graphics card: it counts, but not where float32 is there too, and not on a processor.
    half = record(study, "CUDA · none", 0, last=0.1, number=4)
    half = RunRecord(
        **{**half.to_json(), "key": f"{key}-bfloat16", "environment": {"precision": "bfloat16", "device": "cuda"}}
    )
    assert read(study, half).trials[key].last == 0.1
    assert read(study, half, done).trials[key].record is done
    old = RunRecord(**{**half.to_json(), "environment": {"precision": "bfloat16", "device": "cpu"}})
    assert read(study, old).trials[key].state == "missing"
    # Pairs have one arithmetic.
    coin = record(study, "CUDA · COIN", 0, last=0.9, number=5)
    assert read(study, half, coin).judged[0].comparison.gain.count == 0
    assert read(study, done, coin).judged[0].comparison.gain.mean == pytest.approx(0.3)


def test_comparisons_are_paired_and_corrected_for_all_that_were_declared() -> None:
    study = Study.from_json(tiny(seeds=[0, 1, 2]))
    values = {
        "clean · none": (0.9, 0.9, 0.9),
        "CUDA · none": (0.2, 0.3, 0.1),
        "CUDA · COIN": (0.6, 0.65, 0.55),
    }
    records = [
        record(study, label, unit, last=value, number=10 * n + unit)
        for n, (label, row) in enumerate(values.items())
        for unit, value in enumerate(row)
    ]
    back, takes = read(study, *records).judged
    assert (back.compared.condition.label, back.compared.control.label) == ("CUDA · COIN", "CUDA · none")
    assert back.comparison.gain.mean == pytest.approx(0.4)
    assert back.comparison.gain.count == 3
    assert back.comparison.among == 2
    assert back.comparison.adjusted >= back.comparison.p
    assert back.recovery.share == pytest.approx(0.4 / 0.7)
    assert takes.compared.clean is None
    assert takes.recovery is None
    assert takes.comparison.gain.mean == pytest.approx(-0.7)
    assert back.comparison.gain.split is None
    # Without the second seed of the control, the pair is left out.
    without = read(study, *(r for r in records if r.id[-8:-5] != "011")).judged[0].comparison.gain
    assert (without.count, without.mean) == (2, pytest.approx(0.425))


def test_a_crossed_design_is_taken_as_one() -> None:
    key_axis = {"name": "key", "field": "attack_seed", "values": [0, 1], "repeats": True}
    value = tiny(axes=[*tiny()["axes"], key_axis], seeded=["seed"])
    study = Study.from_json(value)
    gains = {("0", "0"): 0.1, ("0", "1"): 0.2, ("1", "0"): 0.5, ("1", "1"): 0.6}
    records = []
    for n, (unit, gain) in enumerate(gains.items()):
        place = [run.unit for run in study.by_label["CUDA · none"].runs].index(unit)
        records.append(record(study, "CUDA · none", place, last=0.2, number=n))
        records.append(record(study, "CUDA · COIN", place, last=0.2 + gain, number=10 + n))
    back = read(study, *records).judged[0]
    gain = back.comparison.gain
    assert (gain.count, gain.mean) == (4, pytest.approx(0.35))
    assert (gain.split.keys, gain.split.seeds) == (2, 2)
    assert gain.split.key > 0.9
    assert gain.split.rest == pytest.approx(0, abs=1e-9)
    assert read(study, *records[:-1]).judged[0].comparison.gain.split is None
    # The clean runs of all keys are the same ones.
    cell = read(study, record(study, "clean · none", 0), record(study, "clean · none", 1, number=1)).cells[
        "clean · none"
    ]
    assert (len(cell.trials), len(cell.distinct), cell.accuracy.count) == (4, 2, 2)


def test_shipped_rows_stand_for_runs() -> None:
    found = shipped_runs()
    assert len(found) > 1000
    study = Study.from_json(
        {
            "name": "shipped",
            "base": {
                "dataset": {"name": "shapes", "train_size": 2000, "test_size": 500},
                "attack": {"name": "cuda", "blur": 0.3},
                "plan": {"name": "adamw", "batch_size": 64},
            },
            "extra": [{"label": "CUDA"}],
            "seeds": [0, 1, 2],
        }
    )
    cell = progress_of(study, Snapshot(""), found).cells["CUDA"]
    assert cell.shipped == 3
    by_hand = [shipped_row(run.key, found[run.key]) for run in study.planned.values()]
    assert [row.spec["attack"]["name"] for row in by_hand] == ["cuda"] * 3
    assert cell.accuracy.mean == pytest.approx(sum(row.last for row in by_hand) / 3)
    assert {row.seed for row in by_hand} == {0, 1, 2}


def test_reading_is_fast_with_two_thousand_runs() -> None:
    axes = [{"name": "α", "field": "defenses.0.strength", "range": {"from": 0, "to": 3.99, "step": 0.01}}]
    base = {**tiny()["base"], "attack": "cuda", "defenses": ["coin"]}
    study = Study.from_json(tiny(base=base, axes=axes, seeds=[0, 1, 2, 3, 4], comparisons=[]))
    assert len(study.planned) == 2000
    records = [
        record(study, label, unit, number=n % 1000)
        for n, (label, unit) in enumerate((c.label, u) for c in study.conditions for u in range(5))
    ]
    began = time.process_time()
    found = read(study, *records)
    assert found.complete
    assert found.spent.cpu_s == 16_000
    assert found.left == Cost(0, 0)
    assert all(cell.accuracy.count == 5 for cell in found.cells.values())
    assert time.process_time() - began < 2.0
