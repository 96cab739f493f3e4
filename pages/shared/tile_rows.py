"""Rows of image tiles with labels beside them: one picture a row, text as text, tiles that can be picked."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from pages.shared.cache import cached
from ued_core.figures.tiles import Images, strip

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picked:
    """The tile that was clicked just now: ``row`` and ``column``, from 0."""

    row: int
    column: int


@cache
def _component() -> Any:
    return st.components.v2.component(
        "ued_tile_rows",
        html='<figure class="ued-tiles"></figure>',
        css=(HERE / "tile_rows.css").read_text("utf-8"),
        js=(HERE / "tile_rows.js").read_text("utf-8"),
        isolate_styles=False,
    )


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
    result = _component()(
        key=key,
        data={
            "rows": [
                {"label": label, "more": more, "source": _source(_array(images)), "count": len(images)}
                for label, more, images in rows
            ],
            "names": list(names),
            "alt": alt,
            "caption": caption,
            "clickable": clickable,
            "selected": sorted(selected),
        },
        on_picked_change=_nothing,
    )
    picked = result.picked if clickable else None
    return Picked(int(picked["row"]), int(picked["column"])) if picked else None


def _array(images: Images) -> np.ndarray:
    return images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else images


@cached(max_entries=256)
def _source(images: np.ndarray) -> str:
    return base64.b64encode(strip(images)).decode()


def _nothing() -> None:
    """The component needs a callback to report a click; the page reads the returned one instead."""
