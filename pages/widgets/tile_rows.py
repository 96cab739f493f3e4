"""Rows of image tiles with labels beside them: one picture per row, text as text, tiles that can be picked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from pages.frame.cache import cached
from pages.widgets.delivery import Part, declared, forget, pack, part
from ued_core.figures.tiles import Images, strip


@dataclass(frozen=True)
class Picked:
    """The tile that was clicked just now: ``row`` and ``column``, from 0."""

    row: int
    column: int


@cache
def _component() -> Any:
    return declared("ued_tile_rows", '<figure class="ued-tiles"></figure>', js="tile_rows.js", css="tile_rows.css")


def tile_rows(
    rows: Sequence[tuple[str, str, Images]],
    *,
    alt: str,
    key: str = "tiles",
    names: Sequence[str] = (),
    caption: str = "",
    clickable: bool = False,
    selected: Collection[int] = (),
) -> Picked | None:
    """One labelled row of tiles for each entry, column by column comparable.

    Args:
        rows: label, smaller second line (may be empty), and uint8 (N, C, H, W).
        alt: what the picture shows.
        key: unique on the page.
        names: one a column, written above.
        caption: below the tiles; ``**…**`` is bold.
        clickable: tiles are buttons; a click reruns the fragment or page around them.
        selected: columns that are marked.

    Returns:
        The tile that was clicked, in the run that the click caused; else ``None``.
    """
    words = {
        "rows": [{"label": label, "more": more, "count": len(images)} for label, more, images in rows],
        "names": list(names),
        "alt": alt,
        "caption": caption,
        "clickable": clickable,
        "selected": sorted(selected),
    }
    result = _component()(
        key=key,
        data=pack(key, words, [_picture(_array(images)) for *_, images in rows]),
        on_picked_change=_nothing,
        on_lost_change=lambda: forget(key),
    )
    picked = result.picked if clickable else None
    return Picked(int(picked["row"]), int(picked["column"])) if picked else None


def _array(images: Images) -> np.ndarray:
    return images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images


@cached(max_entries=256)
def _picture(images: np.ndarray) -> Part:
    return part(strip(images))


def _nothing() -> None:
    """The component needs a callback to report a click; the page reads the returned one instead."""
