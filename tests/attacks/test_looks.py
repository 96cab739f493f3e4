"""The looks that ship: one for every crafted attack, real, within its bound, and of exactly what the app opens with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ued_core.assets import asset
from ued_core.attacks import ATTACKS
from ued_core.attacks import looks as looks_module
from ued_core.attacks.looks import FOLDER, PER_CLASS, look_card, shipped_look, write_look
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.records import ImageSet, PoisonedSet

CRAFTED = list(ATTACKS.where(needs_whole_set=True))
MOST_BYTES = 40_000_000
CARD = {
    *("dataset", "attack", "version", "revision", "inputs", "seed", "images", "data_hash", "published_hash"),
    *("clean_hash", "shown", "bound", "largest", "log", "environment", "command"),
}


@pytest.fixture(scope="module")
def train() -> ImageSet:
    """What the app opens with."""
    return load_split(DATASETS.build("fashion"), Context()).train


@pytest.mark.parametrize("name", CRAFTED)
def test_every_crafted_attack_ships_a_look_at_what_the_app_opens_with(name: str, train: ImageSet) -> None:
    attack = ATTACKS.build(name)
    look = shipped_look(attack, 0, train)
    assert look is not None
    assert look.clean.images.equal(train.images[list(look.rows)])
    assert torch.bincount(look.clean.labels).tolist() == [PER_CLASS] * train.classes
    assert len(set(look.rows)) == len(look.rows)
    made = look.poisoned(look.clean)
    assert made is not None
    bound = attack.bound(train.shape)
    assert bound.norm == "linf"
    largest = int(made.delta.abs().max())
    assert 0 < largest <= bound.size
    assert bool((made.delta != 0).flatten(1).any(1).all()), "an image was not poisoned"
    assert look.card["largest"] == largest


@pytest.mark.parametrize("name", CRAFTED)
def test_its_card_says_what_it_is_of(name: str, train: ImageSet) -> None:
    card = look_card(name)
    assert card is not None
    assert set(card) == CARD
    assert card["dataset"] == DATASETS.build("fashion").to_json()
    assert card["attack"] == ATTACKS.build(name).to_json()
    assert (card["seed"], card["images"], card["data_hash"]) == (0, len(train), train.content_hash)
    assert card["command"] == f"python -m benchmarks.crafted_assets --only {name}"
    assert {"converged", "note", "seconds", "cpu_s"} <= set(card["log"])
    assert {"torch", "numpy", "python", "threads", "device"} <= set(card["environment"])
    assert (FOLDER / f"{name}.json").stat().st_mode & 0o777 == 0o644


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: ImageSet) -> PoisonedSet:
    """A look at a set whose every value is one level brighter, in a folder of its own."""
    monkeypatch.setattr(looks_module, "FOLDER", tmp_path)
    clean = train.with_images(train.images.clamp(0, 254))
    every = torch.ones(len(clean), dtype=torch.bool)
    log = {"note": "Done.", "converged": True, "trace": [{"round": 1}]}
    made = PoisonedSet(clean, clean.images + 1, every, ATTACKS.build("em").to_json(), 0, log)
    write_look(ATTACKS.build("em"), {"name": "fashion"}, made, {"device": "cpu"})
    return made


def test_a_look_is_of_one_choice_alone(written: PoisonedSet, train: ImageSet) -> None:
    found = shipped_look(ATTACKS.build("em"), 0, written.clean)
    assert found is not None
    assert found.images.equal(found.clean.images + 1)
    assert found.card["largest"] == 1
    assert found.card["log"] == {"note": "Done.", "converged": True}
    assert shipped_look(ATTACKS.build("em", epsilon=4), 0, written.clean) is None
    assert shipped_look(ATTACKS.build("em"), 1, written.clean) is None
    assert shipped_look(ATTACKS.build("em"), 0, train) is None
    assert shipped_look(ATTACKS.build("tap"), 0, written.clean) is None


def test_a_look_of_older_code_is_none(written: PoisonedSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ATTACKS["em"], "revision", lambda self: 1)
    assert shipped_look(ATTACKS.build("em"), 0, written.clean) is None


def test_published_versions_come_in_the_order_asked_for(train: ImageSet) -> None:
    look = shipped_look(ATTACKS.build("em"), 0, train)
    assert look is not None
    made = look.poisoned(look.clean.take([7, 0, 49]))
    assert made is not None
    assert made.images.equal(look.images[[7, 0, 49]])
    other = next(row for row in range(len(train)) if row not in look.rows)
    assert look.poisoned(train.take([look.rows[0], other])) is None


def test_all_that_ships_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in asset().rglob("*") if path.is_file()}
    assert sum(sizes.values()) < MOST_BYTES, sorted(sizes.items(), key=lambda item: -item[1])[:5]
    looks = [path for path in sizes if path.parent == FOLDER]
    assert {path.name for path in looks} == {
        f"{name}.{ending}" for name in CRAFTED for ending in ("json", "safetensors")
    }
    assert all(json.loads(path.read_text())["shown"] == 50 for path in looks if path.suffix == ".json")
