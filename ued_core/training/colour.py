"""Colours of whole batches, changed at random: brightness, contrast, saturation, hue, and grey.

There are two jitters, because results depend on which one drew them. :func:`jitter`, which defences use, turns the hue
in the hexcone model (:func:`turn_hue`): value and saturation stay. :func:`jitter_by_rotation`, which the views of
SimCLR use, rotates RGB about the grey axis (:func:`hue_rotation`): the sum of the channels stays. They also draw in
another order. Brightness (:func:`luma`), contrast, saturation and grey are the same in both.
"""

from __future__ import annotations

import math

import torch

from ued_core.errors import DataError
from ued_core.records import LUMA

COLOURS = 3
JITTERED = 0.8
"""Share of the images whose colours :func:`jitter_by_rotation` changes."""


def jitter(
    images: torch.Tensor,
    rng: torch.Generator,
    *,
    chance: float = 0.8,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> torch.Tensor:
    """Change the colours of some images, each by its own draws, in the order of the arguments.

    Images with one channel have no saturation and no hue; brightness and contrast act alone.

    Args:
        images: float (N, C, H, W) in [0, 1], C 1 or 3; not changed.
        rng: generator on the same device.
        chance: of each image to be changed at all.
        brightness, contrast, saturation: the factor is drawn from 1 − x to 1 + x: on the values, on their distance
            to the image's mean brightness, on their distance to the pixel's own brightness.
        hue: the turn is drawn from −x to x of the colour circle.

    Returns:
        Float, same shape, in [0, 1].

    Raises:
        DataError: neither one channel nor three.
    """
    channels, n = images.shape[1], len(images)
    if channels not in (1, COLOURS):
        raise DataError(
            f"Images have {channels} channels, but colour jitter needs red, green and blue, or one channel."
        )

    def drawn(reach: float) -> torch.Tensor:
        return (torch.rand(n, 1, 1, 1, generator=rng, device=images.device) * 2 - 1) * reach

    # All draws come first and always, so that what an image gets does not depend on its channels.
    picked = torch.rand(n, 1, 1, 1, generator=rng, device=images.device) < chance
    factors = [1 + drawn(reach) for reach in (brightness, contrast, saturation)]
    turn = drawn(hue)
    changed = (images * factors[0]).clamp(0, 1)
    middle = luma(changed).mean((2, 3), keepdim=True)
    changed = (middle + (changed - middle) * factors[1]).clamp(0, 1)
    if channels == COLOURS:
        grey = luma(changed)
        changed = (grey + (changed - grey) * factors[2]).clamp(0, 1)
        changed = turn_hue(changed, turn)
    return torch.where(picked, changed, images)


def jitter_by_rotation(images: torch.Tensor, rng: torch.Generator, strength: float) -> torch.Tensor:
    """Brightness, contrast, and of RGB images saturation and hue of most images changed at random.

    Args:
        images: float (N, C, H, W) in [0, 1].
        rng: generator on the images' device.
        strength: factors come from 1 ± 0.8 · strength, turns of the hue from ± 0.2 · strength.
    """
    count = len(images)
    draws = 2 * torch.rand(5, count, 1, 1, 1, generator=rng, device=images.device) - 1
    bright, contrast, saturation = (1 + 0.8 * strength * draws[:3]).clamp(min=0)
    made = (images * bright).clamp(0, 1)
    mean = luma(made).mean((1, 2, 3), keepdim=True)
    made = (mean + contrast * (made - mean)).clamp(0, 1)
    if images.shape[1] == COLOURS:
        grey = luma(made)
        made = (grey + saturation * (made - grey)).clamp(0, 1)
        turns = hue_rotation(0.2 * strength * draws[3, :, 0, 0, 0])
        made = torch.einsum("nij,njhw->nihw", turns, made).clamp(0, 1)
    chosen = (draws[4] + 1) / 2 < JITTERED
    return torch.where(chosen, made, images)


def random_grey(images: torch.Tensor, rng: torch.Generator, *, chance: float = 0.2) -> torch.Tensor:
    """Replace colour by brightness (:func:`luma`) in some images; float (N, C, H, W) in [0, 1] → the same."""
    picked = torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) < chance
    return torch.where(picked, luma(images).clamp(0, 1), images)


def turn_hue(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Turn every pixel's hue in the hexcone model; value and saturation stay.

    Args:
        images: float (N, 3, H, W) in [0, 1].
        turn: float (N, 1, 1, 1), share of the colour circle.
    """
    top, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    spread = top - low
    red, green, blue = images.split(1, dim=1)
    safe = spread.clamp(min=1e-12)
    sixth = torch.where(
        top == red,
        ((green - blue) / safe) % 6,
        torch.where(top == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    sixth = (sixth + 6 * turn) % 6
    # Each channel is a trapezium over the circle: full near its own hue, nothing on the far side.
    channels = [((sixth - away) % 6 - 3).abs().sub(1).clamp(0, 1) for away in (0.0, 2.0, 4.0)]
    return torch.cat([low + spread * share for share in channels], dim=1)


def hue_rotation(turns: torch.Tensor) -> torch.Tensor:
    """Rotations of RGB about the grey axis; float (N,), in whole turns → float (N, 3, 3). Greys stay."""
    angle = (2 * math.pi * turns).view(-1, 1, 1)
    third = torch.full((3, 3), 1 / 3, device=turns.device)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turns.device) / math.sqrt(3)
    return third + angle.cos() * (torch.eye(3, device=turns.device) - third) + angle.sin() * cross


def luma(images: torch.Tensor) -> torch.Tensor:
    """Brightness, float (N, C, H, W) → (N, 1, H, W): ITU-R 601 of three channels, the mean of any other number."""
    if images.shape[1] != COLOURS:
        return images.mean(1, keepdim=True)
    weights = torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, COLOURS, 1, 1)
    return (images * weights).sum(1, keepdim=True)
