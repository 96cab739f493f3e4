"""How dark the frame of an image is: what zero padding of a convolution leaves behind."""

from __future__ import annotations

import numpy as np
import torch

from ued_core.errors import DataError
from ued_core.records import to_float

CHUNK = 1024
GREY_LEVEL = 1 / 255
SMALLEST = 4


def side_ratios(images: torch.Tensor) -> np.ndarray:
    """For every side, the mean brightness of its outermost line over that of the next line inside.

    Each line stands for its side of a square ring, corners included; one grey level is added to both,
    so that black over black is 1.

    Args:
        images: uint8 (N, C, H, W), H and W at least 4.

    Returns:
        float64 (N, 4), > 0: top, bottom, left, right. Below 1 where the border is darker.

    Raises:
        DataError: the images are too small for two rings.
    """
    outer, inner = ring_lines(images, 0), ring_lines(images, 1)
    return (outer + GREY_LEVEL) / (inner + GREY_LEVEL)


def border_score(images: torch.Tensor) -> np.ndarray:
    """The training-free score of every image: minus the mean logarithm of its four :func:`side_ratios`.

    0 where the border is as bright as what lies inside it, 0.1 where it is a tenth darker, negative
    where it is brighter; float64 (N,).
    """
    return -np.log(side_ratios(images)).mean(1)


def ring_lines(images: torch.Tensor, distance: int) -> np.ndarray:
    """Mean brightness of the four sides of a square ring of pixels.

    Args:
        images: uint8 (N, C, H, W), H and W at least 4.
        distance: of the ring from the border, in pixels.

    Returns:
        float64 (N, 4) in 0..1: top, bottom, left, right.

    Raises:
        DataError: the images are too small for two rings.
    """
    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST:
        raise DataError(
            f"The border score compares two rings of pixels, but the images have {height}×{width}.",
            "Take larger images.",
        )
    parts = []
    d = distance
    for start in range(0, len(images), CHUNK):
        x = to_float(images[start : start + CHUNK])[:, :, d : height - d, d : width - d].mean(1)
        parts.append(torch.stack([x[:, 0].mean(1), x[:, -1].mean(1), x[:, :, 0].mean(1), x[:, :, -1].mean(1)], 1))
    return torch.cat(parts).double().cpu().numpy()
