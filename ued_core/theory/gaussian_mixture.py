"""The simplified experiment: two Gaussian classes, one matrix per class, and a Bayes classifier tested on clean
samples.

A clean sample is x = y·μ + z with y = ±1 equally likely and z ~ N(0, I_d). The poisoned training sample is
A_i x with A_i = R_i · (T(a_y) + J_i): T is tridiagonal with ones on the diagonal and a_y beside it, J_i holds an
independent U(-j, j) on each off-diagonal place, and R_i is the random matrix A_r of strength α. The classifier
takes the class with the larger Gaussian density, and its accuracy is measured on clean samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from scipy.linalg import solve_triangular

from ued_core.errors import ParameterError
from ued_core.params import Method, param
from ued_core.theory.consistency import Theta
from ued_core.theory.one_dimensional import random_matrix, tridiagonal

Way = Literal["jitter", "approach", "strength"]
WAYS: tuple[Way, ...] = ("jitter", "approach", "strength")
#: added to every fitted covariance: this share of its mean diagonal entry
RIDGE = 1e-3


class Mixture(Method):
    """A poisoned mixture of two Gaussian classes.

    Source:
        The simplified scenario of COIN, arXiv 2311.18403, as described in reviews of the paper.

    Differs:
        The paper varies one metric with the other held constant and does not spell its protocol out; ours:
        (a) jitter adds an independent U(-j, j) to each of the 2(d-1) off-diagonal entries of every sample's
        matrix: Θ_imi = 2(d-1)·j²/(3d²) and Θ_imc stays; (b) approach moves both off-diagonals towards their
        mean, a_y → a_y + t·((a_{+1} + a_{-1})/2 - a_y): Θ_imc rises to 1 and Θ_imi stays; (c) strength
        multiplies with a fresh A_r a sample: both change. The direction of μ is ours: constant (all entries equal)
        as neighbouring pixels are alike, or drawn at random.
    """

    key: ClassVar[str] = "mixture"
    title: ClassVar[str] = "Gaussian mixture"

    jitter: float = param(
        0.0, "(a) Each off-diagonal entry of each sample's matrix moves by up to this much: more spread within "
             "a class.",
        label="jitter j", ge=0.0, le=1.5, step=0.05,
    )  # fmt: skip
    approach: float = param(
        0.0, "(b) 0 leaves the two classes' off-diagonals as they are, 1 makes both their mean: more likeness between "
             "classes.",
        label="approach t", ge=0.0, le=1.0, step=0.05,
    )  # fmt: skip
    strength: float = param(
        0.0, "(c) Every sample is multiplied by a fresh random matrix A_r of this strength: COIN's step, in one "
             "dimension.",
        label="strength α of A_r", unit="entries", ge=0.0, le=4.0, step=0.05,
    )  # fmt: skip
    norm: float = param(
        2.0, "Half the distance between the two class means; the clean classifier's accuracy is Φ(‖μ‖).",
        label="norm of μ", ge=0.25, le=4.0, step=0.25,
    )  # fmt: skip
    plus: float = param(
        0.3, "The attacker's off-diagonal of class +1.", label="a of class +1", ge=-0.45, le=0.45, step=0.05
    )
    minus: float = param(
        0.1, "The attacker's off-diagonal of class -1.", label="a of class -1", ge=-0.45, le=0.45, step=0.05
    )
    size: int = param(100, "Length of a sample.", label="dimension d", ge=4, le=200, step=1)
    direction: Literal["constant", "random"] = param(
        "constant",
        "μ with all entries equal, like a smooth image, or a random direction, like noise.",
        label="direction of μ",
    )

    def off_diagonals(self) -> tuple[float, float]:
        """a_{+1} and a_{-1} after the approach."""
        middle = (self.plus + self.minus) / 2
        plus, minus = (a + self.approach * (middle - a) for a in (self.plus, self.minus))
        return plus, minus

    @property
    def clean_accuracy(self) -> float:
        """Φ(‖μ‖): the accuracy of the best classifier of clean samples, 0..1."""
        return (1 + math.erf(self.norm / math.sqrt(2))) / 2

    def mean(self, seed: int = 0) -> np.ndarray:
        """μ, float64 (d,).

        Args:
            seed: names the random direction.
        """
        if self.direction == "constant":
            raw = np.ones(self.size)
        else:
            raw = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).normal(size=self.size)
        return raw * (self.norm / np.linalg.norm(raw))


@dataclass(frozen=True)
class Quadratic:
    """Two Gaussian densities with equal priors; decides for the larger one.

    Attributes:
        means: float64 (2, d), of classes +1 and -1.
        factors: float64 (2, d, d), lower Cholesky factors of the covariances.
    """

    means: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, means: np.ndarray, covariances: np.ndarray) -> Quadratic:
        """From means (2, d) and covariances (2, d, d).

        Raises:
            ParameterError: a covariance is singular.
        """
        try:
            return cls(np.asarray(means), np.linalg.cholesky(covariances))
        except np.linalg.LinAlgError:
            raise ParameterError(
                "A class's matrix is singular, so its density does not exist.", "Take off-diagonals nearer to zero."
            ) from None

    def score(self, x: np.ndarray) -> np.ndarray:
        """log p_{+1}(x) - log p_{-1}(x), float64 (N,); positive means class +1.

        Args:
            x: float (N, d).
        """
        density = []
        for mean, factor in zip(self.means, self.factors, strict=True):
            whiten = solve_triangular(factor, np.eye(len(mean)), lower=True, check_finite=False)
            whitened = x @ whiten.T - whiten @ mean
            density.append(-0.5 * np.einsum("nd,nd->n", whitened, whitened) - np.log(np.diag(factor)).sum())
        return density[0] - density[1]


@dataclass(frozen=True)
class Verdict:
    """What the classifier does on clean test samples.

    Attributes:
        scores: float64 (2, N), its scores of the samples of class +1 and of class -1.
        theta: both metrics of the matrices, exact.
    """

    scores: np.ndarray
    theta: Theta

    @property
    def recalls(self) -> tuple[float, float]:
        """Share of each class that is recognised, 0..1."""
        return float((self.scores[0] > 0).mean()), float((self.scores[1] <= 0).mean())

    @property
    def accuracy(self) -> float:
        """Share of all clean test samples that are recognised, 0..1."""
        return sum(self.recalls) / 2

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy from the number of test samples."""
        return float(np.sqrt(sum(r * (1 - r) for r in self.recalls) / self.scores.shape[1]) / 2)


@dataclass(frozen=True)
class Sweep:
    """One way of moving, gone through.

    Attributes:
        way: which parameter moved.
        values: float64 (S,), its values.
        accuracy: float64 (S,), of the classifier with exact moments, on clean test samples, 0..1.
        imi, imc: float64 (S,), exact.
    """

    way: Way
    values: np.ndarray
    accuracy: np.ndarray
    imi: np.ndarray
    imc: np.ndarray


def _cells(strength: float) -> list[tuple[int, float, float, float]]:
    """For s ~ U(-α, α) with fraction f = s - ⌊s⌋: whole part, then E[1], E[f], E[f²] on that cell."""
    if strength == 0:
        return [(0, 1.0, 0.0, 0.0)]
    found = []
    for cell in range(int(np.floor(-strength)), int(np.ceil(strength))):
        a, b = max(-strength - cell, 0.0), min(strength - cell, 1.0)
        one, first, second = ((b**e - a**e) / e / (2 * strength) for e in (1, 2, 3))
        found.append((cell, one, first, second))
    return found


def expected_random_matrix(size: int, strength: float) -> np.ndarray:
    """E[A_r], float64 (d, d)."""
    rows = np.arange(size)
    matrix = np.zeros((size, size))
    for cell, mass, first, _ in _cells(strength):
        np.add.at(matrix, (rows, (rows + cell) % size), mass - first)
        np.add.at(matrix, (rows, (rows + cell + 1) % size), first)
    return matrix


def _row_squares(inner: np.ndarray, strength: float) -> np.ndarray:
    """E[r_p · inner · r_pᵀ] for every row r_p of A_r; float64 (d,)."""
    rows = np.arange(len(inner))
    total = np.zeros(len(inner))
    for cell, mass, first, square in _cells(strength):
        low, high = (rows + cell) % len(inner), (rows + cell + 1) % len(inner)
        total += (mass - 2 * first + square) * inner[low, low] + square * inner[high, high]
        total += (first - square) * (inner[low, high] + inner[high, low])
    return total


def _jittered(inner: np.ndarray, jitter: float) -> np.ndarray:
    """E[J · inner · Jᵀ]: diagonal, because different entries of J are independent; float64 (d, d)."""
    own = np.diag(inner)
    beside = np.zeros(len(inner))
    beside[:-1] += own[1:]
    beside[1:] += own[:-1]
    return np.diag(jitter**2 / 3 * beside)


def moments(mixture: Mixture, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Exact mean and covariance of the poisoned samples of each class.

    With E[R] and rows of R drawn independently: off the diagonal E[R·M·Rᵀ] is E[R]·M·E[R]ᵀ, on it an integral of
    second-degree polynomials. With constant matrices (j = α = 0) they are y·A_y·μ and A_y·A_yᵀ and the densities
    are Gaussian; otherwise the densities are mixtures of Gaussians, and these are their first two moments.

    Returns:
        means float64 (2, d) and covariances float64 (2, d, d) of classes +1 and -1.
    """
    mu = mixture.mean(seed)
    inner = np.eye(mixture.size) + np.outer(mu, mu)
    smooth = expected_random_matrix(mixture.size, mixture.strength)
    means, covariances = [], []
    for sign, off in zip((1.0, -1.0), mixture.off_diagonals(), strict=True):
        matrix = tridiagonal(mixture.size, off)
        middle = matrix @ inner @ matrix.T + _jittered(inner, mixture.jitter)
        second = smooth @ middle @ smooth.T
        np.fill_diagonal(second, _row_squares(middle, mixture.strength))
        mean = sign * (smooth @ (matrix @ mu))
        means.append(mean)
        covariances.append(second - np.outer(mean, mean))
    return np.array(means), np.array(covariances)


def mixture_theta(mixture: Mixture) -> Theta:
    """Both metrics of the mixture's matrices for infinitely many samples, exactly."""
    d = mixture.size
    smooth = expected_random_matrix(d, mixture.strength)
    means, variance = [], []
    for off in mixture.off_diagonals():
        matrix = tridiagonal(d, off)
        mean = smooth @ matrix
        inner = matrix @ matrix.T + _jittered(np.eye(d), mixture.jitter)
        means.append(mean.ravel())
        constant = mixture.jitter == 0 and mixture.strength == 0
        variance.append(0.0 if constant else max(_row_squares(inner, mixture.strength).sum() - (mean**2).sum(), 0.0))
    flat = np.array(means)
    gram = flat @ flat.T
    cosine = gram[0, 1] / np.sqrt(gram[0, 0] * gram[1, 1])
    return Theta(imi=float(np.mean(variance) / d**2), imc=float(cosine), variance=np.array(variance), gram=gram)


def exact_classifier(mixture: Mixture, seed: int = 0) -> Quadratic:
    """The classifier that infinitely many poisoned samples lead to.

    With constant matrices it is the Bayes classifier of the poisoned distribution; with matrices that vary by sample
    it is the quadratic discriminant with the exact mean and covariance of each class, no longer Bayes-optimal.
    """
    return Quadratic.of(*moments(mixture, seed))


def draw_poisoned(mixture: Mixture, count: int, rng: np.random.Generator, seed: int = 0) -> np.ndarray:
    """Poisoned training samples, each with a matrix of its own; float64 (2, n, d), classes +1 and -1.

    Args:
        count: n, samples per class.
        rng: draws samples, jitter and random matrices.
        seed: names the random direction of μ.
    """
    d, mu = mixture.size, mixture.mean(seed)
    rows = np.arange(d)
    every = []
    for sign, off in zip((1.0, -1.0), mixture.off_diagonals(), strict=True):
        x = sign * mu + rng.normal(size=(count, d))
        above, below = off + (
            rng.uniform(-mixture.jitter, mixture.jitter, (2, count, d - 1)) if mixture.jitter else np.zeros((2, 1, 1))
        )
        filtered = x.copy()
        filtered[:, :-1] += above * x[:, 1:]
        filtered[:, 1:] += below * x[:, :-1]
        if mixture.strength:
            shift = rng.uniform(-mixture.strength, mixture.strength, (count, d))
            whole = np.floor(shift)
            low = (rows + whole.astype(np.int64)) % d
            part = shift - whole
            filtered = (1 - part) * np.take_along_axis(filtered, low, 1) + part * np.take_along_axis(
                filtered, (low + 1) % d, 1
            )
        every.append(filtered)
    return np.array(every)


def fitted_classifier(samples: np.ndarray) -> Quadratic:
    """Quadratic discriminant fitted to poisoned samples: class mean and class covariance.

    Regularised: one thousandth of the mean variance is added to every diagonal entry, S + 0.001·(tr S/d)·I. More
    would make the two covariances alike by itself and so hide the attack; less fails when n is not above d.

    Args:
        samples: float (2, n, d), classes +1 and -1, n ≥ 2.

    Raises:
        ParameterError: fewer than two samples per class.
    """
    if samples.ndim != 3 or len(samples) != 2 or samples.shape[1] < 2:
        raise ParameterError(f"The samples have shape {samples.shape}, but must be (2, n, d) with n of at least 2.")
    d = samples.shape[2]
    covariances = []
    for own in samples:
        covariance = np.atleast_2d(np.cov(own, rowvar=False))
        covariances.append(covariance + RIDGE * np.trace(covariance) / d * np.eye(d))
    return Quadratic.of(samples.mean(1), np.array(covariances))


def clean_samples(mixture: Mixture, count: int, seed: int = 0) -> np.ndarray:
    """Clean test samples, float64 (2, n, d); the same noise for every mixture of the same size and seed.

    Args:
        count: n, samples per class.
        seed: names the streams of the noise and of the random direction.
    """
    noise, mu = _noise(count, mixture.size, seed), mixture.mean(seed)
    return np.stack([noise[0] + mu, noise[1] - mu])


@lru_cache(maxsize=4)
def _noise(count: int, size: int, seed: int) -> np.ndarray:
    """Standard normal noise, float64 (2, n, d); drawn once, because every move of a slider tests on the same."""
    noise = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,))).normal(size=(2, count, size))
    noise.flags.writeable = False
    return noise


def evaluate(mixture: Mixture, train: int = 0, test: int = 4000, seed: int = 0) -> Verdict:
    """Poison, fit, and test on clean samples.

    Args:
        train: poisoned training samples per class; 0 stands for infinitely many (exact moments).
        test: clean test samples per class.
        seed: names all random streams.

    Raises:
        ParameterError: a number of samples cannot be used, or a class's matrix is singular.
    """
    if test < 1 or train < 0:
        raise ParameterError(f"Test samples are {test} and training samples {train}, but must be at least 1 and 0.")
    if train:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        classifier = fitted_classifier(draw_poisoned(mixture, train, rng, seed))
    else:
        classifier = exact_classifier(mixture, seed)
    clean = clean_samples(mixture, test, seed)
    return Verdict(np.array([classifier.score(x) for x in clean]), mixture_theta(mixture))


def sweep(mixture: Mixture, way: Way, points: int = 31, test: int = 2000, seed: int = 0) -> Sweep:
    """Move one of the three parameters through its range and keep the rest.

    Args:
        way: ``jitter``, ``approach`` or ``strength``.
        points: values, evenly spaced over the declared range.
        test: clean test samples per class, the same at all values.
        seed: names the random streams.

    Raises:
        ParameterError: there is no such way.
    """
    if way not in WAYS:
        raise ParameterError(f"The way is {way!r}, but it must be one of {', '.join(map(repr, WAYS))}.")
    declared = next(p for p in Mixture.parameters() if p.name == way)
    values = np.linspace(declared.minimum or 0.0, declared.maximum or 0.0, points)
    found = [evaluate(mixture.with_values(**{way: float(v)}), 0, test, seed) for v in values]
    return Sweep(
        way,
        values,
        *(np.array(column) for column in zip(*((v.accuracy, v.theta.imi, v.theta.imc) for v in found), strict=True)),
    )


def draw_matrices(mixture: Mixture, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One sample's matrices T(a_y) + J of classes +1 and -1, and one A_r; each float64 (d, d)."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
    d = mixture.size
    beside = np.abs(np.subtract.outer(np.arange(d), np.arange(d))) == 1
    own = [
        tridiagonal(d, off) + np.where(beside, rng.uniform(-1, 1, (d, d)), 0.0) * mixture.jitter
        for off in mixture.off_diagonals()
    ]
    return own[0], own[1], random_matrix(d, mixture.strength, rng)
