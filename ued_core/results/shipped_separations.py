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
SECOND = "second"
"""Name of the weights of stage 2, beside those of stage 1, which are named by their targets."""


@dataclass(frozen=True)
class Shipped:
    """Networks of stage 1 at several rate targets, for one data set, attack and key.

    Attributes:
        card: ``dataset``, ``attack``, ``seed`` (the key), ``defence`` (its parameters, without rate targets and
            epochs), ``images`` (how many it was trained on), ``data_hash`` (of the poisoned images), ``targets`` (a
            list of objects with ``target``, ``rate``, ``psnr`` and ``steps``; all began as copies of one network),
            ``command``, ``torch``. Where stage 2 ships too, ``second``: the same numbers of its network, and ``after``,
            the target of stage 1 that it follows.
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
        return _network(self.path, f"{target:g}")

    @property
    def after(self) -> float | None:
        """The target of stage 1 after which a network of stage 2 ships; None where none does."""
        return float(self.card["second"]["after"]) if "second" in self.card else None

    def second_network(self) -> DvaeNetwork:
        """The network of stage 2, in evaluation mode, on the CPU; only where :attr:`after` is not None."""
        return _network(self.path, SECOND)


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
def _network(path: Path, name: str) -> DvaeNetwork:
    card = _shipped(path.with_suffix(".json")).card
    recipe = card["defence"]
    shape, classes = tuple(card["shape"]), int(card["classes"])
    network = build_dvae(shape, classes, recipe["width"], torch.Generator(), recipe["perturbation"], recipe["places"])
    mark = f"{name}/"
    state = {key.removeprefix(mark): tensor for key, tensor in load_file(path).items() if key.startswith(mark)}
    network.load_state_dict({key: t.float() if t.is_floating_point() else t for key, t in state.items()})
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
    second: tuple[Mapping[str, torch.Tensor], Mapping[str, Any]] | None = None,
) -> Path:
    """Write networks to be shipped; the path of the card.

    Args:
        dataset, attack, seed: the choice that they belong to.
        published: the poisoned images that they were trained on.
        defence: the parameters of the defence that they belong to, without rate targets and epochs.
        made: rate target, weights, and ``rate``, ``psnr``, ``steps`` of each.
        folder: where they go.
        second: of stage 2: weights, and ``after``, ``target``, ``rate``, ``psnr``, ``steps``.
    """
    path = folder / f"{name_of(dataset, attack, seed)}.json"
    groups = {f"{target:g}": weights for target, weights, _ in made} | ({SECOND: second[0]} if second else {})
    tensors = {
        f"{group}/{name}": (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for group, weights in groups.items()
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
    } | ({"second": dict(second[1])} if second else {})
    write_json(path, card)
    return path
