"""Θ: local sums against the dense definition, closed form against sampling."""

import tracemalloc

import numpy as np
import pytest
import torch

from ued_core.attacks.convolution import draw_kernels
from ued_core.errors import DataError, ParameterError
from ued_core.theory import coin_matrix, convolution_matrix, expected, limit, theta, theta_of_fields

BOUNDARIES = ("periodic", "scipy_wrap")


def dense_definition(kernels, dx, dy, boundary):
    """Θ exactly as written: every matrix in full."""
    classes, samples, height, width = dx.shape
    means, variances = [], []
    for c in range(classes):
        blur = convolution_matrix(kernels[c], height, width).dense()
        every = np.stack([coin_matrix(dx[c, i], dy[c, i], boundary).dense() @ blur for i in range(samples)])
        means.append(every.mean(0).ravel())
        variances.append(every.var(0).sum())
    cosines = [
        means[j] @ means[k] / np.linalg.norm(means[j]) / np.linalg.norm(means[k])
        for j in range(classes)
        for k in range(j + 1, classes)
    ]
    return np.mean(variances) / (height * width) ** 2, np.mean(cosines)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("size", [(6, 6), (8, 8), (5, 7)])
@pytest.mark.parametrize("strength", [0.3, 2.0, 5.5])
@pytest.mark.parametrize("k", [3, 5])
def test_local_sums_equal_the_dense_definition(size, boundary, strength, k):
    kernels = draw_kernels(4, k, 0.3, "full", 1)
    dx, dy = np.random.default_rng(0).uniform(-strength, strength, (2, 4, 7, *size))
    imi, imc = dense_definition(kernels, dx, dy, boundary)
    found = theta_of_fields(kernels, dx, dy, boundary)
    assert abs(found.imi - imi) < 1e-9 * max(imi, 1)
    assert abs(found.imi / imi - 1) < 1e-9
    assert abs(found.imc - imc) < 1e-9


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_whole_pixel_displacements(boundary):
    """Fractions of exactly zero take the other branch of scipy's fold."""
    kernels = draw_kernels(3, 3, 0.3, "full", 1)
    dx, dy = np.random.default_rng(3).integers(-3, 4, (2, 3, 5, 6, 6)).astype(float)
    imi, imc = dense_definition(kernels, dx, dy, boundary)
    found = theta_of_fields(kernels, dx, dy, boundary)
    assert abs(found.imi / imi - 1) < 1e-9
    assert abs(found.imc - imc) < 1e-9


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("strength", [0.25, 0.8, 1.0, 2.0, 3.3])
def test_limit_is_within_three_standard_errors_of_sampling(boundary, strength):
    kernels = draw_kernels(5, 3, 0.3, "full", 0)
    samples, repeats = 400, 12
    draws = [
        theta(kernels, strength, samples, np.random.default_rng(seed), (9, 9), boundary) for seed in range(repeats)
    ]
    imi, imc = expected(limit(kernels, strength, (9, 9), boundary), samples, 81)
    for values, value in (([d.imi for d in draws], imi), ([d.imc for d in draws], imc)):
        error = np.std(values, ddof=1) / np.sqrt(repeats)
        assert abs(np.mean(values) - value) < 3.2 * error + 1e-7


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_population_values_rise_strictly_up_to_two(boundary):
    curve = [limit(draw_kernels(10, 3, 0.3, "full", 0), a, (32, 32), boundary) for a in np.linspace(0, 2, 41)]
    assert (np.diff([t.imi for t in curve]) > 0).all()
    assert (np.diff([t.imc for t in curve]) > 0).all()


@pytest.mark.parametrize("support", ["full", "column", "row"])
def test_population_imc_rises_up_to_four(support):
    curve = [limit(draw_kernels(10, 3, 0.3, support, 0), a) for a in np.linspace(0, 4, 41)]
    assert (np.diff([t.imc for t in curve]) > 0).all()


def test_population_imi_dips_beyond_two_and_sampling_agrees():
    """Θ_imi is no monotone function of α: the page says so, and this is why it may."""
    kernels = draw_kernels(10, 3, 0.3, "full", 0)
    high, low = limit(kernels, 2.36), limit(kernels, 2.6)
    assert 0.9 * high.imi < low.imi < high.imi
    drawn = [[theta(kernels, a, 100, np.random.default_rng(seed)).imi for seed in range(3)] for a in (2.36, 2.6)]
    assert min(drawn[0]) > max(drawn[1])


def test_without_coin():
    kernels = draw_kernels(10, 3, 0.3, "full", 0)
    still = theta(kernels, 0.0, 50, np.random.default_rng(0))
    assert still.imi == 0.0
    assert 0 < still.imc < 1


def test_sample_order_changes_nothing():
    kernels = draw_kernels(3, 3, 0.3, "full", 2)
    dx, dy = np.random.default_rng(0).uniform(-2, 2, (2, 3, 6, 8, 8))
    order = [3, 1, 5, 0, 4, 2]
    a, b = theta_of_fields(kernels, dx, dy), theta_of_fields(kernels, dx[:, order], dy[:, order])
    assert a.imi == pytest.approx(b.imi, rel=1e-12)
    assert a.imc == pytest.approx(b.imc, rel=1e-12)


def test_blocks_do_not_change_the_sum(monkeypatch):
    kernels = draw_kernels(3, 3, 0.3, "full", 2)
    whole = theta(kernels, 2.0, 20, np.random.default_rng(0), (16, 16))
    monkeypatch.setattr("ued_core.theory.consistency.DRAWS_AT_ONCE", 3 * 20 * 40)
    parts = theta(kernels, 2.0, 20, np.random.default_rng(1), (16, 16))
    assert whole.imc == pytest.approx(parts.imc, abs=0.01)
    assert whole.imi == pytest.approx(parts.imi, rel=0.02)


def test_finite_samples_fall_at_large_strength():
    """The fall of Θ_imc that few samples show is noise of the class means; the limit rises there."""
    kernels = draw_kernels(10, 3, 0.3, "full", 0)
    full = {a: limit(kernels, a) for a in (2.0, 3.0)}
    seen = {a: theta(kernels, a, 50, np.random.default_rng(0)).imc for a in (2.0, 3.0)}
    assert seen[3.0] < seen[2.0]
    assert full[3.0].imc > full[2.0].imc
    for a in (2.0, 3.0):
        assert expected(full[a], 50, 1024)[1] == pytest.approx(seen[a], abs=0.003)


def test_large_images_stay_below_a_gigabyte():
    kernels = draw_kernels(10, 9, 0.06, "full", 0)
    theta(kernels, 2.0, 2, np.random.default_rng(0), (12, 12))  # compiled before anything is counted
    tracemalloc.start()
    try:
        found = theta(kernels, 2.0, 5, np.random.default_rng(0), (224, 224))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 < found.imc < 1
    assert 1_000_000 < peak < 200_000_000


def test_bad_input():
    kernels = draw_kernels(3, 3, 0.3, "full", 0)
    rng = np.random.default_rng(0)
    with pytest.raises(ParameterError, match="at least 0 px"):
        theta(kernels, -1.0, 5, rng)
    with pytest.raises(ParameterError, match="at least 1"):
        theta(kernels, 1.0, 0, rng)
    with pytest.raises(DataError, match="c ≥ 2"):
        theta(kernels[:1], 1.0, 5, rng)
    with pytest.raises(DataError, match="all zero"):
        theta(kernels * 0, 1.0, 5, rng)


def test_threads_do_not_change_a_bit(monkeypatch):
    """Neither how many there are, nor which of them is quicker."""
    kernels = draw_kernels(3, 3, 0.3, "full", 2)
    before = torch.get_num_threads()
    monkeypatch.setattr("ued_core.compiled.os.cpu_count", lambda: 4)
    found = []
    try:
        for threads in (1, 2, 3, 4, 4):
            torch.set_num_threads(threads)
            found.append(theta(kernels, 2.0, 200, np.random.default_rng(0)))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert np.array_equal(other.variance, found[0].variance)
        assert np.array_equal(other.gram, found[0].gram)
