"""Grids of small images as one PNG.

One composited picture reaches the browser an order of magnitude sooner than a hundred small
ones, and nearest-neighbour enlargement shows the pixels that a network is trained on.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ued_core.errors import DataError

Images = torch.Tensor | np.ndarray
# zlib's Z_RLE: enlarged pixels are runs, and nothing longer is worth the search.
RUN_LENGTHS = 3


def mosaic(images: Images, *, columns: int, scale: int = 2, gap: int = 4) -> bytes:
    """Images in reading order, ``columns`` to a row.

    Args:
        images: uint8 (N, C, H, W), 0..255, C = 1 or 3, N ≥ 1.
        columns: tiles in a row.
        scale: whole factor by which every pixel is enlarged.
        gap: transparent pixels between tiles.

    Returns:
        A PNG with a transparent background.

    Raises:
        DataError: another dtype, rank or channel count, or no image.
    """
    pixels = _pixels(images)
    rows = [pixels[start : start + columns] for start in range(0, len(pixels), columns)]
    return _composed(rows, columns, scale, gap)


def comparison(rows: Sequence[Images], *, scale: int = 2, gap: int = 4) -> bytes:
    """One row of tiles for each entry, column by column comparable.

    Row labels are the page's business: text in a picture is neither readable by a screen
    reader nor able to follow the theme. :func:`row_height` says where each row lies.

    Args:
        rows: each uint8 (N, C, H, W); shorter rows leave their end empty.
        scale, gap: as in :func:`mosaic`.

    Raises:
        DataError: no row, or images that :func:`mosaic` refuses.
    """
    if not rows:
        raise DataError("A comparison needs at least one row of images.")
    pixels = [_pixels(row) for row in rows]
    if len({p.shape[1:3] for p in pixels}) != 1:
        raise DataError(f"The rows of a comparison differ in image size: {sorted({p.shape[1:3] for p in pixels})}.")
    return _composed(pixels, max(map(len, pixels)), scale, gap)


def row_height(image_height: int, *, scale: int = 2, gap: int = 4) -> int:
    """Distance in pixels from one row of tiles to the next."""
    return image_height * scale + gap


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
    before, after = _array(clean), _array(other)
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
    difference = np.abs(_array(other).astype(np.int16) - _array(clean))
    largest = float(np.percentile(difference, 99.5))
    return float(2.0 ** np.clip(np.floor(np.log2(127.5 / max(largest, 1.0))), 0, np.log2(most)))


def _array(images: Images) -> np.ndarray:
    return images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)


def _pixels(images: Images) -> np.ndarray:
    """uint8 (N, H, W, 3) from what the public functions take."""
    array = _array(images)
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(
            f"Tiles are drawn from uint8 images of shape (N, 1 or 3, H, W), not {array.dtype} {array.shape}."
        )
    if len(array) == 0:
        raise DataError("There is no image to draw.", "Give at least one.")
    last = array.transpose(0, 2, 3, 1)
    return last if last.shape[-1] == 3 else np.broadcast_to(last, (*last.shape[:3], 3))


def _composed(rows: Sequence[np.ndarray], columns: int, scale: int, gap: int) -> bytes:
    if columns < 1 or scale < 1 or gap < 0:
        raise DataError(f"Tiles need columns ≥ 1, scale ≥ 1 and gap ≥ 0, not {columns}, {scale} and {gap}.")
    height, width = rows[0].shape[1:3]
    down, across = height * scale + gap, width * scale + gap
    # One 32-bit word a pixel: enlarging and placing then move a quarter of the items.
    canvas = np.zeros((down * len(rows) - gap, across * columns - gap), np.uint32)
    for i, row in enumerate(rows):
        opaque = np.full((*row.shape[:3], 4), 255, np.uint8)
        opaque[..., :3] = row
        enlarged = opaque.view(np.uint32)[..., 0].repeat(scale, axis=1).repeat(scale, axis=2)
        for j, tile in enumerate(enlarged):
            canvas[i * down : i * down + height * scale, j * across : j * across + width * scale] = tile
    picture = canvas.view(np.uint8).reshape(*canvas.shape, 4)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1, compress_type=RUN_LENGTHS)
    return buffer.getvalue()
