"""One wrong value in one file of a run takes nothing from anybody: every value of every file, replaced and removed."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from pages.runs.compare import _measured, grouped, run_label
from pages.runs.detail import history_csv
from pages.runs.table import _row
from pages.runs.verdict import histogram_words, probe_words, verdict
from pages.state.run_protocol import protocol
from pages.state.run_words import told_apart
from pages.theta import points as theta_points
from tests.runs.examples import RESULT
from ued_core.figures.learning import (
    QUANTITIES,
    Curve,
    compare_figure,
    histogram_figure,
    loss_figure,
    probe_figure,
    run_figure,
)
from ued_core.runs import RunFolder, RunRecord, RunSpec
from ued_core.runs.record import dump, process_name, read_record
from ued_core.studies.estimate import estimate

DEEP: Any = 0
for _ in range(400):
    DEEP = [DEEP]
NASTY: list[Any] = [
    float("nan"),
    float("inf"),
    float("-inf"),
    -1,
    -0.5,
    0,
    2**31,
    2**70,
    10**400,
    1e300,
    "x",
    "",
    "\ud800",
    "x" * 100_000,
    [],
    {},
    [[]],
    None,
    True,
    DEEP,
]
SAMPLED = 0.05
"""Share of the cases that the suite tries every time; ``-m slow`` tries all."""
SPEC = {
    "dataset": {"name": "shapes", "train_size": 200, "test_size": 100}, "attack": {"name": "cuda"},
    "defenses": [{"name": "coin", "strength": 2.0}], "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 2}, "seed": 3, "note": "a note",
}  # fmt: skip


@cache
def whole_spec() -> dict[str, Any]:
    return spec_of_all().to_json()


@cache
def spec_of_all() -> RunSpec:
    return RunSpec.from_json(SPEC)


def contents(state: str) -> dict[str, Any]:
    """The files of a sound run; a list of objects is a file of lines."""
    spec = spec_of_all()
    files: dict[str, Any] = {
        "spec.json": whole_spec(),
        "request.json": {"title": spec.title(), "key": spec.key(), "created": 1.7e9, "by": "0a1b", "by_name": "Ann"},
    }
    if state == "queued":
        return files
    began = {"attempt": 1, "time": 1.7e9, **process_name(), "slot": "cpu:0", "device": "CPU", "threads": 1}
    if state != "running":
        began |= {"pid": 2**22 + 5, "birth": ""}
    files["attempts.jsonl"] = [began]
    files["history.jsonl"] = RESULT["history"]
    files["crafted/part/card.json"] = {"log": {"stopped_early": "after 3 of at most 30 rounds", "note": "n"}}
    step = {"total": 100, "text": "epoch 2 of 2"}
    files["progress.jsonl"] = [
        {"attempt": 1, "time": 1.7e9},
        *({"time": 1.7e9 + k, "done": 10 * k, **step} for k in range(3)),
    ]
    if state == "finished":
        files["result.json"] = RESULT
    if state == "failed":
        files["error.json"] = {"what": "It broke.", "do": "Mend it.", "kind": "bug", "traceback": "…", "time": 1.7e9}
    return files


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every value inside, by its path."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, entry in entries:
        yield (*path, name)
        yield from places(entry, (*path, name))


def changed(value: Any, path: tuple[Any, ...], new: Any, remove: bool = False) -> Any:
    value = deepcopy(value)
    inside = value
    for name in path[:-1]:
        inside = inside[name]
    if remove:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return value


@dataclass(frozen=True)
class Case:
    state: str
    file: str
    path: tuple[Any, ...]
    new: Any
    remove: bool = False

    def __str__(self) -> str:
        what = "removed" if self.remove else f"= {str(self.new)[:40]!r}"
        return f"{self.state}: {'.'.join(map(str, self.path))} of {self.file} {what}"

    def text(self, files: dict[str, Any]) -> str:
        value = changed(files[self.file], self.path, self.new, self.remove)
        return written(self.file, value)


def written(file: str, value: Any) -> str:
    if file.endswith(".jsonl"):
        return "".join(json.dumps(row) + "\n" for row in value)
    return json.dumps(value)


def cases(state: str) -> Iterator[Case]:
    for file, value in contents(state).items():
        for path in places(value):
            yield Case(state, file, path, None, remove=True)
            for new in NASTY:
                yield Case(state, file, path, new)


def make(root: Path, state: str) -> RunFolder:
    folder = RunFolder(root / "20260101-000000-000-abcd")
    shutil.rmtree(folder.path, ignore_errors=True)
    for name, value in contents(state).items():
        path = folder.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written(name, value))
    if state == "queued":
        folder.token.touch()
    if state == "running":
        folder.heartbeat.touch()
    return folder


STATES = ("queued", "running", "finished", "failed", "interrupted")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    return tmp_path / "runs"


CHOICE: Any = SimpleNamespace(
    dataset=SimpleNamespace(key="shapes"),
    attack=SimpleNamespace(key="cuda"),
    train=SimpleNamespace(shape=(3, 16, 16), classes=10),
)


def look(folder: RunFolder, sound: RunRecord, seen: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a run and do with it what table, pages and command line do, beside a sound one; what was seen before only
    once."""
    record = read_record(folder)
    assert record.id == folder.run_id
    assert RunRecord.from_json(json.loads(dump(record))) == record
    assert all(text.isprintable() and len(text) < 500 for text in record.damaged), record.damaged
    rows, result, error = folder.history(), folder.result(), folder.error()
    told = json.dumps(
        [
            {**record.to_json(), "damaged": bool(record.damaged)},
            [dict(row.numbers) for row in rows],
            result and result.to_json(),
            error,
        ]
    )
    if told in seen:
        return
    seen.add(told)
    together = [record, sound]
    assert len(pd.DataFrame([_row(one, "Europe/Berlin") for one in together])) == len(told_apart(together)) == 2
    for group in [*grouped(together, True), *grouped(together, False)]:
        assert group.label
        assert _measured(group.records, "last")
    run_label(record)
    listed = iter([(r.spec, r.last, "trained here", r.id) for r in together if r.last is not None])
    monkeypatch.setattr(theta_points, "_rows", lambda: listed)
    theta_points.measured_points(CHOICE)
    estimate(spec_of_all(), together)
    for quantity in QUANTITIES:
        compare_figure([Curve(r.title, (rows,)) for r in together], quantity)
    loss_figure(rows, record.epochs)
    run_figure(rows, record.epochs)
    history_csv(rows)
    if result is not None:
        data, probe = result.data, result.probe
        verdict(result.train_accuracy, result.last, len(data.class_names), True, data.test)
        protocol(spec_of_all(), result)
        if probe is not None:
            probe_words(probe)
            probe_figure(probe)
            histogram_words(probe.clean_histogram, data.class_names, probe.images)
            histogram_figure(probe.clean_histogram, data.class_names)


@pytest.mark.parametrize("state", STATES)
def test_a_sound_run_is_not_damaged(root: Path, state: str) -> None:
    record = read_record(make(root, state))
    assert (record.state, record.damaged) == (state, ())
    assert (record.epoch, record.last) == ((0, None) if state == "queued" else (2, 0.25))


@pytest.mark.parametrize("share", [SAMPLED, pytest.param(1.0, marks=pytest.mark.slow)])
@pytest.mark.parametrize("state", STATES)
def test_no_wrong_value_breaks_anything(root: Path, monkeypatch: pytest.MonkeyPatch, state: str, share: float) -> None:
    folder, files = make(root, state), contents(state)
    sound = read_record(folder)
    chance = random.Random(f"{state} 1")
    broken: list[str] = []
    seen: set[str] = set()
    for case in cases(state):
        if chance.random() > share:
            continue
        path = folder.path / case.file
        path.write_text(case.text(files))
        try:
            look(folder, sound, seen, monkeypatch)
        except Exception as error:  # the test counts them
            broken.append(f"{case}: {type(error).__name__}: {str(error)[:100]}")
        path.write_text(written(case.file, files[case.file]))
    assert not broken, f"{len(broken)} cases, among them\n" + "\n".join(broken[:20])
