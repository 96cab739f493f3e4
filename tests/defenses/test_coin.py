"""COIN against the official transform's outputs, scipy, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from ued_core.border import BOUNDARIES
from ued_core.defenses import Coin
from ued_core.defenses.coin import severity
from ued_core.displacement import _displace_tensors, displace, draw_fields
from ued_core.errors import DataError, ParameterError
from ued_core.theory.matrices import coin_matrix

GOLDEN = Path(__file__).parents[1] / "golden"
WAYS = pytest.mark.parametrize("way", [displace, _displace_tensors], ids=["compiled", "tensors"])


@WAYS
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("name", ["coin_alpha08", "coin_alpha2"])
def test_golden(name, boundary, way):
    golden = np.load(GOLDEN / f"{name}.npz")
    images = torch.from_numpy(golden["images"]).permute(0, 3, 1, 2).float() / 255
    result = way(images, torch.from_numpy(golden["dx"]), torch.from_numpy(golden["dy"]), boundary)
    assert np.abs(result.permute(0, 2, 3, 1).numpy() - golden[boundary]).max() <= 1e-6


@WAYS
@pytest.mark.parametrize(("boundary", "mode"), [("periodic", "grid-wrap"), ("scipy_wrap", "wrap")])
@pytest.mark.parametrize("strength", [0.3, 2.0, 9.5])
def test_scipy(boundary, mode, strength, way):
    rng = np.random.default_rng(4)
    image = rng.random((6, 8))
    dx, dy = rng.uniform(-strength, strength, (2, 6, 8))
    y, x = np.mgrid[:6, :8]
    expected = map_coordinates(image, [y + dy, x + dx], order=1, mode=mode)
    result = way(*(torch.from_numpy(a)[None] for a in (image[None], dx, dy)), boundary)
    assert np.abs(result[0, 0].numpy() - expected).max() < 1e-12


def whole_displacements(size):
    """Every whole displacement that reaches a few multiples of n-1 on both sides, and far ones; a row for each."""
    period = max(size - 1, 1)
    near = np.arange(-4 * period - 2, 4 * period + 3)
    far = np.array([-1000 * period, -1000 * period + 1, 1000 * period, -(2**19), 2**19], dtype=np.int64)
    return np.concatenate([near, far]).astype(float)


@pytest.mark.parametrize("nudge", [0.0, 1e-7, -1e-7, 0.25])
@pytest.mark.parametrize(("boundary", "mode"), [("periodic", "grid-wrap"), ("scipy_wrap", "wrap")])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_scipy_at_whole_multiples(size, boundary, mode, nudge):
    """All three forms of the border rule, on both axes: at, just beside and between the multiples of n-1, where scipy's
    wrap jumps."""
    rng = np.random.default_rng(7)
    image = rng.random((size, size))
    y, x = np.mgrid[:size, :size]
    for shift in whole_displacements(size) + nudge:
        for dx, dy in ((shift, 0.0), (0.0, shift), (shift, -shift)):
            fields = [np.full((size, size), value) for value in (dx, dy)]
            expected = map_coordinates(image, [y + dy, x + dx], order=1, mode=mode)
            given = [torch.from_numpy(a)[None] for a in (image[None], *fields)]
            found = [displace(*given, boundary)[0, 0].numpy(), _displace_tensors(*given, boundary)[0, 0].numpy()]
            for result in (*found, coin_matrix(*fields, boundary).apply(image)):
                assert np.abs(result - expected).max() < 1e-9, (dx, dy)


def test_by_hand():
    image = torch.tensor([[0.0, 0.2, 0.4, 0.8]]).view(1, 1, 1, 4)
    dx = torch.tensor([[[0.5, -1.25, 0.0, 1.0]]])
    result = displace(image, dx, torch.zeros_like(dx))
    # 0.5 → halfway between 0.0 and 0.2; -0.25 → a quarter of the last and three quarters of the first; itself; first
    # again
    assert torch.allclose(result.flatten(), torch.tensor([0.1, 0.2, 0.4, 0.0]))


@WAYS
@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_identity_and_constants(boundary, way):
    images = torch.rand(3, 3, 5, 7)
    still = torch.zeros(3, 5, 7)
    assert torch.equal(way(images, still, still, boundary), images)
    dx, dy = draw_fields((3, 5, 7), 4.0, torch.Generator().manual_seed(0))
    flat = torch.full((3, 3, 5, 7), 0.3)
    assert torch.allclose(way(flat, dx, dy, boundary), flat, atol=1e-6)


def test_both_ways_agree_on_large_batches():
    images = torch.rand(130, 3, 16, 16)
    dx, dy = draw_fields((130, 16, 16), 3.0, torch.Generator().manual_seed(2))
    for boundary in BOUNDARIES:
        assert (displace(images, dx, dy, boundary) - _displace_tensors(images, dx, dy, boundary)).abs().max() < 1e-6


def test_gradient_by_hand():
    image = torch.tensor([[0.0, 0.2, 0.4, 0.8]], dtype=torch.float64).view(1, 1, 1, 4).requires_grad_()
    dx = torch.tensor([[[0.5, -1.25, 0.0, 1.0]]], dtype=torch.float64)
    moved = displace(image, dx, torch.zeros_like(dx))
    (moved * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    # The first pixel is half of the first result, three quarters of the second and all of the last: 0.5·1 + 0.75·2 +
    # 1·4.
    assert torch.allclose(image.grad.flatten(), torch.tensor([6.0, 0.5, 3.0, 0.5], dtype=torch.float64))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_gradient_is_that_of_the_transposed_matrix(boundary):
    rng = torch.Generator().manual_seed(5)
    images = torch.rand(2, 3, 6, 9, generator=rng, dtype=torch.float64).requires_grad_()
    weights = torch.randn(images.shape, generator=rng, dtype=torch.float64)
    dx, dy = (field.double() for field in draw_fields((2, 6, 9), 4.0, rng))
    moved = displace(images, dx, dy, boundary)
    assert (moved - displace(images.detach(), dx, dy, boundary)).abs().max() < 1e-12
    (moved * weights).sum().backward()
    for n in range(2):
        transposed = coin_matrix(dx[n].numpy(), dy[n].numpy(), boundary).sparse().T
        expected = (transposed @ weights[n].reshape(3, -1).numpy().T).T.reshape(3, 6, 9)
        assert np.abs(images.grad[n].numpy() - expected).max() < 1e-12


@pytest.mark.parametrize("truncate", [False, True])
def test_neither_clipping_nor_truncation_stops_the_gradient(truncate):
    # White everywhere: rounding takes some results above 1, where a clip alone would have no slope.
    white = torch.ones(4, 3, 16, 16, requires_grad=True)
    moved = Coin(truncate=truncate).augment(white, torch.Generator().manual_seed(3))
    assert moved.max() <= 1
    moved.sum().backward()
    assert float(white.grad.sum()) == pytest.approx(white.numel(), rel=1e-5)


@pytest.mark.parametrize("truncate", [False, True])
def test_values_do_not_depend_on_whether_a_gradient_was_once_wanted(truncate):
    images = torch.rand(3, 3, 12, 12, generator=torch.Generator().manual_seed(6))
    plain = Coin(truncate=truncate).augment(images, torch.Generator().manual_seed(1))
    leaf = images.clone().requires_grad_()
    with torch.no_grad():
        assert torch.equal(Coin(truncate=truncate).augment(leaf, torch.Generator().manual_seed(1)), plain)
    graded = Coin(truncate=truncate).augment(leaf, torch.Generator().manual_seed(1))
    # The two ways round differently, which truncation can widen to one level.
    assert (graded - plain).abs().max() < (1 / 255 + 1e-6 if truncate else 1e-6)


def test_input_is_not_changed():
    images = torch.rand(2, 3, 6, 6)
    before = images.clone()
    Coin().augment(images, torch.Generator().manual_seed(0))
    assert torch.equal(images, before)


def test_fields_are_uniform_and_shared_by_channels():
    dx, dy = draw_fields((50, 16, 16), 2.0, torch.Generator().manual_seed(0))
    for field in (dx, dy):
        assert field.min() >= -2
        assert field.max() <= 2
        assert abs(float(field.mean())) < 0.05
        assert abs(float(field.var()) - 4 / 3) < 0.05
    assert abs(float(torch.corrcoef(torch.stack([dx.flatten(), dy.flatten()]))[0, 1])) < 0.03
    grey = torch.rand(4, 1, 8, 8).expand(-1, 3, -1, -1)
    moved = Coin().augment(grey, torch.Generator().manual_seed(1))
    assert torch.equal(moved[:, 0], moved[:, 2])


def test_truncation_gives_bytes():
    moved = Coin(truncate=True).augment(torch.rand(2, 3, 8, 8), torch.Generator().manual_seed(1))
    plain = Coin().augment(torch.rand(2, 3, 8, 8), torch.Generator().manual_seed(1))
    assert torch.allclose(moved * 255, (moved * 255).round(), atol=1e-4)
    assert not torch.allclose(plain * 255, (plain * 255).round(), atol=1e-4)


def test_severity_table():
    assert [severity(k) for k in range(1, 8)] == [0.8, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2]
    with pytest.raises(ParameterError, match="from 1 to 7"):
        severity(8)


def test_bad_input():
    images, field = torch.rand(2, 3, 4, 4), torch.zeros(2, 4, 4)
    with pytest.raises(ParameterError, match="boundary is 'mirror'"):
        displace(images, field, field, "mirror")
    with pytest.raises(DataError, match="one per pixel"):
        displace(images, field[:1], field)
    with pytest.raises(DataError, match=r"must be float \(N, C, H, W\)"):
        displace((images * 255).to(torch.uint8), field, field)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_displacements_outside_all_reason_are_refused(value):
    images, field = torch.rand(1, 1, 4, 4), torch.zeros(1, 4, 4)
    bad = field.clone()
    bad[0, 1, 2] = value
    for dx, dy in ((bad, field), (field, bad)):
        with pytest.raises(DataError, match="not finite or not below"):
            displace(images, dx, dy)
