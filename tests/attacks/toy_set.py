"""A small set that a small network learns in a second: bright spots, one corner a class, on noise."""

from __future__ import annotations

import torch

from ued_core.records import ImageSet

CLASSES = 4


def toy_set(count: int = 160, size: int = 16, seed: int = 0) -> ImageSet:
    """``count`` RGB images of four classes, in turn."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(60, 150, (count, 3, size, size), generator=rng, dtype=torch.int16)
    labels = torch.arange(count) % CLASSES
    half = size // 2
    for row, label in enumerate(labels.tolist()):
        top, left = (
            torch.randint(1, half - 5, (2,), generator=rng) + torch.tensor([half * (label // 2), half * (label % 2)])
        ).tolist()
        images[row, :, top : top + 4, left : left + 4] += 80
    return ImageSet(images.clamp(0, 255).to(torch.uint8), labels, tuple("abcd"), "toy")
