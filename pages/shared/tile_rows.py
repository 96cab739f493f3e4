"""Rows of image tiles with labels beside them: one composited picture, text as text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import streamlit as st

from ued_core.figures.tiles import Images, comparison

GAP = 2
STYLE = """
<style>
.ued-tiles { display: grid; grid-template-columns: minmax(4.2rem, 8rem) minmax(0, 1fr); column-gap: .6rem; margin: 0; max-width: 62rem; }
.ued-tiles .names { grid-column: 2; display: grid; font-size: .8rem; text-align: center; opacity: .8; }
.ued-tiles .names span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ued-tiles .labels { display: flex; flex-direction: column; font-size: .88rem; line-height: 1.25; }
.ued-tiles .labels div { flex: 1 1 0; display: flex; flex-direction: column; justify-content: center; text-align: right; }
.ued-tiles .labels small { opacity: .75; }
.ued-tiles img { width: 100%; image-rendering: pixelated; display: block; }
</style>
"""


def tile_rows(rows: Sequence[tuple[str, str, Images]], *, alt: str, names: Sequence[str] = ()) -> None:
    """One labelled row of tiles for each entry, column by column comparable.

    Args:
        rows: label, smaller second line (may be empty), and uint8 (N, C, H, W).
        alt: what the picture shows.
        names: one a column, written above.
    """
    size = max(rows[0][2].shape[-2:])
    picture = comparison([images for _, _, images in rows], scale=max(1, round(32 / size)), gap=GAP)
    source = "data:image/png;base64," + base64.b64encode(picture).decode()
    above = "".join(f"<span>{escape(name)}</span>" for name in names)
    beside = "".join(f"<div>{escape(label)}<small>{escape(more)}</small></div>" for label, more, _ in rows)
    st.html(
        f'{STYLE}<figure class="ued-tiles">'
        + (f'<div class="names" style="grid-template-columns:repeat({len(names)},1fr)">{above}</div>' if names else "")
        + f'<div class="labels">{beside}</div><img src="{source}" alt="{escape(alt, quote=True)}"></figure>'
    )
