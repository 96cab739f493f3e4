"""What was measured along a slider, over the slider: it says which way is good, and moves with the finger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import streamlit as st

from pages.widgets.controls import decimals, natural_step
from pages.widgets.delivery import declared, forget, pack
from ued_core.params import Parameter

FRAME = (
    '<figure class="ued-hill"><div class="start"><span class="label"></span><span class="value"></span></div>'
    '<svg role="img" height="64"></svg><div class="end"><span class="of"></span><span class="level"></span>'
    '<span class="how"></span><span class="verdict"></span></div><figcaption class="note"></figcaption></figure>'
)
INSET = 8
"""Half of the width of a slider's thumb, in CSS pixels: so far inside the track its ends are."""
PINNED, IN_CARD = "hill_controls", "hill_card"
"""Keys of the containers in which the slider stands under its hill; the page's style sheet knows them."""


@cache
def _component() -> Any:
    return declared("ued_hill", FRAME, js="hill.js")


def hill(
    parameter: Parameter,
    value: float,
    points: Mapping[float, Sequence[float]],
    *,
    key: str,
    slider: str,
    guess: float,
    label: str,
    of: str,
    missing: str,
    note: str = "",
) -> None:
    """Draw the accuracy of trained models over a slider's values, and both numbers beside it.

    Args:
        parameter: that the slider sets; a number with a least and a largest value.
        value: of the slider now.
        points: value of the parameter → accuracy of the models trained with it, 0..1.
        key: unique on the page.
        slider: key of the slider that is followed while it is dragged.
        guess: accuracy of guessing, 0..1.
        label: what the slider does, a few words.
        of: which accuracy, a few words.
        missing: said in place of a number where nothing was measured.
        note: one line below.
    """
    step = float(parameter.step or natural_step(parameter))
    words = {
        "slider": slider,
        "value": value,
        "low": parameter.minimum,
        "high": parameter.maximum,
        "step": step,
        "digits": decimals(step),
        "symbol": parameter.label.split()[-1],
        "unit": parameter.unit,
        "points": [[at, list(accuracies)] for at, accuracies in sorted(points.items())],
        "guess": guess,
        "label": label,
        "of": of,
        "missing": missing,
        "note": note,
        "inset": INSET,
    }
    _component()(key=key, data=pack(key, words, []), on_lost_change=lambda: forget(key))


def slider_under_hill(*, pinned: bool = True) -> Any:
    """The container for a hill and its slider.

    Args:
        pinned: keep both in sight while the page is scrolled, in a box of their own; otherwise they are part of a card.
    """
    return st.container(key=PINNED, border=True) if pinned else st.container(key=IN_CARD)
