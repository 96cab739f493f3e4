"""Tables of small filters and of COIN along one axis, from which sums over whole matrices follow.

A class matrix is a stencil: the same k×k taps around every pixel. COIN moves rows and columns independently of each
other. So moments of products of the two need tables of a single axis and of pairs of taps alone, never a d×d matrix.
"""

from __future__ import annotations

import functools

import numpy as np

from ued_core.border import Boundary
from ued_core.errors import DataError, ParameterError
from ued_core.theory.matrices import cell_moments, expected_axis, fold


def checked_kernels(kernels: np.ndarray, strength: float) -> np.ndarray:
    """The kernels as contiguous float64 (c, k, k).

    Raises:
        DataError: fewer than two classes, an even or unequal side, or a kernel that is all zero.
        ParameterError: the strength is negative or not finite.
    """
    kernels = np.ascontiguousarray(kernels, dtype=np.float64)
    if kernels.ndim != 3 or kernels.shape[1] != kernels.shape[2] or kernels.shape[1] % 2 == 0 or len(kernels) < 2:
        raise DataError(f"The kernels have shape {kernels.shape}, but must be (c, k, k) with c ≥ 2 classes and odd k.")
    if not (kernels != 0).any((1, 2)).all():
        raise DataError("A class kernel is all zero; its cosine with the others is not defined.")
    if not np.isfinite(strength) or strength < 0:
        raise ParameterError(f"The strength is {strength!r}, but it must be a number of at least 0 px.")
    return kernels


@functools.lru_cache(maxsize=64)
def both_neighbours(size: int, margin: int, boundary: Boundary) -> np.ndarray:
    """Both neighbours of every position from -margin on, for fraction zero and above; int64 (2, 2, size+2·margin).

    Kept and shared: nobody writes into it.
    """
    positions = np.arange(-margin, size + margin)
    table = np.stack([np.stack(fold(positions, np.full(len(positions), f), size, boundary)) for f in (0.0, 0.5)])
    table.flags.writeable = False
    return table


def row_products(kernels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Inner products of each row of A_k with itself and with the rows of the pixels to the right, below, below right,
    and of the pixel to the right with the one below; float64 (c, 5, d).
    """
    k = kernels.shape[1]
    reach = k // 2
    table = np.zeros((len(kernels), 5, height, width))
    for n, (y, x, dy, dx) in enumerate(((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 1, 1), (0, 1, 1, 0))):
        # Both rows as filters around the same pixel, on a frame wide enough for either.
        one, other = (np.zeros((len(kernels), k + 2, k + 2)) for _ in range(2))
        one[:, y : y + k, x : x + k] = kernels
        other[:, dy : dy + k, dx : dx + k] = kernels
        product = one * other
        inside = np.zeros((height + k + 1, width + k + 1))
        inside[reach : reach + height, reach : reach + width] = 1
        for a, b in np.argwhere(product.any(0)):
            table[:, n] += product[:, a, b, None, None] * inside[a : a + height, b : b + width]
    return table.reshape(len(kernels), 5, height * width)


def axis_moments(size: int, strength: float, boundary: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """One axis of COIN: MᵀM of the expected matrix M, and Σ_p E[rowᵀ row]; both (size, size)."""
    if strength == 0:
        return np.eye(size), np.eye(size)
    second = np.zeros((size, size))
    p = np.arange(size)
    mean = expected_axis(size, strength, boundary)
    for cell, (mass, first, square) in cell_moments(strength):
        low, high = fold(p + cell, np.full(size, 0.5), size, boundary)
        np.add.at(second, (low, low), mass - 2 * first + square)
        np.add.at(second, (high, high), square)
        np.add.at(second, (low, high), first - square)
        np.add.at(second, (high, low), first - square)
    return mean.T @ mean, second


def tap_sums(moment: np.ndarray, k: int) -> np.ndarray:
    """T[δ, δ'] = Σ_c moment[c-δ, c-δ'] over all columns c for which both indices exist; (k, k)."""
    size, reach = len(moment), k // 2
    table = np.zeros((k, k))
    for i in range(k):
        for j in range(k):
            a, b = i - reach, j - reach
            c = np.arange(max(a, b, 0), size + min(a, b, 0))
            table[i, j] = moment[c - a, c - b].sum()
    return table
