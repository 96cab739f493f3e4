"""Θ when every sample has a filter of its own, and how far samples of Θ scatter.

The attack's class kernels are constant: alone they give Θ_imi = 0. Here each sample's kernel is
K_i = K + J_i, where every entry of the support (the taps that some class uses) gets its own
J ~ U(-j, j), and A_i = R_i · A(K_i) with COIN's R_i. A(K) is linear in K, so with the matrices
S_δ of single taps and σ² = j²/3

    E A_i = E[R] · A(K)                        the limit's Θ_imc does not depend on j,
    E ‖A_i‖² = E ‖R · A(K)‖² + σ² Σ_δ E ‖R · S_δ‖²   the variance of every class grows by the same amount.

Both come from the tables by which :func:`ued_core.theory.consistency.limit` is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ued_core.border import Boundary
from ued_core.compiled import compiled
from ued_core.errors import DataError, ParameterError
from ued_core.theory.consistency import Theta, theta, theta_from
from ued_core.theory.matrices import fold
from ued_core.theory.stencils import axis_moments, checked_kernels, tap_sums

#: draws of a field that are held at a time; bounds the memory
DRAWS_AT_ONCE = 250_000


@dataclass(frozen=True)
class Repeated:
    """Independent repetitions of a sampled Θ at several strengths.

    Attributes:
        strengths: float64 (S,), α in pixels.
        imi, imc: float64 (S, R), the metrics of each repetition.
        samples: n, matrices per class in one repetition.
    """

    strengths: np.ndarray
    imi: np.ndarray
    imc: np.ndarray
    samples: int

    def mean(self) -> tuple[np.ndarray, np.ndarray]:
        """Means over the repetitions of Θ_imi and Θ_imc, each float64 (S,)."""
        return self.imi.mean(1), self.imc.mean(1)

    def standard_error(self) -> tuple[np.ndarray, np.ndarray]:
        """Standard errors of these means (sample standard deviation / √R), each float64 (S,)."""
        count = self.imi.shape[1]
        return self.imi.std(1, ddof=1) / np.sqrt(count), self.imc.std(1, ddof=1) / np.sqrt(count)


def _checked(kernels: np.ndarray, strength: float, jitter: float) -> np.ndarray:
    if not np.isfinite(jitter) or jitter < 0:
        raise ParameterError(f"The jitter is {jitter!r}, but it must be a number of at least 0.")
    return checked_kernels(kernels, strength)


def support_of(kernels: np.ndarray) -> np.ndarray:
    """The taps that jitter: bool (k, k), true where the kernel of some class is not zero."""
    return (np.asarray(kernels) != 0).any(0)


# They do not depend on the kernels: behind a slider the same ones are asked for again and again.
@lru_cache(maxsize=128)
def _tap_tables(k: int, strength: float, size: tuple[int, int], boundary: Boundary) -> tuple[np.ndarray, np.ndarray]:
    """G[δ, δ'] = <E[R]·S_δ, E[R]·S_δ'> and S[δ, δ'] = E <R·S_δ, R·S_δ'> over all pairs of taps; each (k², k²)."""
    (my, sy), (mx, sx) = (axis_moments(n, strength, boundary) for n in size)
    return np.kron(tap_sums(my, k), tap_sums(mx, k)), np.kron(tap_sums(sy, k), tap_sums(sx, k))


def limit_jittered(
    kernels: np.ndarray,
    strength: float,
    jitter: float,
    size: tuple[int, int] = (32, 32),
    boundary: Boundary = "periodic",
) -> Theta:
    """Both metrics for infinitely many samples with jittered kernels, exactly and without sampling.

    Args:
        kernels: float (c, k, k), the mean kernels of the classes.
        strength: COIN's α in pixels; 0 means no COIN.
        jitter: j ≥ 0; each entry of the support moves by U(-j, j), anew for every sample, and is not clipped.
        size: (H, W).
        boundary: as in :func:`ued_core.displacement.displace`.

    Raises:
        DataError, ParameterError: kernels, strength or jitter cannot be used.
    """
    kernels = _checked(kernels, strength, jitter)
    first, second = _tap_tables(kernels.shape[1], float(strength), tuple(size), boundary)
    a = kernels.reshape(len(kernels), -1)
    gram = a @ first @ a.T
    variance = np.zeros(len(a)) if strength == 0 else np.maximum(((a @ second) * a).sum(1) - np.diag(gram), 0.0)
    variance = variance + jitter**2 / 3 * np.diag(second)[support_of(kernels).ravel()].sum()
    return theta_from(variance, (gram + gram.T) / 2, size[0] * size[1])


def expected_jittered(
    kernels: np.ndarray,
    strength: float,
    jitter: float,
    samples: int,
    size: tuple[int, int] = (32, 32),
    boundary: Boundary = "periodic",
) -> tuple[float, float]:
    """What n samples show on average: (Θ_imi, Θ_imc). Without jitter it is
    :func:`ued_core.theory.consistency.expected`.

    Θ_imi is exact. For Θ_imc the noise of COIN is taken at its expectation, because the d rows of R are drawn
    independently and its fluctuation is of relative size 1/(n·d). A jittered kernel is shared by all rows, so
    its mean J over n samples fluctuates by 1/n whatever d is: that part is expanded to second order in J. With
    the tap tables G and S of the two moments and the class kernel a, the squared length of a class mean has the
    expectation q and moves with J by 2·Jᵀu, u = (G + (S - G)/n)·a; the variance of J is s = j²/3n an entry. The
    mean direction of a class, E[(a + J)/√(squared length)], is then

        h = a/√q₀ - s·u/√q₀³ - (s/2)·tr(G)·a/√q₀³ + (3s/2)·|u|²·a/√q₀⁵,   q₀ = q - s·tr(G),

    u and tr over the support alone, and Θ_imc is the mean of h_jᵀ G h_k.
    """
    kernels = _checked(kernels, strength, jitter)
    if samples < 1:
        raise ParameterError(f"The number of samples is {samples!r}, but it must be a whole number of at least 1.")
    full = limit_jittered(kernels, strength, jitter, size, boundary)
    first, second = _tap_tables(kernels.shape[1], float(strength), tuple(size), boundary)
    support = support_of(kernels).ravel()
    s = jitter**2 / 3 / samples
    trace = float(np.diag(first)[support].sum())
    a = kernels.reshape(len(kernels), -1)
    root = 1 / np.sqrt(np.diag(full.gram) + full.variance / samples - s * trace)[:, None]
    u = np.where(support, a @ (first + (second - first) / samples), 0.0)
    h = a * root - s * (u + a * trace / 2) * root**3 + 1.5 * s * (u**2).sum(1, keepdims=True) * a * root**5
    cosines = h @ first @ h.T
    return full.imi * (samples - 1) / samples, float(cosines[np.triu_indices(len(a), 1)].mean())


@compiled
def _accumulate_each(
    kernels: np.ndarray,
    place: np.ndarray,
    weight: np.ndarray,
    height: int,
    width: int,
    squares: np.ndarray,
    gram: np.ndarray,
) -> None:
    """As ``consistency._accumulate``, with one kernel per sample.

    Args:
        kernels: float64 (c, n, k, k).
        place: int64 (4, rows, c, n): upper and lower row, left and right column of the neighbours.
        weight: float64 (2, rows, c, n): fractions along rows and columns.
        squares: float64 (c,), grows by Σ A_i².
        gram: float64 (c, c), its upper half grows by (Σ A_i)_j·(Σ A_i)_k.
    """
    _, rows, classes, samples = place.shape
    k = kernels.shape[2]
    reach = k // 2
    total = np.zeros((height * width, classes))
    seen = np.full(height * width, -1, dtype=np.int64)
    touched = np.empty(height * width, dtype=np.int64)
    across = np.empty((k, k + 1))
    line = np.zeros(height * width)
    own = np.empty(4 * k * k, dtype=np.int64)
    for p in range(rows):
        count = 0
        for c in range(classes):
            for i in range(samples):
                kernel = kernels[c, i]
                gy = weight[0, p, c, i]
                gx = weight[1, p, c, i]
                y0, y1 = place[0, p, c, i], place[1, p, c, i]
                x0, x1 = place[2, p, c, i], place[3, p, c, i]
                if y1 == y0 + 1 and x1 == x0 + 1:
                    # The four neighbours touch: along each axis two shifted filters become one of k+1 entries.
                    for a in range(k):
                        across[a, 0] = (1 - gx) * kernel[a, 0]
                        for b in range(1, k):
                            across[a, b] = (1 - gx) * kernel[a, b] + gx * kernel[a, b - 1]
                        across[a, k] = gx * kernel[a, k - 1]
                    for a in range(max(0, reach - y0), min(k + 1, height - y0 + reach)):
                        upper = 1 - gy if a < k else 0.0
                        lower = gy if a > 0 else 0.0
                        for b in range(max(0, reach - x0), min(k + 1, width - x0 + reach)):
                            v = upper * across[min(a, k - 1), b] + lower * across[max(a - 1, 0), b]
                            q = (y0 + a - reach) * width + x0 + b - reach
                            squares[c] += v * v
                            total[q, c] += v
                            if seen[q] != p:
                                seen[q] = p
                                touched[count] = q
                                count += 1
                    continue
                # Across the seam the neighbours lie apart; entries of equal column must be added before squaring.
                length = 0
                for corner in range(4):
                    y = y0 if corner < 2 else y1
                    x = x0 if corner % 2 == 0 else x1
                    share = (1 - gy if corner < 2 else gy) * (1 - gx if corner % 2 == 0 else gx)
                    for a in range(max(0, reach - y), min(k, height - y + reach)):
                        for b in range(max(0, reach - x), min(k, width - x + reach)):
                            q = (y + a - reach) * width + x + b - reach
                            line[q] += share * kernel[a, b]
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


def theta_of_kernels(kernels: np.ndarray, dx: np.ndarray, dy: np.ndarray, boundary: Boundary = "periodic") -> Theta:
    """Both metrics for given kernels and displacement fields, one of each a sample.

    Args:
        kernels: float (c, n, k, k), k odd.
        dx, dy: float (c, n, H, W), in pixels; zeros mean no COIN.
        boundary: as in :func:`ued_core.displacement.displace`.

    Raises:
        DataError: the shapes do not fit.
    """
    kernels = np.ascontiguousarray(kernels, dtype=np.float64)
    if kernels.ndim != 4 or kernels.shape[2] != kernels.shape[3] or kernels.shape[2] % 2 == 0 or len(kernels) < 2:
        raise DataError(
            f"The kernels have shape {kernels.shape}, but must be (c, n, k, k) with c ≥ 2 classes and odd k."
        )
    if dx.shape != dy.shape or dx.ndim != 4 or dx.shape[:2] != kernels.shape[:2]:
        raise DataError(f"Fields of shape {dx.shape} and {dy.shape} must both be {kernels.shape[:2]} + (H, W).")
    classes, samples, height, width = dx.shape
    right, down = (f.reshape(classes, samples, -1).transpose(2, 0, 1) for f in (dx, dy))
    squares, gram = np.zeros(classes), np.zeros((classes, classes))
    _add(kernels, right, down, 0, height, width, boundary, squares, gram)
    return _assembled(squares, gram, samples, height * width)


def _add(
    kernels: np.ndarray, dx: np.ndarray, dy: np.ndarray, first: int, height: int, width: int, boundary: Boundary,
    squares: np.ndarray, gram: np.ndarray,
) -> None:  # fmt: skip
    """Add the matrix rows from ``first`` on; dx, dy are (rows, c, n)."""
    y, x = np.divmod(np.arange(first, first + len(dx)), width)
    place: list[np.ndarray] = []
    weight: list[np.ndarray] = []
    for own, shift, side in ((y, dy, height), (x, dx, width)):
        whole = np.floor(shift)
        fraction = shift - whole
        place += fold(own[:, None, None] + whole.astype(np.int64), fraction, side, boundary)
        weight.append(fraction)
    _accumulate_each(kernels, np.stack(place), np.stack(weight), height, width, squares, gram)


def _assembled(squares: np.ndarray, gram: np.ndarray, samples: int, pixels: int) -> Theta:
    gram = np.triu(gram) / samples**2
    gram = gram + np.triu(gram, 1).T
    return theta_from(np.maximum(squares / samples - np.diag(gram), 0.0), gram, pixels)


def theta_jittered(
    kernels: np.ndarray,
    strength: float,
    jitter: float,
    samples: int,
    rng: np.random.Generator,
    size: tuple[int, int] = (32, 32),
    boundary: Boundary = "periodic",
) -> Theta:
    """Both metrics for ``samples`` freshly drawn kernels and COIN matrices per class.

    Args:
        kernels, strength, jitter, size, boundary: as in :func:`limit_jittered`.
        samples: n, matrices per class.
        rng: draws the jitter first, then the displacements.

    Raises:
        DataError, ParameterError: kernels, strength, jitter or samples cannot be used.
    """
    kernels = _checked(kernels, strength, jitter)
    if jitter == 0:
        return theta(kernels, strength, samples, rng, size, boundary)
    if samples < 1:
        raise ParameterError(f"The number of samples is {samples!r}, but it must be a whole number of at least 1.")
    shape = (len(kernels), samples, *kernels.shape[1:])
    own = kernels[:, None] + np.where(support_of(kernels), rng.uniform(-jitter, jitter, shape), 0.0)
    height, width = size
    squares, gram = np.zeros(len(kernels)), np.zeros((len(kernels), len(kernels)))
    block = max(1, DRAWS_AT_ONCE // (len(kernels) * samples))
    for start in range(0, height * width, block):
        drawn = (min(block, height * width - start), len(kernels), samples)
        dx, dy = (rng.uniform(-strength, strength, drawn) if strength else np.zeros(drawn) for _ in range(2))
        _add(own, dx, dy, start, height, width, boundary, squares, gram)
    return _assembled(squares, gram, samples, height * width)


def repeated(
    kernels: np.ndarray,
    strengths: Sequence[float] | np.ndarray,
    samples: int,
    repeats: int,
    seed: int,
    size: tuple[int, int] = (32, 32),
    boundary: Boundary = "periodic",
    jitter: float = 0.0,
) -> Repeated:
    """Sample both metrics several times at each strength, so that their scatter can be shown.

    Args:
        kernels, size, boundary, jitter: as in :func:`limit_jittered`.
        strengths: the values of α in pixels.
        samples: n, matrices per class in one repetition.
        repeats: R ≥ 2, independent repetitions at each strength.
        seed: names the streams; each (strength, repetition) has its own.

    Raises:
        DataError, ParameterError: an argument cannot be used.
    """
    if repeats < 2:
        raise ParameterError(f"The number of repetitions is {repeats!r}, but a standard error needs at least 2.")
    values = np.empty((2, len(strengths), repeats))
    for s, strength in enumerate(strengths):
        for r in range(repeats):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(s, r)))
            found = theta_jittered(kernels, float(strength), jitter, samples, rng, size, boundary)
            values[:, s, r] = found.imi, found.imc
    return Repeated(np.asarray(strengths, dtype=np.float64), values[0], values[1], samples)
