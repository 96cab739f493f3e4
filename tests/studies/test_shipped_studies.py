"""Every study that ships can be read, and the rows beside it are runs of it, called as it calls them."""

from __future__ import annotations

from functools import cache

import pytest

from ued_core.assets import asset
from ued_core.results.measured import study_tables
from ued_core.results.row import ResultRow, stored_rows
from ued_core.studies.study import Study

NAMES = sorted(path.stem for path in asset("studies").glob("*.json"))
LABELS = ("dataset", "plan", "condition", "attack", "defence", "question", "name", "scene", "arm", "protocol")
LABELS += ("setting", "trained_on")


@cache
def study(name: str) -> Study:
    return Study.read(asset("studies", f"{name}.json"))


def labels(row: ResultRow) -> dict[str, str]:
    return {name: getattr(row, name) for name in LABELS}


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_what_it_is_and_what_it_asks(name: str) -> None:
    found = study(name)
    assert found.name == name, "the file has the study's name"
    assert found.title
    assert found.note.endswith(".")
    assert found.compared


@pytest.mark.parametrize("name", study_tables())
def test_its_rows_are_its_runs_under_its_names_in_its_order(name: str) -> None:
    wanted = {}
    for condition in study(name).conditions:
        for run in condition.runs:
            called = {"dataset": run.spec.dataset.key, "condition": condition.label, **condition.places}
            called = {label: called.get(label, "") for label in LABELS}
            # Conditions may share runs; each has a row of its own.
            wanted[condition.label, run.key] = called, run.spec.seed
    rows = stored_rows(study_tables()[name])
    assert rows
    by_names = {(tuple(called.values()), key): (label, key) for (label, key), (called, _) in wanted.items()}
    places = [by_names.get((tuple(labels(row).values()), row.key)) for row in rows]
    assert [row.key for row, place in zip(rows, places, strict=True) if place is None] == []
    assert [row.seed for row in rows] == [wanted[place][1] for place in places]
    assert len(set(places)) == len(places), "a run stands twice under one condition"
    order = list(wanted)
    assert places == sorted(places, key=order.index)


def test_no_file_of_rows_has_lost_its_study() -> None:
    """Tables of other measurements are filled by benchmarks and have an underscore, or one word, as name."""
    tables = {path.stem for path in asset("results").glob("*.json")}
    assert set(study_tables()) <= tables
    assert [name for name in tables - set(study_tables()) if "-" in name] == []
