"""Rows of image tiles with labels beside them: one picture per row, text as text, tiles that can be picked."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pages.frame.cache import cached
from pages.widgets.delivery import Part, declared, forget, pack, part
from ued_core.figures.roles import ROLES, role_of
from ued_core.figures.tiles import Images, strip


@dataclass(frozen=True)
class Picked:
    """The tile that was clicked just now: ``row`` and ``column``, from 0."""

    row: int
    column: int


@dataclass(frozen=True)
class Picture:
    """A row of tiles that was made before: its PNG, and how many tiles it has."""

    png: Part
    count: int


@dataclass(frozen=True)
class Live:
    """One row of tiles that follows a slider while it is dragged, computed in the browser.

    Attributes:
        row: place of the row that follows.
        source: place of the row that it is made of, or the picture of that row where it is not among them.
        slider: key of the slider.
        value: of the slider, for which the given picture of the row was made.
        operation: name, scale and settings, see :class:`ued_core.defenses.live.LiveOperation`.
        draws: its draws as bytes of float32, or None.
    """

    row: int
    source: int | Picture
    slider: str
    value: float
    operation: Mapping[str, Any]
    draws: Part | None


@cache
def _component() -> Any:
    return declared("ued_tile_rows", '<figure class="ued-tiles"></figure>', js="tile_rows.js")


def tile_rows(
    rows: Sequence[tuple[str, str, Images | Picture]],
    *,
    alt: str,
    key: str = "tiles",
    names: Sequence[str] = (),
    caption: str = "",
    clickable: bool = False,
    selected: Collection[int] = (),
    live: Live | None = None,
    above: bool = False,
    roles: Mapping[str, str] | None = None,
) -> Picked | None:
    """One labelled row of tiles for each entry, column by column comparable; bands of ten tiles, of five where the
    place is narrow.

    Args:
        rows: label, smaller second line (may be empty), and uint8 (N, C, H, W); or the
            :func:`picture` of them, where they stay while others change.
        alt: what the picture shows.
        key: unique on the page.
        names: one a column, written above.
        caption: below the tiles; ``**…**`` is bold.
        clickable: tiles are buttons; a click reruns the fragment or page around them.
        selected: columns that are marked.
        live: the row that follows a slider; None where none does.
        above: the labels stand above their rows, for few tiles in a narrow card.
        roles: label → role, for rows whose label is not a role's own name; a row with a role has its colour and mark.

    Returns:
        The tile that was clicked, in the run that the click caused; else ``None``.
    """
    pictures = [images if isinstance(images, Picture) else picture(images) for *_, images in rows]
    words = {
        "rows": [
            {"label": label, "more": more, "count": drawn.count, **_look((roles or {}).get(label) or role_of(label))}
            for (label, more, _), drawn in zip(rows, pictures, strict=True)
        ],
        "names": list(names),
        "alt": alt,
        "caption": caption,
        "clickable": clickable,
        "selected": sorted(selected),
        "above": above,
        "live": None
        if live is None
        else {
            "row": live.row,
            "source": live.source if isinstance(live.source, int) else len(rows),
            "draws": None if live.draws is None else len(rows) + isinstance(live.source, Picture),
            "slider": live.slider,
            "value": live.value,
            "operation": dict(live.operation),
        },
    }
    more: list[Part] = []
    if live is not None:
        more += [live.source.png] if isinstance(live.source, Picture) else []
        more += [live.draws] if live.draws is not None else []
    result = _component()(
        key=key,
        data=pack(key, words, [*(drawn.png for drawn in pictures), *more]),
        on_picked_change=_nothing,
        on_lost_change=lambda: forget(key),
    )
    picked = result.picked if clickable else None
    return Picked(int(picked["row"]), int(picked["column"])) if picked else None


@cached(max_entries=256)
def picture(images: Images) -> Picture:
    """A row of tiles: uint8 (N, C, H, W)."""
    return Picture(part(strip(images)), len(images))


def _look(role: str) -> dict[str, str]:
    return {"role": role, "mark": ROLES[role].mark} if role else {"role": "", "mark": ""}


def _nothing() -> None:
    """The component needs a callback to report a click; the page reads the returned one instead."""
