"""Region noise: cells, signs, and which patterns two classes may have."""

from __future__ import annotations

import pytest
import torch

from ued_core.attacks import RegionNoise
from ued_core.attacks.region import distinct_signs
from ued_core.errors import DataError


@pytest.mark.parametrize("grid", [2, 4, 8])
def test_cells_are_constant_and_of_one_size(grid: int):
    table = RegionNoise(grid=grid, epsilon=8).table(10, (3, 32, 32), seed=1)
    assert table.abs().unique().tolist() == [8.0]
    side = 32 // grid
    cells = table.view(10, 3, grid, side, grid, side)
    assert (cells == cells[:, :, :, :1, :, :1]).all()
    for one in table:
        assert len(one.flatten(1).T.unique(dim=0)) <= min(grid**2, 8)
    assert len({one.numpy().tobytes() for one in table}) == 10
    share = float((cells[:, :, :, 0, :, 0] > 0).float().mean())
    assert abs(share - 0.5) < 4 * (0.25 / (30 * grid**2)) ** 0.5


def test_sides_that_are_no_multiple_of_the_grid():
    table = RegionNoise(grid=4, epsilon=3).table(2, (1, 6, 9), seed=0)
    # 6 rows over 4 cells: row y belongs to cell ⌊4y/6⌋ = 0 0 1 2 2 3; 9 columns: 0 0 0 1 1 2 2 3 3.
    same_rows, same_columns = [(0, 1), (3, 4)], [(0, 1), (1, 2), (3, 4), (5, 6), (7, 8)]
    assert all(torch.equal(table[:, :, a], table[:, :, b]) for a, b in same_rows)
    assert all(torch.equal(table[..., a], table[..., b]) for a, b in same_columns)
    many = RegionNoise(grid=4).table(200, (1, 6, 9), seed=0)
    assert not any(torch.equal(many[:, :, a], many[:, :, b]) for a, b in [(1, 2), (2, 3), (4, 5)])


def test_no_two_classes_share_a_pattern():
    rng = torch.Generator().manual_seed(0)
    assert sorted(map(tuple, distinct_signs(8, 3, rng).tolist())) == sorted(
        (a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)
    )
    with pytest.raises(DataError, match="3 signs make 8 different patterns, but there are 9 classes"):
        distinct_signs(9, 3, rng)
