"""The one-dimensional experiment: hand-worked limits, dense brute force, and an independent integral for the
accuracy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from ued_core.errors import ParameterError
from ued_core.theory import random_matrix, tridiagonal
from ued_core.theory.gaussian_mixture import (
    WAYS,
    Mixture,
    Quadratic,
    clean_samples,
    draw_matrices,
    draw_poisoned,
    evaluate,
    exact_classifier,
    expected_random_matrix,
    fitted_classifier,
    mixture_theta,
    moments,
    sweep,
)

CASES = [
    Mixture(size=7, jitter=0.4),
    Mixture(size=7, strength=0.3),
    Mixture(size=7, strength=1.6, jitter=0.2, approach=0.5),
    Mixture(size=7, strength=4.0, minus=-0.2, direction="random"),
]


def dense_matrices(mixture: Mixture, off: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """A_i as written, one after another."""
    d = mixture.size
    every = []
    for _ in range(count):
        own = tridiagonal(d, off)
        for i in range(d - 1):
            own[i, i + 1] += rng.uniform(-mixture.jitter, mixture.jitter)
            own[i + 1, i] += rng.uniform(-mixture.jitter, mixture.jitter)
        every.append(random_matrix(d, mixture.strength, rng) @ own)
    return np.array(every)


@pytest.mark.parametrize("wanted", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("direction", ["constant", "random"])
def test_without_attack_the_accuracy_is_that_of_the_clean_classifier(wanted: float, direction: str) -> None:
    clean = Mixture(plus=0.0, minus=0.0, norm=wanted, direction=direction)
    assert clean.clean_accuracy == pytest.approx(norm.cdf(wanted))
    assert evaluate(clean, test=20_000).accuracy == pytest.approx(norm.cdf(wanted), abs=0.01)


@pytest.mark.parametrize("off", [-0.3, 0.1, 0.3, 0.4])
def test_equal_off_diagonals_give_the_clean_accuracy_back(off: float) -> None:
    same = Mixture(plus=off, minus=off)
    assert evaluate(same, test=20_000).accuracy == pytest.approx(norm.cdf(2.0), abs=0.01)
    assert mixture_theta(same).imc == pytest.approx(1.0)


def test_the_attack_takes_the_accuracy_and_the_full_approach_returns_it() -> None:
    assert evaluate(Mixture()).accuracy < 0.55
    assert evaluate(Mixture(approach=1.0), test=20_000).accuracy == pytest.approx(norm.cdf(2.0), abs=0.01)


def test_constant_matrices_have_the_densities_of_the_paper() -> None:
    means, covariances = moments(Mixture(size=6))
    mu = np.full(6, 2 / np.sqrt(6))
    for k, (sign, off) in enumerate(((1, 0.3), (-1, 0.1))):
        matrix = tridiagonal(6, off)
        assert means[k] == pytest.approx(sign * matrix @ mu)
        assert covariances[k] == pytest.approx(matrix @ matrix.T)


@pytest.mark.parametrize("mixture", CASES, ids=str)
def test_moments_equal_those_of_many_dense_matrices(mixture: Mixture) -> None:
    """E[A x] and Cov[A x] over 20,000 matrices; the x are integrated out exactly."""
    rng = np.random.default_rng(0)
    mu, inner = mixture.mean(), np.eye(mixture.size) + np.outer(mixture.mean(), mixture.mean())
    means, covariances = moments(mixture)
    for k, (sign, off) in enumerate(zip((1, -1), mixture.off_diagonals(), strict=True)):
        batches = [dense_matrices(mixture, off, 2000, rng) for _ in range(10)]
        mean = np.array([sign * b.mean(0) @ mu for b in batches])
        second = np.array([np.einsum("nij,jk,nlk->il", b, inner, b, optimize=True) / len(b) for b in batches])
        for found, exact in ((mean, means[k]), (second, covariances[k] + np.outer(means[k], means[k]))):
            error = found.std(0, ddof=1) / np.sqrt(len(found))
            assert (np.abs(found.mean(0) - exact) <= 6 * error + 1e-12).all()
            assert error.max() < 0.02


@pytest.mark.parametrize("mixture", CASES, ids=str)
def test_theta_equals_that_of_many_dense_matrices(mixture: Mixture) -> None:
    rng = np.random.default_rng(1)
    imi, imc = [], []
    for _ in range(10):
        plus, minus = (dense_matrices(mixture, off, 1000, rng) for off in mixture.off_diagonals())
        spread = [m.var(0, ddof=1).sum() for m in (plus, minus)]
        imi.append(np.mean(spread) / mixture.size**2)
        means = [m.mean(0).ravel() for m in (plus, minus)]
        # The mean of 1000 matrices is longer than the expected matrix by its noise, variance/1000.
        squares = [m @ m - s / 1000 for m, s in zip(means, spread, strict=True)]
        imc.append(means[0] @ means[1] / np.sqrt(squares[0] * squares[1]))
    exact = mixture_theta(mixture)
    assert np.mean(imi) == pytest.approx(exact.imi, rel=0.01)
    assert np.mean(imc) == pytest.approx(exact.imc, abs=2e-3)


def test_theta_by_hand() -> None:
    """Only the 2(d-1) off-diagonal entries vary, each by j²/3; the cosine is (d + 2(d-1)ab)/…"""
    d, a, b, j = 10, 0.3, 0.1, 0.6
    found = mixture_theta(Mixture(size=d, jitter=j))
    assert found.imi == pytest.approx(18 * j**2 / 3 / d**2)
    assert found.imc == pytest.approx((d + 18 * a * b) / np.sqrt((d + 18 * a**2) * (d + 18 * b**2)))
    assert mixture_theta(Mixture(size=d)).imi == 0.0


def test_each_way_moves_the_metrics_it_is_said_to_move() -> None:
    jitter, approach, strength = (sweep(Mixture(), way, points=6, test=50) for way in WAYS)
    assert (np.diff(jitter.imi) > 0).all()
    assert jitter.imc == pytest.approx(np.full(6, jitter.imc[0]))
    assert (approach.imi == 0).all()
    assert (np.diff(approach.imc) > 0).all()
    assert approach.imc[-1] == pytest.approx(1.0)
    assert strength.imi[0] == 0
    assert strength.imi[-1] > 0.001
    assert (np.diff(strength.imc) > 0).all()


def test_a_drawn_sample_has_the_exact_moments() -> None:
    mixture = Mixture(size=8, jitter=0.5, strength=1.2)
    drawn = draw_poisoned(mixture, 60_000, np.random.default_rng(0))
    means, covariances = moments(mixture)
    for k in range(2):
        assert drawn[k].mean(0) == pytest.approx(means[k], abs=0.03)
        assert np.cov(drawn[k], rowvar=False) == pytest.approx(covariances[k], abs=0.06)


def quadratic_form_probability(classifier: Quadratic, mean: np.ndarray) -> float:
    """P(score > 0) for x ~ N(mean, I) by Gil-Pelaez inversion of the characteristic function of a quadratic form."""
    inverse = [np.linalg.inv(f @ f.T) for f in classifier.factors]
    shift = mean - classifier.means
    values, vectors = np.linalg.eigh(-0.5 * (inverse[0] - inverse[1]))
    linear = vectors.T @ -(inverse[0] @ shift[0] - inverse[1] @ shift[1])
    constant = -0.5 * (shift[0] @ inverse[0] @ shift[0] - shift[1] @ inverse[1] @ shift[1])
    constant -= sum(s * np.log(np.diag(f)).sum() for s, f in zip((1, -1), classifier.factors, strict=True))

    def integrand(t: float) -> float:
        denominator = 1 - 2j * t * values
        exponent = 1j * t * constant - 0.5 * t**2 * (linear**2 / denominator).sum() - 0.5 * np.log(denominator).sum()
        return float(np.exp(exponent).imag / t)

    return 0.5 + quad(integrand, 1e-9, 60, limit=2000)[0] / np.pi


@pytest.mark.parametrize(
    "mixture",
    [
        Mixture(size=30),
        Mixture(size=30, jitter=1.0),
        Mixture(size=30, strength=2.0),
        Mixture(size=30, plus=0.2, minus=-0.2, norm=1.0),
    ],
    ids=str,
)
def test_sampled_accuracy_equals_the_integral(mixture: Mixture) -> None:
    classifier, mu = exact_classifier(mixture), mixture.mean()
    right = (quadratic_form_probability(classifier, mu) + 1 - quadratic_form_probability(classifier, -mu)) / 2
    found = evaluate(mixture, test=20_000)
    assert abs(found.accuracy - right) < 4 * found.standard_error
    assert found.standard_error < 0.004


def test_the_fitted_classifier_tends_to_the_exact_one() -> None:
    mixture = Mixture(size=20, strength=2.0)
    exact = evaluate(mixture, 0, 10_000).accuracy
    few, many = (abs(evaluate(mixture, n, 10_000).accuracy - exact) for n in (40, 20_000))
    assert many < 0.01 < few


def test_fitted_covariance_is_regularised_as_said() -> None:
    samples = np.random.default_rng(0).normal(size=(2, 5, 9))
    fitted = fitted_classifier(samples)
    covariance = np.cov(samples[0], rowvar=False)
    rebuilt = fitted.factors[0] @ fitted.factors[0].T
    assert rebuilt == pytest.approx(covariance + 1e-3 * np.trace(covariance) / 9 * np.eye(9))


def test_score_is_the_log_ratio_of_the_densities() -> None:
    from scipy.stats import multivariate_normal

    means, covariances = moments(Mixture(size=5, strength=1.0))
    x = np.random.default_rng(0).normal(size=(6, 5))
    plus, minus = (multivariate_normal(m, c).logpdf(x) for m, c in zip(means, covariances, strict=True))
    assert Quadratic.of(means, covariances).score(x) == pytest.approx(plus - minus)


def test_mini_matrices_show_what_is_used() -> None:
    plus, minus, random = draw_matrices(Mixture(size=12, strength=1.5))
    assert np.array_equal(plus, tridiagonal(12, 0.3))
    assert np.array_equal(minus, tridiagonal(12, 0.1))
    assert random.sum(1) == pytest.approx(np.ones(12))
    assert not np.array_equal(random, np.eye(12))
    jittered, *_ = draw_matrices(Mixture(size=12, jitter=0.2))
    moved = jittered - tridiagonal(12, 0.3)
    assert (np.diag(moved) == 0).all()
    assert np.count_nonzero(moved) == 22
    assert np.abs(moved).max() <= 0.2
    assert np.array_equal(draw_matrices(Mixture(size=12))[2], np.eye(12)), "no strength, no random matrix"


def test_expected_random_matrix_keeps_constants() -> None:
    for strength in (0.0, 0.4, 1.0, 3.7):
        assert expected_random_matrix(9, strength) @ np.ones(9) == pytest.approx(np.ones(9))


def test_the_same_noise_for_every_state() -> None:
    one, other = (clean_samples(m, 5) for m in (Mixture(), Mixture(strength=2.0, plus=0.1)))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, clean_samples(Mixture(), 5, seed=1))


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ParameterError, match="way"):
        sweep(Mixture(), "alpha")  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="at least 1"):
        evaluate(Mixture(), test=0)
    with pytest.raises(ParameterError, match="singular"):
        Quadratic.of(np.zeros((2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(ParameterError, match=r"-0\.45 to 0\.45"):
        Mixture(plus=0.6)
    with pytest.raises(ParameterError, match="n of at least 2"):
        fitted_classifier(np.zeros((2, 1, 4)))
