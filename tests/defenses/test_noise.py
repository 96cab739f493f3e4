"""Noise has the distribution that is said, is clipped, and is another one for every value."""

import pytest
import torch

from ued_core.defenses.noise import GaussianNoise, UniformNoise


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


GREY = torch.full((200, 3, 16, 16), 0.5)


def test_gaussian():
    noise = (GaussianNoise().augment(GREY, rng()) - GREY) * 255
    assert abs(float(noise.mean())) < 0.1
    assert float(noise.std()) == pytest.approx(8, rel=0.01)
    # A normal law has 68.3 % within one standard deviation, a uniform one 57.7 %.
    assert float((noise.abs() < 8).float().mean()) == pytest.approx(0.683, abs=0.01)


def test_uniform():
    noise = (UniformNoise(epsilon=4.0).augment(GREY, rng()) - GREY) * 255
    assert float(noise.abs().max()) <= 4.001
    assert float(noise.std()) == pytest.approx(4 / 3**0.5, rel=0.01)
    assert float((noise.abs() < 2).float().mean()) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("defense", [GaussianNoise(), UniformNoise()], ids=lambda d: d.key)
def test_channels_and_images_differ(defense):
    noise = defense.augment(GREY, rng()) - GREY
    flat = noise.transpose(0, 1).reshape(3, -1)
    assert torch.corrcoef(flat).fill_diagonal_(0).abs().max() < 0.02
    assert torch.corrcoef(noise[:20].flatten(1)).fill_diagonal_(0).abs().max() < 0.2


@pytest.mark.parametrize("defense", [GaussianNoise(sigma=64.0), UniformNoise(epsilon=64.0)], ids=lambda d: d.key)
def test_clipped(defense):
    for value in (0.0, 1.0):
        result = defense.augment(torch.full((20, 3, 8, 8), value), rng())
        assert 0 <= float(result.min()) <= float(result.max()) <= 1
        assert float((result == value).float().mean()) == pytest.approx(0.5, abs=0.03)


def test_none_is_none():
    images = torch.rand(4, 3, 5, 5)
    assert torch.equal(GaussianNoise(sigma=0.0).augment(images, rng()), images)
    assert torch.equal(UniformNoise(epsilon=0.0).augment(images, rng()), images)
