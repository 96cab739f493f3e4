"""Augmentations by hand."""

import torch

from ued_core.training.crop import random_crop, random_flip


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int = 6, channels: int = 3, height: int = 4, width: int = 5) -> torch.Tensor:
    """Every pixel of every image has a value of its own, from 1."""
    return torch.arange(1, count * channels * height * width + 1, dtype=torch.int32).view(
        count, channels, height, width
    )


def test_crop_is_a_window_of_the_padded_image() -> None:
    images, padding = numbered(), 2
    cropped = random_crop(images, padding, rng(1))
    places = set()
    for image, result in zip(images.tolist(), cropped.tolist(), strict=True):
        height, width = len(image[0]), len(image[0][0])

        def at(
            channel: int, row: int, column: int, image: list = image, height: int = height, width: int = width
        ) -> int:
            inside = 0 <= row < height and 0 <= column < width
            return image[channel][row][column] if inside else 0

        found = [
            (down, right)
            for down in range(-padding, padding + 1)
            for right in range(-padding, padding + 1)
            if all(
                result[c][y][x] == at(c, y + down, x + right)
                for c in range(len(image))
                for y in range(height)
                for x in range(width)
            )
        ]
        assert len(found) == 1, "the result is no window of the image padded with zeros"
        places.add(found[0])
    assert len(places) > 2, "every image gets a place of its own"


def test_crop_reaches_every_place_equally_often() -> None:
    images = numbered(1, 1, 3, 3).expand(9_000, -1, -1, -1)
    _, counts = random_crop(images, 1, rng(3)).flatten(1).unique(dim=0, return_counts=True)
    assert len(counts) == 9
    # Five standard deviations of a binomial count with p = 1/9.
    assert (counts - 1000).abs().max() < 5 * (9000 * 8 / 81) ** 0.5


def test_crop_of_nothing_is_nothing() -> None:
    images, draws = numbered(), rng(1)
    state = draws.get_state()
    assert random_crop(images, 0, draws) is images
    assert torch.equal(draws.get_state(), state)


def test_flip_mirrors_left_to_right_half_of_the_images() -> None:
    images = numbered(2_000, 1, 2, 3)
    flipped = random_flip(images, rng(1))
    mirrored = [
        a == [row[::-1] for row in b] for a, b in zip(flipped[:, 0].tolist(), images[:, 0].tolist(), strict=True)
    ]
    same = [a == b for a, b in zip(flipped.tolist(), images.tolist(), strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    # Five standard deviations of a fair coin.
    assert abs(sum(mirrored) - 1000) < 5 * 500**0.5


def test_types_inputs_and_generators() -> None:
    for dtype in (torch.uint8, torch.float32):
        images = torch.randint(0, 200, (8, 3, 6, 6), generator=rng()).to(dtype)
        before = images.clone()
        for augment in (lambda x, r: random_crop(x, 2, r), random_flip):
            result = augment(images, rng(4))
            assert (result.dtype, result.shape) == (dtype, images.shape)
            assert torch.equal(augment(images, rng(4)), result)
            assert not torch.equal(augment(images, rng(5)), result)
        assert torch.equal(images, before)
