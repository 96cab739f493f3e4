"""OPS: one pixel of every image is painted, the same place and colour for a whole class."""

from __future__ import annotations

import itertools
from functools import partial
from typing import ClassVar

import numpy as np
import torch

from ued_core.attacks.base import BLOCK, Attack
from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import ImageSet

LEAST_VARIANCE = 1e-12
"""Stands in for a variance of zero, which pixels have that are equal in all images of a class."""


class OnePixel(Attack):
    """In every image of a class, one pixel at the same place is painted with the same pure colour.

    For each class, the place and the colour (each channel 0 or 255) are those that differ most from the
    class's images, and most evenly: the mean distance divided by its standard deviation. No random draw is
    involved, so every private key gives the same result. The painted pixel is not bounded in size.

    Source:
        One-Pixel Shortcut, arXiv 2205.12141 (ICLR 2023), and its release (cychomatica/One-Pixel-Shotcut).

    Differs:
        Moments of each pixel give the same scores without a loop over colours. A standard deviation of zero counts
        as 1e-6, and pixels that already have the colour in all images of the class are never chosen; the release
        divides by zero there. With several pixels per class, they lie at different places. Places are chosen from
        the whole clean set, also when only some images or classes are poisoned.
    """

    key: ClassVar[str] = "one_pixel"
    title: ClassVar[str] = "OPS"
    keyed: ClassVar[bool] = False

    pixels: int = param(
        1, "How many pixels of every image are painted; the paper takes 1.", label="painted pixels", ge=1, le=16
    )

    def choice(self, data: ImageSet, ctx: Context | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Which pixels get which colour.

        Args:
            data: the whole clean set.
            ctx: progress and cancellation.

        Returns:
            Places, int64 (classes, pixels), row·W + column, −1 where a class has no images; colours, uint8
            (classes, pixels, C), 0 or 255.

        Raises:
            DataError: there are not enough places or pairs of place and colour.
        """
        counts, total, squares = moments(data, ctx or Context())
        channels, places = total.shape[1:]
        colours = np.array(list(itertools.product((0, 1), repeat=channels)), np.float64)
        if self.pixels > places or data.classes * self.pixels > places * len(colours):
            raise DataError(
                f"{data.classes} classes with {self.pixels} painted pixels each need different places or colours, "
                f"but images of {places} pixels have too few.",
                "Take fewer painted pixels or larger images.",
            )
        free = np.ones((places, len(colours)), bool)
        chosen = np.full((data.classes, self.pixels), -1, np.int64)
        painted = np.zeros((data.classes, self.pixels, channels), np.uint8)
        for k in np.flatnonzero(counts):
            scores = np.where(free, deviation_scores(total[k] / counts[k], squares[k] / counts[k], colours), -1.0)
            for t in range(self.pixels):
                place, colour = np.unravel_index(int(scores.argmax()), scores.shape)
                chosen[k, t], painted[k, t] = place, 255 * colours[colour]
                free[place, colour] = False
                scores[place] = -2.0
        return torch.from_numpy(chosen), torch.from_numpy(painted)

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        places, colours = self.choice(data, ctx)
        return _paint(data.images, rows, data.labels[rows], places, colours, ctx)

    def as_class(
        self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int, train: ImageSet | None = None
    ) -> torch.Tensor | None:
        if train is None:
            return None
        return _paint(images, torch.arange(len(images)), classes, *self.choice(train), Context())


def deviation_scores(mean: np.ndarray, square: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """How far and how evenly each pure colour differs from one class at every place.

    Args:
        mean, square: float (C, P), mean and mean square of the class's pixel values in 0..1.
        colours: float (S, C), each entry 0 or 1.

    Returns:
        float64 (P, S): mean of ``|ξ − x|`` over images and channels, divided by the standard deviation of the same
            values.
    """
    # |1 − x| has mean 1 − m and mean square 1 − 2m + s.
    lit = colours[:, :, None]
    distance = np.where(lit > 0, 1 - mean, mean).mean(1)
    variance = np.where(lit > 0, 1 - 2 * mean + square, square).mean(1) - distance**2
    return (distance / np.sqrt(np.maximum(variance, LEAST_VARIANCE))).T


def moments(data: ImageSet, ctx: Context) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sums over the images of each class.

    Returns:
        Numbers of images, int64 (K,); sums of the values in 0..1 and of their squares, float64 (K, C, H·W).
    """
    counts = np.bincount(data.labels.numpy(), minlength=data.classes)
    sums = np.zeros((2, data.classes, *data.shape), np.int64)
    step = 16 * BLOCK
    for start in range(0, len(data), step):
        stop = min(start + step, len(data))
        ctx.check()
        images, labels = data.images[start:stop], data.labels[start:stop]
        if has_compiler():
            source, owners = images.numpy(), labels.numpy()
            in_threads(partial(_add_moments, source, owners, sums), data.shape[1], smallest=1)
        else:
            for k in labels.unique().tolist():
                own = images[labels == k].to(torch.int64)
                sums[0, k] += own.sum(0).numpy()
                sums[1, k] += own.square().sum(0).numpy()
    flat = sums.reshape(2, data.classes, data.shape[0], -1)
    return counts, flat[0] / 255, flat[1] / 255**2


@compiled
def _add_moments(images: np.ndarray, labels: np.ndarray, sums: np.ndarray, top: int, bottom: int) -> None:
    """Add values and squares of uint8 (M, C, H, W) to int64 (2, K, C, H, W), image rows ``top`` to ``bottom`` alone."""
    count, channels, _, width = images.shape
    for m in range(count):
        first, second = sums[0, labels[m]], sums[1, labels[m]]
        for c in range(channels):
            for y in range(top, bottom):
                for x in range(width):
                    value = np.int64(images[m, c, y, x])
                    first[c, y, x] += value
                    second[c, y, x] += value * value


def _paint(
    images: torch.Tensor,
    rows: torch.Tensor,
    classes: torch.Tensor,
    places: torch.Tensor,
    colours: torch.Tensor,
    ctx: Context,
) -> torch.Tensor:
    result = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8)
    for start in range(0, len(rows), 16 * BLOCK):
        stop = min(start + 16 * BLOCK, len(rows))
        part, owners = images[rows[start:stop]], classes[start:stop]
        flat = part.flatten(2)
        for t in range(places.shape[1]):
            known = (places[owners, t] >= 0).nonzero()[:, 0]
            flat[known, :, places[owners[known], t]] = colours[owners[known], t]
        result[start:stop] = flat.view_as(part)
        ctx.report(stop, len(rows), "painting pixels")
    return result
