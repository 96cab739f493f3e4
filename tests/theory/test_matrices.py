"""Stencils against the operators that they stand for."""

import numpy as np
import pytest
import torch

from ued_core.attacks.convolution import draw_kernels
from ued_core.border import BOUNDARIES
from ued_core.displacement import displace
from ued_core.errors import DataError
from ued_core.theory import coin_matrix, convolution_matrix, random_matrix, tridiagonal


def test_convolution_by_hand():
    kernel = np.arange(1.0, 10.0).reshape(3, 3)
    dense = convolution_matrix(kernel, 2, 2).dense()
    # row of pixel (0, 0): itself is tap 5, right 6, below 8, below right 9
    assert dense.tolist() == [[5, 6, 8, 9], [4, 5, 7, 8], [2, 3, 5, 6], [1, 2, 4, 5]]


def test_convolution_equals_torch():
    kernel, image = draw_kernels(1, 5, 0.3, "full", 1)[0], np.random.default_rng(0).random((7, 9))
    plain = torch.nn.functional.conv2d(
        torch.from_numpy(image)[None, None], torch.from_numpy(kernel).double()[None, None], padding=2
    )
    assert np.allclose(convolution_matrix(kernel, 7, 9).apply(image), plain[0, 0].numpy())


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("strength", [0.4, 2.0, 6.5])
def test_coin_matrix_is_coin(boundary, strength):
    rng = np.random.default_rng(1)
    image, (dx, dy) = rng.random((6, 8)), rng.uniform(-strength, strength, (2, 6, 8))
    moved = displace(*(torch.from_numpy(a)[None] for a in (image[None], dx, dy)), boundary)
    matrix = coin_matrix(dx, dy, boundary)
    assert np.abs(matrix.apply(image) - moved[0, 0].numpy()).max() < 1e-12
    assert np.allclose(matrix.dense().sum(1), 1)


def test_product():
    rng = np.random.default_rng(2)
    blur = convolution_matrix(rng.random((3, 3)), 5, 6)
    coin = coin_matrix(*rng.uniform(-2, 2, (2, 5, 6)))
    assert np.allclose(coin.after(blur).dense(), coin.dense() @ blur.dense())
    assert np.allclose(blur.after(coin).dense(), blur.dense() @ coin.dense())


def test_reflected_convolution_equals_torch():
    kernel, image = draw_kernels(1, 5, 0.3, "full", 1)[0], np.random.default_rng(0).random((7, 9))
    padded = torch.nn.functional.pad(torch.from_numpy(image)[None, None], (2, 2, 2, 2), mode="reflect")
    plain = torch.nn.functional.conv2d(padded, torch.from_numpy(kernel).double()[None, None])
    assert np.allclose(convolution_matrix(kernel, 7, 9, "reflect").apply(image), plain[0, 0].numpy())
    with pytest.raises(DataError, match="cannot reflect 6×2 images"):
        convolution_matrix(kernel, 6, 2, "reflect")


def test_limits():
    with pytest.raises(DataError, match="Use sparse"):
        convolution_matrix(np.ones((3, 3)), 80, 80).dense()
    with pytest.raises(DataError, match="odd side"):
        convolution_matrix(np.ones((2, 2)), 8, 8)
    with pytest.raises(DataError, match="cannot follow"):
        convolution_matrix(np.ones((3, 3)), 4, 4).after(convolution_matrix(np.ones((3, 3)), 4, 5))


def test_one_dimensional_matrices():
    assert tridiagonal(3, 0.5).tolist() == [[1, 0.5, 0], [0.5, 1, 0.5], [0, 0.5, 1]]
    matrix = random_matrix(40, 2.0, np.random.default_rng(0))
    assert np.allclose(matrix.sum(1), 1)
    assert ((matrix != 0).sum(1) <= 2).all()
    reach = [min((c - r) % 40, (r - c) % 40) for r, c in zip(*matrix.nonzero(), strict=True)]
    assert max(reach) <= 2
    assert np.array_equal(random_matrix(5, 0.0, np.random.default_rng(0)), np.eye(5))


def test_one_dimensional_matrix_by_hand():
    class Fixed:
        def uniform(self, low, high, size):
            return np.array([-0.25, 1.5, 0.75])

    # row 0: s=-0.25 → m=-1, n=.75; row 1: s=1.5 → m=1, n=.5 (wraps to column 0); row 2: s=.75 → m=0, n=.75 (wraps)
    assert random_matrix(3, 2.0, Fixed()).tolist() == [[0.75, 0, 0.25], [0.5, 0, 0.5], [0.75, 0, 0.25]]
