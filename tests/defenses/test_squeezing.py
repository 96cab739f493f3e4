"""Greyscale, JPEG and bit depth: by hand, and against Pillow."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ued_core.context import Context
from ued_core.defenses import DEFENSES
from ued_core.defenses.fixed import CHUNK
from ued_core.defenses.squeezing import BitDepth, Greyscale, Jpeg
from ued_core.errors import DataError, ParameterError
from ued_core.records import ImageSet


def random_bytes(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def smooth_bytes(side=32):
    """Slow waves in three colours: what photos look like to JPEG."""
    y, x = np.mgrid[:side, :side] / side
    waves = [np.sin(2 * np.pi * (x * turns + 0.1 * c) + y) for turns in (0.5, 1, 2) for c in range(3)]
    return torch.from_numpy(((np.array(waves) + 1) * 127).astype(np.uint8).reshape(3, 3, side, side))


def test_weights_of_grey():
    pure = torch.zeros(5, 3, 1, 1, dtype=torch.uint8)
    pure[0, 0] = pure[1, 1] = pure[2, 2] = pure[3] = 255
    grey = Greyscale().transform(pure)
    # 0.299, 0.587 and 0.114 of 255; white stays white, black black
    assert grey[:, 0].flatten().tolist() == [76, 150, 29, 255, 0]
    assert torch.equal(grey[:, :1].expand(-1, 3, -1, -1), grey)


def test_grey_is_what_pillow_makes_of_it():
    images = random_bytes(40, 3, 9, 11)
    grey = Greyscale().transform(images)
    for before, after in zip(images, grey, strict=True):
        expected = np.asarray(Image.fromarray(before.permute(1, 2, 0).numpy()).convert("L"))
        assert np.array_equal(after[0].numpy(), expected)


def test_grey_of_other_channels():
    images = random_bytes(3, 1, 4, 4)
    assert torch.equal(Greyscale().transform(images), images)
    with pytest.raises(DataError, match="2 channels"):
        Greyscale().transform(random_bytes(3, 2, 4, 4))


def test_levels_of_two_bits():
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert BitDepth().transform(every).unique().tolist() == [0, 64, 128, 192]
    assert BitDepth(unbiased=True).transform(every).unique().tolist() == [32, 96, 160, 224]
    # 0 … 63 become 0, which is 31.5 too dark on average; half a bin more leaves half a level.
    assert float(BitDepth().transform(every).float().mean()) - 127.5 == -31.5
    assert float(BitDepth(unbiased=True).transform(every).float().mean()) - 127.5 == 0.5


@pytest.mark.parametrize("bits", range(1, 8))
def test_every_bit_depth(bits):
    every = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for unbiased in (False, True):
        made = BitDepth(bits=bits, unbiased=unbiased).transform(every)
        assert len(made.unique()) == 2**bits
        away = made.int() - every.int()
        assert away.abs().max() <= 2 ** (8 - bits) - (1 if not unbiased else 2 ** (7 - bits))
    assert torch.equal(BitDepth(bits=bits).transform(made), BitDepth(bits=bits).transform(every))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_jpeg_is_pillows(channels, subsampling):
    images = random_bytes(70, channels, 20, 12)
    made = Jpeg(quality=30, subsampling=subsampling).transform(images)
    assert (made.dtype, made.shape) == (images.dtype, images.shape)
    for n in (0, 33, 69):
        file = io.BytesIO()
        Image.fromarray(images[n].permute(1, 2, 0).numpy().squeeze()).save(
            file, "JPEG", quality=30, subsampling=subsampling
        )
        assert np.array_equal(np.asarray(Image.open(file)), made[n].permute(1, 2, 0).numpy().squeeze())


def test_jpeg_loses_more_at_lower_quality():
    images = smooth_bytes()
    loss = [
        float((Jpeg(quality=q).transform(images).float() - images.float()).square().mean()) for q in (5, 10, 40, 95)
    ]
    assert loss == sorted(loss, reverse=True)
    assert loss[-1] < 10 < loss[0]


def test_half_resolution_of_colour_shows():
    """A red and green checkerboard of single pixels has one brightness only, at half the resolution one colour."""
    board = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    odd = (torch.arange(16)[:, None] + torch.arange(16)) % 2
    board[0, 0], board[0, 1] = 200 * odd, 102 * (1 - odd)
    spread = {
        s: float(Jpeg(quality=95, subsampling=s).transform(board)[0, 0].float().std()) for s in ("4:2:0", "4:4:4")
    }
    assert spread["4:4:4"] > 5 * spread["4:2:0"]


def test_jpeg_limits():
    for quality in (0, 101):
        with pytest.raises(ParameterError, match="from 1 to 100"):
            Jpeg(quality=quality)
    with pytest.raises(DataError, match="4 channels"):
        Jpeg().transform(random_bytes(2, 4, 8, 8))


@pytest.mark.parametrize("name", [name for name, entry in DEFENSES.items() if "purify" in entry.acts])
def test_images_are_treated_alone_and_all_of_them(name, tmp_path, monkeypatch):
    """Beyond the first chunk too, and with the same result whatever else is asked for."""
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    count = CHUNK + 5
    images = random_bytes(count, 3, 8, 8)
    data = ImageSet(images, torch.arange(count) % 2, ("a", "b"), "random")
    defense = DEFENSES.build(name, **(DEFENSES[name].quick_values() if DEFENSES[name].needs_whole_set else {}))
    whole = defense.purify(data, Context()).images
    rows = torch.tensor([0, CHUNK - 1, CHUNK, count - 1])
    assert torch.equal(whole[rows], defense.purify_rows(data.take(rows), data, Context()).images)
    if not defense.needs_whole_set:
        assert torch.equal(whole[rows], defense.purify(data.take(rows), Context()).images)
