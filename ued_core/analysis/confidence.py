"""How far a share that was counted on a few images may be from the share on all such images."""

from __future__ import annotations

import math
from typing import NamedTuple

ENOUGH = 100
"""Below this many images a share is shown with its interval, and nothing is concluded from it."""
LEVEL = 0.95
_QUANTILE = 1.959963984540054
"""Of the normal distribution at (1 + LEVEL) / 2."""


class Interval(NamedTuple):
    """Bounds of what was estimated, in its unit."""

    low: float
    high: float


def share_interval(share: float, count: int) -> Interval:
    """The 95 % interval of a share, by Wilson's score method; the whole of 0..1 where nothing was counted.

    It covers the error of drawing ``count`` images alone, not that of another training run.

    Args:
        share: of the images that were counted as right, 0..1.
        count: how many images were looked at.

    Source:
        E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if count <= 0:
        return Interval(0.0, 1.0)
    square = _QUANTILE**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _QUANTILE * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    # Rounding must not push a bound past what was seen.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))
