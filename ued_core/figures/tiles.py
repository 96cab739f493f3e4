"""Rows of small images as one PNG each: it reaches the browser an order of magnitude sooner than many small ones."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image

from ued_core.errors import DataError

Images = torch.Tensor | np.ndarray
# zlib's Z_RLE: noise holds nothing longer that is worth the search, and drawn images are runs.
RUN_LENGTHS = 3


def strip(images: Images) -> bytes:
    """Images side by side, without gaps, one pixel per pixel.

    Labels, gaps and marks are the page's business: text in a picture is neither readable by a
    screen reader nor able to follow the theme.

    Args:
        images: uint8 (N, C, H, W), 0..255, C = 1 or 3, N ≥ 1.

    Returns:
        A PNG of H × N·W pixels.

    Raises:
        DataError: another dtype, rank or channel count, or no image.
    """
    pixels = _pixels(images)
    count, height, width, _ = pixels.shape
    picture = np.ascontiguousarray(pixels.transpose(1, 0, 2, 3)).reshape(height, count * width, 3)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return buffer.getvalue()


def amplified_difference(clean: Images, other: Images, gain: float) -> np.ndarray:
    """What an attack or a defence changed, made visible: ``127.5 + gain · (other − clean)``, clipped.

    Grey means unchanged. Whoever shows it prints the gain.

    Args:
        clean, other: uint8 of one shape, 0..255.
        gain: factor, > 0.

    Returns:
        uint8, same shape.

    Raises:
        DataError: shapes differ.
    """
    before, after = np.asarray(clean), np.asarray(other)
    if before.shape != after.shape:
        raise DataError(f"A difference needs two stacks of one shape, not {before.shape} and {after.shape}.")
    difference = after.astype(np.float32)
    difference -= before
    difference *= gain
    difference += 127.5
    return np.clip(np.rint(difference, out=difference), 0, 255, out=difference).astype(np.uint8)


def fitting_gain(clean: Images, other: Images, *, most: float = 64.0) -> float:
    """A round gain (1, 2, 4, 8, …) at which the largest differences just fill the range.

    The 99.5th percentile decides, so that one clipped pixel does not hide all others.
    """
    difference = np.abs(np.asarray(other).astype(np.int16) - np.asarray(clean))
    largest = float(np.percentile(difference, 99.5))
    return float(2.0 ** np.clip(np.floor(np.log2(127.5 / max(largest, 1.0))), 0, np.log2(most)))


def _pixels(images: Images) -> np.ndarray:
    """uint8 (N, H, W, 3) from what the public functions take."""
    array = np.asarray(images)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            f"Tiles are drawn from uint8 images of shape (N, 1 or 3, H, W), not {array.dtype} {array.shape}."
        )
    if len(array) == 0:
        raise DataError("There is no image to draw.", "Give at least one.")
    last = array.transpose(0, 2, 3, 1)
    return last if last.shape[-1] == 3 else np.broadcast_to(last, (*last.shape[:3], 3))
