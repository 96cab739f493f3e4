"""COIN: random pixel displacement with bilinear interpolation."""

from __future__ import annotations

import math
from typing import ClassVar

import torch

from ued_core.border import Boundary
from ued_core.defenses.base import Defense, Displacements
from ued_core.defenses.live import LiveOperation
from ued_core.displacement import Passing, displace, draw_fields, unit_fields
from ued_core.errors import ParameterError
from ued_core.params import param


class Coin(Defense):
    """Moves every pixel by a random fraction of a pixel or more, anew in every epoch.

    For every image and pixel two displacements are drawn from U(-α, α), shared by the channels;
    the pixel becomes the bilinear interpolation of the image there. This is a random sparse matrix
    with four entries per row: it breaks the consistency of the attack's multiplicative noise within a
    class and makes the classes' noise alike.

    Source:
        COIN, arXiv 2311.18403 (AAAI 2025); severity 4 of 7 in the official code is α = 2.

    Differs:
        Out-of-range indices wrap modulo the side length, as the paper's formula says; the official
        code's scipy call wraps with period side-1 (boundary scipy_wrap). Results are not truncated to
        8 bits unless asked for, and then a gradient passes straight through.
    """

    key: ClassVar[str] = "coin"
    title: ClassVar[str] = "COIN"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(
        2.0, "Largest displacement of a pixel. The official severities 1 to 7 are 0.8, 1.2, … 3.2.",
        label="strength α", unit="px", ge=0.0, le=6.0, step=0.05,
    )  # fmt: skip
    boundary: Boundary = param(
        "periodic",
        "How positions beyond the border come back: the paper's modulo, or the official code's period of side-1.",
    )
    truncate: bool = param(False, "Cut the result to 8 bits, as the official code does.", label="truncate to 8 bits")

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        n, _, height, width = images.shape
        dx, dy = draw_fields((n, height, width), self.strength, rng)
        moved = displace(images, dx, dy, self.boundary)
        return Passing.apply(moved, lambda values: values.mul(255).floor_().div_(255)) if self.truncate else moved

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        settings = {"boundary": self.boundary, "truncate": self.truncate}
        return LiveOperation("displace", "strength", settings=settings, draws=unit_fields(shape, rng))

    def displacements(self) -> Displacements:
        return Displacements(self.strength, self.boundary)


def severity(level: int) -> float:
    """Strength α of the official code's severity level 1..7.

    Raises:
        ParameterError: no such level.
    """
    if not 1 <= level <= 7 or not math.isclose(level, int(level)):
        raise ParameterError(f"The severity is {level!r}, but it must be a whole number from 1 to 7.")
    return round(0.4 + 0.4 * level, 1)
