"""The two halves of COIN, each alone: does it need both?"""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.defenses.base import Defense
from ued_core.defenses.live import LiveOperation
from ued_core.displacement import displace, draw_fields, unit_fields
from ued_core.params import param


class CoinShifts(Defense):
    """COIN without interpolation: every pixel is replaced by a whole neighbour.

    The displacements are COIN's, rounded to the nearest whole pixels. Values change their places among
    neighbours and are never mixed. Up to α = 0.5 px nothing moves.

    Source:
        Our ablation of COIN (arXiv 2311.18403): the same draws, of which only the whole part acts.

    Differs:
        The paper writes a displacement as its floor and a fraction; here it is split at the nearest whole pixel, so
        that the shifts have no direction and vanish with α.
    """

    key: ClassVar[str] = "coin_shifts"
    title: ClassVar[str] = "COIN: whole-pixel shifts only"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(
        2.0,
        "Largest displacement before it is rounded to whole pixels.",
        label="strength α",
        unit="px",
        ge=0.0,
        le=6.0,
        step=0.05,
    )

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        n, _, height, width = images.shape
        dx, dy = draw_fields((n, height, width), self.strength, rng)
        return displace(images, dx.round(), dy.round())

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        draws = unit_fields(shape, rng)
        return LiveOperation("shift", "strength", settings={"boundary": "periodic"}, draws=draws)


class CoinInterpolation(Defense):
    """COIN without shifts: every pixel is mixed with its nearest neighbours by random weights.

    The displacements are COIN's without their whole part: at most half a pixel to every side, a random
    blur. Up to α = 0.5 px this is COIN itself.

    Source:
        Our ablation of COIN (arXiv 2311.18403): the same draws, of which only the fraction acts.

    Differs:
        As for the shifts alone: a displacement is split at the nearest whole pixel instead of its floor.
    """

    key: ClassVar[str] = "coin_interpolation"
    title: ClassVar[str] = "COIN: interpolation only"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(
        2.0, "Largest displacement before its whole part is taken away. From 0.5 px on it hardly matters.",
        label="strength α", unit="px", ge=0.0, le=6.0, step=0.05,
    )  # fmt: skip

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        n, _, height, width = images.shape
        dx, dy = draw_fields((n, height, width), self.strength, rng)
        return displace(images, dx - dx.round(), dy - dy.round())

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        draws = unit_fields(shape, rng)
        return LiveOperation("interpolate", "strength", settings={"boundary": "periodic"}, draws=draws)
