"""What one training needs, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ued_core.models import Network
from ued_core.records import ImageSet
from ued_core.training.batches import Batches, Sample
from ued_core.training.hook import TrainingHook
from ued_core.training.plan import Plan

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]
Blend = Callable[..., tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Job:
    """What one training needs.

    Attributes:
        train: what is trained on (usually poisoned).
        test: clean test images; never augmented, never defended.
        network: the network, weights drawn.
        plan: the recipe.
        augment: a batch hook that leaves labels alone; float batch in [0, 1] → the same.
        blend: the defences' batch hook: images and targets, int64 (N,) or float (N, K), → the same; it acts after
            ``augment``.
        marks: bool (N, D), which training image each defence of the batch hook treats; its rows that belong to a batch
            are then a fourth argument of ``blend``. None: every defence treats every image, and there is no such
            argument.
        hooks: what acts during training, the first one outermost.
        flip: whether images may be mirrored.
        draws: whether ``augment`` or ``blend`` may change an image when it is shown.
        touched: bool (N,), which training images an attack changed: they and the others are then counted apart as well.
        checkpoint: file for resuming; None keeps none.
        on_epoch: called with each new row of the history.
        on_weights: called with the number of epochs trained and the network: once before the first
            epoch of this execution, then after every epoch, before its checkpoint is written.
    """

    train: ImageSet
    test: ImageSet
    network: Network
    plan: Plan
    augment: Augment = lambda images, rng: images
    blend: Blend = lambda images, targets, rng: (images, targets)
    marks: torch.Tensor | None = None
    hooks: Sequence[TrainingHook] = ()
    flip: bool = True
    draws: bool = True
    touched: torch.Tensor | None = None
    checkpoint: Path | None = None
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None
    on_weights: Callable[[int, Network], None] = lambda epoch, network: None

    @property
    def mirrors(self) -> bool:
        """Whether images are mirrored at random: what the plan says, or whether a mirror image keeps its class."""
        return self.plan.flip == "on" or (self.plan.flip == "auto" and self.flip)

    @property
    def same_images(self) -> bool:
        """Whether an image looks the same whenever it is shown, so that frozen features of it are known."""
        return not (self.draws or self.plan.crop or self.mirrors)

    def batches(self, device: torch.device, flip: bool) -> Batches:
        """The training images on their device, cut as the plan says, and mirrored at random if ``flip``."""
        return Batches(
            images=self.train.images.to(device),
            labels=self.train.labels.to(device),
            batch_size=self.plan.batch_size,
            epochs=self.plan.epochs,
            crop=self.plan.crop,
            flip=flip,
            marks=None if self.marks is None else self.marks.to(device),
        )

    def defended(self, cropped: torch.Tensor, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and targets of a step after ``augment`` and the batch hooks of the defences, with fresh draws.

        Args:
            cropped: float (n, C, H, W) in [0, 1], the images of ``sample`` as it cropped them.
            sample: their labels, marks and generator.
        """
        return self.blend(self.augment(cropped, sample.rng), sample.labels, sample.rng, *sample.marks)
