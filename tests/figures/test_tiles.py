"""Tiles: the right pixels at the right place, quickly."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ued_core.errors import DataError
from ued_core.figures.tiles import amplified_difference, fitting_gain, strip


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def random_images(count: int, channels: int = 3, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def test_tiles_lie_side_by_side_in_order() -> None:
    images = random_images(5)
    picture = pixels(strip(torch.from_numpy(images)))
    assert picture.shape == (8, 40, 3)
    for index, image in enumerate(images):
        np.testing.assert_array_equal(picture[:, index * 8 : index * 8 + 8], image.transpose(1, 2, 0))


def test_grey_images_become_grey_tiles() -> None:
    images = random_images(2, channels=1)
    picture = pixels(strip(images))
    np.testing.assert_array_equal(picture[:, 8:], np.repeat(images[1].transpose(1, 2, 0), 3, axis=2))


@pytest.mark.parametrize(
    "images",
    [np.zeros((0, 3, 4, 4), np.uint8), np.zeros((2, 2, 4, 4), np.uint8), np.zeros((2, 3, 4, 4), np.float32)],
)
def test_what_is_no_image_is_refused(images: np.ndarray) -> None:
    with pytest.raises(DataError):
        strip(images)


def test_difference_is_grey_where_nothing_changed_and_clipped_at_the_ends() -> None:
    clean = np.array([100, 100, 100, 0, 255], np.uint8).reshape(1, 1, 1, 5)
    other = np.array([100, 104, 96, 255, 0], np.uint8).reshape(1, 1, 1, 5)
    shown = amplified_difference(torch.from_numpy(clean), other, 4).ravel()
    assert shown.tolist() == [128, 144, 112, 255, 0]
    with pytest.raises(DataError):
        amplified_difference(clean, other[..., :4], 4)


def test_gain_fits_the_difference() -> None:
    clean = np.full((4, 3, 8, 8), 100, np.uint8)
    assert fitting_gain(clean, clean + 100) == 1
    assert fitting_gain(clean, clean + 8) == 8
    assert fitting_gain(clean, clean) == 64
