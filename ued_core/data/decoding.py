"""Image files of a folder as one array: what does not fit is refused before it is read, the rest is decoded one by
one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ued_core.context import Context
from ued_core.data.image_file import header_size, read_square
from ued_core.data.report import Report, Unusable
from ued_core.errors import DataError

MAX_BYTES = 2 << 30
"""Of the decoded images of a set; they are in memory at once."""
MAX_TOTAL_PIXELS = 50_000_000_000
"""Decoding takes about ten seconds a gigapixel."""


class ImageFile(NamedTuple):
    """One file to decode.

    Attributes:
        path: where it lies.
        shown: what messages call it.
    """

    path: Path
    shown: str


def refuse_huge(count: int, size: int) -> None:
    """Refuse more images than fit into the memory.

    Args:
        count: images.
        size: their side after resizing, in pixels.

    Raises:
        DataError: they take more than :data:`MAX_BYTES`; the message says which size, or how many images, fit.
    """
    needed = count * 3 * size**2
    if needed > MAX_BYTES:
        side, fitting = math.isqrt(MAX_BYTES // (3 * count)), MAX_BYTES // (3 * size**2)
        raise DataError(
            f"{count:,} images of {size} × {size} take {needed / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB are "
            "loaded.",
            f"Choose a smaller size: {side} × {side} fits. Or take fewer images: {fitting:,} of this size fit.",
        )


def refuse_long(files: Sequence[ImageFile], ctx: Context, also: Sequence[str] = ()) -> None:
    """Refuse before decoding what would take hours to decode; only headers are read.

    Args:
        files: what would be decoded.
        ctx: progress and cancellation.
        also: as for :func:`ued_core.data.image_file.read_square`.

    Raises:
        DataError: they have more than :data:`MAX_TOTAL_PIXELS`.
        Cancelled: the user stopped the work.
    """
    total = 0
    for done, file in enumerate(files):
        if done % 256 == 0:
            ctx.report(done, len(files), "Looking at the sizes of the images")
        with suppress(Unusable):
            width, height = header_size(file.path, also)
            total += width * height
        if total > MAX_TOTAL_PIXELS:
            raise DataError(
                f"The first {done + 1:,} of {len(files):,} images have over {MAX_TOTAL_PIXELS // 10**9} gigapixels, "
                "which is more than are decoded at once.",
                "Take fewer images, or make them smaller beforehand.",
            )


def read_squares(
    files: Sequence[ImageFile], size: int, report: Report, ctx: Context, also: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """The centred squares of the files that can be decoded; no more than one file is in memory undecoded.

    Args:
        files: one image each.
        size: side of the result, in pixels.
        report: told which files were skipped and why, and what was converted and resized.
        ctx: progress and cancellation.
        also: as for :func:`ued_core.data.image_file.read_square`.

    Returns:
        Pixels uint8 (N, 3, size, size), and int64 (N,): which of the files they are.

    Raises:
        Cancelled: the user stopped the work.
    """
    pixels = np.empty((len(files), 3, size, size), np.uint8)
    rows: list[int] = []
    for done, file in enumerate(files):
        if done % 32 == 0:
            ctx.report(done, len(files), "Reading images")
        ctx.check()
        try:
            pixels[len(rows)] = read_square(file.path, size, report, also)
        except Unusable as reason:
            report.skip(file.shown, str(reason))
        else:
            rows.append(done)
    return pixels[: len(rows)], np.array(rows, np.int64)
