"""Augmentations of a whole batch at once, on the device of the data."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def random_crop(images: torch.Tensor, padding: int, rng: torch.Generator) -> torch.Tensor:
    """Pad with zeros and cut a window of the old size at a random place, one an image.

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
