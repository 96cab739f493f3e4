"""Numbers of comparisons in words and cells: one form for tables, pages and the record."""

from __future__ import annotations

from ued_core.analysis.confidence import Interval
from ued_core.results.evidence import Comparison, Summary

LEGEND = (
    "Gains are in points, on the seeds that both sides have, n of them; in brackets their 95 % paired t interval. "
    "**?**: it holds zero, or there is none, so it cannot be told whether this is better or worse. Intervals are of "
    "one comparison each, not corrected for the number of them."
)
"""What the cells of tables of gains mean."""


def level(found: Summary) -> str:
    """An accuracy and its standard deviation over seeds in per cent: ``81.8 ± 6.5``; empty without runs."""
    if not found.count:
        return ""
    return _number(found.mean) + (f" ± {100 * found.spread:.1f}" if found.count > 1 else "")


def level_cell(found: Summary) -> str:
    """The same with the number of seeds: ``81.8 ± 6.5 n3``."""
    return f"{level(found)} n{found.count}" if found.count else ""


def points(found: Summary, sign: bool = True) -> str:
    """A difference with its interval: ``+57.5 [39, 76] points``, or ``+57.5 points on one seed``."""
    alone = " on one seed" if found.count == 1 else ""
    return f"{_signed(found.mean) if sign else _number(found.mean)}{bounds(found.interval)} points{alone}"


def gain_cell(found: Comparison) -> str:
    """A gain as a cell: ``+57.5 [39, 76] n3``, with ``?`` behind the number where it cannot be told; empty without a
    common seed."""
    if not found.gain.count:
        return ""
    doubt = "?" if found.word == "cannot be told" else ""
    return f"{_signed(found.gain.mean)}{doubt}{bounds(found.gain.interval)} n{found.gain.count}"


def bounds(interval: Interval | None) -> str:
    """`` [39, 76]`` in points, cut at what accuracies can differ by; empty without an interval."""
    if interval is None:
        return ""
    low, high = (max(-100.0, min(100.0, 100 * bound)) for bound in interval)
    # Whole points say enough, but a bound may not seem to reach zero, or to leave it out, by rounding.
    nearest = min(abs(low), abs(high))
    digits = 0 if nearest >= 1 else 1 if nearest >= 0.05 else 2
    return f" [{_minus(low, digits)}, {_minus(high, digits)}]"


def _number(share: float) -> str:
    return _minus(100 * share, 1)


def _signed(share: float) -> str:
    text = _number(share)
    return text if text.startswith("−") or float(text) == 0 else f"+{text}"


def _minus(value: float, digits: int) -> str:
    """A real minus sign, and no negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
