"""Shares as bars that follow a slider while it is dragged."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from pages.widgets.delivery import declared, forget, pack


class Meter(NamedTuple):
    """One bar.

    Attributes:
        label: what it is, in bold.
        words: what it counts.
        role: ``poisoned`` or ``clean``, for its colour.
        values: the share at each measured value of the slider, 0..1.
    """

    label: str
    words: str
    role: str
    values: tuple[float, ...]


@cache
def _component() -> Any:
    frame = '<figure class="ued-meters"><div class="rows"></div><figcaption></figcaption></figure>'
    return declared("ued_meters", frame, js="meters.js")


def meters(bars: Sequence[Meter], at: Sequence[float], value: float, *, key: str, slider: str, note: str = "") -> None:
    """Draw the bars; between two measured values they lie on the straight line.

    Args:
        bars: in their order.
        at: values of the slider at which the shares were measured, rising; none while they are being measured.
        value: of the slider now.
        key: unique on the page.
        slider: key of the slider.
        note: below the bars.
    """
    words = {
        "meters": [bar._asdict() for bar in bars],
        "at": list(at),
        "value": value,
        "slider": slider,
        "note": note,
    }
    _component()(key=key, data=pack(key, words, []), on_lost_change=lambda: forget(key))
