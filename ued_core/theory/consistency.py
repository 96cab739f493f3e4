"""Θ_imi and Θ_imc: how consistent multiplicative noise is within and between classes.

For the matrices {A_i} of the n samples of class k: mean A_μk, element-wise population variance
A_σ²k. With d pixels and c classes

    Θ_imi = (1/c) Σ_k (1/d²) Σ_pq A_σ²k[p, q]
    Θ_imc = mean over pairs j < k of cos(A_μj, A_μk), matrices flattened.

Here A_i = R_i · A_k with the class's convolution A_k and a fresh COIN matrix R_i of strength α.
Nothing of size d×d is ever made: the cost is linear in d and n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ued_core.border import Boundary
from ued_core.compiled import compiled, in_threads
from ued_core.errors import DataError, ParameterError
from ued_core.theory.stencils import axis_moments, both_neighbours, checked_kernels, row_products, tap_sums

#: fields are drawn for this many (pixel, class, sample) triples at a time; bounds the memory
DRAWS_AT_ONCE = 2_000_000
PIECE = 256
"""Rows that are summed by themselves, at least; larger images have larger pieces, because each piece costs the memory
of an image."""


@dataclass(frozen=True)
class Theta:
    """Both metrics and what they are made of.

    Attributes:
        imi: Θ_imi.
        imc: Θ_imc.
        variance: float64 (c,), Σ_pq of the element-wise variance of each class.
        gram: float64 (c, c), inner products of the class means.
    """

    imi: float
    imc: float
    variance: np.ndarray
    gram: np.ndarray

    @property
    def cosines(self) -> np.ndarray:
        """float64 (c, c), cosine similarity of the class means."""
        return _cosines(self.gram)


def _cosines(gram: np.ndarray) -> np.ndarray:
    norms = np.sqrt(np.diag(gram))
    return gram / np.outer(norms, norms)


def theta_from(variance: np.ndarray, gram: np.ndarray, pixels: int) -> Theta:
    """Both metrics from the variance summed per class, float64 (c,), and the inner products of the class means, (c, c).

    Args:
        variance: of all d² entries of a matrix, d = ``pixels``.
        gram: symmetric.
        pixels: height times width.
    """
    above = np.triu_indices(len(gram), 1)
    return Theta(
        imi=float(variance.mean() / pixels**2),
        imc=float(_cosines(gram)[above].mean()),
        variance=variance,
        gram=gram,
    )


@compiled
def _accumulate(
    kernels: np.ndarray,
    products: np.ndarray,
    dx: np.ndarray,
    dy: np.ndarray,
    first: int,
    tall: np.ndarray,
    wide: np.ndarray,
    margin: int,
    squares: np.ndarray,
    gram: np.ndarray,
) -> None:
    """Add the rows of one block: ``squares[k] += Σ A_i²`` and ``gram[j, k] += (Σ A_i)_j·(Σ A_i)_k``.

    A row of A_i = R_i·A_k is four weighted rows of A_k. So its squared length needs only inner
    products between neighbouring rows of A_k (``products``), and Σ A_i is (Σ R_i)·A_k: the four
    weights are summed first and filtered once a class.

    One long function, because compiled functions cannot call each other here. ``dx``, ``dy`` are (rows, classes,
    samples) for the pixels from ``first`` on; ``products`` is from :func:`row_products`; ``tall`` and ``wide`` are the
    tables of :func:`both_neighbours` for the two axes.
    """
    rows, classes, samples = dx.shape
    height, width = tall.shape[2] - 2 * margin, wide.shape[2] - 2 * margin
    size = height * width
    k = kernels.shape[1]
    reach = k // 2
    # Classes last: what is done to all of them at once then runs over neighbouring numbers.
    weights = np.zeros((size, classes))
    taps = kernels.transpose(1, 2, 0).copy()
    seen = np.full(size, -1, dtype=np.int64)
    touched = np.empty(size, dtype=np.int64)
    place = np.full(size, -1, dtype=np.int64)
    reached = np.empty(size, dtype=np.int64)
    total = np.zeros((size, classes))
    line = np.zeros(size)
    own = np.empty(4 * k * k, dtype=np.int64)
    corners = np.empty(4, dtype=np.int64)
    shares = np.empty(4)
    for p in range(rows):
        # Each sample's four rows of A_k: their shares go to the class's sum, the length of their mixture to the
        # squares.
        count = 0
        py = (first + p) // width
        px = (first + p) % width
        for c in range(classes):
            square = 0.0
            same, right, below, falling, rising = products[c]
            for i in range(samples):
                mx = np.floor(dx[p, c, i])
                my = np.floor(dy[p, c, i])
                gx = dx[p, c, i] - mx
                gy = dy[p, c, i] - my
                x0, x1 = wide[int(gx > 0), :, px + int(mx) + margin]
                y0, y1 = tall[int(gy > 0), :, py + int(my) + margin]
                corners[0], corners[1], corners[2], corners[3] = (
                    y0 * width + x0,
                    y0 * width + x1,
                    y1 * width + x0,
                    y1 * width + x1,
                )
                w0, w1, w2, w3 = (1 - gy) * (1 - gx), (1 - gy) * gx, gy * (1 - gx), gy * gx
                shares[0], shares[1], shares[2], shares[3] = w0, w1, w2, w3
                for corner in range(4):
                    q = corners[corner]
                    weights[q, c] += shares[corner]
                    if seen[q] != p:
                        seen[q] = p
                        touched[count] = q
                        count += 1
                if x1 == x0 + 1 and y1 == y0 + 1:
                    a, b, d, e = corners[0], corners[1], corners[2], corners[3]
                    square += w0 * w0 * same[a] + w1 * w1 * same[b] + w2 * w2 * same[d] + w3 * w3 * same[e]
                    crossed = w0 * (w1 * right[a] + w2 * below[a] + w3 * falling[a])
                    crossed += w3 * (w1 * below[b] + w2 * right[d]) + w1 * w2 * rising[a]
                    square += 2 * crossed
                    continue
                # Across the seam the four rows lie apart; entries of equal column are added before squaring.
                length = 0
                for corner in range(4):
                    y, x = corners[corner] // width, corners[corner] % width
                    for a in range(max(0, reach - y), min(k, height - y + reach)):
                        for b in range(max(0, reach - x), min(k, width - x + reach)):
                            q = (y + a - reach) * width + x + b - reach
                            line[q] += shares[corner] * kernels[c, a, b]
                            own[length] = q
                            length += 1
                for m in range(length):
                    square += line[own[m]] ** 2
                    line[own[m]] = 0.0
            squares[c] += square
        # Which columns the summed shares reach once they are filtered.
        found = 0
        for m in range(count):
            y, x = touched[m] // width, touched[m] % width
            for a in range(max(0, y - reach), min(height, y + reach + 1)):
                for b in range(max(0, x - reach), min(width, x + reach + 1)):
                    q = a * width + b
                    if place[q] < 0:
                        place[q] = found
                        reached[found] = q
                        found += 1
        # The summed shares, filtered by every class's kernel: the row p of Σ A_i.
        for m in range(count):
            q = touched[m]
            y, x = q // width, q % width
            for a in range(max(0, reach - y), min(k, height - y + reach)):
                for b in range(max(0, reach - x), min(k, width - x + reach)):
                    target = total[place[(y + a - reach) * width + x + b - reach]]
                    tap = taps[a, b]
                    for c in range(classes):
                        target[c] += weights[q, c] * tap[c]
            for c in range(classes):
                weights[q, c] = 0.0
        # Its inner products between classes; what was used is cleared for the next row.
        for m in range(found):
            entry = total[m]
            for j in range(classes):
                v = entry[j]
                inner = gram[j]
                for c in range(classes):
                    inner[c] += v * entry[c]
            for c in range(classes):
                entry[c] = 0.0
            place[reached[m]] = -1


def theta_of_fields(kernels: np.ndarray, dx: np.ndarray, dy: np.ndarray, boundary: Boundary = "periodic") -> Theta:
    """Both metrics for given displacement fields.

    Args:
        kernels: float (c, k, k), the class kernels.
        dx, dy: float (c, n, H, W), one COIN field a sample, in pixels.
        boundary: as in :func:`ued_core.displacement.displace`.
    """
    kernels = checked_kernels(kernels, 0.0)
    if dx.shape != dy.shape or dx.ndim != 4 or len(dx) != len(kernels):
        raise DataError(f"Fields of shape {dx.shape} and {dy.shape} must both be ({len(kernels)}, n, H, W).")
    classes, samples, height, width = dx.shape
    rows = [
        np.ascontiguousarray(f.reshape(classes, samples, -1).transpose(2, 0, 1), dtype=np.float64) for f in (dx, dy)
    ]
    sums = _Sums(kernels, height, width, boundary, max(np.abs(rows[0]).max(), np.abs(rows[1]).max()))
    sums.add(0, *rows)
    return sums.theta(samples)


def theta(
    kernels: np.ndarray,
    strength: float,
    samples: int,
    rng: np.random.Generator,
    size: tuple[int, int] = (32, 32),
    boundary: Boundary = "periodic",
) -> Theta:
    """Both metrics for ``samples`` freshly drawn COIN matrices per class.

    Args:
        kernels: float (c, k, k), the class kernels.
        strength: COIN's α in pixels; 0 means no COIN, and then Θ_imi is exactly 0.
        samples: n, matrices per class.
        rng: draws the displacements, uniform on (-α, α).
        size: (H, W).
        boundary: as in :func:`ued_core.displacement.displace`.

    Raises:
        DataError, ParameterError: kernels, strength or samples cannot be used.
    """
    kernels = checked_kernels(kernels, strength)
    if samples < 1:
        raise ParameterError(f"The number of samples is {samples!r}, but it must be a whole number of at least 1.")
    if strength == 0:
        return limit(kernels, 0.0, size, boundary)
    height, width = size
    sums = _Sums(kernels, height, width, boundary, strength)
    block = max(1, DRAWS_AT_ONCE // (len(kernels) * samples))
    for start in range(0, height * width, block):
        fields = rng.random((2, min(block, height * width - start), len(kernels), samples), np.float32)
        fields -= 0.5
        fields *= 2 * strength
        sums.add(start, fields[0], fields[1])
    return sums.theta(samples)


class _Sums:
    """Running sums over blocks of matrix rows."""

    def __init__(self, kernels: np.ndarray, height: int, width: int, boundary: Boundary, farthest: float) -> None:
        """``farthest`` bounds every displacement, in pixels."""
        self.kernels, self.height, self.width = kernels, height, width
        self.products = row_products(kernels, height, width)
        self.margin = int(np.ceil(farthest)) + 1
        self.tall, self.wide = (both_neighbours(size, self.margin, boundary) for size in (height, width))
        self.squares = np.zeros(len(kernels))
        self.gram = np.zeros((len(kernels), len(kernels)))

    def add(self, first: int, dx: np.ndarray, dy: np.ndarray) -> None:
        """Rows ``first``… of the matrices; dx, dy are (rows, classes, samples)."""
        size = max(PIECE, self.height * self.width // 16)
        starts = range(0, len(dx), size)
        squares, gram = (np.zeros((len(starts), *total.shape)) for total in (self.squares, self.gram))

        def pieces(begin: int, end: int) -> None:
            for n in range(begin, end):
                rows = slice(starts[n], starts[n] + size)
                tables = self.products, dx[rows], dy[rows], first + starts[n], self.tall, self.wide, self.margin
                _accumulate(self.kernels, *tables, squares[n], gram[n])

        in_threads(pieces, len(starts), smallest=1)
        # Always the same pieces in the same order: the last bits depend neither on the number of threads nor on who was
        # quicker.
        self.squares += squares.sum(0)
        self.gram += gram.sum(0)

    def theta(self, samples: int) -> Theta:
        gram = self.gram / samples**2
        variance = np.maximum(self.squares / samples - np.diag(gram), 0.0)
        return theta_from(variance, gram, self.height * self.width)


def limit(
    kernels: np.ndarray, strength: float, size: tuple[int, int] = (32, 32), boundary: Boundary = "periodic"
) -> Theta:
    """Both metrics for infinitely many samples, exactly and without sampling.

    Rows and columns are displaced independently, so every expectation is a Kronecker product of
    two one-dimensional ones; inner products of class matrices then need only k×k tables.
    """
    kernels = checked_kernels(kernels, strength)
    (my, sy), (mx, sx) = (axis_moments(n, strength, boundary) for n in size)
    k = kernels.shape[1]
    gram = np.einsum("jab,lcd,ac,bd->jl", kernels, kernels, tap_sums(my, k), tap_sums(mx, k), optimize=True)
    total = np.einsum("jab,jcd,ac,bd->j", kernels, kernels, tap_sums(sy, k), tap_sums(sx, k), optimize=True)
    variance = np.zeros(len(kernels)) if strength == 0 else np.maximum(total - np.diag(gram), 0.0)
    return theta_from(variance, (gram + gram.T) / 2, size[0] * size[1])


def expected(full: Theta, samples: int, pixels: int) -> tuple[float, float]:
    """What n samples show on average of the limit: (Θ_imi, Θ_imc).

    Θ_imi shrinks by (n-1)/n, exactly. A class mean of n draws carries the noise variance/n on its
    squared norm but not on its inner product with another class's mean, so the cosine falls; the
    returned Θ_imc takes the expectations of numerator and norms separately, which is close for
    matrices with many entries.
    """
    gram = full.gram + np.diag(full.variance / samples)
    return theta_from(full.variance * (samples - 1) / samples, gram, pixels).imi, theta_from(
        full.variance, gram, pixels
    ).imc
