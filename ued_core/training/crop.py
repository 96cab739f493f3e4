"""Augmentations of a whole batch at once, on the device of the data."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F


def random_crop(images: torch.Tensor, padding: int, rng: torch.Generator) -> torch.Tensor:
    """Pad with zeros and cut a window of the old size at a random place, one per image.

    Args:
        images: (N, C, H, W), any dtype.
        padding: pixels added on every side; 0 returns the images as they are.
        rng: generator on the images' device.
    """
    if padding == 0:
        return images
    n, _, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    offsets = torch.randint(2 * padding + 1, (2, n), generator=rng, device=images.device)
    return windows[torch.arange(n, device=images.device), :, offsets[0], offsets[1]]


def random_flip(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability one half; (N, C, H, W), any dtype."""
    flips = torch.rand(len(images), generator=rng, device=images.device) < 0.5
    return torch.where(flips.view(-1, 1, 1, 1), images.flip(3), images)


def random_resized_crop(images: torch.Tensor, smallest: float, rng: torch.Generator) -> torch.Tensor:
    """Cut a random window out of each image and enlarge it to the old size, bilinearly.

    The window's area is uniform between ``smallest`` and the whole, the logarithm of its proportions between 3:4 and
    4:3 of the image's; sides that would be longer than the image's are cut to them.

    Args:
        images: float (N, C, H, W) in [0, 1].
        smallest: share of the area, above 0, at most 1; 1 returns the images as they are.
        rng: generator on the images' device.
    """
    n = len(images)
    area, ratio, x, y = torch.rand((4, n), generator=rng, device=images.device)
    if smallest == 1:
        # The whole image has the image's proportions, whatever was drawn.
        return images
    area = smallest + (1 - smallest) * area
    ratio = torch.exp((2 * ratio - 1) * math.log(4 / 3))
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    # In coordinates from −1 to 1 a window of half the width has room to move by ±0.5.
    windows = torch.zeros((n, 2, 3), device=images.device)
    windows[:, 0, 0], windows[:, 1, 1] = width, height
    windows[:, 0, 2], windows[:, 1, 2] = (2 * x - 1) * (1 - width), (2 * y - 1) * (1 - height)
    grid = F.affine_grid(windows, list(images.shape), align_corners=False)
    # The four weights of a pixel add up to one only within rounding.
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False).clamp_(0, 1)
