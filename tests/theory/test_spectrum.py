"""Spectra and means of operators, against dense brute force and against integrals done another way."""

import io

import numpy as np
import pytest
from scipy import integrate, sparse

from ued_core.attacks.convolution import draw_kernels
from ued_core.errors import DataError, ParameterError
from ued_core.theory import coin_matrix, convolution_matrix
from ued_core.theory.matrices import expected_axis
from ued_core.theory.spectrum import (
    archive,
    band_statistics,
    block_density,
    coin_draw,
    coin_expectation,
    coin_mean,
    coin_response,
    frequencies,
    frequency_response,
    largest_singular_values,
    local_kernel,
    operator,
    operator_spectrum,
    row_weights,
    singular_values,
    unit_fields,
)

BOUNDARIES = ("periodic", "scipy_wrap")
KERNELS = draw_kernels(3, 3, 0.3, "full", 1).astype(np.float64)


def circulant(kernel, height, width):
    """The convolution with a border that wraps, entry by entry."""
    reach = len(kernel) // 2
    dense = np.zeros((height * width,) * 2)
    for y in range(height):
        for x in range(width):
            for i in range(len(kernel)):
                for j in range(len(kernel)):
                    dense[y * width + x, (y + i - reach) % height * width + (x + j - reach) % width] += kernel[i, j]
    return dense


# ---------------------------------------------------------------- means


@pytest.mark.parametrize("strength", [0.3, 1.0, 1.7, 4.0])
def test_expected_axis_is_the_integral_of_the_triangular_weight(strength):
    mean = expected_axis(31, strength)
    for shift in range(-6, 7):
        corners = [c for c in (shift - 1, shift, shift + 1) if -strength < c < strength]
        weight, _ = integrate.quad(
            lambda s, at=shift: max(0.0, 1 - abs(s - at)), -strength, strength, points=corners or None
        )
        assert abs(mean[15, 15 + shift] - weight / (2 * strength)) < 1e-12
    assert np.allclose(mean.sum(1), 1)


def test_half_a_pixel_by_hand():
    # U(-1/2, 1/2): the pixel keeps 1 - E|s| = 3/4, each neighbour gets E[s⁺] = 1/8.
    assert np.allclose(expected_axis(4, 0.5)[1], [0.125, 0.75, 0.125, 0])
    row = row_weights(coin_expectation(0.5, (4, 4)), 5, 4, 4)
    assert np.allclose(row[:3, :3], np.outer([1, 6, 1], [1, 6, 1]) / 64)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("size", "strength"), [((6, 6), 0.4), ((6, 8), 2.0), ((8, 8), 3.3), ((5, 5), 6.0)])
def test_mean_of_draws_equals_the_mean_of_the_matrices(boundary, size, strength):
    fields = strength * unit_fields(7, np.random.default_rng(4), size)
    dense = np.mean([coin_matrix(dx, dy, boundary).dense() for dx, dy in fields], axis=0)
    found = coin_mean(strength, 7, np.random.default_rng(4), size, boundary)
    assert np.abs(found.dense() - dense).max() < 1e-12
    assert np.allclose(
        coin_draw(strength, np.random.default_rng(4), size, boundary).dense(), coin_matrix(*fields[0], boundary).dense()
    )


def test_blocks_of_draws_are_those_drawn_in_one_go(monkeypatch):
    whole = coin_mean(2.0, 9, np.random.default_rng(0), (6, 6)).dense()
    monkeypatch.setattr("ued_core.theory.spectrum.DRAWS_AT_ONCE", 2 * 36)
    assert np.allclose(coin_mean(2.0, 9, np.random.default_rng(0), (6, 6)).dense(), whole, atol=1e-15)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("strength", [0.5, 1.25, 2.0])
def test_sampled_mean_approaches_the_expectation(boundary, strength):
    """Every entry within five standard errors, measured on the draws themselves."""
    fields = strength * unit_fields(3000, np.random.default_rng(2), (6, 6))
    every = np.stack([coin_matrix(dx, dy, boundary).dense() for dx, dy in fields])
    exact = coin_expectation(strength, (6, 6), boundary).toarray()
    error = every.std(0) / np.sqrt(len(every))
    assert (np.abs(every.mean(0) - exact) <= 5 * error + 1e-9).all()
    assert np.allclose(exact.sum(1), 1)
    assert np.abs(every.mean(0) - exact).max() > 0, "sampled and exact are two computations"


# ---------------------------------------------------------------- operators


def test_every_operator_is_what_its_name_says():
    size, strength, draws, seed = (6, 8), 1.5, 4, 3
    fields = strength * unit_fields(draws, np.random.default_rng(seed), size)
    shaken = [coin_matrix(dx, dy).dense() for dx, dy in fields]
    blur, other = (convolution_matrix(k, *size).dense() for k in KERNELS[:2])
    mean = coin_expectation(strength, size).toarray()
    expected = {
        "attack": blur,
        "coin": shaken[0],
        "product": shaken[0] @ blur,
        "mean": np.mean(shaken, axis=0) @ blur,
        "difference": mean @ (blur - other),
    }
    for name, dense in expected.items():
        found = operator(name, KERNELS[0], size=size, strength=strength, draws=draws, seed=seed, other=KERNELS[1])
        assert np.abs(found.toarray() - dense).max() < 1e-12, name
        assert (found.data != 0).all(), name
    bare = operator("mean", None, size=size, strength=strength, draws=draws, seed=seed)
    assert np.allclose(bare.toarray(), np.mean(shaken, axis=0))


def test_without_coin_only_the_attack_is_left():
    blur = convolution_matrix(KERNELS[0], 6, 6).dense()
    for name in ("product", "mean"):
        assert np.allclose(operator(name, KERNELS[0], size=(6, 6), strength=0.0, draws=3, seed=0).toarray(), blur)
    difference = operator("difference", KERNELS[0], size=(6, 6), strength=0.0, draws=3, seed=0, other=KERNELS[2])
    assert np.allclose(difference.toarray(), blur - convolution_matrix(KERNELS[2], 6, 6).dense())


def test_one_draw_is_its_own_mean():
    one, mean = (
        operator(n, KERNELS[0], size=(8, 8), strength=2.3, draws=1, seed=5).toarray() for n in ("product", "mean")
    )
    assert np.allclose(one, mean)


def test_what_cannot_be_built_is_refused_in_words():
    settings = {"size": (6, 6), "strength": 1.0, "draws": 2, "seed": 0}
    with pytest.raises(ParameterError, match="must be attack, coin"):
        operator("sum", KERNELS[0], **settings)
    with pytest.raises(ParameterError, match="needs the kernels"):
        operator("attack", None, **settings)
    with pytest.raises(ParameterError, match="needs the kernels"):
        operator("difference", KERNELS[0], **settings)
    with pytest.raises(ParameterError, match="at least 0 px"):
        coin_mean(-1.0, 2, np.random.default_rng(0), (6, 6))
    with pytest.raises(ParameterError, match="number of draws is 0"):
        coin_mean(1.0, 0, np.random.default_rng(0), (6, 6))


# ---------------------------------------------------------------- spectra


def test_singular_values_are_roots_of_the_eigenvalues_of_the_gram_matrix():
    matrix = convolution_matrix(KERNELS[0], 6, 6)
    dense = matrix.dense()
    found = singular_values(matrix)
    assert np.allclose(found, np.sqrt(np.maximum(np.linalg.eigvalsh(dense.T @ dense)[::-1], 0)), atol=1e-7)
    assert np.isclose((found**2).sum(), (dense**2).sum())
    assert np.allclose(singular_values(matrix.sparse()), found)
    assert np.allclose(largest_singular_values(matrix, 4), found[:4])
    with pytest.raises(DataError, match="limit is 1024 pixels"):
        singular_values(convolution_matrix(KERNELS[0], 33, 33))


@pytest.mark.parametrize("size", [(6, 6), (7, 8)])
def test_frequency_response_holds_the_singular_values_of_the_circulant_matrix(size):
    for k in (3, 5, 9):
        kernel = draw_kernels(1, k, 0.3, "full", k)[0].astype(np.float64)
        response = frequency_response(kernel, *size)
        exact = np.linalg.svd(circulant(kernel, *size), compute_uv=False)
        assert np.allclose(np.sort(response.ravel())[::-1], exact, atol=1e-12)
        assert np.isclose(response[size[0] // 2, size[1] // 2], kernel.sum()), "frequency zero is at the centre"
    assert frequencies(6).tolist() == [
        -0.5,
        pytest.approx(-1 / 3),
        pytest.approx(-1 / 6),
        0,
        pytest.approx(1 / 6),
        pytest.approx(1 / 3),
    ]


def test_zero_padding_keeps_below_the_largest_response():
    """Padding is a cut of the circulant matrix of a larger image, and a cut never lengthens a vector."""
    for size in (6, 8):
        largest = singular_values(convolution_matrix(KERNELS[1], size, size))[0]
        fine = frequency_response(KERNELS[1], 256, 256).max()
        assert largest <= fine + 1e-12
    assert fine - singular_values(convolution_matrix(KERNELS[1], 20, 20))[0] < 0.02 * fine


@pytest.mark.parametrize("strength", [0.0, 0.5, 2.0, 3.7])
def test_coin_response_holds_the_singular_values_of_the_expectation(strength):
    response = coin_response(strength, 6, 8)
    exact = np.linalg.svd(coin_expectation(strength, (6, 8)).toarray(), compute_uv=False)
    assert np.allclose(np.sort(response.ravel())[::-1], exact, atol=1e-12)
    assert np.isclose(response[3, 4], 1), "a constant image stays"


def test_coin_response_is_a_sinc_times_the_interpolation():
    """In the continuum: the law of the displacement gives sinc(2αf), linear interpolation sinc²(f) with its aliases."""
    strength, f = 2.0, np.fft.fftshift(np.fft.fftfreq(16))
    aliases = f[:, None] + np.arange(-4000, 4001)
    axis = np.abs((np.sinc(2 * strength * aliases) * np.sinc(aliases) ** 2).sum(1))
    assert np.allclose(coin_response(strength, 16, 16), np.outer(axis, axis), atol=1e-6)


def test_spectrum_of_a_name():
    found = operator_spectrum("product", KERNELS[0], 6, 1.0, 2, 7)
    assert np.allclose(
        found, singular_values(operator("product", KERNELS[0], size=(6, 6), strength=1.0, draws=2, seed=7))
    )
    large = operator_spectrum("attack", KERNELS[0], 40, 1.0, 2, 7)
    assert len(large) == 6
    assert (np.diff(large) <= 0).all()
    assert large[0] <= frequency_response(KERNELS[0], 256, 256).max() + 1e-9


# ---------------------------------------------------------------- parts


def test_band_statistics_by_hand():
    bands = band_statistics(convolution_matrix(np.ones((3, 3)), 4, 4).sparse())
    assert (bands.entries, bands.fewest, bands.most) == (100, 4, 9)  # (3·4 - 2)²; corner 2·2
    assert (bands.bandwidth, bands.diagonals) == (5, 9)  # one row down, one column right
    assert (bands.least_sum, bands.largest_sum, bands.norm) == (4, 9, 10)
    assert bands.share == 100 / 256
    assert band_statistics(sparse.csr_matrix((4, 4))).bandwidth == 0


def test_row_as_picture_and_as_kernel():
    matrix = operator("product", KERNELS[0], size=(6, 8), strength=1.5, draws=1, seed=0)
    dense = matrix.toarray()
    for row in (0, 20, 47):
        assert np.allclose(row_weights(matrix, row, 6, 8).ravel(), dense[row])
    attack = convolution_matrix(KERNELS[0], 6, 8).sparse()
    assert np.allclose(local_kernel(attack, 2 * 8 + 3, 6, 8), KERNELS[0])
    corner = local_kernel(attack, 0, 6, 8)
    assert np.allclose(corner[1:, 1:], KERNELS[0][1:, 1:])
    assert not corner[0].any(), "zero padding reads nothing above"
    wrapped = local_kernel(coin_expectation(0.5, (6, 8)), 0, 6, 8)
    assert np.allclose(wrapped, np.outer([1, 6, 1], [1, 6, 1]) / 64), "the short way is across the border"


def test_no_weight_is_lost_in_a_local_kernel():
    matrix = coin_expectation(6.0, (6, 6))
    for row in (0, 14, 35):
        assert np.isclose(local_kernel(matrix, row, 6, 6).sum(), 1)


def test_block_density_counts_entries():
    matrix = operator("attack", KERNELS[0], size=(6, 6), strength=0, draws=1, seed=0)
    density = block_density(matrix, 10)
    assert density.shape == (9, 9)
    for i in range(9):
        for j in range(9):
            assert density[i, j] == (matrix.toarray()[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] != 0).mean()


def test_archive_is_read_back():
    matrix = convolution_matrix(KERNELS[0], 6, 6)
    assert np.array_equal(sparse.load_npz(io.BytesIO(archive(matrix))).toarray(), matrix.dense())
    mean = operator("mean", KERNELS[0], size=(6, 6), strength=1.0, draws=3, seed=0)
    assert np.array_equal(sparse.load_npz(io.BytesIO(archive(mean))).toarray(), mean.toarray())
