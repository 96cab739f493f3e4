"""Random operations on images, each with one magnitude per image: smooth lighting, colours, tones, geometry, JPEG."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from ued_core.defenses.squeezing import through_jpeg
from ued_core.records import to_bytes, to_float
from ued_core.training.colour import luma

LARGEST_TURN = torch.pi / 6
LARGEST_SHEAR = 0.3
LARGEST_SHIFT = 0.3


def cloud(shape: tuple[int, int, int], roughness: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random smooth fields, 0 at their lowest and 1 at their highest place.

    Noise on grids of 2, 3, 5, 9 … points, each enlarged to the image and weaker than the coarser one by the roughness:
    the sum that midpoint displacement (diamond-square) draws, with bilinear surfaces between the points.

    Args:
        shape: (N, H, W).
        roughness: float (N,), above 0, below 1.
        rng: generator; the fields live on its device.

    Returns:
        float32 (N, H, W).
    """
    count, height, width = shape
    field = torch.zeros(shape, device=rng.device)
    points, weight = 2, torch.ones(count, device=rng.device)
    while True:
        coarse = torch.rand((count, 1, points, points), generator=rng, device=rng.device)
        field += (
            weight.view(-1, 1, 1) * F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)[:, 0]
        )
        if points > max(height, width):
            break
        points, weight = 2 * points - 1, weight * roughness
    field -= field.amin((1, 2), keepdim=True)
    return field / field.amax((1, 2), keepdim=True).clamp(min=1e-12)


def uneven_brightness(images: torch.Tensor, field: torch.Tensor, intensity: torch.Tensor) -> torch.Tensor:
    """Lit by a cloud: x + i(2m − 1), clipped to [0, 1].

    Args:
        images: float (N, C, H, W) in [0, 1].
        field: m, float (N, 1, H, W) in 0..1; where it is one half nothing changes.
        intensity: i, float (N,).
    """
    return (images + intensity.view(-1, 1, 1, 1) * (2 * field - 1)).clamp(0, 1)


def uneven_contrast(images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
    """The distance from one half times a cloud: (x − 0.5)·4m + 0.5, clipped to [0, 1].

    Args:
        images: float (N, C, H, W) in [0, 1].
        field: m, float (N, 1, H, W) in 0..1; where it is a quarter nothing changes.
    """
    return ((images - 0.5) * 4 * field + 0.5).clamp(0, 1)


def shuffled_channels(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Each image's channels in a random order; (N, C, H, W)."""
    order = torch.rand(images.shape[:2], generator=rng, device=images.device).argsort(1)
    return images.gather(1, order[:, :, None, None].expand_as(images))


def auto_contrast(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Stretch each channel so that it reaches from 0 to 1; flat channels stay. The magnitude does not matter."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / (high - low).clamp(min=1e-12), images)


def brightness(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """All values times a factor from 0.01 to 1.99."""
    return images * _factor(magnitude)


def contrast(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """The distance from the image's mean brightness times a factor from 0.01 to 1.99."""
    middle = luma(images).mean((2, 3), keepdim=True)
    return middle + (images - middle) * _factor(magnitude)


def saturation(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """The distance from the pixel's own brightness times a factor from 0.01 to 1.99."""
    grey = luma(images)
    return grey + (images - grey) * _factor(magnitude)


def sharpness(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """The distance from a 3×3 mean times a factor from 0.01 to 1.99."""
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return blurred + (images - blurred) * _factor(magnitude)


def posterise(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Keep the top 8 to 2 bits of every value: from magnitude 0 to 1 the bits fall."""
    bits = 8 - (magnitude * 6).round()
    width = 2.0 ** (8 - bits).view(-1, 1, 1, 1)
    return ((images * 255).round() / width).floor() * width / 255


def solarise(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Turn values above a threshold into their negative; the threshold falls from 1 to 0 with the magnitude."""
    return torch.where(images > 1 - magnitude.view(-1, 1, 1, 1), 1 - images, images)


def rotation(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Turn by −30° to 30°; what comes in from outside is black."""
    angle = (2 * magnitude - 1) * LARGEST_TURN
    ratio = images.shape[-1] / images.shape[-2]
    cos, sin = angle.cos(), angle.sin()
    return _moved(images, xx=cos, xy=-sin / ratio, yx=sin * ratio, yy=cos)


def shear_x(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Shift rows against each other, by −0.3 to 0.3 of their distance from the middle."""
    return _moved(images, xy=(2 * magnitude - 1) * LARGEST_SHEAR)


def shear_y(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Shift columns against each other, by −0.3 to 0.3 of their distance from the middle."""
    return _moved(images, yx=(2 * magnitude - 1) * LARGEST_SHEAR)


def shift_x(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Shift by −0.3 to 0.3 of the width."""
    return _moved(images, x=(2 * magnitude - 1) * 2 * LARGEST_SHIFT)


def shift_y(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """Shift by −0.3 to 0.3 of the height."""
    return _moved(images, y=(2 * magnitude - 1) * 2 * LARGEST_SHIFT)


def identity(images: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """No change."""
    return images


#: each takes float (N, C, H, W) in [0, 1] and a magnitude in 0..1 an image; results may leave [0, 1]
OPERATIONS: tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], ...] = (
    identity, auto_contrast, brightness, contrast, saturation, sharpness, posterise, solarise,
    rotation, shear_x, shear_y, shift_x, shift_y,
)  # fmt: skip


def one_operation(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """One random operation of :data:`OPERATIONS` an image, with a random magnitude; clipped to [0, 1].

    Args:
        images: float (N, C, H, W) in [0, 1], C 1 or 3; not changed.
        rng: generator on the same device.
    """
    count = len(images)
    which = torch.randint(len(OPERATIONS), (count,), generator=rng, device=images.device)
    magnitude = torch.rand(count, generator=rng, device=images.device)
    result = images.clone()
    for number, operation in enumerate(OPERATIONS):
        rows = (which == number).nonzero()[:, 0]
        if len(rows):
            result[rows] = operation(images[rows], magnitude[rows])
    return result.clamp_(0, 1)


def jpeg(images: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
    """Each image through a JPEG file of its own quality; colours at half the resolution.

    The file has no gradient. Where one is asked for, it passes straight through.

    Args:
        images: float (N, C, H, W) in [0, 1], C 1 or 3.
        quality: int (N,), 1..100.

    Returns:
        float32, same shape and device, in steps of 1/255.

    Raises:
        DataError: neither one channel nor three.
    """
    read = to_float(through_jpeg(to_bytes(images.detach()), quality.tolist()))
    return read + (images - images.detach()) if images.requires_grad else read


def _factor(magnitude: torch.Tensor) -> torch.Tensor:
    return (1 + 0.99 * (2 * magnitude - 1)).view(-1, 1, 1, 1)


def _moved(images: torch.Tensor, **entries: torch.Tensor) -> torch.Tensor:
    """The image seen through an affine map of [−1, 1]²; entries xx, xy, x, yx, yy, y that are left out are the
    identity's."""
    one, nothing = torch.ones(len(images), device=images.device), torch.zeros(len(images), device=images.device)
    names = ("xx", "xy", "x", "yx", "yy", "y")
    columns = [entries.get(name, one if name in ("xx", "yy") else nothing) for name in names]
    grid = F.affine_grid(torch.stack(columns, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
