"""Which of the networks that ship looks at pictures: one that learned the poison where there is one, else one that
never saw any."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from ued_core.analysis.reference import reference_card, reference_for, reference_words, victims_of
from ued_core.attacks import ATTACKS, Attack
from ued_core.data import DATASETS
from ued_core.data.base import Dataset
from ued_core.results.shipped_runs import shipped_runs

CLEAN_WHY = (
    "This network never learned the poison, so it cannot show the shortcut; it shows what is left of the shapes."
)
POISONED_WHY = "This network learned the poison, so it shows what a defence has to remove."
HARMLESS_WHY = "This network was trained on the poison and learned the shapes all the same: the poison is weak here."
TAKEN = 0.3
"""A poison counts as learned when it took so much of the clean accuracy, as a share of 1."""


@dataclass(frozen=True)
class Onlooker:
    """A network that ships, and what a page says of it.

    Attributes:
        name: as :func:`ued_core.analysis.reference.reference_network` takes it.
        poisoned: whether it was trained on poisoned pictures.
        words: what it is, for captions; begins in lower case and has no full stop.
        why: one sentence on what it can show.
    """

    name: str
    poisoned: bool
    words: str
    why: str


def victim_for(dataset: Dataset, attack: Attack, attack_seed: int) -> str | None:
    """The network that ships and was trained on exactly this poison; None where none was.

    Another key, or another parameter of the attack, is another poison. Where a picture's perturbation follows from its
    class and the key, the number of pictures does not matter; where it is crafted from the whole set, it does.

    Args:
        dataset, attack: as configured.
        attack_seed: the private key.
    """
    for name in victims_of(dataset.key):
        spec = reference_card(name)["spec"]
        if spec["attack_seed"] != attack_seed or ATTACKS.parse(spec["attack"]) != attack:
            continue
        if not attack.needs_whole_set or DATASETS.parse(spec["dataset"]) == dataset:
            return name
    return None


def victim_attack(name: str) -> Attack:
    """The attack that poisoned what a network that ships was trained on."""
    return ATTACKS.parse(reference_card(name)["spec"]["attack"])


@functools.lru_cache(maxsize=16)
def took_the_poison(name: str) -> bool:
    """Whether a network trained on poisoned pictures lost at least :data:`TAKEN` of the accuracy that the clean one of
    its data set has on clean test pictures; not every poison is a shortcut that a network takes."""
    card = reference_card(name)
    clean = reference_card(reference_for(card["spec"]["dataset"]["name"]))
    return clean["clean_test_accuracy"] - card["clean_test_accuracy"] >= TAKEN


@functools.lru_cache(maxsize=16)
def victim_words(name: str) -> str:
    """What a network trained on poisoned images is, and what it reaches, for captions."""
    card = reference_card(name)
    clean, own = (100 * card[of] for of in ("clean_test_accuracy", "trained_on_accuracy"))
    # What is crafted depends on the machine, and a network with it.
    row = shipped_runs().get(card["key"])
    stored = f"; {100 * row.last:.1f} % in the stored run {card['key']} of the same spec" if row else ""
    return (
        f"a small CNN trained on {card['spec']['dataset']['name']} poisoned by {victim_attack(name).title}, key "
        f"{card['spec']['attack_seed']} ({clean:.1f} % clean test accuracy{stored}; {own:.1f} % "
        "on these poisoned images)"
    )


def onlookers(dataset: Dataset, attack: Attack, attack_seed: int) -> tuple[Onlooker, ...]:
    """The networks that can look at a poison: first the one that learned it, where it ships, and always the clean one
    of the data set.

    Args:
        dataset, attack, attack_seed: as in :func:`victim_for`.
    """
    clean = Onlooker(reference_for(dataset.key), False, reference_words(dataset.key), CLEAN_WHY)
    victim = victim_for(dataset, attack, attack_seed)
    if victim is None:
        return (clean,)
    why = POISONED_WHY if took_the_poison(victim) else HARMLESS_WHY
    return Onlooker(victim, True, victim_words(victim), why), clean
