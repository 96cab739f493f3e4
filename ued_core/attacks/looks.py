"""Looks: a few images of real craftings that ship with the program, so that a crafted attack can be seen at once.

A look serves the eye alone. What trains, detects or measures a whole set needs a whole set.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ued_core.assets import asset
from ued_core.attacks.checkpoint import CRAFT_VERSION
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.files import write_json
from ued_core.records import ImageSet, PoisonedSet, balanced_rows

FOLDER = asset("crafted")
COMMAND = "python -m benchmarks.crafted_assets"
PER_CLASS = 5


@dataclass(frozen=True)
class Look:
    """Some images of a crafted set, clean and as they were published.

    Attributes:
        card: what is known of the crafting: ``dataset``, ``attack``, ``seed`` (the key), ``images`` (how many were
            crafted), ``data_hash`` and ``published_hash`` (of the whole set before and after), ``clean_hash`` (of the
            images here), ``bound`` and ``largest`` (of the change, in 1/255), ``log`` (as
            :attr:`ued_core.attacks.checkpoint.Crafted.log`, without its trace), ``environment`` and ``command``.
        rows: places of the images in the training set, by class.
        clean: the images before.
        images: uint8 (N, C, H, W), as published.
    """

    card: Mapping[str, Any]
    rows: tuple[int, ...]
    clean: ImageSet
    images: torch.Tensor

    def poisoned(self, images: ImageSet) -> PoisonedSet | None:
        """The published versions of some of the images, in the order given; None unless all of them are here."""
        known = {_name(self.clean, place): place for place in range(len(self.clean))}
        places = [known.get(_name(images, place), -1) for place in range(len(images))]
        if min(places) < 0:
            return None
        touched = torch.ones(len(images), dtype=torch.bool)
        return PoisonedSet(images, self.images[places], touched, self.card["attack"], self.card["seed"])


def shipped_look(attack: WholeSetAttack, seed: int, train: ImageSet) -> Look | None:
    """The look at a choice; None unless exactly this was crafted.

    Args:
        attack: all its parameters count.
        seed: the private key.
        train: the whole clean set.
    """
    card = look_card(attack.key)
    if card is None or not _describes(card, attack, seed) or card["data_hash"] != train.content_hash:
        return None
    stored = load_file(_path(attack.key).with_suffix(".safetensors"))
    clean = train.take(stored["rows"])
    if clean.content_hash != card["clean_hash"]:
        return None
    return Look(card, tuple(stored["rows"].tolist()), clean, stored["images"])


def look_card(name: str) -> Mapping[str, Any] | None:
    """What is known of the look at an attack, whatever its parameters; None where none ships.

    Args:
        name: of the attack.
    """
    path = _path(name)
    return _card(path) if path.exists() else None


def write_look(
    attack: WholeSetAttack, dataset: Mapping[str, Any], made: PoisonedSet, environment: Mapping[str, Any]
) -> Path:
    """Write the look at a crafted set, to be shipped.

    Args:
        attack: what crafted it.
        dataset: the data set as JSON.
        made: the whole set with its log.
        environment: device and versions, of :func:`ued_core.runs.pipeline.environment`.

    Returns:
        The path of the card.
    """
    rows = torch.from_numpy(balanced_rows(made.clean.labels, PER_CLASS, 0))
    clean, images = made.clean.take(rows), made.images[rows].contiguous()
    change = images.to(torch.int16) - clean.images.to(torch.int16)
    card = {
        "dataset": dict(dataset),
        "attack": attack.to_json(),
        "version": CRAFT_VERSION,
        "revision": attack.revision(),
        "inputs": attack.crafting_inputs(),
        "seed": made.seed,
        "images": len(made.clean),
        "data_hash": made.clean.content_hash,
        "published_hash": made.as_training_set().content_hash,
        "clean_hash": clean.content_hash,
        "shown": len(rows),
        "bound": {"norm": attack.bound(clean.shape).norm, "size": attack.bound(clean.shape).size},
        "largest": int(change.abs().max()),
        "log": {name: value for name, value in (made.log or {}).items() if name != "trace"},
        "environment": dict(environment),
        "command": f"{COMMAND} --only {attack.key}",
    }
    path = _path(attack.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {"images": images, "rows": rows, "labels": clean.labels.contiguous()}
    save_file(stored, path.with_suffix(".safetensors"))
    write_json(path, card)
    for file in (path, path.with_suffix(".safetensors")):
        file.chmod(0o644)
    return path


def _describes(card: Mapping[str, Any], attack: WholeSetAttack, seed: int) -> bool:
    made = (card["attack"], card["seed"], card["version"], card["revision"], card["inputs"])
    return made == (attack.to_json(), seed, CRAFT_VERSION, attack.revision(), attack.crafting_inputs())


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"


@functools.lru_cache(maxsize=32)
def _card(path: Path) -> Mapping[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _name(data: ImageSet, place: int) -> tuple[int, bytes]:
    return int(data.labels[place]), data.images[place].contiguous().numpy().tobytes()
