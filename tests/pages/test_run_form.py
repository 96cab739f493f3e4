"""The form for new runs shows every field of a run spec, with the spec's own limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
from streamlit.testing.v1 import AppTest

from pages.runs.form import FormPart, Poisoning, Repetition, TrainerPart
from ued_core.data.relabel import RELABELLINGS
from ued_core.params import LARGEST_SEED
from ued_core.runs.spec import RunSpec

PARTS: tuple[type[FormPart], ...] = (Poisoning, TrainerPart, Repetition)
# Every field differs from what the form begins with.
OTHER: dict[str, Any] = {
    "dataset": {"name": "shapes", "train_size": 300, "test_size": 100},
    "attack": {"name": "vuda", "blur": 0.25},
    "poison_rate": 0.25,
    "poison_classes": [0, 2],
    "train_on": "clean",
    "relabel": {"name": "blocks", "classes": 3},
    "attack_seed": 3_000_000_000,
    "defenses": [{"name": "coin", "strength": 1.5}, {"name": "jpeg"}],
    "model": {"name": "resnet18", "width": 8},
    "plan": {"name": "sgd", "epochs": 2},
    "seed": LARGEST_SEED,
    "device": "cpu",
    "note": "a note",
}


def test_every_field_has_a_control(open_page: Callable[..., AppTest]) -> None:
    assert set(OTHER) == set(RunSpec.model_fields)
    spec = RunSpec.from_json(OTHER).to_json()
    page = open_page("runs")
    page.session_state["handed_spec"] = spec
    page.run()
    next(button for button in page.button if button.label == "Edit in form").click().run()
    told = json.loads(page.code[0].value)
    for name, value in spec.items():
        assert told[name] == value, name
    first = json.loads(open_page("runs", {"view": "new"}).code[0].value)
    assert not any(first.get(name) == value for name, value in spec.items())


@pytest.mark.parametrize("part", PARTS)
def test_parts_declare_what_the_spec_declares(part: type[FormPart]) -> None:
    own = {p.name: p for p in part.parameters()}
    shared = [p for p in RunSpec.parameters() if p.name in own]
    assert shared
    for parameter in shared:
        control = own[parameter.name]
        same = ("label", "help", "minimum", "maximum", "step", "unit", "choices", "longest")
        assert all(getattr(control, name) == getattr(parameter, name) for name in same)
    spec = RunSpec.from_json(OTHER)
    assert {name: getattr(spec, name) for name in part.of(spec).choices()} == part.of(spec).choices()


def test_labels_that_can_be_given_are_those_of_the_catalogue() -> None:
    assert get_args(TrainerPart.model_fields["labels"].annotation) == ("given", *RELABELLINGS)


def test_a_key_is_one_number_in_links_forms_and_specs(open_page: Callable[..., AppTest]) -> None:
    for text, value in {"3000000000": 3_000_000_000, str(LARGEST_SEED): LARGEST_SEED}.items():
        page = open_page("runs", {"new_poisoning_attack_seed": text, "new_repetition_seed": text})
        told = json.loads(page.code[0].value)
        assert (told["attack_seed"], told["seed"]) == (value, value)
        assert not page.warning
    beyond = str(LARGEST_SEED + 1)
    page = open_page("runs", {"new_poisoning_attack_seed": beyond})
    assert f"it must be a whole number from 0 to {LARGEST_SEED}" in page.warning[0].value
    assert json.loads(page.code[0].value)["attack_seed"] == 0


def test_a_note_that_is_too_long_is_refused_beside_its_control(open_page: Callable[..., AppTest]) -> None:
    page = open_page("runs", {"view": "new"})
    page.text_input(key="new_repetition_note").set_value("x" * 501).run()
    assert "text of at most 500 characters" in page.warning[0].value
    assert len(page.warning[0].value) < 400
    assert json.loads(page.code[0].value)["note"] == ""
