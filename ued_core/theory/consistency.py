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
from threading import Lock
from typing import Any

import numpy as np

from ued_core.compiled import compiled, in_threads
from ued_core.errors import DataError, ParameterError
from ued_core.theory.matrices import Boundary, fold

#: fields are drawn for this many (pixel, class, sample) triples at a time; bounds the memory
DRAWS_AT_ONCE = 2_000_000


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


def _assemble(variance: np.ndarray, gram: np.ndarray, pixels: int) -> Theta:
    above = np.triu_indices(len(gram), 1)
    return Theta(
        imi=float(variance.mean() / pixels**2),
        imc=float(_cosines(gram)[above].mean()),
        variance=variance,
        gram=gram,
    )


def _check(kernels: np.ndarray, strength: float) -> np.ndarray:
    kernels = np.ascontiguousarray(kernels, dtype=np.float64)
    if kernels.ndim != 3 or kernels.shape[1] != kernels.shape[2] or kernels.shape[1] % 2 == 0 or len(kernels) < 2:
        raise DataError(f"The kernels have shape {kernels.shape}, but must be (c, k, k) with c ≥ 2 classes and odd k.")
    if not (kernels != 0).any((1, 2)).all():
        raise DataError("A class kernel is all zero; its cosine with the others is not defined.")
    if not np.isfinite(strength) or strength < 0:
        raise ParameterError(f"The strength is {strength!r}, but it must be a number of at least 0 px.")
    return kernels


@compiled
def _accumulate(kernels: Any, dx: Any, dy: Any, first: int, tall: Any, wide: Any, margin: int, squares: Any, gram: Any) -> None:
    """Add the rows of one block: ``squares[k] += Σ A_i²`` and ``gram[j, k] += (Σ A_i)_j·(Σ A_i)_k``.

    ``dx``, ``dy`` are (rows, classes, samples) for the pixels from ``first`` on; ``tall`` and
    ``wide`` are the tables of :func:`_folds` for the two axes.
    """
    rows, classes, samples = dx.shape
    height, width = tall.shape[2] - 2 * margin, wide.shape[2] - 2 * margin
    k = kernels.shape[1]
    reach = k // 2
    total = np.zeros((height * width, classes))
    seen = np.full(height * width, -1, dtype=np.int64)
    touched = np.empty(height * width, dtype=np.int64)
    window = np.empty((k + 1, k + 1))
    line = np.zeros(height * width)
    own = np.empty(4 * k * k, dtype=np.int64)
    for p in range(rows):
        count = 0
        py = (first + p) // width
        px = (first + p) % width
        for c in range(classes):
            kernel = kernels[c]
            for i in range(samples):
                mx = np.floor(dx[p, c, i])
                my = np.floor(dy[p, c, i])
                gx = dx[p, c, i] - mx
                gy = dy[p, c, i] - my
                x0, x1 = wide[int(gx > 0), :, px + int(mx) + margin]
                y0, y1 = tall[int(gy > 0), :, py + int(my) + margin]
                if x1 == x0 + 1 and y1 == y0 + 1:
                    # The four neighbours touch: their filters overlap to one (k+1)×(k+1) window.
                    w00 = (1 - gy) * (1 - gx)
                    w01 = (1 - gy) * gx
                    w10 = gy * (1 - gx)
                    w11 = gy * gx
                    for a in range(k + 1):
                        for b in range(k + 1):
                            v = 0.0
                            if a < k and b < k:
                                v += w00 * kernel[a, b]
                            if a < k and b > 0:
                                v += w01 * kernel[a, b - 1]
                            if a > 0 and b < k:
                                v += w10 * kernel[a - 1, b]
                            if a > 0 and b > 0:
                                v += w11 * kernel[a - 1, b - 1]
                            window[a, b] = v
                    for a in range(max(0, reach - y0), min(k + 1, height - y0 + reach)):
                        for b in range(max(0, reach - x0), min(k + 1, width - x0 + reach)):
                            q = (y0 + a - reach) * width + x0 + b - reach
                            v = window[a, b]
                            squares[c] += v * v
                            total[q, c] += v
                            if seen[q] != p:
                                seen[q] = p
                                touched[count] = q
                                count += 1
                    continue
                # Across the seam the neighbours lie apart; entries of equal column must still be added before squaring.
                length = 0
                for corner in range(4):
                    y = y0 if corner < 2 else y1
                    x = x0 if corner % 2 == 0 else x1
                    weight = (1 - gy if corner < 2 else gy) * (1 - gx if corner % 2 == 0 else gx)
                    for a in range(max(0, reach - y), min(k, height - y + reach)):
                        for b in range(max(0, reach - x), min(k, width - x + reach)):
                            q = (y + a - reach) * width + x + b - reach
                            line[q] += weight * kernel[a, b]
                            own[length] = q
                            length += 1
                for m in range(length):
                    q = own[m]
                    v = line[q]
                    if v != 0.0:
                        line[q] = 0.0
                        squares[c] += v * v
                        total[q, c] += v
                        if seen[q] != p:
                            seen[q] = p
                            touched[count] = q
                            count += 1
        for m in range(count):
            q = touched[m]
            for j in range(classes):
                v = total[q, j]
                for c in range(j, classes):
                    gram[j, c] += v * total[q, c]
            for j in range(classes):
                total[q, j] = 0.0


def theta_of_fields(kernels: np.ndarray, dx: np.ndarray, dy: np.ndarray, boundary: Boundary = "periodic") -> Theta:
    """Both metrics for given displacement fields.

    Args:
        kernels: float (c, k, k), the class kernels.
        dx, dy: float (c, n, H, W), one COIN field a sample, in pixels.
        boundary: as in :func:`ued_core.defenses.coin.displace`.
    """
    kernels = _check(kernels, 0.0)
    if dx.shape != dy.shape or dx.ndim != 4 or len(dx) != len(kernels):
        raise DataError(f"Fields of shape {dx.shape} and {dy.shape} must both be ({len(kernels)}, n, H, W).")
    classes, samples, height, width = dx.shape
    rows = [np.ascontiguousarray(f.reshape(classes, samples, -1).transpose(2, 0, 1), dtype=np.float64) for f in (dx, dy)]
    sums = _Sums(kernels, height, width, boundary)
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
    """Both metrics for ``samples`` freshly drawn COIN matrices a class.

    Args:
        kernels: float (c, k, k), the class kernels.
        strength: COIN's α in pixels; 0 means no COIN, and then Θ_imi is exactly 0.
        samples: n, matrices a class.
        rng: draws the displacements, uniform on (-α, α).
        size: (H, W).
        boundary: as in :func:`ued_core.defenses.coin.displace`.

    Raises:
        DataError, ParameterError: kernels, strength or samples cannot be used.
    """
    kernels = _check(kernels, strength)
    if samples < 1:
        raise ParameterError(f"The number of samples is {samples!r}, but it must be a whole number of at least 1.")
    if strength == 0:
        return limit(kernels, 0.0, size, boundary)
    height, width = size
    sums = _Sums(kernels, height, width, boundary)
    block = max(1, DRAWS_AT_ONCE // (len(kernels) * samples))
    for start in range(0, height * width, block):
        shape = (min(block, height * width - start), len(kernels), samples)
        sums.add(start, rng.uniform(-strength, strength, shape), rng.uniform(-strength, strength, shape))
    return sums.theta(samples)


def _folds(size: int, margin: int, boundary: Boundary) -> np.ndarray:
    """Both neighbours of every position from -margin on, for fraction zero and above; int64 (2, 2, size+2·margin)."""
    positions = np.arange(-margin, size + margin)
    return np.stack([np.stack(fold(positions, np.full(len(positions), f), size, boundary)) for f in (0.0, 0.5)])


class _Sums:
    """Running sums over blocks of matrix rows."""

    def __init__(self, kernels: np.ndarray, height: int, width: int, boundary: Boundary) -> None:
        self.kernels, self.height, self.width, self.boundary = kernels, height, width, boundary
        self.squares = np.zeros(len(kernels))
        self.gram = np.zeros((len(kernels), len(kernels)))
        self.lock = Lock()

    def add(self, first: int, dx: np.ndarray, dy: np.ndarray) -> None:
        """Rows ``first``… of the matrices; dx, dy are (rows, classes, samples)."""

        margin = int(np.ceil(max(np.abs(dx).max(), np.abs(dy).max()))) + 1
        tall, wide = (_folds(size, margin, self.boundary) for size in (self.height, self.width))

        def part(start: int, stop: int) -> None:
            squares, gram = np.zeros_like(self.squares), np.zeros_like(self.gram)
            _accumulate(self.kernels, dx[start:stop], dy[start:stop], first + start, tall, wide, margin, squares, gram)
            with self.lock:
                self.squares += squares
                self.gram += gram

        in_threads(part, len(dx), smallest=256)

    def theta(self, samples: int) -> Theta:
        gram = np.triu(self.gram) / samples**2
        gram = gram + np.triu(gram, 1).T
        variance = np.maximum(self.squares / samples - np.diag(gram), 0.0)
        return _assemble(variance, gram, self.height * self.width)


def _moments(size: int, strength: float, boundary: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """One axis of COIN: MᵀM of the expected matrix M, and Σ_p E[rowᵀ row]; both (size, size).

    The displacement is uniform and the weights are linear in its fraction, so within one cell
    between two pixels every moment is the integral of a polynomial.
    """
    mean = np.zeros((size, size))
    second = np.zeros((size, size))
    p = np.arange(size)
    if strength == 0:
        return np.eye(size), np.eye(size)
    for cell in range(int(np.floor(-strength)), int(np.ceil(strength))):
        a, b = max(-strength - cell, 0.0), min(strength - cell, 1.0)
        mass, first, square = ((b**e - a**e) / e / (2 * strength) for e in (1, 2, 3))
        inner = np.full(size, 0.5)
        low, high = fold(p + cell, inner, size, boundary)
        np.add.at(mean, (p, low), mass - first)
        np.add.at(mean, (p, high), first)
        np.add.at(second, (low, low), mass - 2 * first + square)
        np.add.at(second, (high, high), square)
        np.add.at(second, (low, high), first - square)
        np.add.at(second, (high, low), first - square)
    return mean.T @ mean, second


def _taps(moment: np.ndarray, k: int) -> np.ndarray:
    """T[δ, δ'] = Σ_c moment[c-δ, c-δ'] over all columns c for which both indices exist; (k, k)."""
    size, reach = len(moment), k // 2
    table = np.zeros((k, k))
    for i in range(k):
        for j in range(k):
            a, b = i - reach, j - reach
            c = np.arange(max(a, b, 0), size + min(a, b, 0))
            table[i, j] = moment[c - a, c - b].sum()
    return table


def limit(
    kernels: np.ndarray, strength: float, size: tuple[int, int] = (32, 32), boundary: Boundary = "periodic"
) -> Theta:
    """Both metrics for infinitely many samples, exactly and without sampling.

    Rows and columns are displaced independently, so every expectation is a Kronecker product of
    two one-dimensional ones; inner products of class matrices then need only k×k tables.
    """
    kernels = _check(kernels, strength)
    (my, sy), (mx, sx) = (_moments(n, strength, boundary) for n in size)
    k = kernels.shape[1]
    gram = np.einsum("jab,lcd,ac,bd->jl", kernels, kernels, _taps(my, k), _taps(mx, k), optimize=True)
    total = np.einsum("jab,jcd,ac,bd->j", kernels, kernels, _taps(sy, k), _taps(sx, k), optimize=True)
    variance = np.zeros(len(kernels)) if strength == 0 else np.maximum(total - np.diag(gram), 0.0)
    return _assemble(variance, (gram + gram.T) / 2, size[0] * size[1])


def expected(full: Theta, samples: int, pixels: int) -> tuple[float, float]:
    """What n samples show on average of the limit: (Θ_imi, Θ_imc).

    Θ_imi shrinks by (n-1)/n, exactly. A class mean of n draws carries the noise variance/n on its
    squared norm but not on its inner product with another class's mean, so the cosine falls; the
    returned Θ_imc takes the expectations of numerator and norms separately, which is close for
    matrices with many entries.
    """
    gram = full.gram + np.diag(full.variance / samples)
    return _assemble(full.variance * (samples - 1) / samples, gram, pixels).imi, _assemble(full.variance, gram, pixels).imc
