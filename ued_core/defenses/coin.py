"""COIN: random pixel displacement with bilinear interpolation."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.defenses.base import Defense
from ued_core.errors import DataError, ParameterError
from ued_core.params import param

Boundary = Literal["periodic", "scipy_wrap"]
BOUNDARIES: tuple[Boundary, ...] = ("periodic", "scipy_wrap")


@compiled
def _displace(images: Any, dx: Any, dy: Any, scipy_wrap: bool, result: Any) -> None:
    count, channels, height, width = images.shape
    for n in range(count):
        for y in range(height):
            for x in range(width):
                sx = dx[n, y, x]
                sy = dy[n, y, x]
                # The fraction comes from the displacement alone: x + sx would lose bits of it.
                mx = np.floor(sx)
                my = np.floor(sy)
                fx = sx - mx
                fy = sy - my
                left = x + int(mx)
                top = y + int(my)
                if scipy_wrap:
                    # scipy folds out-of-range coordinates with period n-1 and leaves n-1 itself in place.
                    if left < 0 or (left > width - 1 or (left == width - 1 and fx > 0)):
                        left = left % (width - 1) if width > 1 else 0
                    if top < 0 or (top > height - 1 or (top == height - 1 and fy > 0)):
                        top = top % (height - 1) if height > 1 else 0
                    right = min(left + 1, width - 1)
                    bottom = min(top + 1, height - 1)
                else:
                    left = left % width
                    top = top % height
                    right = left + 1 if left + 1 < width else 0
                    bottom = top + 1 if top + 1 < height else 0
                a = (1 - fy) * (1 - fx)
                b = (1 - fy) * fx
                c = fy * (1 - fx)
                d = fy * fx
                for ch in range(channels):
                    result[n, ch, y, x] = (
                        a * images[n, ch, top, left]
                        + b * images[n, ch, top, right]
                        + c * images[n, ch, bottom, left]
                        + d * images[n, ch, bottom, right]
                    )


def _axis(shift: torch.Tensor, size: int, axis: int, boundary: Boundary) -> tuple[torch.Tensor, ...]:
    """Lower neighbour, upper neighbour and fraction along one axis, as :func:`_displace` has them."""
    shape = [1, 1, 1]
    shape[axis] = size
    whole = shift.floor()
    fraction = shift - whole
    low = torch.arange(size, device=shift.device).view(shape) + whole.long()
    if boundary == "periodic":
        low = low.remainder(size)
        return low, (low + 1).remainder(size), fraction
    outside = (low < 0) | (low > size - 1) | ((low == size - 1) & (fraction > 0))
    low = torch.where(outside, low.remainder(max(size - 1, 1)), low)
    return low, (low + 1).clamp(max=size - 1), fraction


def _displace_tensors(images: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor, boundary: Boundary) -> torch.Tensor:
    """The same with tensor operations only: any device, and machines without numba."""
    n, channels, height, width = images.shape
    left, right, fx = _axis(dx, width, 2, boundary)
    top, bottom, fy = _axis(dy, height, 1, boundary)
    flat = images.reshape(n, channels, height * width)

    def at(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        index = (rows * width + columns).view(n, 1, height * width).expand(-1, channels, -1)
        return flat.gather(2, index).view_as(images)

    fx, fy = fx[:, None].to(images.dtype), fy[:, None].to(images.dtype)
    upper = at(top, left).mul_((1 - fy) * (1 - fx)).addcmul_(at(top, right), (1 - fy) * fx)
    return upper.addcmul_(at(bottom, left), fy * (1 - fx)).addcmul_(at(bottom, right), fy * fx)


def displace(images: torch.Tensor, dx: torch.Tensor, dy: torch.Tensor, boundary: Boundary = "periodic") -> torch.Tensor:
    """Bilinear interpolation of every pixel at its displaced position.

    ``result[n, c, y, x]`` is the image at column ``x + dx[n, y, x]`` and row ``y + dy[n, y, x]``,
    interpolated between the four neighbours, then clipped to [0, 1].

    Args:
        images: float (N, C, H, W) in [0, 1]; not changed.
        dx: float (N, H, W), displacement along the columns, in pixels.
        dy: float (N, H, W), displacement along the rows, in pixels.
        boundary: ``periodic`` indexes modulo the side length (scipy's ``grid-wrap``);
            ``scipy_wrap`` folds with period side-1, as the official code does through scipy's
            ``map_coordinates(order=1, mode="wrap")``.

    Returns:
        Tensor like ``images``.

    Raises:
        DataError: shapes, types or devices do not fit.
        ParameterError: unknown boundary.

    Source:
        COIN, arXiv 2311.18403 (AAAI 2025), and the transform in its official code.
    """
    if boundary not in BOUNDARIES:
        raise ParameterError(f"The boundary is {boundary!r}, but it must be one of {', '.join(map(repr, BOUNDARIES))}.")
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError(f"Images are {images.dtype} {tuple(images.shape)}, but must be float (N, C, H, W) in [0, 1].")
    expected = (images.shape[0], *images.shape[2:])
    for name, field in (("dx", dx), ("dy", dy)):
        if tuple(field.shape) != expected or not field.is_floating_point():
            raise DataError(f"{name} is {field.dtype} {tuple(field.shape)}, but must be float {expected}: one a pixel.")
        if field.device != images.device:
            raise DataError(f"{name} is on {field.device}, but the images are on {images.device}.", "Move them together.")
    if images.device.type != "cpu" or images.dtype not in (torch.float32, torch.float64) or not has_compiler():
        return _displace_tensors(images, dx, dy, boundary).clamp_(0, 1)
    source = images.detach().contiguous()
    result = torch.empty_like(source)
    # Plain arrays share the tensors' memory; one dtype for both fields keeps the number of compiled variants small.
    arrays = [t.detach().to(source.dtype).contiguous().numpy() for t in (dx, dy)]
    pixels, target, wraps = source.numpy(), result.numpy(), boundary == "scipy_wrap"

    def part(start: int, stop: int) -> None:
        _displace(pixels[start:stop], arrays[0][start:stop], arrays[1][start:stop], wraps, target[start:stop])

    in_threads(part, len(source))
    return result.clamp_(0, 1)


def draw_fields(shape: tuple[int, int, int], strength: float, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Independent uniform displacements on (-strength, strength).

    Args:
        shape: (N, H, W).
        strength: α, in pixels.
        rng: generator; the fields live on its device.

    Returns:
        dx and dy, float32 (N, H, W).
    """
    both = torch.rand((2, *shape), generator=rng, device=rng.device).mul_(2).sub_(1).mul_(strength)
    return both[0], both[1]


class Coin(Defense):
    """Moves every pixel by a random fraction of a pixel or more, anew in every epoch.

    For every image and pixel two displacements are drawn from U(-α, α), shared by the channels;
    the pixel becomes the bilinear interpolation of the image there. This is a random sparse matrix
    with four entries a row: it breaks the consistency of the attack's multiplicative noise within a
    class and makes the classes' noise alike.

    Source:
        COIN, arXiv 2311.18403 (AAAI 2025), section 5; severity 4 of 7 in the official code is α = 2.

    Differs:
        Out-of-range indices wrap modulo the side length, as the paper's formula says; the official
        code's scipy call wraps with period side-1 (boundary scipy_wrap). Results are not truncated to
        8 bits unless asked for.
    """

    key: ClassVar[str] = "coin"
    title: ClassVar[str] = "COIN"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(
        2.0, "Largest displacement of a pixel. The official severities 1 to 7 are 0.8, 1.2, … 3.2.",
        label="strength α", unit="px", ge=0.0, le=6.0, step=0.05,
    )  # fmt: skip
    boundary: Boundary = param("periodic", "How positions beyond the border come back: the paper's modulo, or the official code's period of side-1.")
    truncate: bool = param(False, "Cut the result to 8 bits, as the official code does.", label="truncate to 8 bits")

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        n, _, height, width = images.shape
        dx, dy = draw_fields((n, height, width), self.strength, rng)
        moved = displace(images, dx, dy, self.boundary)
        return moved.mul_(255).floor_().div_(255) if self.truncate else moved


def severity(level: int) -> float:
    """Strength α of the official code's severity level 1..7.

    Raises:
        ParameterError: no such level.
    """
    if not 1 <= level <= 7 or not math.isclose(level, int(level)):
        raise ParameterError(f"The severity is {level!r}, but it must be a whole number from 1 to 7.")
    return round(0.4 + 0.4 * level, 1)
