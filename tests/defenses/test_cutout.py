"""Cutout: squares by hand, and the published share of black pixels."""

import pytest
import torch

from ued_core.defenses.cutout import Cutout, square_mask


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_share_of_pixels():
    """Middles 0 … 31 leave on average 14 of 16 rows, and as many columns: (14/32)² = 19.1 %."""
    rows = [len(range(max(0, m - 8), min(32, m + 8))) for m in range(32)]
    assert sum(rows) / 32 == 14
    assert float(square_mask((20_000, 32, 32), 16, rng()).float().mean()) == pytest.approx((14 / 32) ** 2, rel=0.02)


@pytest.mark.parametrize("size", [1, 5, 6, 16])
def test_every_mask_is_one_rectangle(size):
    masks = square_mask((500, 20, 32), size, rng())
    seen = set()
    for mask in masks:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask, rows[:, None] & columns)
        for line in (rows, columns):
            place = line.nonzero().flatten()
            assert place[-1] - place[0] + 1 == len(place) <= size
            assert len(place) == size or place[0] == 0 or place[-1] == len(line) - 1
        seen.add((int(rows.nonzero()[0]), int(columns.nonzero()[0])))
    assert len(seen) > 100, "the squares must be at different places"


def test_the_rest_is_untouched_in_every_channel():
    images = torch.rand(60, 3, 32, 32) * 0.9 + 0.1
    result = Cutout().augment(images, rng(3))
    black = square_mask((60, 32, 32), 16, rng(3))[:, None].expand_as(images)
    assert (result[black] == 0).all()
    assert torch.equal(result[~black], images[~black])


def test_larger_than_the_image_blackens_what_it_covers():
    assert Cutout(size=128).augment(torch.rand(5, 3, 16, 16), rng()).max() == 0
