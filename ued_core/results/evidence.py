"""Comparing like with like: gains on the same seeds, how sure they are, and what may be said of them.

Every comparison here is paired: the two runs of a pair share images, private key, weights and order, and seeds that
only one side has are left out. A comparison is *better* or *worse* where the 95 % interval of its mean difference
leaves zero out, and otherwise it *cannot be told*; that is never the same as "no difference". Accuracies are shares,
0..1.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from scipy.stats import t as student

from ued_core.analysis.confidence import LEVEL, Interval
from ued_core.errors import DataError
from ued_core.results.row import ResultRow

FEW = 5
"""Below this many seeds a verdict says on how few it rests."""
RULE = (
    "Gains are means over the seeds that both sides have, with their 95 % paired t interval in brackets. A difference "
    f"whose interval holds zero cannot be told from none; one that rests on fewer than {FEW} seeds says so."
)
"""How every screen and table judges a comparison, for people."""
_EQUAL = 1e-12
"""Spreads below it come from rounding alone."""

PerSeed = Mapping[Hashable, float]
"""Seed, or draw → a number of the run."""
Word = Literal["better", "worse", "cannot be told"]


@dataclass(frozen=True)
class Summary:
    """One number over seeds.

    Attributes:
        mean: over the runs that have it; nan for none.
        spread: sample standard deviation; nan below two runs.
        count: how many runs have it.
    """

    mean: float
    spread: float
    count: int

    @property
    def error(self) -> float:
        """Standard error of the mean; nan below two runs."""
        return self.spread / math.sqrt(self.count) if self.count > 1 else math.nan

    @property
    def interval(self) -> Interval | None:
        """The 95 % t interval of the mean.

        None below two runs, and where all values are equal: they say nothing of how far further seeds would spread.

        Source:
            Student, The probable error of a mean, Biometrika 6 (1908).
        """
        if self.count < 2 or self.spread <= _EQUAL:
            return None
        half = _quantile(self.count - 1) * self.error
        return Interval(self.mean - half, self.mean + half)

    @property
    def p(self) -> float:
        """Two-sided p of the t test against zero; nan where there is no interval."""
        if self.interval is None:
            return math.nan
        return float(2 * student.sf(abs(self.mean) / self.error, self.count - 1))


def _quantile(freedom: float) -> float:
    return float(student.ppf((1 + LEVEL) / 2, freedom))


def over(values: Iterable[float]) -> Summary:
    """Mean, sample standard deviation and number of the finite values."""
    given = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    mean = float(given.mean()) if len(given) else math.nan
    return Summary(mean, float(given.std(ddof=1)) if len(given) > 1 else math.nan, len(given))


# ---- the same seeds ----------------------------------------------------------------------------


class Draw(NamedTuple):
    """What a run drew; two runs are compared where all of it is equal.

    Attributes:
        seed: of the run.
        key: seed of the attack's private key; None without an attack, which fits every key.
        arithmetic: ``float32`` or ``bfloat16``; empty where a row does not say it.
    """

    seed: int
    key: int | None
    arithmetic: str


def draw_of(row: ResultRow) -> Draw:
    """Read it from the row's spec and environment."""
    key = row.spec.get("attack_seed", row.seed) if row.spec.get("attack") else None
    return Draw(row.seed, key, row.environment.precision if row.environment else "")


def like_with_like(*groups: Sequence[ResultRow], number: str = "last") -> list[dict[Draw, float]]:
    """A number of the runs of several conditions, on the draws that all of them have.

    A run without an attack has no key, so it stands beside the runs of every key with its seed.

    Args:
        groups: the runs of each condition.
        number: what is compared, as :meth:`ResultRow.number` names it; rows without it are left out.

    Returns:
        One mapping per group, all with the same draws.
    """
    known = [{draw_of(row): value for row in rows if math.isfinite(value := row.number(number))} for rows in groups]
    keyed = dict.fromkeys(draw for values in known for draw in values if draw.key is not None)
    wanted = keyed or dict.fromkeys(draw for values in known for draw in values)
    found: list[dict[Draw, float]] = [{} for _ in groups]
    for draw in wanted:
        values = [own.get(draw, own.get(draw._replace(key=None))) for own in known]
        for mapping, value in zip(found, values, strict=True):
            if value is not None and None not in values:
                mapping[draw] = value
    return found


def minus(first: PerSeed, second: PerSeed) -> dict[Hashable, float]:
    """Differences at the seeds that both have."""
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def gain(first: PerSeed, second: PerSeed) -> Summary:
    """How much higher the first is than the second, over the seeds that both have."""
    return over(minus(first, second).values())


@dataclass(frozen=True)
class Recovery:
    """Which share of a loss came back.

    Attributes:
        share: 0 for nothing, 1 for all of it; outside of that where a defence harms, or helps beyond clean data.
        interval: 95 %, by Fieller's method.
        count: how many seeds all three conditions have.
    """

    share: float
    interval: Interval
    count: int


def recovery(defended: PerSeed, poisoned: PerSeed, clean: PerSeed) -> Recovery | None:
    """(defended − poisoned) / (clean − poisoned), a ratio of means over the seeds that all three have.

    Args:
        defended, poisoned, clean: accuracy by seed, 0..1.

    Returns:
        None where clean − poisoned is not clearly positive (its interval holds zero, or there is none): a share of a
        loss that may be none means nothing.

    Source:
        E. C. Fieller, Some problems in interval estimation, JRSS B 16 (1954).
    """
    seeds = [seed for seed in defended if seed in poisoned and seed in clean]
    back = np.array([defended[seed] - poisoned[seed] for seed in seeds])
    lost = np.array([clean[seed] - poisoned[seed] for seed in seeds])
    loss = over(lost)
    if loss.interval is None or loss.interval.low <= 0:
        return None
    (vx, cov), (_, vy) = np.cov(back, lost) / len(seeds)
    square = _quantile(len(seeds) - 1) ** 2
    x, y = float(back.mean()), float(lost.mean())
    # The roots r of (x - r y)² = t² (vx - 2 r cov + r² vy).
    a, b, c = y * y - square * vy, x * y - square * cov, x * x - square * vx
    half = math.sqrt(max(0.0, b * b - a * c))
    return Recovery(x / y, Interval((b - half) / a, (b + half) / a), len(seeds))


def sampling_error(accuracy: float, images: int) -> float:
    """Standard error that an accuracy has because it was counted on so many test images, binomial; 0..1.

    Seeds that are tested on the same images share it, so averaging over them does not make it smaller.

    Args:
        accuracy: 0..1.
        images: of the test set, at least 1.
    """
    return math.sqrt(accuracy * (1 - accuracy) / images)


# ---- verdicts ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A paired comparison and what may be said of it.

    Attributes:
        gain: of the first over the second on the same seeds.
        p: two-sided, of the paired t test; nan where it cannot be computed.
        adjusted: ``p`` after Holm's correction over ``among`` comparisons.
        among: how many comparisons were declared together; 1 for one alone.
    """

    gain: Summary
    p: float
    adjusted: float
    among: int = 1

    @property
    def word(self) -> Word:
        """``better`` or ``worse`` where the corrected p is below 5 %, otherwise ``cannot be told``."""
        if not self.adjusted < 1 - LEVEL:
            return "cannot be told"
        return "better" if self.gain.mean > 0 else "worse"

    @property
    def few(self) -> bool:
        """Whether it rests on fewer than :data:`FEW` seeds."""
        return self.gain.count < FEW

    @property
    def verdict(self) -> str:
        """The word, and on how few seeds it rests: ``better (3 seeds)``."""
        seeds = "no common seed" if not self.gain.count else f"{self.gain.count} seed{'s' * (self.gain.count != 1)}"
        return f"{self.word} ({seeds})" if self.few else self.word


def judge(found: Summary) -> Comparison:
    """The comparison of one difference, alone."""
    return Comparison(found, found.p, found.p)


def compare(first: PerSeed, second: PerSeed) -> Comparison:
    """Whether the first is better than the second, on the seeds that both have."""
    return judge(gain(first, second))


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same comparisons with p corrected for their number, in the same order.

    Args:
        comparisons: all that were declared before the runs; those without data count too.
    """
    adjusted = holm([comparison.p for comparison in comparisons])
    return [replace(c, adjusted=p, among=len(comparisons)) for c, p in zip(comparisons, adjusted, strict=True)]


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p, in the order of the given ones; nan stays nan and counts as one more comparison.

    Source:
        S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted((value, place) for place, value in enumerate(p) if not math.isnan(value))
    adjusted, highest = [math.nan] * len(p), 0.0
    for rank, (value, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * value))
        adjusted[place] = highest
    return adjusted


# ---- keys against seeds ------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """Where the variance of a crossed design comes from.

    Attributes:
        keys, seeds: how many of each.
        mean: over all runs.
        interval: of the mean for new keys and new seeds, 95 %; None where all values are equal.
        key, seed, rest: shares of the variance of one run with a new key and a new seed, 0..1, together 1; nan where
            all values are equal. ``rest`` is what neither explains alone.
    """

    keys: int
    seeds: int
    mean: float
    interval: Interval | None
    key: float
    seed: float
    rest: float


def crossed(values: Mapping[tuple[int, int], float]) -> Split:
    """Split the variance of runs with every key under every training seed: two-way random effects, one run per cell.

    Estimates below zero are zero, as usual. The interval adds the mean squares that are left and takes Satterthwaite's
    degrees of freedom.

    Args:
        values: (key, seed) → number of the run.

    Raises:
        DataError: fewer than two keys or seeds, or a pair is missing.

    Source:
        H. Scheffé, The Analysis of Variance (1959), chapter 7; F. E. Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    keys, seeds = (list(dict.fromkeys(pair[axis] for pair in values)) for axis in (0, 1))
    absent = [(key, seed) for key in keys for seed in seeds if (key, seed) not in values]
    if len(keys) < 2 or len(seeds) < 2 or absent:
        lack = f"; key and seed {absent[0]} are missing" if absent else ""
        raise DataError(
            f"{len(keys)} keys and {len(seeds)} seeds with {len(values)} runs are no crossed design{lack}.",
            "Train every key with every seed, at least two of each.",
        )
    table = np.array([[values[key, seed] for seed in seeds] for key in keys], dtype=np.float64)
    n_keys, n_seeds = table.shape
    mean = float(table.mean())
    rows, columns = table.mean(axis=1) - mean, table.mean(axis=0) - mean
    left = table - mean - rows[:, None] - columns[None, :]
    freedom = {"key": n_keys - 1, "seed": n_seeds - 1, "rest": (n_keys - 1) * (n_seeds - 1)}
    square = {
        "key": n_seeds * float(rows @ rows) / freedom["key"],
        "seed": n_keys * float(columns @ columns) / freedom["seed"],
        "rest": float((left**2).sum()) / freedom["rest"],
    }
    parts = {
        "key": max(0.0, square["key"] - square["rest"]) / n_seeds,
        "seed": max(0.0, square["seed"] - square["rest"]) / n_keys,
        "rest": square["rest"],
    }
    whole = sum(parts.values())
    if whole <= _EQUAL**2:
        return Split(n_keys, n_seeds, mean, None, math.nan, math.nan, math.nan)
    # The mean's variance is (key + seed − rest) / runs where both effects are there; without one, its square and the
    # rest's cancel.
    kept = [name for name in ("key", "seed") if parts[name] > 0] or ["rest"]
    terms = {name: square[name] for name in kept} | ({"rest": -square["rest"]} if len(kept) == 2 else {})
    variance = sum(terms.values())
    degrees = variance**2 / sum(term**2 / freedom[name] for name, term in terms.items())
    half = _quantile(degrees) * math.sqrt(variance / table.size)
    return Split(
        n_keys, n_seeds, mean, Interval(mean - half, mean + half),
        *(parts[name] / whole for name in ("key", "seed", "rest")),
    )  # fmt: skip
