"""The colours of a decoded image as RGB on white."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ued_core.data.report import Unusable

if TYPE_CHECKING:
    from PIL import Image

WHITE = "transparency → white"

_NO_BRIGHTNESS = {
    "F": "floating-point pixels, whose white is unknown",
    "I": "32-bit pixels, whose white is unknown",
    "LAB": "CIE colours, which are not converted",
}


def to_rgb(image: Image.Image, raw_mode: str = "") -> tuple[Image.Image, tuple[str, ...]]:
    """RGB and the words for what was converted; no words for plain colour images.

    Args:
        image: decoded.
        raw_mode: how the file stored a pixel, as Pillow calls it (``L;4``, ``RGB;16B``): it gives the meaning
            of a transparent colour that the file names.

    Raises:
        Unusable: numbers whose brightness is unknown (floats, 32-bit integers, CIE colours).
    """
    from PIL import Image

    mode = image.mode
    if mode in _NO_BRIGHTNESS:
        raise Unusable(_NO_BRIGHTNESS[mode])
    deep = "16" in raw_mode or mode.startswith("I;16")
    clear = image.info.get("transparency")
    if mode.startswith("I;16") or mode in ("1", "L"):
        values = np.asarray(image)
        grey = (values // 257).astype(np.uint8) if mode.startswith("I;16") else np.asarray(image.convert("L"))
        notes: tuple[str, ...] = ("16-bit grey → RGB" if deep else "grey → RGB",)
        if isinstance(clear, int):
            grey = np.where(values == _stored(clear, raw_mode, mode), np.uint8(255), grey)
            notes = (*notes, WHITE)
        return Image.fromarray(grey).convert("RGB"), notes
    notes = ("16-bit colour → 8-bit",) if deep else ()
    if mode == "RGB" and isinstance(clear, tuple):
        image.info["transparency"] = tuple(part >> 8 for part in clear) if deep else clear
    if image.has_transparency_data:
        whole = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), whole).convert("RGB"), (*notes, WHITE)
    if mode == "P":
        return image.convert("RGB"), (*notes, "palette → RGB")
    return image.convert("RGB"), notes if mode == "RGB" else (*notes, f"{mode} → RGB")


def _stored(clear: int, raw_mode: str, mode: str) -> int | bool:
    """The transparent grey in the units of the decoded image: files of 1, 2 and 4 bits name it in theirs."""
    if mode == "1":
        return bool(clear)
    return clear * {"L;2": 85, "L;4": 17}.get(raw_mode, 1)
