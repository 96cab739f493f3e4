"""What follows from the declarations of a run spec's fields: its JSON, and what is read of stored specs."""

from __future__ import annotations

from typing import Any

import pytest

from ued_core.errors import SpecError
from ued_core.params import LARGEST_SEED
from ued_core.runs.record import RunRecord
from ued_core.runs.spec import RunSpec
from ued_core.runs.stored import SpecFile
from ued_core.stored import fitted

BASE: dict[str, Any] = {"dataset": "shapes", "attack": "cuda", "poison_rate": 0.5}
# A value of every field that differs from the base.
OTHER: dict[str, Any] = {
    "dataset": "digits",
    "attack": "vuda",
    "poison_rate": 0.25,
    "poison_classes": [1, 2],
    "train_on": "clean",
    "relabel": {"name": "modulo", "classes": 3},
    "attack_seed": 3_000_000_000,
    "defenses": ["coin"],
    "model": "resnet18",
    "plan": "sgd",
    "seed": LARGEST_SEED,
    "device": "cpu",
    "note": "a note",
}
WITHOUT_ATTACK = {"poison_rate", "poison_classes", "attack_seed"}
DECIDE_NOTHING = {"device", "note"}


def test_the_table_knows_every_field() -> None:
    assert set(OTHER) == set(RunSpec.model_fields)


@pytest.mark.parametrize("name", OTHER)
def test_every_field_is_in_the_json(name: str) -> None:
    base, other = RunSpec.from_json(BASE), RunSpec.from_json(BASE | {name: OTHER[name]})
    assert other.to_json()[name] != base.to_json().get(name)
    assert RunSpec.from_json(other.to_json()) == other
    assert base.with_values(**{name: getattr(other, name)}).to_json()[name] == other.to_json()[name]


@pytest.mark.parametrize("name", OTHER)
def test_every_field_decides_the_result_or_says_that_it_does_not(name: str) -> None:
    base, other = RunSpec.from_json(BASE), RunSpec.from_json(BASE | {name: OTHER[name]})
    assert (other.key() == base.key()) == (name in DECIDE_NOTHING)
    assert (name in other.identity()) == (name not in DECIDE_NOTHING)
    if name not in ("attack", "train_on"):
        clean = RunSpec.from_json({**BASE, "attack": None})
        other = RunSpec.from_json({**BASE, "attack": None, name: OTHER[name]})
        assert (other.key() == clean.key()) == (name in DECIDE_NOTHING | WITHOUT_ATTACK)


def test_defaults_that_came_later_are_left_out() -> None:
    named = RunSpec.from_json({"dataset": "shapes", "attack": "cuda"}).to_json()
    assert list(named) == [
        "dataset",
        "attack",
        "poison_rate",
        "attack_seed",
        "defenses",
        "model",
        "plan",
        "seed",
        "device",
        "note",
    ]
    assert list(RunSpec.from_json(BASE | OTHER).to_json()) == list(RunSpec.model_fields)


@pytest.mark.parametrize("name", [p.name for p in RunSpec.parameters()])
def test_a_value_that_breaks_a_declaration_is_refused_with_its_rule(name: str) -> None:
    wrong = {"poison_classes": ["x"], "note": 7}.get(name, "?")
    with pytest.raises(Exception, match=r".") as caught:
        RunSpec.from_json(BASE | {name: wrong})
    if name != "poison_classes":
        assert isinstance(caught.value, SpecError)
        assert caught.value.what == f"{name} is {wrong!r}, but it must be {RunSpec.parameter(name).rule}."


def test_parts_are_configured_methods() -> None:
    spec = RunSpec.from_json(BASE)
    with pytest.raises(SpecError, match="model is 'resnet18', but it must be a configured model"):
        spec.with_values(model="resnet18")
    with pytest.raises(SpecError, match=r"RunSpec\(epochs=…\)"):
        spec.with_values(epochs=3)


def test_stored_specs_are_read_with_the_same_fields() -> None:
    """The readers of run folders do without torch, so they name the fields once more."""
    assert set(SpecFile.model_fields) == set(RunSpec.model_fields)
    assert {p.name for p in RunSpec.parameters() if p.maximum == LARGEST_SEED} == {"seed", "attack_seed"}
    for name in RunSpec.model_fields:
        damage: list[str] = []
        whole = RunSpec.from_json(BASE | {name: OTHER[name]}).to_json()
        fitted(SpecFile, whole, "spec.json", damage)
        assert damage == []
    for parameter in RunSpec.parameters():
        stored = SpecFile.model_fields[parameter.name]
        if parameter.choices:
            for choice in parameter.choices:
                assert getattr(fitted(SpecFile, {parameter.name: choice}, "spec.json"), parameter.name) == choice
        if parameter.maximum is not None:
            over: list[str] = []
            fitted(SpecFile, {parameter.name: int(parameter.maximum) + 1}, "spec.json", over)
            assert len(over) == 1, stored


def test_a_record_reads_its_spec_once(monkeypatch: pytest.MonkeyPatch) -> None:
    record = RunRecord(id="a", spec=BASE)
    assert record.run_spec == RunSpec.from_json(BASE)
    monkeypatch.setattr(RunSpec, "from_json", lambda value: pytest.fail("read again"))
    assert record.run_spec is not None
    assert record.run_spec.poison_rate == 0.5
    assert record == RunRecord(id="a", spec=BASE)
    assert "run_spec" not in record.to_json()
    assert RunRecord.from_json(record.to_json()) == record


@pytest.mark.parametrize("spec", [{}, {"dataset": "shapes", "attack": "forgotten"}, BASE | {"poison_rate": 2}])
def test_a_record_whose_spec_cannot_be_read_has_none(spec: dict[str, Any]) -> None:
    assert RunRecord(id="a", spec=spec).run_spec is None
