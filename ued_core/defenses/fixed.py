"""Defences that change each image once, in the same way every time."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.context import Context
from ued_core.defenses.base import Defense
from ued_core.records import ImageSet

# Bounds the memory: 512 images of 3×32×32 are 6 MB as floats.
CHUNK = 512


class FixedTransform(Defense):
    """A function of one image, without draws; computed once and stored with 8 bits."""

    acts: ClassVar[frozenset[str]] = frozenset({"purify"})

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        """The treated images; each depends on nothing but itself.

        Args:
            images: uint8 (N, C, H, W), on any device; not changed.

        Returns:
            uint8, same shape and device.
        """
        raise NotImplementedError

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        result = torch.empty(data.images.shape, dtype=torch.uint8)
        for start in range(0, len(data), CHUNK):
            result[start : start + CHUNK] = self.transform(data.images[start : start + CHUNK].to(ctx.device)).cpu()
            ctx.report(min(start + CHUNK, len(data)), len(data), f"{self.title} on every image")
        return data.with_images(result)
