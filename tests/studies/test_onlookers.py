"""Which network looks: the one that learned exactly this poison, else the clean one, and the page can say which."""

from __future__ import annotations

import pytest

from ued_core.analysis.reference import VICTIMS, reference_card, reference_words
from ued_core.attacks import ATTACKS, Attack
from ued_core.data import DATASETS
from ued_core.studies.onlookers import (
    CLEAN_WHY,
    HARMLESS_WHY,
    POISONED_WHY,
    onlookers,
    took_the_poison,
    victim_attack,
    victim_for,
    victim_words,
)


@pytest.mark.parametrize("name", sorted(path.stem for path in VICTIMS.glob("*.json")))
def test_every_network_that_ships_looks_at_its_own_poison(name: str) -> None:
    spec = reference_card(name)["spec"]
    data, attack = DATASETS.parse(spec["dataset"]), victim_attack(name)
    assert victim_for(data, attack, spec["attack_seed"]) == name
    found, clean = onlookers(data, attack, spec["attack_seed"])
    assert (found.name, found.poisoned, found.words) == (name, True, victim_words(name))
    assert (clean.name, clean.poisoned) == (spec["dataset"]["name"], False)
    assert found.why == (POISONED_WHY if took_the_poison(name) else HARMLESS_WHY)


@pytest.mark.parametrize(
    ("dataset", "attack", "key"),
    [
        ("fashion", ATTACKS.build("cuda"), 1),
        ("fashion", ATTACKS.build("cuda", blur=0.5), 0),
        ("fashion", ATTACKS.build("one_pixel"), 0),
        ("shapes", ATTACKS.build("cuda"), 0),
    ],
)
def test_another_poison_is_looked_at_by_the_clean_network(dataset: str, attack: Attack, key: int) -> None:
    assert victim_for(DATASETS.build(dataset), attack, key) is None
    (found,) = onlookers(DATASETS.build(dataset), attack, key)
    assert (found.name, found.poisoned, found.why) == (dataset, False, CLEAN_WHY)
    assert found.words == reference_words(dataset)


def test_a_poison_that_is_crafted_from_the_whole_set_is_that_of_this_set_alone() -> None:
    fewer = DATASETS.build("fashion", train_size=1000)
    assert victim_for(fewer, ATTACKS.build("cuda"), 0) == "fashion-cuda"
    assert victim_for(fewer, ATTACKS.build("em"), 0) is None
    assert victim_for(DATASETS.build("fashion"), ATTACKS.build("em"), 0) == "fashion-em"


def test_a_poison_that_no_network_took_is_told_from_one_that_was() -> None:
    assert took_the_poison("fashion-cuda")
    assert not took_the_poison("fashion-uc")
