"""Numbers of comparisons in words and cells: one form for tables, pages and the record."""

from __future__ import annotations

from ued_core.analysis.confidence import Interval


def bounds(interval: Interval | None) -> str:
    """`` [39, 76]`` in points, cut at what accuracies can differ by; empty without an interval."""
    if interval is None:
        return ""
    low, high = (max(-100.0, min(100.0, 100 * bound)) for bound in interval)
    # Whole points say enough, but a bound may not seem to reach zero, or to leave it out, by rounding.
    digits = 0 if min(abs(low), abs(high)) >= 1 else 1
    return f" [{_minus(low, digits)}, {_minus(high, digits)}]"


def _minus(value: float, digits: int) -> str:
    """A real minus sign, and no negative zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")
