"""One image before and after, with a cut between them that a mouse, a finger or the arrow keys move."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

import numpy as np

from pages.frame.cache import cached
from pages.widgets.delivery import declared
from ued_core.errors import DataError
from ued_core.figures.tiles import strip

FRAME = (
    '<figure class="ued-compare" style="--cut:50%"><div class="stage"><img class="after" alt=""><img '
    'class="before" alt="">'
    '<div class="edge"></div></div><div class="ends"><span class="first"></span><span class="second"></span></div>'
    '<input type="range" min="0" max="100" step="1" value="50"><figcaption></figcaption></figure>'
)


@cache
def _component() -> Any:
    return declared("ued_compare_slider", FRAME, js="compare_slider.js")


def compare_slider(
    before: np.ndarray, after: np.ndarray, *, key: str, alt: str, labels: tuple[str, str], caption: str = ""
) -> None:
    """Show two versions of an image over each other; moving the cut runs nothing on the server.

    Args:
        before, after: uint8 (C, H, W), C = 1 or 3; enlarged without smoothing.
        key: unique on the page.
        alt: what the two pictures show.
        labels: names of the left and of the right version.
        caption: below the slider.

    Raises:
        DataError: the two differ in shape.
    """
    if before.shape != after.shape:
        raise DataError(f"Two versions of an image must have one shape, not {before.shape} and {after.shape}.")
    _component()(
        key=key,
        data={
            "before": _source(before),
            "after": _source(after),
            "alt": alt,
            "labels": list(labels),
            "caption": caption,
        },
    )


@cached(max_entries=64)
def _source(image: np.ndarray) -> str:
    return "data:image/png;base64," + base64.b64encode(strip(image[None])).decode()
