"""The reference models that ship: they load, and they are as good as their cards say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ued_core.analysis.reference import (
    FOLDER,
    VICTIMS,
    reference_card,
    reference_for,
    reference_network,
    reference_words,
    victims_of,
)
from ued_core.assets import asset
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.errors import Unavailable
from ued_core.runs import RunSpec
from ued_core.studies.study import Study
from ued_core.training import accuracy, features

NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
POISONED = {"fashion-cuda": True, "fashion-em": True, "fashion-synper": True, "fashion-uc": False}
"""Networks trained on poisoned images, and whether the poison took their accuracy: Unlearnable Clusters with its small
default encoder is no shortcut on photographs."""


def test_each_embedded_data_set_has_one() -> None:
    assert [name for name, entry in DATASETS.items() if entry.embedded] == sorted(NAMES, key=list(DATASETS).index)
    for name in NAMES:
        assert (FOLDER / f"{name}.safetensors").exists()


@pytest.mark.parametrize("name", [*NAMES, *POISONED])
def test_it_is_what_its_card_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    card = reference_card(name)
    spec = RunSpec.from_json(card["spec"])
    split = load_split(spec.dataset, Context())
    network = reference_network(name)
    assert tuple(card["shape"]) == split.test.shape
    assert tuple(card["class_names"]) == split.test.class_names
    assert not network.training
    # The weights are stored with half precision, so a few images near a border may tip over.
    assert accuracy(network, split.test, Context()) == pytest.approx(card["clean_test_accuracy"], abs=0.005)
    vectors = features(network, split.test.images[:20], Context())
    assert vectors.shape == (20, network.head.in_features)
    assert torch.isfinite(vectors).all()


def test_networks_trained_on_poisoned_images() -> None:
    assert victims_of("fashion") == tuple(POISONED)
    assert victims_of("shapes") == ()
    assert {path.name for path in VICTIMS.iterdir()} == {f"{n}.{e}" for n in POISONED for e in ("json", "safetensors")}


@pytest.mark.parametrize(("name", "fell"), POISONED.items())
def test_they_are_what_the_study_trains_with_seed_0(name: str, fell: bool) -> None:
    card = reference_card(name)
    spec = RunSpec.from_json(card["spec"])
    assert card["key"] == spec.key()
    assert card["key"] in Study.read(asset("studies", "fashion.json")).planned
    assert card["trained_on_accuracy"] > card["clean_test_accuracy"]
    assert (card["clean_test_accuracy"] < reference_card("fashion")["clean_test_accuracy"] - 0.3) == fell
    assert (spec.attack is not None and spec.attack.needs_whole_set) == (card["crafting"] is not None)


@pytest.mark.parametrize("name", ["em", "uc"])
def test_what_was_crafted_for_them_is_what_the_look_shows(name: str) -> None:
    look = json.loads(asset("crafted", f"{name}.json").read_text(encoding="utf-8"))
    assert reference_card(f"fashion-{name}")["trained_on_hash"] == look["published_hash"]


@pytest.mark.parametrize("name", [*NAMES, *POISONED])
def test_it_cannot_be_trained_by_accident(name: str) -> None:
    assert not any(parameter.requires_grad for parameter in reference_network(name).parameters())
    assert reference_network(name) is reference_network(name)


def test_names() -> None:
    assert reference_for("digits") == "digits"
    assert reference_for("cifar10") == "shapes"
    with pytest.raises(Unavailable, match=r"'nothing' is not in reference\. Train it: python -m benchmarks"):
        reference_card("nothing")


def test_a_caption_says_when_the_network_does_not_know_such_images() -> None:
    assert reference_words("digits").startswith("a small CNN trained on clean digits (")
    assert reference_words("digits").endswith("% clean test accuracy)")
    assert reference_words("folder") == f"{reference_words('shapes')}, which has never seen images such as these"
