"""A sweep is a study: the values of one parameter beside the attack alone and clean images, on the same seeds."""

import json

import pytest

from ued_core import runs
from ued_core.errors import NotAllowed, UedError
from ued_core.person import Person
from ued_core.runs.spec import RunSpec
from ued_core.studies.shelf import own_studies
from ued_core.studies.study import Study
from ued_core.studies.sweep import ALONE, CLEAN, start_sweep, sweep


def spec(**parts):
    small = {"name": "fashion", "train_size": 200, "test_size": 100, "seed": 3}
    return RunSpec.from_json(
        {"dataset": small, "attack": "cuda", "attack_seed": 4, "seed": 4, "defenses": ["coin"], **parts}
    )


def test_conditions_seeds_and_controls():
    study = Study.from_json(sweep(spec(), "strength", [0.5, 2.0], [4, 5]))
    assert [c.label for c in study.conditions] == ["0.5", "2", ALONE, CLEAN]
    first = study.by_label["0.5"].runs[1].spec
    assert first.defenses[0].strength == 0.5
    assert (first.seed, first.attack_seed, first.dataset.seed) == (5, 5, 5)
    assert first.dataset.train_size == 200
    compared = {(c.condition.label, c.control.label, c.clean and c.clean.label) for c in study.compared}
    assert compared == {("0.5", ALONE, CLEAN), ("2", ALONE, CLEAN), (ALONE, CLEAN, None)}


def test_what_stands_behind_the_swept_defence_stays():
    study = Study.from_json(sweep(spec(defenses=["coin", "jpeg"]), "strength", [0.5, 2.0], [0]))
    assert [d.key for d in study.by_label["2"].spec.defenses] == ["coin", "jpeg"]
    assert not study.by_label[ALONE].spec.defenses


def test_equal_sweeps_are_one_study_and_others_have_another_name():
    one, again = (sweep(spec(), "strength", [0.5, 2.0], [0, 1]) for _ in range(2))
    other = sweep(spec(), "strength", [0.5, 2.5], [0, 1])
    assert one == again
    assert one["name"] != other["name"]


def test_values_that_cannot_be_are_refused():
    with pytest.raises(UedError, match="strength"):
        sweep(spec(), "strength", [99.0], [0])
    with pytest.raises(UedError, match="two values"):
        sweep(spec(), "strength", [1.0, 1.0], [0])


def test_it_is_kept_and_queued_once(home, monkeypatch):
    monkeypatch.setattr(runs, "ensure_supervisor", lambda: None)
    real = runs.submit_many
    monkeypatch.setattr(runs, "submit_many", lambda specs, **more: real(specs, **{**more, "launch": False}))
    name, done = start_sweep(spec(), "strength", [0.5, 2.0], [0, 1])
    assert len(done.queued) == 8
    kept = json.loads((own_studies() / f"{name}.json").read_text())
    assert kept["axes"][0]["values"] == [0.5, 2.0]
    _, again = start_sweep(spec(), "strength", [0.5, 2.0], [0, 1])
    assert not again.queued
    _, longer = start_sweep(spec(), "strength", [0.5, 2.0, 3.0], [0, 1])
    assert len(longer.queued) == 2, "what another study has queued is shared"


def test_a_visitor_keeps_no_study(home):
    with pytest.raises(NotAllowed, match="owner"):
        start_sweep(spec(), "strength", [0.5], [0], by=Person("abc", "Ada"))
    assert not own_studies().exists()
