"""Small networks of D-VAE that ship with the program, so that a page can show rate targets without training."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ued_core.assets import asset
from ued_core.files import write_json
from ued_core.models.dvae import DvaeNetwork, build_dvae
from ued_core.params import fingerprint
from ued_core.records import ImageSet

FOLDER = asset("dvae")
COMMAND = "python -m benchmarks.dvae_assets"


@dataclass(frozen=True)
class Shipped:
    """Networks of stage 1 at several rate targets, for one data set, attack and key.

    Attributes:
        card: ``dataset``, ``attack``, ``seed`` (the key), ``defence`` (its parameters, without rate targets and
            epochs), ``images`` (how many it was trained on), ``data_hash`` (of the poisoned images), ``targets`` (a
            list of objects with ``target``, ``rate``, ``psnr`` and ``steps``; all began as copies of one network),
            ``command``, ``torch``.
        path: the weights, half precision.
    """

    card: Mapping[str, Any]
    path: Path

    @property
    def targets(self) -> tuple[float, ...]:
        """The rate targets, rising, in nats per latent position."""
        return tuple(sorted(float(row["target"]) for row in self.card["targets"]))

    def network(self, target: float) -> DvaeNetwork:
        """The network at one of :attr:`targets`, in evaluation mode, on the CPU."""
        return _network(self.path, target)


def name_of(dataset: Mapping[str, Any], attack: Mapping[str, Any], seed: int) -> str:
    """The file name, without ending, that belongs to a choice of data, attack and key."""
    return f"{dataset['name']}-{attack['name']}-{fingerprint([dict(dataset), dict(attack), seed])}"


def shipped_for(dataset: Mapping[str, Any], attack: Mapping[str, Any], seed: int) -> Shipped | None:
    """What ships for a choice, or None.

    Args:
        dataset, attack: as JSON (:meth:`ued_core.params.Method.to_json`).
        seed: the private key.
    """
    path = FOLDER / f"{name_of(dataset, attack, seed)}.json"
    return _shipped(path) if path.exists() else None


def all_shipped() -> list[Shipped]:
    """Everything that ships, by file name."""
    return [_shipped(path) for path in sorted(FOLDER.glob("*.json"))]


@functools.lru_cache(maxsize=16)
def _shipped(path: Path) -> Shipped:
    return Shipped(json.loads(path.read_text(encoding="utf-8")), path.with_suffix(".safetensors"))


@functools.lru_cache(maxsize=16)
def _network(path: Path, target: float) -> DvaeNetwork:
    card = _shipped(path.with_suffix(".json")).card
    recipe = card["defence"]
    shape, classes = tuple(card["shape"]), int(card["classes"])
    network = build_dvae(shape, classes, recipe["width"], torch.Generator(), recipe["perturbation"], recipe["places"])
    mark = f"{target:g}/"
    state = {name.removeprefix(mark): tensor for name, tensor in load_file(path).items() if name.startswith(mark)}
    network.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in state.items()})
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.eval()


def write_shipped(
    dataset: Mapping[str, Any],
    attack: Mapping[str, Any],
    seed: int,
    published: ImageSet,
    defence: Mapping[str, Any],
    made: Sequence[tuple[float, Mapping[str, torch.Tensor], Mapping[str, Any]]],
    folder: Path = FOLDER,
) -> Path:
    """Write networks to be shipped; the path of the card.

    Args:
        dataset, attack, seed: the choice that they belong to.
        published: the poisoned images that they were trained on.
        defence: the parameters of the defence that they belong to, without rate targets and epochs.
        made: rate target, weights, and ``rate``, ``psnr``, ``steps`` of each.
        folder: where they go.
    """
    path = folder / f"{name_of(dataset, attack, seed)}.json"
    tensors = {
        f"{target:g}/{name}": (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for target, weights, _ in made
        for name, tensor in weights.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".safetensors"))
    card = {
        "dataset": dict(dataset),
        "attack": dict(attack),
        "seed": seed,
        "defence": dict(defence),
        "images": len(published),
        "shape": list(published.shape),
        "classes": published.classes,
        "data_hash": published.content_hash,
        "targets": [{"target": target, **log} for target, _, log in made],
        "torch": torch.__version__,
        "command": COMMAND,
    }
    write_json(path, card)
    return path
