"""One choice of data, attack and private key, and what pages make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pages.frame.cache import cached
from pages.state.run_words import method_words
from ued_core.attacks import Attack
from ued_core.attacks.base import touched_rows
from ued_core.attacks.checkpoint import poison_once
from ued_core.attacks.looks import Look
from ued_core.context import Context
from ued_core.data.base import Dataset
from ued_core.defenses import Defense, DefenseStack
from ued_core.models import MODELS, Model
from ued_core.records import DataSplit, ImageSet, PoisonedSet, balanced_rows
from ued_core.runs.spec import RunSpec
from ued_core.training import PLANS


@dataclass(frozen=True)
class Selection:
    """One choice of data, attack and key.

    Attributes:
        dataset, attack: as configured.
        seed: the private key.
        pick: which images of each class are shown.
        data: the loaded images.
        poison_rate: share of the training images that are poisoned, 0..1; only pages that offer the choice know other
            ones than 1.
        look: where the set has yet to be crafted, the few images of it that ship; a page then shows no other ones.
    """

    dataset: Dataset
    attack: Attack
    seed: int
    pick: int
    data: DataSplit
    poison_rate: float = 1.0
    look: Look | None = None

    @property
    def train(self) -> ImageSet:
        """The clean training images."""
        return self.data.train

    def shown(self, per_class: int) -> tuple[ImageSet, list[int]]:
        """Some images of every class, and their rows in the training set; of a look as many as it has."""
        if self.look is None:
            return _shown(self.train, per_class, self.pick)
        images, places = _shown(self.look.clean, per_class, self.pick)
        return images, [self.look.rows[place] for place in places]

    def poison(self, images: ImageSet) -> Attack | PoisonedSet:
        """What makes poisoned copies of some rows: the attack, or, where they are those of a look, their published
        versions."""
        found = None if self.look is None else self.look.poisoned(images)
        return self.attack if found is None else found

    def poisoned(self, images: ImageSet) -> PoisonedSet:
        """The attack on some rows of the training images."""
        return poisoned(images, self.poison(images), self.seed)

    def trained_on(self, images: ImageSet) -> ImageSet:
        """The same as a set to train on."""
        return _trained_on(images, self.poison(images), self.seed)

    def published(self) -> ImageSet:
        """The whole training set as a run gets it: at a poison rate below 1 some of its images are clean."""
        if self.poison_rate == 1:
            return self.trained_on(self.train)
        return _published(self.train, self.attack, self.seed, self.poison_rate)

    def spec(self, defenses: Sequence[Defense] = (), model: Model | None = None) -> RunSpec:
        """The run that trains exactly what the page shows, with the default plan, and the default model where no other
        one is named."""
        model = model or MODELS.build(next(iter(MODELS)))
        suits = {**self.dataset.recommended_plan, **model.recommended_plan}
        return RunSpec(
            dataset=self.dataset,
            attack=self.attack,
            poison_rate=self.poison_rate,
            attack_seed=self.seed,
            defenses=DefenseStack(defenses),
            model=model,
            plan=PLANS.build(next(iter(PLANS)), **suits),
            seed=self.seed,
        )

    def touched(self) -> torch.Tensor:
        """Which images of :meth:`published` are poisoned, bool (N,)."""
        return touched_rows(self.train, Context(seed=self.seed), self.poison_rate)


@cached(max_entries=32)
def _shown(train: ImageSet, per_class: int, pick: int) -> tuple[ImageSet, list[int]]:
    rows = balanced_rows(train.labels, per_class, pick)
    return train.take(rows), rows.tolist()


@cached(max_entries=32)
def poisoned(images: ImageSet, poison: Attack | PoisonedSet, seed: int) -> PoisonedSet:
    """The work of :meth:`Selection.poison`, kept for the last few choices."""
    return poison if isinstance(poison, PoisonedSet) else poison.preview(images, seed)


@cached(max_entries=32)
def _trained_on(images: ImageSet, poison: Attack | PoisonedSet, seed: int) -> ImageSet:
    return poisoned(images, poison, seed).as_training_set()


@cached(max_entries=8)
def _published(train: ImageSet, attack: Attack, seed: int, poison_rate: float) -> ImageSet:
    return poison_once(attack, train, Context(seed=seed), poison_rate).as_training_set()


def protocol_line(choice: Selection) -> str:
    """The choice in words, for captions: of the parameters those that are not at their default."""
    part = "" if choice.poison_rate == 1 else f" · {100 * choice.poison_rate:g} % of the images poisoned"
    return f"{choice.dataset.title} · {method_words(choice.attack)} · key {choice.seed}{part}"
