"""What the benchmarks compare with: both methods in their plainest form, one image at a time.

Written from the papers' descriptions for the benchmarks only; nothing else imports this.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F


def convolve_each(images: torch.Tensor, labels: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
    """The convolution attack, one ``conv2d`` an image.

    Args:
        images: uint8 (N, C, H, W), any device.
        labels: int64 (N,), on the CPU.
        kernels: float32 (classes, k, k), on the images' device.

    Returns:
        uint8 (N, C, H, W): filtered with zero padding, divided by the maximum, clipped, truncated.
    """
    result = torch.empty_like(images)
    channels, reach = images.shape[1], kernels.shape[-1] // 2
    for index, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        weight = kernels[label].expand(channels, 1, -1, -1)
        filtered = F.conv2d(image[None].float() / 255, weight, padding=reach, groups=channels)[0]
        result[index] = ((filtered / filtered.max()).clamp(0, 1) * 255).to(torch.uint8)
    return result


def displace_each(images: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """COIN with given fields, one ``map_coordinates`` a channel.

    Args:
        images: float (N, C, H, W) in [0, 1].
        dx, dy: float (N, H, W), in pixels.

    Returns:
        Like ``images``, interpolated linearly with scipy's mode ``wrap``.
    """
    from scipy.ndimage import map_coordinates

    rows, columns = np.mgrid[: images.shape[2], : images.shape[3]]
    result = np.empty_like(images)
    for image, right, down, out in zip(images, dx, dy, result, strict=True):
        places = [rows + down, columns + right]
        for plane, filled in zip(image, out, strict=True):
            filled[:] = map_coordinates(plane, places, order=1, mode="wrap")
    return result


def displace_each_tensor(images: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor) -> torch.Tensor:
    """COIN with given fields and the paper's modulo boundary, one image at a time on any device.

    For machines whose scipy cannot reach the device; arguments as in :func:`displace_each`.
    """
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device).view(-1, 1)
    columns = torch.arange(width, device=images.device)
    result = torch.empty_like(images)
    for index in range(len(images)):
        image, x, y = images[index], dx[index], dy[index]
        left, top = x.floor(), y.floor()
        fx, fy = x - left, y - top
        x0, y0 = (columns + left.long()) % width, (rows + top.long()) % height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        upper = image[:, y0, x0] * (1 - fx) + image[:, y0, x1] * fx
        lower = image[:, y1, x0] * (1 - fx) + image[:, y1, x1] * fx
        result[index] = upper * (1 - fy) + lower * fy
    return result
