"""What a run is: its JSON, its identity, and every way in which it can make no sense."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ued_core.attacks import Cuda, ErrorMinimising
from ued_core.data import DATASETS
from ued_core.defenses import Coin, DefenseStack
from ued_core.errors import ParameterError, SpecError, UedError, UnknownName
from ued_core.runs.spec import RunSpec
from ued_core.training import AdamW, Sgd

FULL: dict[str, Any] = {
    "dataset": {"name": "shapes", "train_size": 500},
    "attack": {"name": "vuda", "blur": 0.2},
    "poison_rate": 0.5,
    "attack_seed": 11,
    "defenses": [{"name": "coin", "strength": 1.5}, "coin"],
    "model": {"name": "resnet18", "width": 8},
    "plan": {"name": "sgd", "epochs": 3},
    "seed": 5,
    "device": "cpu",
    "note": "a note",
}


def spec(**changes: Any) -> RunSpec:
    return RunSpec.from_json({**FULL, **changes})


def test_round_trip() -> None:
    first = spec()
    text = json.dumps(first.to_json())
    assert RunSpec.from_json(json.loads(text)) == first
    assert json.loads(text)["defenses"][1]["strength"] == Coin().strength, "defaults are written out"
    assert first.plan == Sgd(epochs=3)
    assert first.defenses == DefenseStack([Coin(strength=1.5), Coin()])


def test_everything_has_a_default_but_the_data_set() -> None:
    least = RunSpec.from_json({"dataset": "shapes"})
    assert (least.attack, least.poison_rate, least.attack_seed, least.seed) == (None, 1.0, 0, 0)
    assert least.defenses == DefenseStack()
    assert (least.model.key, least.plan, least.device, least.note) == ("small_cnn", AdamW(), "auto", "")
    nothing = {"attack": None, "defenses": None, "model": None, "plan": None}
    assert RunSpec.from_json({"dataset": "shapes", **nothing}) == least
    assert RunSpec.from_json(least.to_json()) == least
    assert RunSpec.from_json({"dataset": "shapes", "attack": "cuda"}).attack == Cuda()


def test_a_data_set_brings_its_recommended_plan() -> None:
    recommended = DATASETS["digits"].recommended_plan
    assert recommended
    assert RunSpec.from_json({"dataset": "digits"}).plan == AdamW(**recommended)
    assert RunSpec.from_json({"dataset": "digits", "plan": "sgd"}).plan == Sgd(**recommended)
    own = RunSpec.from_json({"dataset": "digits", "plan": {"name": "sgd", "epochs": 3}}).plan
    assert own == Sgd(**{**recommended, "epochs": 3}), "what is given goes before what is recommended"
    assert RunSpec.from_json({"dataset": "shapes"}).plan == AdamW()


def test_a_model_brings_its_recommended_plan() -> None:
    probe = {"dataset": "digits", "model": "lite0"}
    assert RunSpec.from_json(probe).plan == AdamW(**DATASETS["digits"].recommended_plan, crop=0, flip="off")
    assert RunSpec.from_json({**probe, "plan": {"name": "sgd", "crop": 2}}).plan.crop == 2
    tuned = {**probe, "model": {"name": "lite0", "mode": "fine_tune"}}
    assert RunSpec.from_json(tuned).plan == AdamW(**DATASETS["digits"].recommended_plan)


def test_a_body_that_stays_cannot_learn_features() -> None:
    with pytest.raises(SpecError, match="SimCLR.*Lite0.*stays as it is"):
        RunSpec.from_json({"dataset": "shapes", "model": "lite0", "plan": "simclr"})
    RunSpec.from_json({"dataset": "shapes", "model": {"name": "lite0", "mode": "fine_tune"}, "plan": "simclr"})


# ---------------------------------------------------------------- identity


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": {"name": "shapes", "train_size": 510}},
        {"dataset": "digits"},
        {"attack": "cuda"},
        {"attack": {"name": "vuda", "blur": 0.25}},
        {"attack": None},
        {"poison_rate": 0.6},
        {"poison_classes": [0, 3]},
        {"attack_seed": 12},
        {"defenses": []},
        {"defenses": ["coin", {"name": "coin", "strength": 1.5}]},
        {"model": {"name": "resnet18", "width": 12}},
        {"plan": {"name": "adamw", "epochs": 3}},
        {"plan": {"name": "sgd", "epochs": 4}},
        {"seed": 6},
    ],
)
def test_what_decides_the_result_decides_the_key(change: dict[str, Any]) -> None:
    assert spec(**change).key() != spec().key()


@pytest.mark.parametrize("change", [{"device": "auto"}, {"note": "other"}, {"note": ""}])
def test_what_decides_nothing_is_not_in_the_key(change: dict[str, Any]) -> None:
    assert spec(**change).key() == spec().key()
    assert spec(**change).identity() == spec().identity()


def test_without_an_attack_its_key_and_rate_decide_nothing() -> None:
    clean = spec(attack=None)
    assert clean.key() == spec(attack=None, attack_seed=99, poison_rate=0.1).key()
    assert RunSpec.from_json(spec(attack=None, attack_seed=99).to_json()).key() == clean.key()


def test_defaults_left_out_or_written_out_are_one_run() -> None:
    short = RunSpec.from_json({"dataset": "shapes", "attack": "cuda"})
    assert RunSpec.from_json(short.to_json()).key() == short.key()
    assert (
        RunSpec.from_json({"attack": {"name": "cuda"}, "dataset": {"name": "shapes"}, "seed": 0}).key() == short.key()
    )
    assert RunSpec.from_json({"dataset": "shapes", "attack": "cuda", "poison_rate": 1}).key() == short.key()
    assert len(short.key()) == 12


def test_a_revised_method_gives_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of class-wise EM from before its rule was mended are other runs; those of sample-wise EM are the same."""
    classes, samples = ({"attack": {"name": "em", "granularity": kind}} for kind in ("class", "sample"))
    now = [spec(**change).key() for change in (classes, samples, {})]
    monkeypatch.setattr(ErrorMinimising, "revision", lambda self: 0)
    before = [spec(**change).key() for change in (classes, samples, {})]
    assert [a == b for a, b in zip(now, before, strict=True)] == [False, True, True]
    monkeypatch.setattr(Coin, "revision", lambda self: 2 if self.strength == 1.5 else 0)
    assert spec().key() != before[2]
    assert spec(defenses=["coin"]).key() == spec(defenses=[{"name": "coin", "strength": 2.0}]).key()


def test_class_subset() -> None:
    some = spec(poison_classes=[5, 0, 5])
    assert some.poison_classes == (0, 5)
    assert json.loads(json.dumps(some.to_json()))["poison_classes"] == [0, 5]
    assert RunSpec.from_json(json.loads(json.dumps(some.to_json()))) == some
    assert some.key() == spec(poison_classes=[0, 5]).key()
    assert "poison_classes" not in spec().to_json(), "runs from before there were subsets keep their keys"
    assert spec(attack=None, poison_classes=[1]).key() == spec(attack=None).key()


def test_title() -> None:
    assert spec().title() == "Shapes · VUDA blur p_b = 0.2 · COIN α = 1.5 · COIN α = 2 · ResNet-18"
    assert RunSpec.from_json({"dataset": "digits"}).title() == "Digits · clean · Small CNN"


# ---------------------------------------------------------------- what makes no sense


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ([1], SpecError, "must be a JSON object, but this is list"),
        ("shapes", SpecError, "must be a JSON object, but this is str"),
        ({}, SpecError, 'names no data set. Add "dataset"'),
        ({"attack": "cuda"}, SpecError, "names no data set"),
        ({**FULL, "epochs": 3}, SpecError, "has no 'epochs'. It may have attack, attack_seed"),
        ({**FULL, "dataset": "shape"}, UnknownName, "no data set 'shape'. Did you mean 'shapes'?"),
        ({**FULL, "dataset": None}, ParameterError, "The data set is None"),
        (
            {**FULL, "dataset": {"name": "shapes", "train_size": 1}},
            ParameterError,
            "train_size is 1, but it must be a whole number from",
        ),
        ({**FULL, "attack": "cudda"}, UnknownName, "no attack 'cudda'. Did you mean 'cuda'"),
        ({**FULL, "attack": ""}, UnknownName, "no attack ''"),
        ({**FULL, "attack": {"blur": 0.3}}, ParameterError, "must be a name or an object with a 'name'"),
        (
            {**FULL, "attack": {"name": "cuda", "blurr": 0.3}},
            ParameterError,
            "no parameter 'blurr'. Did you mean 'blur'?",
        ),
        ({**FULL, "attack": {"name": "cuda", "kernel_size": 4}}, ParameterError, "must be odd"),
        ({**FULL, "defenses": "coin"}, SpecError, "'defenses' is 'coin', but it must be a list"),
        ({**FULL, "defenses": {"name": "coin"}}, SpecError, "must be a list, in the order"),
        ({**FULL, "defenses": 5}, SpecError, "'defenses' is 5, but it must be a list"),
        ({**FULL, "defenses": ""}, SpecError, "'defenses' is '', but it must be a list"),
        ({**FULL, "defenses": ["coim"]}, UnknownName, "no defence 'coim'. Did you mean 'coin'?"),
        ({**FULL, "defenses": [None]}, ParameterError, "The defence is None"),
        ({**FULL, "model": "vgg"}, UnknownName, "no model 'vgg'"),
        ({**FULL, "model": ""}, UnknownName, "no model ''"),
        ({**FULL, "plan": "adam"}, UnknownName, "no plan 'adam'. Did you mean 'adamw'?"),
        ({**FULL, "plan": 5}, ParameterError, "The plan is 5, but it must be a name or an object"),
        ({**FULL, "plan": ["sgd"]}, ParameterError, "The plan is ['sgd']"),
        ({**FULL, "plan": {"epochs": 3}}, ParameterError, "must be a name or an object with a 'name'"),
        (
            {**FULL, "plan": {"name": "sgd", "epochs": 0}},
            ParameterError,
            "epochs is 0, but it must be a whole number from 1 to",
        ),
        ({**FULL, "poison_rate": 1.5}, SpecError, "poison_rate is 1.5, but it must be a number from 0 to 1"),
        ({**FULL, "poison_rate": -0.1}, SpecError, "poison_rate is -0.1"),
        ({**FULL, "poison_rate": float("nan")}, SpecError, "poison_rate is nan"),
        ({**FULL, "poison_rate": "half"}, SpecError, "poison_rate is 'half'"),
        ({**FULL, "poison_rate": True}, SpecError, "poison_rate is True"),
        ({**FULL, "poison_classes": []}, ParameterError, "poisoned classes are [], but they must be a list"),
        ({**FULL, "poison_classes": "0"}, ParameterError, "poisoned classes are '0', but they must be a list"),
        ({**FULL, "poison_classes": [0, 1.5]}, ParameterError, "poisoned class is 1.5, but it must be a whole number"),
        ({**FULL, "poison_classes": [True]}, ParameterError, "poisoned class is True"),
        ({**FULL, "seed": -1}, SpecError, "seed is -1, but it must be a whole number from 0 to 4294967295"),
        ({**FULL, "seed": 1.0}, SpecError, "seed is 1.0"),
        ({**FULL, "seed": True}, SpecError, "seed is True"),
        ({**FULL, "seed": None}, SpecError, "seed is None"),
        ({**FULL, "attack_seed": 2**32}, SpecError, "attack_seed is 4294967296"),
        ({**FULL, "device": "gpu"}, SpecError, "device is 'gpu', but it must be one of 'auto', 'cpu', 'cuda'"),
        ({**FULL, "device": ["cpu"]}, SpecError, "device is ['cpu']"),
        ({**FULL, "note": 7}, SpecError, "note is 7, but it must be text of at most 500 characters"),
        ({**FULL, "note": "x" * 501}, SpecError, "at most 500 characters. Shorten it"),
    ],
)
def test_bad_specs(value: Any, kind: type[UedError], words: str) -> None:
    with pytest.raises(kind) as caught:
        RunSpec.from_json(value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"\xff\xfe{", "is not text in UTF-8, UTF-16 or UTF-32"),
        (b'{"seed": ' + b"1" * 5000 + b"}", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "must be a JSON object"),
    ],
)
def test_bad_files(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=words):
        RunSpec.read(path)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    with pytest.raises(SpecError, match=r"spec\.json cannot be read"):
        RunSpec.read(path)
    with pytest.raises(SpecError, match="cannot be read"):
        RunSpec.read(tmp_path)
    path.write_text(json.dumps(FULL))
    assert RunSpec.read(path) == spec()


def test_a_spec_file_is_a_plain_file_of_some_size_and_names_nothing_twice(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b" " * (5 << 20))
    (tmp_path / "twice").write_text('{"dataset": "shapes", "dataset": "digits"}')
    for name, words in {
        "pipe": "it is a FIFO", "large": "more than 4 MiB", "twice": "has 'dataset' twice", ".": "it is a folder",
    }.items():  # fmt: skip
        with pytest.raises(SpecError, match=words):
            RunSpec.read(tmp_path / name)
    with pytest.raises(SpecError, match="it is a device"):
        RunSpec.read(Path("/dev/zero"))
