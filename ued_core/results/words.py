"""Numbers of comparisons in words and cells: one form for tables, pages and the record."""

from __future__ import annotations

import math

from ued_core.analysis.confidence import LEVEL, Interval
from ued_core.results.evidence import Comparison, Split, Summary

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


def shares(found: Split) -> str:
    """Where the spread of runs of every key under every seed comes from: ``one run has a standard deviation of 6.2
    points; of its variance 62 % is the key's, …``."""
    if math.isnan(found.key):
        return "all runs are equal"
    key, seed = share(found.key, found.key_p), share(found.seed, found.seed_p)
    return (
        f"one run has a standard deviation of {_number(found.spread)} points; of its variance {key} is the key's, "
        f"{seed} the training seed's and {share(found.rest)} neither's"
    )


def what_decides(found: Split) -> str:
    """What may be said of key and training seed by their F tests, as a clause."""
    if math.isnan(found.key):
        return "neither key nor training seed changes anything"
    key, seed = (p < 1 - LEVEL for p in (found.key_p, found.seed_p))
    if key and seed:
        larger = "the key" if found.key > found.seed else "the training seed"
        return f"both key and training seed matter, {larger} more"
    if key:
        return "the key matters; of the training seed it cannot be told"
    if seed:
        return "the training seed matters; of the key it cannot be told"
    return "it cannot be told of either that it matters"


def share(value: float, p: float = math.nan) -> str:
    """A share of a variance, and p of its F test where there is one: ``62 % (p = 0.003)``."""
    test = "" if math.isnan(p) else " (p < 0.001)" if p < 0.001 else f" (p = {p:.2g})"
    return f"{100 * value:.0f} %{test}"


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
