"""One image file of a user: what it is, and its pixels at the wanted size."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_PIXELS = 50_000_000
"""Larger images are skipped before they are decoded: they would take over 200 MB each."""

_FORMATS = ("PNG", "JPEG", "WEBP")
_NAMED = 3


class Unusable(Exception):
    """Why one image file is skipped; never leaves this package."""


class Report:
    """Counts what was skipped or converted and keeps the first names of each kind."""

    def __init__(self) -> None:
        self._skipped: dict[str, list[str]] = defaultdict(list)
        self._converted: Counter[str] = Counter()

    def skip(self, name: str, reason: str) -> None:
        """Note that ``name`` was skipped."""
        self._skipped[reason].append(name)

    def convert(self, what: str) -> None:
        """Note that one image was converted."""
        self._converted[what] += 1

    def lines(self) -> tuple[str, ...]:
        """One line a reason, with a count and examples, then one a conversion."""
        skipped = []
        for reason, names in self._skipped.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            skipped.append(f"Skipped {len(names)}: {reason} ({', '.join(names[:_NAMED])}{more}).")
        return (*skipped, *(f"Converted {count}: {what}." for what, count in self._converted.items()))


def is_image_name(name: str) -> bool:
    """Whether the file name is one of a PNG, JPEG or WebP image."""
    return name.lower().endswith(SUFFIXES)


def check_header(path: Path) -> None:
    """Read only the header of an image file.

    Raises:
        Unusable: it is no PNG, JPEG or WebP, or it is too large to decode.
    """
    _open(path).close()


def read_square(path: Path, size: int, report: Report) -> np.ndarray:
    """The centre of an image as RGB.

    The image is turned as its camera tag says, cut to the largest centred square and
    resized with antialiasing. Of an animation the first frame is taken; transparent parts
    are laid on white; 16-bit grey is scaled to 8 bits.

    Args:
        path: PNG, JPEG or WebP file.
        size: side of the result, in pixels.
        report: told of conversions.

    Returns:
        uint8 (3, size, size).

    Raises:
        Unusable: the file cannot be decoded or is too large.
    """
    from PIL import Image, ImageOps

    with _open(path) as image:
        try:
            animated = getattr(image, "n_frames", 1) > 1
            turned = ImageOps.exif_transpose(image)
            rgb, conversion = _to_rgb(turned)
            side = min(rgb.size)
            left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
            centre = rgb.crop((left, top, left + side, top + side))
            small = centre.resize((size, size), Image.Resampling.BICUBIC)
            pixels = np.asarray(small).transpose(2, 0, 1)
        except Exception as error:
            # Decoders raise almost anything on damaged files; whatever it is, this one file is at fault.
            raise Unusable("damaged, cannot be decoded") from error
    if animated:
        report.convert("animation → first frame")
    if conversion:
        report.convert(conversion)
    return pixels


def _open(path: Path) -> Image.Image:
    from PIL import Image

    try:
        image = Image.open(path, formats=_FORMATS)
    except Image.DecompressionBombError:
        raise Unusable(f"more than {MAX_PIXELS // 1_000_000} megapixels") from None
    except Exception as error:
        raise Unusable("no PNG, JPEG or WebP inside, or a damaged header") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise Unusable(f"more than {MAX_PIXELS // 1_000_000} megapixels")
    return image


def _to_rgb(image: Image.Image) -> tuple[Image.Image, str]:
    """RGB and the words for what was converted; no words for plain colour images."""
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) // 257).astype(np.uint8)).convert("RGB"), (
            "16-bit grey → RGB"
        )
    if image.mode in ("1", "L"):
        return image.convert("RGB"), "grey → RGB"
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"), "transparency → white"
    if image.mode == "P":
        return image.convert("RGB"), "palette → RGB"
    return image.convert("RGB"), "" if image.mode == "RGB" else f"{image.mode} → RGB"
