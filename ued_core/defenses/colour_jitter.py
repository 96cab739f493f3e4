"""Random brightness, contrast, saturation and hue, and random grey, of a whole batch at once."""

from __future__ import annotations

import torch

from ued_core.errors import DataError

LUMA = (0.299, 0.587, 0.114)
COLOURS = 3


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
    channels = _channels(images)
    n = len(images)

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


def random_grey(images: torch.Tensor, rng: torch.Generator, *, chance: float = 0.2) -> torch.Tensor:
    """Replace colour by brightness in some images; float (N, C, H, W) in [0, 1], C 1 or 3 → the same.

    Raises:
        DataError: neither one channel nor three.
    """
    _channels(images)
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


def luma(images: torch.Tensor) -> torch.Tensor:
    """Brightness, (N, 1, H, W): ITU-R 601; of one channel the channel itself."""
    if images.shape[1] == 1:
        return images
    return (images * torch.tensor(LUMA, device=images.device, dtype=images.dtype).view(1, COLOURS, 1, 1)).sum(
        1, keepdim=True
    )


def _channels(images: torch.Tensor) -> int:
    channels = images.shape[1]
    if channels not in (1, COLOURS):
        raise DataError(
            f"Images have {channels} channels, but colour jitter needs red, green and blue, or one channel."
        )
    return channels
