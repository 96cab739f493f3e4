"""Colour jitter against Python's own colour model, by hand and in its limits."""

from __future__ import annotations

import colorsys

import pytest
import torch

from ued_core.errors import DataError
from ued_core.training.colour import jitter, random_grey, turn_hue


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_hue_turns_as_in_the_hexcone_model() -> None:
    images = torch.rand(4, 3, 5, 6, generator=rng(), dtype=torch.float64)
    images[0, :, 0, 0] = 0.4
    images[0, :, 0, 1] = torch.tensor([0.9, 0.9, 0.1])
    turn = torch.tensor([-0.1, 0.0, 0.07, 0.5], dtype=torch.float64).view(4, 1, 1, 1)
    made = turn_hue(images, turn)
    for n in range(4):
        for pixel, result in zip(images[n].flatten(1).T.tolist(), made[n].flatten(1).T.tolist(), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
            assert result == pytest.approx(colorsys.hsv_to_rgb((hue + float(turn[n])) % 1, saturation, value), abs=1e-9)


def test_each_part_by_hand() -> None:
    images = torch.rand(6, 3, 4, 4, generator=rng()) * 0.5 + 0.2
    off = {"chance": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}
    assert torch.allclose(jitter(images, rng(1), **off), images, atol=1e-6)
    bright = jitter(images, rng(1), **off | {"brightness": 0.3})
    factors = (bright / images).flatten(1)
    assert torch.allclose(factors, factors[:, :1], atol=1e-4)
    assert len(set(factors[:, 0].tolist())) == 6
    assert 0.7 <= float(factors.min()) < 1 < float(factors.max()) <= 1.3
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    far = jitter(images, rng(1), **off | {"contrast": 0.3})
    assert torch.allclose((far * luma).sum(1).mean((1, 2)), (images * luma).sum(1).mean((1, 2)), atol=1e-5), (
        "mean brightness stays"
    )
    vivid = jitter(images, rng(1), **off | {"saturation": 0.3})
    assert torch.allclose((vivid * luma).sum(1), (images * luma).sum(1), atol=1e-5), "every pixel's brightness stays"
    assert not torch.allclose(vivid, images, atol=1e-2)


def test_how_many_images_are_changed() -> None:
    images = torch.rand(2000, 3, 2, 2, generator=rng()) * 0.5 + 0.2
    changed = (jitter(images, rng(1)) != images).flatten(1).any(1)
    assert float(changed.float().mean()) == pytest.approx(0.8, abs=0.03)
    grey = random_grey(images, rng(2))
    alike = (grey[:, 0] == grey[:, 2]).flatten(1).all(1)
    assert float(alike.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert torch.equal(grey[~alike], images[~alike])


def test_one_channel_has_brightness_and_contrast_alone() -> None:
    images = torch.rand(5, 1, 4, 4, generator=rng())
    made = jitter(images, rng(1), chance=1.0)
    assert made.shape == images.shape
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    assert torch.equal(jitter(images, rng(1), chance=1.0, saturation=0.0, hue=0.0), made)
    assert torch.equal(random_grey(images, rng(1)), images)
    with pytest.raises(DataError, match="2 channels"):
        jitter(torch.rand(1, 2, 4, 4), rng())
