"""A film of features over the epochs of a run: everything is sent once, the browser does the moving.

One rerun of the page a frame would never be fluid; here a point's places in all epochs are two
bytes a coordinate, and the browser draws what lies between two epochs.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np

from pages.widgets.delivery import declared
from ued_core.errors import DataError
from ued_core.figures.layouts import PointColours

FRAME = (
    '<figure class="ued-film" tabindex="-1"><div class="head"><span class="question"></span><span '
    'class="formula"></span></div>'
    '<div class="stage"><div class="left"><canvas role="img"></canvas><div class="legend"></div></div><div '
    'class="right"></div></div>'
    '<div class="bar"><button type="button" class="play"></button><input type="range" min="0" step="any" '
    'aria-label="Epoch">'
    '<output></output><label class="pace">speed <select><option value="0.5">½ ×</option><option value="1" selected>1 '
    "×</option>"
    '<option value="2">2 ×</option><option value="4">4 ×</option></select></label>'
    '<span class="keep"></span></div><figcaption></figcaption></figure>'
)
LARGEST = 32767


@dataclass(frozen=True)
class Line:
    """A curve over epochs.

    Attributes:
        name: in the legend.
        colour: CSS.
        dash: as SVG's ``stroke-dasharray``; empty for a solid line.
        x: epochs, rising.
        y: values.
    """

    name: str
    colour: str
    dash: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Strip:
    """A small chart beside the film, with a cursor in step.

    Attributes:
        title: what is drawn, with its unit.
        unit: after a value, e.g. `` %``.
        digits: behind the point.
        low, high: of the axis.
        lines: what is drawn.
    """

    title: str
    unit: str
    digits: int
    low: float
    high: float
    lines: tuple[Line, ...]


@cache
def _component() -> Any:
    return declared("ued_epoch_player", FRAME, js="epoch_player.js")


def epoch_player(
    points: np.ndarray,
    epochs: Sequence[int],
    colours: PointColours,
    copies: Sequence[tuple[str, str]],
    strips: Sequence[Strip],
    *,
    key: str,
    alt: str,
    question: str = "",
    formula: str = "",
    caption: str = "",
    joined: bool = False,
    marked: Sequence[int] = (),
    height: int = 430,
    filename: str = "film",
) -> None:
    """Show the film; the picture can be kept as PNG or SVG, places and curves of all epochs as CSV.

    Args:
        points: float (E, G·N, 2): G copies of N images, copy after copy.
        epochs: the E epochs, rising.
        colours: index (G·N,) or (E, G·N) when colours change over the epochs.
        copies: name and symbol (``circle``, ``x``, ``diamond``, ``square``) of each copy.
        strips: charts beside it, one below the other.
        key: unique on the page.
        alt: what the film shows.
        question, formula, caption: as in :func:`pages.widgets.live_chart.live_chart`.
        joined: join the copies of every image.
        marked: places 0..N-1 of images that are ringed and joined.
        height: of the picture, in CSS pixels.
        filename: of downloads, without ending.
    """
    _component()(
        key=key,
        data={
            **packed(points, colours),
            "epochs": [int(epoch) for epoch in epochs],
            "copies": [{"name": name, "symbol": symbol} for name, symbol in copies],
            "strips": [asdict(strip) for strip in strips],
            "alt": alt,
            "question": question,
            "formula": formula,
            "caption": caption,
            "joined": joined,
            "marked": [int(place) for place in marked],
            "height": height,
            "filename": filename,
        },
    )


def packed(points: np.ndarray, colours: PointColours) -> dict[str, Any]:
    """The film as the browser takes it: ``points`` (int16, little-endian, times ``unit``) and ``colours`` (uint8) in
    base64.

    Raises:
        DataError: shapes that do not belong together, or points that are not finite.
    """
    if points.ndim != 3 or points.shape[2] != 2 or colours.index.shape not in (points.shape[:2], points.shape[1:2]):
        raise DataError(
            f"A film needs points (E, M, 2) and colours (E, M) or (M,), not {points.shape} and {colours.index.shape}."
        )
    if not np.isfinite(points).all():
        raise DataError("The film holds points that are not finite.")
    centred = points - (points.max(axis=(0, 1)) + points.min(axis=(0, 1))) / 2
    reach = max(float(np.abs(centred).max()), 1e-12)
    return {
        "points": _base64(np.rint(centred * (LARGEST / reach)).astype("<i2")),
        "unit": reach / LARGEST,
        "size": int(points.shape[1]),
        "colours": _base64(colours.index.astype(np.uint8)),
        "palette": list(colours.palette),
        "legend": [list(entry) for entry in colours.legend],
    }


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
