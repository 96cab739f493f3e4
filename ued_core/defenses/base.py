"""What a defence is: up to three hooks, each of which does nothing unless overridden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch

from ued_core.context import Context
from ued_core.params import Method
from ued_core.records import ImageSet, to_bytes, to_float


class Defense(Method):
    """A defence; it acts before training (``purify``), on every batch (``augment``), or both.

    Test images never pass through a defence.
    """

    #: which hooks this defence uses: ``purify``, ``augment``
    acts: ClassVar[frozenset[str]] = frozenset()

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        """The data set to train on, made once; labels stay."""
        return data

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """One batch as the network sees it in this epoch, with fresh draws.

        Args:
            images: float32 (N, C, H, W) in [0, 1], on any device; not changed.
            rng: generator on the same device.

        Returns:
            float32, same shape and device, in [0, 1].
        """
        return images


def augment_all(defenses: Sequence[Defense], images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Apply the batch hook of a stack in its order; the training loop and the previews share it."""
    for defense in defenses:
        images = defense.augment(images, rng)
    return images


def purify_all(defenses: Sequence[Defense], data: ImageSet, ctx: Context) -> ImageSet:
    """Apply the data hook of a stack in its order."""
    for defense in defenses:
        data = defense.purify(data, ctx)
    return data


def preview(
    defenses: Sequence[Defense], data: ImageSet, ctx: Context, chunk: int = 1024, stream: tuple[object, ...] = ("preview",)
) -> ImageSet:
    """What a network would be shown in one epoch: every hook applied once, stored with 8 bits.

    Args:
        defenses: the stack, in order.
        data: the images to defend.
        ctx: seed and device; the draws come from its named stream.
        chunk: images a step; bounds the memory.
        stream: name of the stream of draws, so that two previews can differ.
    """
    data = purify_all(defenses, data, ctx)
    rng = ctx.generator(*stream)
    # Written in place: a list of parts, joined at the end, would hold the images twice.
    images = torch.empty(data.images.shape, dtype=torch.uint8)
    for start in range(0, len(data), chunk):
        batch = to_float(data.images[start : start + chunk].to(ctx.device))
        images[start : start + chunk] = to_bytes(augment_all(defenses, batch, rng)).cpu()
        ctx.report(min(start + chunk, len(data)), len(data), "defending images")
    return data.with_images(images)
