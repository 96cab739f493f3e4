"""Cutout: a black square somewhere in every image."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.defenses.base import Defense
from ued_core.params import param


def square_mask(shape: tuple[int, int, int], size: int, rng: torch.Generator) -> torch.Tensor:
    """True inside one square an image, whose middle is any pixel with equal chance; cut off at the border.

    Args:
        shape: (N, H, W).
        size: side length of the square, in pixels.
        rng: generator; the mask lives on its device.

    Returns:
        bool (N, H, W).
    """
    count, *sides = shape
    inside = []
    for side in sides:
        middle = torch.randint(side, (count, 1), generator=rng, device=rng.device)
        place = torch.arange(side, device=rng.device)
        inside.append((place >= middle - size // 2) & (place < middle - size // 2 + size))
    return inside[0][:, :, None] & inside[1][:, None, :]


class Cutout(Defense):
    """Blackens one square of every image, at a place drawn anew in every epoch.

    The network cannot rely on one place, as a one-pixel shortcut would have it; noise that covers
    the whole image is still there outside the square.

    Source:
        Cutout, arXiv 1708.04552, with the 16×16 square of the baselines in EM (arXiv 2101.04898) and ISS
        (arXiv 2301.13838) for 32×32 images: 19 % of the pixels on average.
    """

    key: ClassVar[str] = "cutout"
    title: ClassVar[str] = "Cutout"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    size: int = param(
        16, "Side length of the black square; half the image's side in the papers.", unit="px", ge=1, le=128, quick=6
    )

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        count, _, height, width = images.shape
        return images.masked_fill(square_mask((count, height, width), self.size, rng)[:, None], 0.0)
