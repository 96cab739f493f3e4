"""Gaussian blur: by hand, against torchvision, and the published setting that does nothing."""

import pytest
import torch
from torchvision.transforms.functional import gaussian_blur

from ued_core.context import Context
from ued_core.defenses.gaussian_blur import GaussianAsPublished, GaussianBlur, blur, gaussian_weights
from ued_core.errors import DataError, ParameterError
from ued_core.records import ImageSet, to_bytes


def random_bytes(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def test_weights_by_hand():
    # e^(-1/2) = 0.60653 on both sides of 1
    expected = torch.tensor([0.60653, 1.0, 0.60653], dtype=torch.float64) / 2.21306
    assert torch.allclose(gaussian_weights(3, 1.0), expected, atol=1e-5)
    assert float(gaussian_weights(3, 0.1)[0]) == pytest.approx(1.93e-22, rel=1e-2)


def test_blur_by_hand():
    """A bright pixel in the middle spreads as the outer product of the weights."""
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    weights = torch.tensor([0.25, 0.5, 0.25])
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = torch.outer(weights, weights)
    assert torch.allclose(blur(image, weights)[0, 0], expected)


@pytest.mark.parametrize(("size", "sigma"), [(3, 1.0), (5, 2.5), (7, 0.4)])
def test_torchvision(size, sigma):
    images = random_bytes(5, 3, 9, 12)
    expected = gaussian_blur(images.float(), [size, size], [sigma, sigma])
    made = GaussianBlur(size=size, sigma=sigma).transform(images)
    assert (made.float() - expected).abs().max() <= 0.501


def test_constants_stay():
    flat = torch.full((2, 3, 6, 6), 77, dtype=torch.uint8)
    assert torch.equal(GaussianBlur(size=5, sigma=3.0).transform(flat), flat)


def test_as_published_changes_nothing():
    images = random_bytes(300, 3, 8, 8)
    data = ImageSet(images, torch.zeros(300, dtype=torch.int64), ("a",), "random")
    assert torch.equal(GaussianAsPublished().purify(data, Context()).images, images)
    assert torch.equal(GaussianBlur(sigma=0.1).transform(images), images)
    assert not torch.equal(GaussianBlur().transform(images), images)


def test_bad_values():
    with pytest.raises(ParameterError, match="must be odd"):
        GaussianBlur(size=4)
    with pytest.raises(DataError, match="cannot reflect 4×4"):
        GaussianBlur(size=9).transform(to_bytes(torch.rand(1, 3, 4, 4)))
