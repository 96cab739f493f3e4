"""Random views of whole batches, on their device: what contrastive learning tells apart and brings together."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ued_core.training.colour import jitter_by_rotation, random_grey
from ued_core.training.crop import random_flip

WIDEST = 4 / 3
"""Crops are at most so much wider than high, relative to the image, or the other way round."""


def view(images: torch.Tensor, rng: torch.Generator, *, smallest: float, colour: float, flip: bool) -> torch.Tensor:
    """One random view of every image: a resized crop, perhaps mirrored, colours changed, perhaps grey.

    Args:
        images: float (N, C, H, W) in [0, 1].
        rng: generator on the images' device.
        smallest: least share of the area that a crop keeps, 0..1.
        colour: strength of the colour changes; 0 leaves colours and greys alone.
        flip: whether images may be mirrored.

    Returns:
        Float (N, C, H, W) in [0, 1].

    Source:
        SimCLR, arXiv 2002.05709: crop 0.08..1, jitter of strength 1 (small images 0.5) with probability 0.8, grey with
        0.2.

    Differs:
        Brightness, contrast, saturation and hue are changed in this order; the hue by a rotation about the grey axis.
        No blur.
    """
    images = resized_crop(images, rng, smallest)
    images = random_flip(images, rng) if flip else images
    if colour == 0:
        return images
    return random_grey(jitter_by_rotation(images, rng, colour), rng)


def resized_crop(images: torch.Tensor, rng: torch.Generator, smallest: float) -> torch.Tensor:
    """A random rectangle of each image, brought to the size of the image, bilinearly.

    Args:
        images: float (N, C, H, W).
        rng: generator on the images' device.
        smallest: least share of the area, 0..1; 1 returns the images.
    """
    area, ratio, across, down = torch.rand(4, len(images), generator=rng, device=images.device)
    area = smallest + (1 - smallest) * area
    stretch = torch.exp((2 * ratio - 1) * math.log(WIDEST) / 2) if smallest < 1 else torch.ones_like(ratio)
    wide, high = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    # From [-1, 1] of the crop to [-1, 1] of the image.
    theta = torch.zeros(len(images), 2, 3, device=images.device)
    theta[:, 0, 0], theta[:, 1, 1] = wide, high
    theta[:, 0, 2], theta[:, 1, 2] = (2 * across - 1) * (1 - wide), (2 * down - 1) * (1 - high)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
