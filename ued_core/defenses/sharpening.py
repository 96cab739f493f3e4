"""Sharpening and frequency filtering, the countermeasure to class-wise blur."""

from __future__ import annotations

import functools
import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from ued_core.defenses.base import Defense
from ued_core.defenses.fixed import FixedTransform
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import to_bytes, to_float

Border = Literal["black", "reflect"]
SMALLEST = 3
# Row and column of the up, left, right and down neighbour in a 3×3 window.
NEIGHBOURS = ((0, 1), (1, 0), (1, 2), (2, 1))
_KEPT_HELP = (
    "Share of the lowest frequencies kept along each axis; the published 0.3 keeps 9 % of the coefficients, "
    "1 keeps all."
)
_BORDER_HELP = (
    "The outermost pixels have no neighbour: black, because the official code cuts them off and pads with zeros, or "
    "computed from a reflected border."
)


def sharpen(images: torch.Tensor, centre: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
    """centre · pixel − Σ neighbours, where all four neighbours are there; clipped to [0, 1].

    Args:
        images: float (N, C, H, W).
        centre: float (N,) or (1,).
        neighbours: float (N, 4) or (1, 4): how much of up, left, right and down is taken away.

    Returns:
        float (N, C, H−2, W−2).
    """
    height, width = images.shape[-2] - 2, images.shape[-1] - 2
    result = images[..., 1 : 1 + height, 1 : 1 + width] * centre.view(-1, 1, 1, 1)
    for k, (row, column) in enumerate(NEIGHBOURS):
        result.addcmul_(
            images[..., row : row + height, column : column + width], neighbours[:, k].view(-1, 1, 1, 1), value=-1
        )
    return result.clamp_(0, 1)


def kept_count(share: float, side: int) -> int:
    """How many of ``side`` frequencies ``share`` keeps: rounded down, at least one."""
    # 0.29 · 100 is 28.999… in floating point.
    return max(1, math.floor(share * side + 1e-9))


@functools.lru_cache(maxsize=64)
def low_pass_matrix(side: int, kept: int) -> torch.Tensor:
    """Projection of a line of pixels on its lowest frequencies of the orthonormal cosine transform (DCT-II).

    Returns:
        float64 (side, side), symmetric, equal to its square; the identity when ``kept`` is ``side``. Do not change it.
    """
    place = torch.arange(side, dtype=torch.float64) + 0.5
    waves = torch.cos(torch.pi / side * torch.arange(kept, dtype=torch.float64)[:, None] * place) * math.sqrt(2 / side)
    waves[0] /= math.sqrt(2)
    return waves.T @ waves


def low_pass(images: torch.Tensor, share: float) -> torch.Tensor:
    """Keep the lowest frequencies along both axes, then clip to [0, 1].

    Args:
        images: float (N, C, H, W).
        share: share of the frequencies kept along each axis, above 0, at most 1.
    """
    height, width = images.shape[-2:]
    left, right = (low_pass_matrix(side, kept_count(share, side)).to(images) for side in (height, width))
    return (left @ images @ right).clamp_(0, 1)


def sharpen_and_filter(
    images: torch.Tensor, centre: torch.Tensor, neighbours: torch.Tensor, share: float, border: Border
) -> torch.Tensor:
    """Sharpen, then filter; the result has the size of the images.

    Args:
        images: float (N, C, H, W) in [0, 1].
        centre, neighbours: as in :func:`sharpen`.
        share: as in :func:`low_pass`.
        border: ``black`` works on the inner (H−2)×(W−2) pixels and puts a black frame around them;
            ``reflect`` computes all pixels.

    Raises:
        DataError: the images are smaller than the kernel.
    """
    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST:
        raise DataError(f"Images are {height}×{width}, but sharpening needs at least {SMALLEST}×{SMALLEST} pixels.")
    if border == "reflect":
        images = F.pad(images, (1, 1, 1, 1), mode="reflect")
    sharp = low_pass(sharpen(images, centre, neighbours), share)
    return F.pad(sharp, (1, 1, 1, 1)) if border == "black" else sharp


class FixedSharpening(FixedTransform):
    """Sharpens every image with one fixed kernel and keeps the low frequencies (SSK + FF).

    The kernel has the centre c and −(c−1)/4 at the four direct neighbours, so plain areas stay and
    edges become steeper: it undoes part of a blur. The filter then drops what sharpening blew up.

    Source:
        Learning from Convolution-based Unlearnable Datasets, arXiv 2411.01742: c = 2.5, 30 % of the frequencies of each
        axis.

    Differs:
        The official code lets images shrink by two pixels and fills up in the random crop; here they keep
        their size with a black frame (or a reflected border). The result is stored with 8 bits.
    """

    key: ClassVar[str] = "ssk"
    title: ClassVar[str] = "SSK + FF (fixed sharpening)"

    centre: float = param(
        2.5, "Centre c of the kernel; the neighbours get −(c−1)/4. 1 changes nothing.", ge=1.0, le=6.0, step=0.1
    )
    kept: float = param(0.3, _KEPT_HELP, label="frequencies kept", ge=0.05, le=1.0, step=0.05)
    border: Border = param("black", _BORDER_HELP)

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        centre = torch.full((1,), self.centre, device=images.device)
        neighbours = torch.full((1, 4), (self.centre - 1) / 4, device=images.device)
        return to_bytes(sharpen_and_filter(to_float(images), centre, neighbours, self.kept, self.border))


def draw_sharpening(
    count: int, centre: float, spread: float, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """One random sharpening kernel per image.

    Args:
        count: number of images.
        centre: mean of the kernel's centre.
        spread: standard deviation of the centre, and of each neighbour around (centre−1)/4.
        rng: generator; the kernels live on its device.

    Returns:
        The centres, float32 (count,), and what is taken of each neighbour, float32 (count, 4).
    """
    centres = torch.empty(count, device=rng.device).normal_(0, 1, generator=rng).mul_(spread).add_(centre)
    neighbours = torch.empty((count, 4), device=rng.device).normal_(0, 1, generator=rng).mul_(spread)
    return centres, neighbours.add_((centres[:, None] - 1) / 4)


class RandomSharpening(Defense):
    """Sharpens with a kernel drawn anew for every image and epoch, and keeps the low frequencies (RSK + FF).

    The centre is normal around 2.5; each of the four neighbours is normal around −(centre−1)/4, on
    its own, so the sum is 1 only on average and the brightness changes a little from image to image.

    Source:
        Learning from Convolution-based Unlearnable Datasets, arXiv 2411.01742: N(2.5, 0.1²) and N((centre−1)/4, 0.1²).

    Differs:
        It acts after random crop and flip instead of before them. Images keep their size with a black frame
        (or a reflected border), where the official code shrinks them by two pixels and fills up in the crop.
    """

    key: ClassVar[str] = "rsk"
    title: ClassVar[str] = "RSK + FF (random sharpening)"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    centre: float = param(2.5, "Mean of the kernel's centre.", ge=1.0, le=6.0, step=0.1)
    spread: float = param(
        0.1, "Standard deviation of the centre and of every neighbour; 0 is SSK.", ge=0.0, le=1.0, step=0.05
    )
    kept: float = param(0.3, _KEPT_HELP, label="frequencies kept", ge=0.05, le=1.0, step=0.05)
    border: Border = param("black", _BORDER_HELP)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        centres, neighbours = draw_sharpening(len(images), self.centre, self.spread, rng)
        return sharpen_and_filter(images, centres, neighbours, self.kept, self.border)


class FrequencyFilter(FixedTransform):
    """Keeps only the low frequencies of every image (FF alone).

    The part of SSK and RSK that is not sharpening: a cosine transform of the whole image, of which a
    square of low frequencies stays.

    Source:
        The frequency filter of arXiv 2411.01742, 30 % of the frequencies of each axis, without its sharpening.

    Differs:
        The official code filters the inner pixels that sharpening leaves; here all of them. Stored with 8 bits.
    """

    key: ClassVar[str] = "frequency_filter"
    title: ClassVar[str] = "Frequency filter (FF)"

    kept: float = param(0.3, _KEPT_HELP, label="frequencies kept", ge=0.05, le=1.0, step=0.05)

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        return to_bytes(low_pass(to_float(images), self.kept))
