"""Region noise: a coarse grid of coloured cells for each class."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.attacks.base import Bound, ClassTableAttack
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.params import param


class RegionNoise(ClassTableAttack):
    """Every class gets a coarse grid of cells, each of which is shifted by +ε or −ε in each colour.

    A control between one colour a class and pixel noise: m cells of random signs, constant within a
    cell. The coarser the grid, the better it survives blur, compression and resizing.

    Source:
        Region-4, region-16 and region-64 of the work on detecting unlearnable examples (code: hala64/udp).

    Differs:
        A grid that an earlier class already has is drawn again, so that no two classes share one. When the
        side of an image is no multiple of the grid, cells differ by one pixel.
    """

    key: ClassVar[str] = "region"
    title: ClassVar[str] = "Region noise"

    grid: int = param(
        4, "Cells along a side; the square of it is the m of region-m: 2, 4 and 8 make region-4, -16 and -64.",
        label="cells along a side", ge=1, le=16,
    )  # fmt: skip
    epsilon: int = param(8, "Change ε of every pixel value, up or down.", label="ε", unit="1/255", ge=1, le=64)

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        return Bound("linf", self.epsilon)

    def table(self, classes: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
        channels, height, width = shape
        signs = distinct_signs(classes, channels * self.grid**2, Context(seed=seed).generator(self.key, "signs"))
        cells = signs.view(classes, channels, self.grid, self.grid) * float(self.epsilon)
        rows, columns = (torch.arange(side) * self.grid // side for side in (height, width))
        return cells[:, :, rows][..., columns]


def distinct_signs(count: int, length: int, rng: torch.Generator) -> torch.Tensor:
    """Random corners of the hypercube {−1, +1}^length, no two equal; int64 (count, length).

    Raises:
        DataError: there are fewer corners than asked for.
    """
    if length < 60 and 2**length < count:
        raise DataError(
            f"{length} signs make {2**length} different patterns, but there are {count} classes.",
            "Take a finer grid, or fewer classes.",
        )
    found = torch.empty((count, length), dtype=torch.int64)
    for k in range(count):
        fresh = False
        while not fresh:
            found[k] = torch.randint(0, 2, (length,), generator=rng) * 2 - 1
            fresh = not bool((found[:k] == found[k]).all(1).any())
    return found
