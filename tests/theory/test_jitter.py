"""Jittered kernels: closed form against dense matrices; sampled points against the curve through them."""

from __future__ import annotations

import numpy as np
import pytest

from ued_core.attacks.convolution import draw_kernels
from ued_core.errors import DataError, ParameterError
from ued_core.theory import coin_matrix, convolution_matrix, expected, limit, theta_of_fields
from ued_core.theory.jitter import (
    Repeated,
    expected_jittered,
    limit_jittered,
    repeated,
    support_of,
    theta_jittered,
    theta_of_kernels,
)

BOUNDARIES = ("periodic", "scipy_wrap")
SUPPORTS = ("full", "column", "row")


def dense(kernels, dx, dy, boundary):
    """Θ exactly as written, every matrix in full; kernels (c, n, k, k)."""
    classes, samples, height, width = dx.shape
    means, variances = [], []
    for c in range(classes):
        every = np.stack(
            [
                coin_matrix(dx[c, i], dy[c, i], boundary).dense()
                @ convolution_matrix(kernels[c, i], height, width).dense()
                for i in range(samples)
            ]
        )
        means.append(every.mean(0).ravel())
        variances.append(every.var(0).sum())
    pairs = [(j, k) for j in range(classes) for k in range(j + 1, classes)]
    cosines = [means[j] @ means[k] / np.linalg.norm(means[j]) / np.linalg.norm(means[k]) for j, k in pairs]
    return np.mean(variances) / (height * width) ** 2, np.mean(cosines)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(6, 6), (5, 7)])
@pytest.mark.parametrize(("strength", "k"), [(0.0, 3), (0.3, 3), (2.0, 5), (5.5, 3)])
def test_local_sums_equal_the_dense_definition(size, boundary, strength, k) -> None:
    rng = np.random.default_rng(0)
    kernels = draw_kernels(3, k, 0.3, "full", 1)[:, None] + rng.uniform(-0.2, 0.2, (3, 6, k, k))
    dx, dy = rng.uniform(-strength, strength, (2, 3, 6, *size)) if strength else np.zeros((2, 3, 6, *size))
    imi, imc = dense(kernels, dx, dy, boundary)
    found = theta_of_kernels(kernels, dx, dy, boundary)
    assert abs(found.imi / imi - 1) < 1e-9
    assert abs(found.imc - imc) < 1e-9


def test_constant_kernels_give_what_the_class_kernels_give() -> None:
    kernels = draw_kernels(4, 3, 0.3, "row", 2)
    dx, dy = np.random.default_rng(1).uniform(-2, 2, (2, 4, 5, 8, 8))
    each = theta_of_kernels(np.repeat(kernels[:, None], 5, 1), dx, dy)
    one = theta_of_fields(kernels, dx, dy)
    assert np.allclose(each.gram, one.gram, rtol=1e-12)
    assert np.allclose(each.variance, one.variance, rtol=1e-9)


@pytest.mark.parametrize("strength", [0.0, 0.4, 1.5])
def test_limit_equals_the_moments_of_many_dense_matrices(strength: float) -> None:
    """E[A] and E[A²] at 6×6 by brute force over 3000 dense matrices per class."""
    kernels, jitter, count, side = draw_kernels(2, 3, 0.3, "full", 3), 0.25, 3000, 6
    rng = np.random.default_rng(0)
    full = limit_jittered(kernels, strength, jitter, (side, side))
    batches = 12
    estimates = []
    for _ in range(batches):
        mean, square = np.zeros((2, 36, 36)), np.zeros((2, 36, 36))
        for c in range(2):
            taps = np.stack([convolution_matrix(e, side, side).dense() for e in np.eye(9).reshape(9, 3, 3)])
            for _ in range(count // batches):
                kernel = kernels[c] + rng.uniform(-jitter, jitter, (3, 3))
                matrix = np.tensordot(kernel.ravel(), taps, 1)
                if strength:
                    matrix = coin_matrix(*rng.uniform(-strength, strength, (2, side, side))).dense() @ matrix
                mean[c] += matrix
                square[c] += matrix**2
        mean, square = mean / (count // batches), square / (count // batches)
        own = count // batches
        estimates.append(((square - mean**2).sum((1, 2)) * own / (own - 1)).mean() / 36**2)
    error = np.std(estimates, ddof=1) / np.sqrt(batches)
    assert error < 0.015 * full.imi, "the check must be sharp"
    assert abs(np.mean(estimates) - full.imi) < 4 * error


def test_without_coin_the_variance_counts_the_taps_inside_the_image() -> None:
    """By hand: of 3×3 taps on 4×5 pixels, row offsets -1, 0, 1 fit 3, 4, 3 times and columns 4, 5, 4 times."""
    kernels = draw_kernels(3, 3, 0.3, "full", 0)
    entries = (3 + 4 + 3) * (4 + 5 + 4)
    found = limit_jittered(kernels, 0.0, 0.3, (4, 5))
    assert found.variance == pytest.approx(np.full(3, 0.3**2 / 3 * entries))
    assert found.imi == pytest.approx(0.03 * entries / 20**2)
    assert found.imc == pytest.approx(limit(kernels, 0.0, (4, 5)).imc, abs=1e-12)


@pytest.mark.parametrize("support", SUPPORTS)
def test_jitter_raises_the_spread_alone_and_stays_on_the_support(support: str) -> None:
    kernels = draw_kernels(5, 3, 0.3, support, 0)
    curve = [limit_jittered(kernels, 1.3, j, (8, 8)) for j in (0.0, 0.1, 0.2)]
    plain = limit(kernels, 1.3, (8, 8))
    assert curve[0].imi == pytest.approx(plain.imi, rel=1e-10)
    assert [t.imc for t in curve] == pytest.approx([plain.imc] * 3, abs=1e-12)
    grown = [t.imi - plain.imi for t in curve]
    assert grown[2] == pytest.approx(4 * grown[1]), "variance grows with the square of the jitter"
    assert support_of(kernels).sum() == {"full": 9, "column": 3, "row": 3}[support]


def test_without_jitter_everything_is_as_before() -> None:
    kernels = draw_kernels(4, 3, 0.3, "full", 0)
    assert limit_jittered(kernels, 0.0, 0.0, (9, 9)).imi == 0.0
    for strength in (0.0, 0.7, 3.0):
        assert expected_jittered(kernels, strength, 0.0, 7, (9, 9)) == pytest.approx(
            expected(limit(kernels, strength, (9, 9)), 7, 81)
        )


def deviations(found: Repeated, curve: list[tuple[float, float]]) -> np.ndarray:
    """(mean - closed form) in standard errors: (2, S)."""
    return (np.array(found.mean()) - np.array(curve).T) / np.array(found.standard_error())


def _scatter_of(
    side: int, classes: int, strengths: np.ndarray, repeats: int, jitter: float, samples: int
) -> np.ndarray:
    """Deviations in standard errors for CUDA, VUDA and HUDA: (3, 2, S)."""
    every = []
    for support in SUPPORTS:
        kernels = draw_kernels(classes, 3, 0.3, support, 0)
        found = repeated(kernels, strengths, samples, repeats, 0, (side, side), jitter=jitter)
        every.append(
            deviations(found, [expected_jittered(kernels, float(a), jitter, samples, (side, side)) for a in strengths])
        )
    return np.array(every)


def _check_scatter(z: np.ndarray) -> None:
    assert np.abs(z).max() <= 3
    assert 0.7 < np.sqrt((z**2).mean()) < 1.3, "errors of the right size: too large would pass anything"


def test_closed_form_is_within_three_standard_errors_at_twenty_strengths() -> None:
    _check_scatter(_scatter_of(12, 5, np.linspace(0.3, 6.0, 20), 40, 0.0, 10))


def test_closed_form_with_jitter_is_within_three_standard_errors() -> None:
    _check_scatter(_scatter_of(10, 4, np.array([0.0, 0.5, 1.3, 2.0, 4.4]), 100, 0.2, 6))


@pytest.mark.slow
@pytest.mark.parametrize("jitter", [0.0, 0.2])
def test_closed_form_is_within_three_standard_errors_at_full_size(jitter: float) -> None:
    _check_scatter(_scatter_of(32, 10, np.linspace(0.3, 6.0, 20), 40 if jitter == 0 else 100, jitter, 20))


def test_second_order_term_against_mean_kernels_by_brute_force() -> None:
    """Without COIN a class mean is the convolution with the mean kernel: 400,000 of them are quickly drawn."""
    kernels, n, jitter, side = draw_kernels(3, 3, 0.3, "full", 0), 6, 0.3, 7
    rng = np.random.default_rng(0)
    means = kernels.reshape(3, 9) + sum(rng.uniform(-jitter, jitter, (400_000, 3, 9)) for _ in range(n)) / n
    fits = np.array([side - 1, side, side - 1])
    weighted = means * np.sqrt(np.outer(fits, fits).ravel())
    weighted /= np.linalg.norm(weighted, axis=2, keepdims=True)
    cosines = np.mean([(weighted[:, j] * weighted[:, k]).sum(1) for j, k in ((0, 1), (0, 2), (1, 2))], axis=0)
    error = cosines.std() / np.sqrt(len(cosines))
    separate = expected(limit_jittered(kernels, 0.0, jitter, (side, side)), n, side**2)[1]
    corrected = expected_jittered(kernels, 0.0, jitter, n, (side, side))[1]
    assert abs(separate - cosines.mean()) > 10 * error, "the draws tell the two apart"
    assert abs(corrected - cosines.mean()) < abs(separate - cosines.mean()) / 3


def test_streams_are_named_by_seed_strength_and_repetition() -> None:
    kernels = draw_kernels(3, 3, 0.3, "full", 0)
    short, long = (repeated(kernels, [0.5, 1.0], 4, r, 7, (6, 6)) for r in (2, 3))
    assert np.array_equal(short.imi, long.imi[:, :2])
    assert len(np.unique(long.imi)) == 6
    assert not np.array_equal(short.imi, repeated(kernels, [0.5, 1.0], 4, 2, 8, (6, 6)).imi)


def test_standard_errors_by_hand() -> None:
    found = Repeated(np.array([1.0]), np.array([[1.0, 2.0, 3.0, 6.0]]), np.array([[0.5, 0.5, 0.5, 0.5]]), 3)
    assert found.mean()[0][0] == 3.0
    assert found.standard_error()[0][0] == pytest.approx(np.sqrt(14 / 3) / 2)
    assert found.standard_error()[1][0] == 0.0


def test_what_cannot_be_used_is_refused() -> None:
    kernels = draw_kernels(3, 3, 0.3, "full", 0)
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="jitter"):
        limit_jittered(kernels, 1.0, -0.1)
    with pytest.raises(ParameterError, match="samples"):
        theta_jittered(kernels, 1.0, 0.1, 0, rng)
    with pytest.raises(ParameterError, match="at least 2"):
        repeated(kernels, [1.0], 5, 1, 0)
    with pytest.raises(ParameterError, match="strength"):
        theta_jittered(kernels, -1.0, 0.1, 3, rng)
    with pytest.raises(DataError, match="Fields"):
        theta_of_kernels(np.ones((2, 3, 3, 3)), np.zeros((2, 4, 5, 5)), np.zeros((2, 4, 5, 5)))
