"""Image shortcut squeezing: greyscale, JPEG, fewer bits."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import torch

from ued_core.compiled import in_threads
from ued_core.defenses.fixed import FixedTransform
from ued_core.defenses.live import LiveOperation
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import LUMA

COLOURS = 3
# As Pillow has them, in 1/65536; they sum to 65536.
WHOLE_LUMA = tuple(round(65536 * share) for share in LUMA)
BITS = 8


def through_jpeg(images: torch.Tensor, quality: Sequence[int], subsampling: str = "4:2:0") -> torch.Tensor:
    """Each image encoded as a JPEG file and read back.

    Args:
        images: uint8 (N, C, H, W), C 1 or 3, on any device.
        quality: N whole numbers, 1..100.
        subsampling: of the colours, as Pillow names it.

    Returns:
        uint8, same shape and device.

    Raises:
        DataError: neither one channel nor three.
    """
    from PIL import Image

    channels = images.shape[1]
    if channels not in (1, COLOURS):
        raise DataError(f"Images have {channels} channels, but JPEG files here hold one or three.")
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    result = np.empty_like(pixels)

    def part(start: int, stop: int) -> None:
        for n in range(start, stop):
            image = Image.fromarray(pixels[n, :, :, 0] if channels == 1 else pixels[n])
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality[n], subsampling=subsampling)
            result[n] = np.asarray(Image.open(file)).reshape(result[n].shape)

    in_threads(part, len(pixels))
    return torch.from_numpy(result).permute(0, 3, 1, 2).to(images.device)


class Greyscale(FixedTransform):
    """Replaces colour by brightness, the same in all three channels.

    What an attack writes into the differences between colours is gone; what it writes into
    brightness stays. Images with one channel are grey already and stay as they are.

    Source:
        Image Shortcut Squeezing (ISS), arXiv 2301.13838: ITU-R 601 luma, 0.299 R + 0.587 G + 0.114 B.

    Differs:
        Only the training images become grey; the official code can treat test images too.
    """

    key: ClassVar[str] = "greyscale"
    title: ClassVar[str] = "Greyscale"

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        channels = images.shape[1]
        if channels == 1:
            return images
        if channels != COLOURS:
            raise DataError(
                f"Images have {channels} channels, but greyscale needs red, green and blue, or one channel."
            )
        weights = torch.tensor(WHOLE_LUMA, dtype=torch.int32, device=images.device).view(1, COLOURS, 1, 1)
        # Whole numbers with half a level added, as Pillow rounds.
        grey = (images.to(torch.int32).mul_(weights).sum(1, keepdim=True, dtype=torch.int32) + (1 << 15)) >> 16
        return grey.to(torch.uint8).expand(-1, COLOURS, -1, -1)


class Jpeg(FixedTransform):
    """Stores every image as a JPEG file of low quality and reads it back.

    JPEG keeps what eyes see and drops fine patterns, and with them much of a bounded noise. At
    quality 10 most coefficients of an 8×8 block are rounded to zero.

    Source:
        Image Shortcut Squeezing (ISS), arXiv 2301.13838: quality 10, colours at half the resolution (4:2:0).

    Differs:
        Every image is encoded once before training instead of anew in every epoch; the result is the same,
        because encoding has no draws.
    """

    key: ClassVar[str] = "jpeg"
    title: ClassVar[str] = "JPEG"

    quality: int = param(
        10, "Quality of the file, 1 to 100. The paper uses 10; photos are usually stored with 75 to 95.", ge=1, le=100
    )
    subsampling: Literal["4:2:0", "4:4:4"] = param(
        "4:2:0", "Colour at half the resolution (4:2:0, the usual rule), or at full resolution (4:4:4)."
    )

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        return through_jpeg(images, [self.quality] * len(images), self.subsampling)


class BitDepth(FixedTransform):
    """Keeps only the top bits of every value, so that few levels are left.

    A noise smaller than the distance of two levels survives only where it crosses a border
    between them. With 2 bits the levels are 0, 64, 128 and 192 of 255.

    Source:
        Image Shortcut Squeezing (ISS), arXiv 2301.13838: 2 bits, the others set to zero.

    Differs:
        "Unbiased" (ours) puts each level into the middle of its bin. As published, images become darker, by
        31.5 levels of 255 on average with 2 bits; test images do not, and that alone costs accuracy.
    """

    key: ClassVar[str] = "bit_depth"
    title: ClassVar[str] = "Bit depth"

    bits: int = param(2, "Bits kept of the 8; 2 bits leave 4 levels a channel.", ge=1, le=7)
    unbiased: bool = param(
        False, "Levels in the middle of their bins, which keeps the mean brightness; off as published."
    )

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        bin_width = 1 << (BITS - self.bits)
        return (images & (0x100 - bin_width)) + (bin_width // 2 if self.unbiased else 0)

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        return LiveOperation("bits", "bits", settings={"unbiased": self.unbiased})
