"""The shape of a curve in words: where it falls and by how much, so that what is said beside a chart is what it
shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-9
"""Changes below this share of the largest value are those of floating point and count as none."""
MOST_PLACES = 6
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Fall:
    """A stretch on which a curve falls, from its top to the next bottom.

    Attributes:
        start, stop: places of top and bottom.
        amount: top less bottom, positive.
        share: the amount as a share of the top; infinite where the top is not positive.
    """

    start: float
    stop: float
    amount: float
    share: float


def falls(places: Sequence[float] | np.ndarray, values: Sequence[float] | np.ndarray) -> tuple[Fall, ...]:
    """Every stretch on which the values fall, from left to right.

    Args:
        places: float (S,), rising.
        values: float (S,), finite.
    """
    x, y = np.asarray(places, dtype=np.float64), np.asarray(values, dtype=np.float64)
    steps = _steps(y)
    found, top = [], None
    for i, step in enumerate([*steps, 1]):
        if step < 0 and top is None:
            top = i
        elif step >= 0 and top is not None and (step > 0 or i == len(steps)):
            bottom = top + int(y[top : i + 1].argmin())
            amount = float(y[top] - y[bottom])
            found.append(
                Fall(float(x[top]), float(x[bottom]), amount, amount / float(y[top]) if y[top] > 0 else float("inf"))
            )
            top = None
    return tuple(found)


def _steps(values: np.ndarray) -> np.ndarray:
    """Differences of neighbours, those of rounding as 0."""
    change = np.diff(values)
    return np.where(np.abs(change) <= ROUNDING * np.abs(values).max(initial=0.0), 0.0, change)


def shape_words(
    name: str,
    places: Sequence[float] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    *,
    along: str = "α",
    relative: bool = False,
) -> str:
    """From where to where a curve goes, and every fall on the way, as one sentence.

    Args:
        name: of the curve; the sentence begins with it.
        places: float (S,), rising, S ≥ 2.
        values: float (S,), finite.
        along: symbol of the places.
        relative: give the size of the falls in per cent of the height from which the curve falls, not in its own unit.
    """
    x, y = np.asarray(places, dtype=np.float64), np.asarray(values, dtype=np.float64)
    first, last = (f"{number(v)} at {along} = {number(p)}" for v, p in ((y[0], x[0]), (y[-1], x[-1])))
    steps, found = _steps(y), falls(x, y)
    if not steps.any():
        return f"{name} is {number(y[0])} for every {along} from {number(x[0])} to {number(x[-1])}."
    if not found:
        return f"{name} goes from {first} to {last} and never falls."
    if not (steps > 0).any():
        return f"{name} falls from {first} to {last} and never rises."
    sizes = [100 * f.share if relative else f.amount for f in found]
    unit = " %" if relative else ""
    low, high = number(min(sizes), 2), number(max(sizes), 2)
    by = f"{low}{unit}" if low == high else f"{low} to {high}{unit}"
    where = [f"from {number(f.start)} to {number(f.stop)}" for f in found[:MOST_PLACES]]
    listed = where[0] if len(where) == 1 else ", ".join(where[:-1]) + f" and {where[-1]}"
    more = " and later" if len(found) > MOST_PLACES else ""
    times = "once" if len(found) == 1 else "twice" if len(found) == 2 else f"{len(found)} times"
    return f"{name} goes from {first} to {last} and falls on the way, {times}, by {by} ({along} {listed}{more})."


def ends_words(curves: Mapping[str, Sequence[float] | np.ndarray], name: str) -> str:
    """Which of several curves stands highest at its beginning and at its end.

    Args:
        curves: name → float (S,), over the same places.
        name: of what they show; a clause about it is returned, without its stop.
    """

    def ordered(place: int) -> str:
        groups: dict[str, list[str]] = {}
        for title, values in sorted(curves.items(), key=lambda item: -float(item[1][place])):
            groups.setdefault(number(float(values[place])), []).append(title)
        parts = [f"{value} ({' and '.join(titles)})" for value, titles in groups.items()]
        return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))

    first, last = ordered(0), ordered(-1)
    return f"{name} begins at {first} and ends at {last}"


def number(value: float, digits: int = 3) -> str:
    """A number for running text with so many digits: 0.000642 as ``6.42·10⁻⁴``, 0.5 as ``0.5``."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        text = np.format_float_positional(float(f"{value:.{digits}g}"), trim="-")
        return text.replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa.replace('-', '−')}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"
