"""What a defence leaves of the poison, and of the shapes, as two networks see it.

Functions here run in the side process: they take and return plain records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ued_core.analysis.reference import reference_network
from ued_core.attacks import Attack
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.errors import DataError
from ued_core.models import Network
from ued_core.records import ImageSet, PoisonedSet
from ued_core.studies.layout import copies
from ued_core.training import accuracy


@dataclass(frozen=True)
class Left:
    """What is left at one strength of a defence; fractions are 0..1.

    Attributes:
        value: of the parameter; None for the poisoned pictures without any defence.
        poison: share of the pictures that the network which learned the poison still gets right.
        shape: share that the network trained on clean pictures still gets right.
        images: number of pictures.
    """

    value: float | None
    poison: float
    shape: float
    images: int


def left_over(
    images: ImageSet,
    attack: Attack | PoisonedSet,
    attack_seed: int,
    stack: DefenseStack,
    parameter: str,
    values: Sequence[float | None],
    seed: int,
    poisoned_network: str,
    clean_network: str,
    whole: ImageSet | None = None,
) -> tuple[Left, ...]:
    """Shares of poisoned and then defended pictures that a poisoned and a clean network still get right.

    A network that learned the poison reads little else, so it tells whether the poison is still there; one that never
    saw it tells whether the shapes are. A good defence leaves little of the first and much of the second. The draws of
    a defence are those of ``seed`` at every value, so only its strength differs.

    Args:
        images: clean pictures with their labels: of the test set, which neither network was trained on, unless the
            attack is crafted for the training set alone.
        attack: what poisons them, or their poisoned versions.
        attack_seed: the private key.
        stack: the defences; not empty.
        parameter: name of a parameter of the first one.
        values: of that parameter; None is the poisoned pictures without any defence.
        seed: of the defences' draws.
        poisoned_network: name of a network that ships and learned this poison
            (:func:`ued_core.studies.onlookers.victim_for`).
        clean_network: name of the reference model of the same data set.
        whole: the poisoned training set, for defences that must see all of it.

    Returns:
        One entry per value, in their order.

    Raises:
        DataError: a network was trained on another number of classes.
        ParameterError: the first defence has no such parameter, or does not allow a value.
        Unavailable: a network is not there, or a defence must see the whole set and it is not given.
    """
    poisoned, clean = (_of_these(name, images) for name in (poisoned_network, clean_network))
    made = attack if isinstance(attack, PoisonedSet) else attack.preview(images, attack_seed)
    found = []
    for value in values:
        tried = DefenseStack() if value is None else stack.with_first(**{parameter: value})
        seen = copies(images, made, attack_seed, tried, seed, whole)["defended"]
        left, shape = (accuracy(network, seen, Context()) for network in (poisoned, clean))
        found.append(Left(value, left, shape, len(images)))
    return tuple(found)


def _of_these(name: str, images: ImageSet) -> Network:
    network = reference_network(name)
    if network.head.out_features != images.classes:
        raise DataError(
            f"The network {name!r} tells {network.head.out_features} classes apart, the pictures have "
            f"{images.classes}.",
            "Choose a network that was trained on this data set.",
        )
    return network
