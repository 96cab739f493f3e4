"""Attacks whose perturbation of one image follows from all images of the training set."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch

from ued_core.artefacts import Draft
from ued_core.attacks.base import Attack, Bound
from ued_core.attacks.checkpoint import Crafted, crafted_card, crafted_rows
from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.records import ImageSet, PoisonedSet


class WholeSetAttack(Attack):
    """An attack that crafts a whole training set, whatever part of it is then published.

    One crafted set so serves every poison rate and every page. :meth:`poison` always computes;
    :func:`ued_core.attacks.checkpoint.poison_once` reads what was crafted before. Subclasses implement
    :meth:`craft`, :meth:`bound`, :meth:`gradient_evaluations` and :meth:`seconds_for`.

    Where what is crafted so far could be published, :meth:`craft` asks ``ctx.enough`` between its parts, and when that
    is true it returns what there is, with ``stopped_early`` in its log.
    """

    needs_whole_set: ClassVar[bool] = True

    @abstractmethod
    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        """The whole set as it is published.

        Args:
            data: the clean training images.
            ctx: private key, device, progress, cancellation.
            draft: where the state of unfinished work is kept and found.
        """

    @abstractmethod
    def bound(self, shape: tuple[int, int, int]) -> Bound:
        """What the published images keep to on images of this shape (C, H, W)."""

    @abstractmethod
    def gradient_evaluations(self, n_images: int) -> int:
        """How many times an image passes through a model, at most, the training of that model included."""

    @abstractmethod
    def seconds_for(self, data: ImageSet) -> float:
        """How long crafting takes on this machine's processor; a rough upper bound, itself quick."""

    def crafting_inputs(self) -> dict[str, Any]:
        """What decides the images besides parameters, key and clean set, such as the content of a file; part of a
        crafted set's name.

        Returns:
            JSON-ready; empty where there is nothing else. It must be quick.
        """
        return {}

    def surrogate_note(self, data: ImageSet, seed: int) -> str:
        """What is known of the model whose gradients were followed, in a sentence; empty when there is nothing to say
        of it."""
        return ""

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        images = self.craft(data, ctx, Draft()).images
        return images if len(rows) == len(data) else images[rows]

    def is_crafted(self, data: ImageSet, seed: int) -> bool:
        """Whether the whole set lies ready under the home."""
        return crafted_card(self, seed, data.content_hash) is not None

    def preview(self, images: ImageSet, seed: int) -> PoisonedSet:
        found = crafted_rows(self, seed, images)
        if found is None:
            raise Unavailable(
                f"{self.title} works on the whole training set, and no set that holds these images has been "
                f"crafted with these parameters and the key {seed} yet.",
                "Start a training run with this attack: it crafts the set first and keeps it.",
            )
        return PoisonedSet(images, found, torch.ones(len(images), dtype=torch.bool), self.to_json(), seed)
