"""Tiles: the right pixels at the right place, quickly."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ued_core.errors import DataError
from ued_core.figures.tiles import amplified_difference, comparison, fitting_gain, mosaic, row_height


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def random_images(count: int, channels: int = 3, size: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, size, size), dtype=np.uint8)


def test_every_tile_lies_where_reading_order_puts_it() -> None:
    images = random_images(5)
    picture = pixels(mosaic(torch.from_numpy(images), columns=3, scale=2, gap=3))
    assert picture.shape == (2 * 16 + 3, 3 * 16 + 2 * 3, 4)
    for index, image in enumerate(images):
        top, left = index // 3 * 19, index % 3 * 19
        tile = picture[top : top + 16, left : left + 16]
        np.testing.assert_array_equal(tile[::2, ::2, :3], image.transpose(1, 2, 0))
        np.testing.assert_array_equal(tile[1::2, 1::2, :3], image.transpose(1, 2, 0))
        assert (tile[..., 3] == 255).all()
    assert (picture[:, 16:19, 3] == 0).all()
    assert (picture[19:, 38:, 3] == 0).all()


def test_grey_images_become_grey_tiles() -> None:
    images = random_images(1, channels=1)
    picture = pixels(mosaic(images, columns=1, scale=1))
    np.testing.assert_array_equal(picture[..., :3], np.repeat(images[0].transpose(1, 2, 0), 3, axis=2))


def test_comparison_puts_rows_under_each_other() -> None:
    first, second = random_images(3), random_images(2)[::-1]
    picture = pixels(comparison([first, second], scale=1, gap=2))
    assert picture.shape == (18, 28, 4)
    start = row_height(8, scale=1, gap=2)
    np.testing.assert_array_equal(picture[start : start + 8, :8, :3], second[0].transpose(1, 2, 0))
    assert (picture[start:, 20:, 3] == 0).all()


@pytest.mark.parametrize(
    "images",
    [np.zeros((0, 3, 4, 4), np.uint8), np.zeros((2, 2, 4, 4), np.uint8), np.zeros((2, 3, 4, 4), np.float32)],
)
def test_what_is_no_image_is_refused(images: np.ndarray) -> None:
    with pytest.raises(DataError):
        mosaic(images, columns=2)


def test_rows_of_different_size_are_refused() -> None:
    with pytest.raises(DataError, match="image size"):
        comparison([random_images(1), random_images(1, size=4)])
    with pytest.raises(DataError):
        comparison([])


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
