"""Moving every pixel of an image by a displacement of its own, with bilinear interpolation: what COIN does to images,
and what an attacker who expects it does to his own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ued_core.border import BOUNDARIES, Boundary
from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.errors import DataError, ParameterError

FARTHEST = 2**20


@compiled
def _displace(images: np.ndarray, dx: np.ndarray, dy: np.ndarray, scipy_wrap: bool, result: np.ndarray) -> None:
    """Displace and clip; all arrays C-contiguous.

    Per image first where and how much, then the channels: both loops are free of branches, so the
    compiler makes vector instructions of them.
    """
    count, channels, height, width = images.shape
    size = height * width
    # scipy folds out-of-range coordinates with period n-1, leaves n-1 itself in place and has nothing beyond it; a
    # coordinate that is a negative multiple of n-1 becomes n-1, a positive one 0.
    period_x = max(width - 1.0, 1.0) if scipy_wrap else float(width)
    period_y = max(height - 1.0, 1.0) if scipy_wrap else float(height)
    after_x = width - 1.0 if scipy_wrap else 0.0
    after_y = height - 1.0 if scipy_wrap else 0.0
    # Half a pixel less before folding takes such a multiple, and no other whole coordinate, one period further.
    edge_x = 0.5 if scipy_wrap and width > 1 else 0.0
    edge_y = 0.5 if scipy_wrap and height > 1 else 0.0
    place = np.empty((4, size), np.int32)
    weight = np.empty((3, size))
    last = np.empty(size, images.dtype)
    planes = images.reshape(count * channels, size)
    filled = result.reshape(count * channels, size)
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
                left = x + mx
                top = y + my
                beyond_x = (left < 0) | (left > width - 1) | (scipy_wrap & (left == width - 1) & (fx > 0))
                beyond_y = (top < 0) | (top > height - 1) | (scipy_wrap & (top == height - 1) & (fy > 0))
                short_x = edge_x if (left < 0) & (fx == 0) else 0.0
                short_y = edge_y if (top < 0) & (fy == 0) else 0.0
                left = left - period_x * np.floor((left - short_x) / period_x) if beyond_x else left
                top = top - period_y * np.floor((top - short_y) / period_y) if beyond_y else top
                right = left + 1 if left + 1 < width else after_x
                bottom = top + 1 if top + 1 < height else after_y
                p = y * width + x
                place[0, p] = np.int32(top * width + left)
                place[1, p] = np.int32(top * width + right)
                place[2, p] = np.int32(bottom * width + left)
                place[3, p] = np.int32(bottom * width + right)
                weight[0, p] = (1 - fy) * (1 - fx)
                weight[1, p] = (1 - fy) * fx
                weight[2, p] = fy * (1 - fx)
                last[p] = fy * fx
        for plane in range(n * channels, (n + 1) * channels):
            source = planes[plane]
            target = filled[plane]
            for p in range(size):
                # Unsigned: a signed index would be asked whether it counts from the end.
                value = (
                    weight[0, p] * source[np.uint32(place[0, p])]
                    + weight[1, p] * source[np.uint32(place[1, p])]
                    + weight[2, p] * source[np.uint32(place[2, p])]
                    + last[p] * source[np.uint32(place[3, p])]
                )
                target[p] = 0.0 if value < 0.0 else (1.0 if value > 1.0 else value)


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
    edge = (low < 0) & (fraction == 0)
    low = torch.where(outside, low.remainder(max(size - 1, 1)), low)
    low = torch.where(edge & (low == 0), size - 1, low)
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


class Passing(torch.autograd.Function):
    """A function whose gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        return function(images)

    @staticmethod
    def backward(ctx: Any, slope: torch.Tensor) -> tuple[torch.Tensor, None]:
        return slope, None


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
            ``map_coordinates(order=1, mode="wrap")``; a position that is a negative multiple of side-1 is the
            last pixel, a positive one the first.

    Returns:
        Tensor like ``images``. Where ``images`` have a gradient it has one too, on every device: displacing is linear
        in the image, so a gradient goes back through the transposed matrix; clipping, which undoes rounding alone, lets
        it pass. The fields get none.

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
            raise DataError(
                f"{name} is {field.dtype} {tuple(field.shape)}, but must be float {expected}: one per pixel."
            )
        # Not finite or enormous displacements would index outside the image; nan fails every comparison.
        if field.numel() and not bool(field.abs().amax() < FARTHEST):
            raise DataError(
                f"{name} holds displacements that are not finite or not below {FARTHEST} px.", "Check the field."
            )
        if field.device != images.device:
            raise DataError(
                f"{name} is on {field.device}, but the images are on {images.device}.", "Move them together."
            )
    if images.requires_grad and torch.is_grad_enabled():
        return Passing.apply(
            _displace_tensors(images, dx.detach(), dy.detach(), boundary), lambda moved: moved.clamp(0, 1)
        )
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
    return result


def draw_fields(
    shape: tuple[int, int, int], strength: float, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Independent uniform displacements on (-strength, strength).

    Args:
        shape: (N, H, W).
        strength: α, in pixels.
        rng: generator; the fields live on its device.

    Returns:
        dx and dy, float32 (N, H, W).
    """
    both = torch.empty((2, *shape), device=rng.device).uniform_(-strength, strength, generator=rng)
    return both[0], both[1]


def unit_fields(shape: tuple[int, int, int, int], rng: torch.Generator) -> np.ndarray:
    """The displacements that :func:`draw_fields` draws with the same generator, for a strength of 1 pixel.

    Args:
        shape: (N, C, H, W) of the images.
        rng: in the state in which :func:`draw_fields` would get it.

    Returns:
        float32 (N, 2, H, W): dx and dy; times α they are those of the strength α, to rounding.
    """
    n, _, height, width = shape
    dx, dy = draw_fields((n, height, width), 1.0, rng)
    return torch.stack([dx, dy], 1).cpu().numpy()
