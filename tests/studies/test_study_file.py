"""Study files: what a grid expands to, what is compared with what, and every way in which a file can be wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ued_core.assets import asset
from ued_core.errors import SpecError, UedError
from ued_core.runs.spec import RunSpec
from ued_core.studies.spec_values import with_value
from ued_core.studies.study import MOST_NAMED, Study

SMALL: dict[str, Any] = {
    "name": "small",
    "base": {
        "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
        "plan": {"name": "adamw", "epochs": 1},
    },
    "axes": [
        {
            "name": "attack",
            "field": "attack",
            "values": [None, {"label": "CUDA", "value": {"name": "cuda", "blur": 0.3}}, "vuda"],
        },
        {
            "name": "defence",
            "field": "defenses",
            "values": [{"label": "none", "value": []}, {"label": "COIN", "value": ["coin"]}],
        },
        {"name": "α", "field": "defenses.0.strength", "range": {"from": 0, "to": 1, "step": 0.5}},
    ],
    "without": [{"defence": "none"}],
    "extra": [{"label": "clean images"}, {"label": "CUDA alone", "set": {"attack": {"name": "cuda", "blur": 0.3}}}],
    "seeds": [3, 5],
}


def changed(**values: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SMALL), **values}


def test_the_grid_is_worked_out_by_hand():
    study = Study.from_json(SMALL)
    assert [condition.label for condition in study.conditions] == [
        "none · COIN · α 0",
        "none · COIN · α 0.5",
        "none · COIN · α 1",
        "CUDA · COIN · α 0",
        "CUDA · COIN · α 0.5",
        "CUDA · COIN · α 1",
        "vuda · COIN · α 0",
        "vuda · COIN · α 0.5",
        "vuda · COIN · α 1",
        "clean images",
        "CUDA alone",
    ]
    run = study.by_label["CUDA · COIN · α 0.5"].runs[1]
    by_hand = RunSpec.from_json(
        {
            "dataset": {"name": "shapes", "train_size": 200, "test_size": 100, "seed": 5},
            "attack": {"name": "cuda", "blur": 0.3},
            "attack_seed": 5,
            "defenses": [{"name": "coin", "strength": 0.5}],
            "plan": {"name": "adamw", "epochs": 1},
            "seed": 5,
        }
    )
    assert (run.unit, run.key) == (("5",), by_hand.key())
    assert run.spec.note == "small: CUDA · COIN · α 0.5"
    assert [planned.spec.seed for planned in study.planned.values()] == [3] * 11 + [5] * 11, "seed by seed"


def test_the_files_that_ship_can_be_trained_and_name_what_they_should():
    first = Study.read(asset("studies", "fashion.json"))
    # 11 attacks with 18 defences, and three controls with three; 13 losses, ten attacks and the clean images with 17
    # defences each, and COIN with JPEG after all 11.
    assert (len(first.conditions), len(first.planned), len(first.compared)) == (207, 1035, 13 + 11 * 17 + 11)
    by_hand = {
        "dataset": {"name": "fashion", "train_size": 5000, "test_size": 1000, "seed": 3},
        "attack": {"name": "cuda", "blur": 0.3, "assignment": "common"},
        "attack_seed": 3,
        "defenses": [{"name": "jpeg", "quality": 10}],
        "seed": 3,
    }
    assert first.by_label["common kernel · JPEG 10"].runs[3].key == RunSpec.from_json(by_hand).key()
    back = next(c for c in first.compared if c.condition.label == "LSP · JPEG 10")
    assert (back.question, back.control.label, back.clean.label) == (
        "What a defence gives back",
        "LSP · none",
        "clean · none",
    )
    key = Study.read(asset("studies", "key-and-seed.json"))
    assert [condition.label for condition in key.conditions] == ["none", "COIN"]
    runs = key.by_label["COIN"].runs
    assert len(runs) == 25
    assert len(key.planned) == 50
    assert {(run.spec.attack_seed, run.spec.seed) for run in runs} == {(k, s) for k in range(5) for s in range(5)}
    assert {run.spec.dataset.seed for run in runs} == {0}
    assert next(run for run in runs if run.unit == ("1", "3")).spec.attack_seed == 1
    assert {path.name for path in asset("studies").glob("*.json")} >= {"fashion.json", "key-and-seed.json"}
    for path in asset("studies").glob("*.json"):
        study = Study.read(path)
        assert study.name == path.stem
        assert Study.heading(path) == study.title != ""


def test_a_heading_is_read_without_the_runs(tmp_path: Path):
    file = tmp_path / "some-name.json"
    file.write_text('{"base": {"dataset": "no such set"}}')
    assert Study.heading(file) == "some-name"
    for wrong in ("[]", "{"):
        file.write_text(wrong)
        with pytest.raises(SpecError, match="some-name"):
            Study.heading(file)


def test_equal_runs_of_two_conditions_are_shared():
    study = Study.from_json(
        changed(axes=SMALL["axes"][:1], without=[], extra=[{"label": "again"}], seeded=["seed", "attack_seed"])
    )
    assert [c.label for c in study.conditions] == ["none", "CUDA", "vuda", "again"]
    assert study.by_label["none"].runs[0].key == study.by_label["again"].runs[0].key
    assert len(study.planned) == 6


def test_repeats_and_what_the_seeds_set():
    axis = {"name": "key", "field": "attack_seed", "values": [7, 9], "repeats": True}
    study = Study.from_json(changed(axes=[SMALL["axes"][0], axis], without=[], extra=[], comparisons=[]))
    clean, cuda = study.by_label["none"], study.by_label["CUDA"]
    assert [run.unit for run in cuda.runs] == [("7", "3"), ("7", "5"), ("9", "3"), ("9", "5")]
    assert [(r.spec.attack_seed, r.spec.seed, r.spec.dataset.seed) for r in cuda.runs] == [
        (7, 3, 3), (7, 5, 5), (9, 3, 3), (9, 5, 5)
    ]  # fmt: skip
    assert len({run.key for run in clean.runs}) == 2, "the key decides nothing without an attack"
    digits = Study.from_json(changed(base={"dataset": "digits"}, axes=[], without=[]))
    assert [run.spec.dataset.to_json().get("seed") for run in digits.conditions[0].runs] == [3, 5]


def test_a_range_is_whole_where_its_limits_are():
    axes = [{"field": "plan.epochs", "range": {"from": 1, "to": 7, "step": 3}}]
    study = Study.from_json(changed(axes=axes, without=[], extra=[]))
    assert [c.spec.plan.epochs for c in study.conditions] == [1, 4, 7]
    axes = [{"field": "attack.blur", "range": {"from": 0.1, "to": 0.3, "step": 0.1}}]
    base = {"dataset": "shapes", "attack": "cuda"}
    study = Study.from_json(changed(base=base, axes=axes, without=[], extra=[]))
    assert [c.label for c in study.conditions] == ["attack.blur 0.1", "attack.blur 0.2", "attack.blur 0.3"]
    assert [c.spec.attack.blur for c in study.conditions] == [0.1, 0.2, 0.3]


def test_the_controls_are_found_by_what_they_are():
    questions = [
        {"name": "default", "of": {"attack": "CUDA"}},
        {"name": "by axis", "of": {"α": [0.5, 1]}, "against": {"α": 0}},
        {"name": "by label", "of": ["CUDA alone"], "against": "clean images"},
    ]
    study = Study.from_json(changed(comparisons=questions))
    told = [(c.question, c.condition.label, c.control.label, c.clean and c.clean.label) for c in study.compared]
    assert told[:3] == [
        ("default", f"CUDA · COIN · α {strength}", "CUDA alone", "clean images") for strength in ("0", "0.5", "1")
    ]
    assert told[3] == ("by axis", "none · COIN · α 0.5", "none · COIN · α 0", "clean images")
    assert told[-1] == ("by label", "CUDA alone", "clean images", None)
    assert len(told) == 3 + 6 + 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seeds": []}, "seeds is []"),
        ({"seeds": [1, 1]}, "the seed 1 twice"),
        ({"seeds": [True]}, "seeds.0 is True"),
        ({"seeds": [-1]}, "seeds.0 is -1"),
        ({"name": "Two words"}, "name is 'Two words'"),
        ({"sedes": [1]}, "no 'sedes'"),
        ({"base": {}}, "names no data set"),
        ({"base": {"dataset": "shapes", "seed": 4}}, "says what 'seed' is"),
        ({"extra": [{"label": "x", "set": {"seed": 4}}]}, "'seed' is set both"),
        ({"seeded": ["plan.epochs"], "extra": []}, "'plan.epochs' is set by seeds"),
        ({"axes": [{"field": "plan.epochs", "values": [1, 2], "repeats": True}]}, "'plan.epochs' is set by seeds"),
        ({"seeded": []}, "'seeded' names no field"),
        ({"only": [{"atack": "CUDA"}]}, "Did you mean 'attack'"),
        ({"without": [{"attack": ["cuda"]}]}, "no value of the axis 'attack' 'cuda'"),
        ({"without": [{"α": [0, 0.5, 1]}], "extra": []}, "filters leave nothing"),
        ({"extra": [{"label": "CUDA · COIN · α 1"}]}, "Two conditions"),
        ({"seeds": list(range(2000))}, "22,000 in all; at most 20,000"),
        ({"comparisons": [{"name": "q", "of": {"attack": "vuda"}}]}, "has no control for 'vuda · COIN · α 0'"),
        ({"comparisons": [{"name": "q", "against": "nobody"}]}, "no condition of the study 'nobody'"),
        ({"comparisons": [{"name": "q", "of": {"α": 0}, "against": {"defence": "none"}}]}, "filters leave out"),
        ({"comparisons": [{"name": "q", "of": {"α": 0}, "against": {"α": 0}}]}, "besides its own control"),
        ({"axes": [{"field": "attack", "values": []}]}, "neither 'values' nor a 'range'"),
        ({"axes": [{"values": ["cuda"]}]}, "neither a 'name' nor a 'field'"),
        ({"axes": [{"name": "x", "values": ["cuda"]}]}, "sets nothing"),
        ({"axes": [{"field": "attack", "values": ["cuda", "cuda"]}]}, "two values 'cuda'"),
        ({"axes": [{"field": "attack", "values": ["cuda"]}] * 2}, "two axes 'attack'"),
        ({"axes": [{"field": "attack", "values": ["cudda"]}]}, "Did you mean 'cuda'"),
        ({"axes": [{"field": "attack.x", "values": [1]}], "base": {"dataset": "shapes", "attack": "cuda"}},
         "no parameter 'x'"),
        ({"axes": [{"field": "attack.blur", "values": [1]}]}, "the run has none there"),
        ({"axes": [{"field": "defenses.0.strength", "values": [1]}]}, "a run with no defences"),
        ({"axes": [{"field": "plan.epochs", "values": [0]}]}, "a whole number from 1 to 1000"),
        ({"axes": [{"field": "seed.0", "values": [0]}]}, "has no parts"),
        ({"axes": [{"field": "attack", "range": {"from": 2, "to": 1, "step": 1}}]}, "is empty"),
        ({"axes": [{"field": "attack", "range": {"from": 1, "to": 2, "step": 0}}]}, "step is 0"),
        ({"axes": [{"field": "plan.epochs", "range": {"from": 1, "to": 1e9, "step": 1}}]}, "more than 200,000 numbers"),
        ({"axes": [{"name": str(k), "field": "note", "values": ["a", "b"]} for k in range(40)]}, "combinations"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_its_value(change, words):
    value = changed(**change)
    if "axes" in change:
        value.update({"without": [], "extra": []} | {k: v for k, v in change.items() if k != "axes"})
    with pytest.raises(UedError) as refused:
        Study.from_json(value)
    assert words in str(refused.value)
    assert refused.value.do


def test_thousands_of_labels_are_not_all_named():
    axes = [{"name": "α", "field": "defenses.0.strength", "range": {"from": 0, "to": 4, "step": 0.01}}]
    base = {"dataset": "shapes", "defenses": ["coin"]}
    with pytest.raises(UedError, match="Known") as refused:
        Study.from_json(changed(base=base, axes=axes, without=[{"α": 9}], extra=[]))
    assert str(refused.value).partition("Known: ")[2].count(",") == MOST_NAMED - 1


def test_a_file_is_read_with_its_own_folder(tmp_path: Path):
    file = tmp_path / "study.json"
    with pytest.raises(SpecError, match="cannot be read"):
        Study.read(file)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(SpecError, match="is not JSON"):
        Study.read(file)
    file.write_text('{"name": "a", "name": "b"}', encoding="utf-8")
    with pytest.raises(SpecError, match="'name' twice"):
        Study.read(file)
    file.write_text("[]", encoding="utf-8")
    with pytest.raises(SpecError, match="must be a JSON object"):
        Study.read(file)
    value = {
        "name": "own",
        "base": {"dataset": {"name": "folder", "path": "images"}},
        "seeds": [0],
        "extra": [{"label": "x"}],
    }
    file.write_text(json.dumps(value), encoding="utf-8")
    [run] = Study.read(file).planned.values()
    assert run.spec.dataset.path == str(tmp_path / "images")
    assert run.key == run.spec.key()


def test_a_value_is_set_without_touching_the_given_spec():
    spec = {"dataset": "shapes", "defenses": ["coin", {"name": "jpeg"}]}
    assert with_value(spec, "defenses.1.quality", 5)["defenses"] == ["coin", {"name": "jpeg", "quality": 5}]
    assert with_value(spec, "plan.epochs", 3)["plan"] == {"name": "adamw", "epochs": 3}
    assert spec == {"dataset": "shapes", "defenses": ["coin", {"name": "jpeg"}]}
