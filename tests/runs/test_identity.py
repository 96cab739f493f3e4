"""Equal keys, equal results: the arithmetic that ``auto`` took is part of a run's identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.runs.examples import RESULT
from ued_core import runs
from ued_core.files import write_json
from ued_core.runs.folder import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.record import read_record
from ued_core.runs.spec import RunSpec

BFLOAT16 = {"device": "cpu", "precision": "bfloat16", "threads": 2, "torch": "2.15.0"}


def finished(spec: RunSpec, **environment: Any) -> RunFolder:
    """A run that an older version left: nothing of what computed it but in its result."""
    folder = RunFolder.create(
        runs.runs_root(), spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": 1.0}
    )
    folder.take_token()
    write_json(folder.result_path, {**RESULT, "probe": None, "environment": {**RESULT["environment"], **environment}})
    return folder


def test_float32_keeps_the_key_of_the_spec_and_what_auto_took_otherwise_stands_behind_it(home, spec_of):
    spec = spec_of(seed=3)
    plain = read_record(finished(spec))
    other = read_record(finished(spec, precision="bfloat16", device="cuda"))
    assert (plain.key, plain.precision) == (spec.key(), "float32")
    assert (other.key, other.precision) == (f"{spec.key()}-bfloat16", "bfloat16")
    assert plain.spec_key == other.spec_key == spec.key()
    assert [r.id for r in runs.find(spec.key())] == sorted([plain.id, other.id], reverse=True), (
        "both are runs of the spec"
    )


def test_what_the_plan_asks_for_is_in_the_key_already(home, spec_of):
    spec = spec_of(plan={"name": "adamw", "epochs": 2, "precision": "bfloat16"})
    record = read_record(finished(spec, precision="bfloat16"))
    assert record.key == record.spec_key == spec.key()
    assert not record.outdated


def test_only_what_a_processor_did_in_bfloat16_of_its_own_accord_is_outdated(home, spec_of):
    assert read_record(finished(spec_of(), precision="bfloat16", device="cpu")).outdated
    assert not read_record(finished(spec_of(), precision="bfloat16", device="cuda")).outdated
    assert not read_record(finished(spec_of(), precision="float32", device="cpu")).outdated


def test_a_run_that_went_on_in_another_arithmetic_has_neither_identity(home, spec_of):
    spec = spec_of()
    folder = finished(spec)
    append_line(folder.environments_path, BFLOAT16)
    append_line(folder.environments_path, {**BFLOAT16, "precision": "float32"})
    record = read_record(folder)
    assert record.precision == "bfloat16, then float32"
    assert record.key not in (spec.key(), f"{spec.key()}-bfloat16")
    assert record.spec_key == spec.key()


def test_it_is_known_before_the_run_is_over(home, spec_of):
    [run_id] = [runs.submit(spec_of(), launch=False)]
    folder = RunFolder(home / "runs" / run_id)
    assert (read_record(folder).precision, read_record(folder).key) == ("", spec_of().key())
    append_line(folder.environments_path, BFLOAT16)
    assert read_record(folder).environment == BFLOAT16
    assert read_record(folder).key.endswith("-bfloat16")


def test_a_damaged_line_is_named_and_hides_nothing_else(home, spec_of):
    folder = RunFolder(home / "runs" / runs.submit(spec_of(), launch=False))
    append_line(folder.environments_path, {**BFLOAT16, "threads": -1})
    record = read_record(folder)
    assert record.environment == {name: value for name, value in BFLOAT16.items() if name != "threads"}
    assert "environments.jsonl" in " ".join(record.damaged)


def test_a_real_run_says_what_computed_it_and_on_a_processor_that_is_float32(home, spec_of, until):
    import torch

    run_id = runs.submit(spec_of(epochs=1))
    record = until(run_id, lambda r: r.over)
    assert record.state == "finished", record.error
    assert record.environment == {"device": "cpu", "precision": "float32", "threads": 1, "torch": torch.__version__}
    assert record.key == spec_of(epochs=1).key()
    (line,) = runs.folder(run_id).environments()
    assert line.precision == json.loads(Path(runs.folder(run_id).result_path).read_text())["environment"]["precision"]


def test_stored_rows_are_float32_and_have_the_keys_that_their_specs_have_today():
    path = Path(__file__).parents[2] / "assets" / "results" / "phenomenon.json"
    rows = json.loads(path.read_text("utf-8"))
    assert {row["environment"]["precision"] for row in rows} == {"float32"}
    assert {row["environment"]["device"] for row in rows} == {"cpu"}, "where auto is float32"
    assert [RunSpec.from_json(row["spec"]).key() for row in rows] == [row["key"] for row in rows]
    assert "e8fc55e2b479" in {row["key"] for row in rows}
