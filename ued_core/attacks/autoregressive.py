"""AR: noise in which every value follows from its neighbours by a rule that tells the class."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import torch

from ued_core.attacks.base import AdditiveAttack, Bound, rounding_param, row_normals
from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import ImageSet, Rounding

DROPPED = 4
"""Rows and columns at the start of a process that are not used: they still show where it began."""
LARGEST_VALUE = 5.0
"""A process that grows beyond this, begun with standard normal numbers, is no use."""
TRIALS = 3
FLOORS = {10: 10.0, 100: 3.0}
"""Up to how many classes → the least response of one class's filter to another's 3×32×32 noise of length 1."""
PATIENCE = 60
CANDIDATES = 256
LANES = 8


class Autoregressive(AdditiveAttack):
    """Every image gets fresh noise that obeys its class's rule: each value is a weighted sum of the 3×3 before it.

    Two rows and two columns begin as random numbers, everything after them follows; the eight weights of each
    colour belong to the class. No two images get the same noise, and it is not linearly separable, but one
    convolution with the class's filter gives exactly zero on it. No model and no training is needed.

    Source:
        Autoregressive Perturbations for Data Poisoning, arXiv 2206.03693 (NeurIPS 2022), and its release
        (psandovalsegura/autoregressive-poisoning).

    Differs:
        The coefficients are found by our own search for each private key and image size, by the release's rules: the
        weights are normal numbers divided by their sum, values must stay bounded, and each class's filter must
        respond to every other class's noise (here in both directions and on three samples; when nothing passes,
        the least response is lowered step by step). Each colour is searched by itself and three are put together.
        All images are computed at once.
    """

    key: ClassVar[str] = "autoregressive"
    title: ClassVar[str] = "AR"

    size: float = param(
        1.0, "Size of the noise, as a multiple of the published one: length 1 with pixels in 0..1, or a largest "
             "change of 8/255.",
        ge=0.25, le=4.0, step=0.25,
    )  # fmt: skip
    norm: Literal["l2", "linf"] = param(
        "l2",
        "What is scaled to the size: the length (root of the sum of squares) of each image's noise, or its "
        "largest value.",
    )
    rounding: Rounding = rounding_param()

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        return Bound(self.norm, self.size * (255 if self.norm == "l2" else 8))

    def coefficients(self, classes: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
        """The weights of every class and channel, float64 (classes, C, 3, 3); the last one of each is 0, their sum is
        1."""
        return search(classes, shape, seed)

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        channels, height, width = data.shape
        weights = self.coefficients(data.classes, data.shape, ctx.seed)[data.labels[rows].numpy()]
        starts = row_normals(rows, channels * start_length(height, width), ctx, self.key, "starts")
        noise = processes(weights.reshape(-1, 3, 3), starts.view(len(rows) * channels, -1).numpy(), (height, width))
        noise = noise.reshape(len(rows), -1)
        length = np.linalg.norm(noise, axis=1) if self.norm == "l2" else np.abs(noise).max(1)
        noise *= (self.bound(data.shape).size / length)[:, None]
        return torch.from_numpy(noise.astype(np.float32)).view(-1, *data.shape)


def start_length(height: int, width: int) -> int:
    """How many random numbers begin one process: two rows, then two columns."""
    return 2 * (width + DROPPED) + 2 * (height + DROPPED - 2)


def processes(weights: np.ndarray, starts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Run autoregressive processes in raster order.

    Args:
        weights: float (L, 3, 3), one set a process; the last entry is not used.
        starts: float (L, :func:`start_length`): the first two rows from left to right, then the first two
            values of every other row.
        size: (H, W).

    Returns:
        float64 (L, H, W), without the first four rows and columns; infinite or nan where a process diverges.
    """
    if has_compiler():
        result = np.empty((len(starts), *size))
        given, begun = np.ascontiguousarray(weights, np.float64), np.ascontiguousarray(starts, np.float64)
        in_threads(lambda a, b: _run_processes(given, begun, result, a, b), len(starts))
        return result
    height, width = size[0] + DROPPED, size[1] + DROPPED
    plane = torch.empty(height, width, len(starts), dtype=torch.float64)
    first = torch.from_numpy(np.ascontiguousarray(starts.T, np.float64))
    plane[:2] = first[: 2 * width].view(2, width, -1)
    plane[2:, :2] = first[2 * width :].view(height - 2, 2, -1)
    factor = torch.from_numpy(np.ascontiguousarray(weights.reshape(-1, 9).T, np.float64))
    # One position at a time over all processes: the order within a process cannot be changed.
    for y in range(2, height):
        for x in range(2, width):
            value = plane[y - 2, x - 2] * factor[0]
            for tap in range(1, 8):
                value.addcmul_(plane[y - 2 + tap // 3, x - 2 + tap % 3], factor[tap])
            plane[y, x] = value
    return plane[DROPPED:, DROPPED:].permute(2, 0, 1).contiguous().numpy()


@compiled
def _run_processes(weights: np.ndarray, starts: np.ndarray, result: np.ndarray, first: int, last: int) -> None:
    """:func:`processes` ``first`` to ``last``, eight side by side."""
    height, width = result.shape[1] + DROPPED, result.shape[2] + DROPPED
    plane = np.zeros((height, width, LANES))
    factor = np.zeros((9, LANES))
    for base in range(first, last, LANES):
        lanes = min(LANES, last - base)
        for lane in range(lanes):
            begun = starts[base + lane]
            for x in range(width):
                plane[0, x, lane] = begun[x]
                plane[1, x, lane] = begun[width + x]
            for y in range(2, height):
                plane[y, 0, lane] = begun[2 * width + 2 * (y - 2)]
                plane[y, 1, lane] = begun[2 * width + 2 * (y - 2) + 1]
            for tap in range(9):
                factor[tap, lane] = weights[base + lane, tap // 3, tap % 3]
        for y in range(2, height):
            for x in range(2, width):
                for lane in range(LANES):
                    value = plane[y - 2, x - 2, lane] * factor[0, lane]
                    value += plane[y - 2, x - 1, lane] * factor[1, lane]
                    value += plane[y - 2, x, lane] * factor[2, lane]
                    value += plane[y - 1, x - 2, lane] * factor[3, lane]
                    value += plane[y - 1, x - 1, lane] * factor[4, lane]
                    value += plane[y - 1, x, lane] * factor[5, lane]
                    value += plane[y, x - 2, lane] * factor[6, lane]
                    value += plane[y, x - 1, lane] * factor[7, lane]
                    plane[y, x, lane] = value
        for lane in range(lanes):
            for y in range(DROPPED, height):
                for x in range(DROPPED, width):
                    result[base + lane, y - DROPPED, x - DROPPED] = plane[y, x, lane]


def response(weights: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """How strongly a class's filter answers to noise; zero to its own.

    Args:
        weights: float (C, 3, 3), of one class; its filter has −1 at the end.
        noise: float (..., C, H, W).

    Returns:
        float (...): the positive parts of the valid correlation, summed over channels and places.
    """
    height, width = noise.shape[-2] - 2, noise.shape[-1] - 2
    answer = -noise[..., 2:, 2:]
    for row in range(3):
        for column in range(3):
            if (row, column) != (2, 2):
                answer = (
                    answer
                    + weights[:, row, column, None, None] * noise[..., row : row + height, column : column + width]
                )
    return np.maximum(answer, 0).sum((-3, -2, -1))


def least_response(classes: int, shape: tuple[int, int, int]) -> float:
    """What the search asks of a filter at first; the published floors hold for 3×32×32 and grow with the root of the
    size."""
    published = next((floor for most, floor in FLOORS.items() if classes <= most), min(FLOORS.values()))
    return published * (shape[0] * (shape[1] - 2) * (shape[2] - 2) / (3 * 30 * 30)) ** 0.5


@functools.lru_cache(maxsize=16)
def search(classes: int, shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """Find coefficients for every class.

    Args:
        classes: how many.
        shape: (C, H, W) of the images, at least 3×3.
        seed: the private key.

    Returns:
        float64 (classes, C, 3, 3), read-only.

    Raises:
        DataError: images smaller than a filter.
    """
    channels, height, width = shape
    if min(height, width) < 3:
        raise DataError(f"Autoregressive noise needs images of at least 3×3 pixels, but these have {height}×{width}.")
    rng = np.random.default_rng(Context(seed=seed).stream_seed("autoregressive", "coefficients"))
    pool = _stable(rng, (height, width))
    found: list[np.ndarray] = []
    samples: list[np.ndarray] = []
    floor, misses = least_response(classes, shape), 0
    while len(found) < classes:
        drawn = [next(pool) for _ in range(channels)]
        weights = np.stack([w for w, _ in drawn])
        noise = np.stack([n for _, n in drawn], axis=1)
        noise /= np.sqrt(np.square(noise).sum((1, 2, 3), keepdims=True))
        heard = all(response(other, noise).min() >= floor for other in found)
        if heard and all(response(weights, other).min() >= floor for other in samples):
            found.append(weights)
            samples.append(noise)
            misses = 0
            continue
        misses += 1
        if misses == PATIENCE:
            floor, misses = 0.8 * floor, 0
    result = np.stack(found)
    result.setflags(write=False)
    return result


def _stable(rng: np.random.Generator, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless stable filters of one channel: weights (3, 3), and three samples of their noise (3, H, W)."""
    while True:
        weights = rng.standard_normal((CANDIDATES, 9))
        weights[:, 8] = 0
        weights = (weights / weights.sum(1, keepdims=True)).reshape(-1, 3, 3)
        starts = rng.standard_normal((CANDIDATES, TRIALS, start_length(*size)))
        with np.errstate(all="ignore"):
            noise = processes(np.repeat(weights, TRIALS, axis=0), starts.reshape(CANDIDATES * TRIALS, -1), size)
            noise = noise.reshape(CANDIDATES, TRIALS, *size)
            largest = np.abs(noise).max((1, 2, 3))
        for k in np.flatnonzero((largest <= LARGEST_VALUE) & (largest > 0)):
            yield weights[k], noise[k]
