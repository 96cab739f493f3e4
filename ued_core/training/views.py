"""Random views of whole batches, on their device: what contrastive learning tells apart and brings together."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from ued_core.training.batch import random_flip

WIDEST = 4 / 3
"""Crops are at most so much wider than high, relative to the image, or the other way round."""
JITTERED, GREYED = 0.8, 0.2
"""Shares of the images whose colours are changed, and that lose them."""
LUMA = (0.299, 0.587, 0.114)


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
    return greyed(jittered(images, rng, colour), rng)


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


def jittered(images: torch.Tensor, rng: torch.Generator, strength: float) -> torch.Tensor:
    """Brightness, contrast, and of RGB images saturation and hue of most images changed at random.

    Args:
        images: float (N, C, H, W) in [0, 1].
        rng: generator on the images' device.
        strength: factors come from 1 ± 0.8 · strength, turns of the hue from ± 0.2 · strength.
    """
    count = len(images)
    draws = 2 * torch.rand(5, count, 1, 1, 1, generator=rng, device=images.device) - 1
    bright, contrast, saturation = (1 + 0.8 * strength * draws[:3]).clamp(min=0)
    made = (images * bright).clamp(0, 1)
    mean = _luma(made).mean((1, 2, 3), keepdim=True)
    made = (mean + contrast * (made - mean)).clamp(0, 1)
    if images.shape[1] == 3:
        grey = _luma(made)
        made = (grey + saturation * (made - grey)).clamp(0, 1)
        turns = hue_rotation(0.2 * strength * draws[3, :, 0, 0, 0])
        made = torch.einsum("nij,njhw->nihw", turns, made).clamp(0, 1)
    chosen = (draws[4] + 1) / 2 < JITTERED
    return torch.where(chosen, made, images)


def greyed(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Some of the images without their colours."""
    chosen = torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < GREYED
    return torch.where(chosen, _luma(images).expand_as(images), images)


def hue_rotation(turns: torch.Tensor) -> torch.Tensor:
    """Rotations of RGB about the grey axis; float (N,), in whole turns → float (N, 3, 3). Greys stay."""
    angle = (2 * math.pi * turns).view(-1, 1, 1)
    third = torch.full((3, 3), 1 / 3, device=turns.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turns.device) / math.sqrt(3)
    return third + angle.cos() * (torch.eye(3, device=turns.device) - third) + angle.sin() * cross


def _luma(images: torch.Tensor) -> torch.Tensor:
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(LUMA, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)
