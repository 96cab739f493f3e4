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
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.stats import f as fisher
from scipy.stats import t as student

from ued_core.analysis.confidence import LEVEL, Interval
from ued_core.errors import DataError
from ued_core.results.row import ResultRow

FEW = 5
"""Below this many seeds a verdict says on how few it rests."""
RULE = (
    "Differences are taken on the seeds that both sides have, which share images, private key, weights and order; in "
    "brackets stands their 95 % paired t interval. Where it holds zero, or where there is none, it cannot be told "
    f"which side is better. Fewer than {FEW} seeds are few."
)
"""How every screen judges a comparison, for people."""
_EQUAL = 1e-6
"""Spreads below it come from rounding alone: accuracies that differ do so by more, whatever the number of images."""

PerSeed = Mapping[Any, float]
"""Seed, or draw → a number of the run."""
Word = Literal["better", "worse", "cannot be told"]


@dataclass(frozen=True)
class Summary:
    """One number over seeds.

    Attributes:
        mean: over the runs that have it; nan for none.
        spread: sample standard deviation; nan below two runs.
        count: how many runs have it.
        split: where the runs are every key under every training seed, and so not independent: what that makes of the
            mean's error.
    """

    mean: float
    spread: float
    count: int
    split: Split | None = None

    @property
    def error(self) -> float:
        """Standard error of the mean; nan below two runs."""
        if self.split is not None:
            return self.split.error
        return self.spread / math.sqrt(self.count) if self.count > 1 else math.nan

    @property
    def freedom(self) -> float:
        """Degrees of freedom of :attr:`error`."""
        return self.count - 1 if self.split is None else self.split.freedom

    @property
    def interval(self) -> Interval | None:
        """The 95 % t interval of the mean.

        None below two runs, and where all values are equal: they say nothing of how far further seeds would spread.

        Source:
            Student, The probable error of a mean, Biometrika 6 (1908).
        """
        if self.count < 2 or self.spread <= _EQUAL:
            return None
        half = _quantile(self.freedom) * self.error
        return Interval(self.mean - half, self.mean + half)

    @property
    def next_run(self) -> Interval | None:
        """Where a run with a further seed lies with 95 %, the t prediction interval; None where there is no
        :attr:`interval`, and for a crossed design."""
        if self.interval is None or self.split is not None:
            return None
        half = _quantile(self.freedom) * self.spread * math.sqrt(1 + 1 / self.count)
        return Interval(self.mean - half, self.mean + half)

    @property
    def p(self) -> float:
        """Two-sided p of the t test against zero; nan where there is no interval."""
        if self.interval is None:
            return math.nan
        return float(2 * student.sf(abs(self.mean) / self.error, self.freedom))


def _quantile(freedom: float) -> float:
    return float(student.ppf((1 + LEVEL) / 2, freedom))


def over(values: Iterable[float]) -> Summary:
    """Mean, sample standard deviation and number of the finite values, which count as independent."""
    given = np.array([value for value in values if math.isfinite(value)], dtype=np.float64)
    mean = float(given.mean()) if len(given) else math.nan
    return Summary(mean, float(given.std(ddof=1)) if len(given) > 1 else math.nan, len(given))


# ---- the same seeds ----------------------------------------------------------------------------


class Draw(NamedTuple):
    """What a run drew; two runs are compared where all of it is equal.

    Attributes:
        seed: of the run.
        key: seed of the attack's private key; None without an attack, which fits every key.
        images: seed of the data set; None where it has none.
        arithmetic: ``float32`` or ``bfloat16``; empty where a row does not say it.
    """

    seed: int
    key: int | None
    images: int | None
    arithmetic: str


def draw_of(row: ResultRow) -> Draw:
    """Read it from the row's spec and environment."""
    key = row.spec.get("attack_seed", row.seed) if row.spec.get("attack") else None
    images = row.spec.get("dataset", {}).get("seed")
    return Draw(row.seed, key, images, row.environment.precision if row.environment else "")


def draws(rows: Iterable[ResultRow], number: str = "last") -> dict[Draw, float]:
    """A number of the runs of one condition (:meth:`ResultRow.number`) by what they drew; rows without it are left
    out."""
    return {draw_of(row): value for row in rows if math.isfinite(value := row.number(number))}


def aligned(*conditions: Mapping[Draw, float]) -> list[dict[Draw, float]]:
    """The numbers of several conditions on the draws that all of them have.

    A run without an attack has no key, so it stands beside the runs of every key with its seed.

    Returns:
        One mapping per condition, all with the same draws.
    """
    keyed = dict.fromkeys(draw for values in conditions for draw in values if draw.key is not None)
    wanted = keyed or dict.fromkeys(draw for values in conditions for draw in values)
    found: list[dict[Draw, float]] = [{} for _ in conditions]
    for draw in wanted:
        values = [own.get(draw, own.get(draw._replace(key=None))) for own in conditions]
        given = [value for value in values if value is not None]
        if len(given) == len(values):
            for mapping, value in zip(found, given, strict=True):
                mapping[draw] = value
    return found


def like_with_like(*groups: Sequence[ResultRow], number: str = "last") -> list[dict[Draw, float]]:
    """A number of the runs of several conditions, on the draws that all of them have (:func:`aligned`)."""
    return aligned(*(draws(rows, number) for rows in groups))


def minus(first: PerSeed, second: PerSeed) -> dict[Hashable, float]:
    """Differences at the seeds that both have."""
    return {seed: value - second[seed] for seed, value in first.items() if seed in second}


def summed(values: PerSeed) -> Summary:
    """Mean and spread of a number by seed or draw; a design of every key under every seed is taken as one."""
    plain = over(values.values())
    places = {(d.key, d.seed): value for d, value in values.items() if isinstance(d, Draw) and d.key is not None}
    keys, seeds = ({place[axis] for place in places} for axis in (0, 1))
    whole = len(places) == len(values) == len(keys) * len(seeds)
    return replace(plain, split=crossed(places)) if whole and min(len(keys), len(seeds)) > 1 else plain


def gain(first: PerSeed, second: PerSeed) -> Summary:
    """How much higher the first is than the second, over the seeds that both have."""
    return summed(minus(first, second))


@dataclass(frozen=True)
class Recovery:
    """Which share of a loss came back.

    Attributes:
        share: 0 for nothing, 1 for all of it; outside of that where a defence harms, or helps beyond clean data.
        interval: 95 %, by Fieller's method.
        count: how many seeds, or keys of a crossed design, all three conditions have.
    """

    share: float
    interval: Interval
    count: int


def recovery(defended: PerSeed, poisoned: PerSeed, clean: PerSeed) -> Recovery | None:
    """(defended − poisoned) / (clean − poisoned), a ratio of means over the seeds that all three have.

    Args:
        defended, poisoned, clean: accuracy by seed, 0..1. Of several seeds under one key the mean counts.

    Returns:
        None where clean − poisoned is not clearly positive (its interval holds zero, or there is none): a share of a
        loss that may be none means nothing.

    Source:
        E. C. Fieller, Some problems in interval estimation, JRSS B 16 (1954).
    """
    groups: dict[Hashable, list[Hashable]] = {}
    for seed in defended:
        if seed in poisoned and seed in clean:
            groups.setdefault(seed.key if isinstance(seed, Draw) and seed.key is not None else seed, []).append(seed)
    back = np.array([np.mean([defended[seed] - poisoned[seed] for seed in same]) for same in groups.values()])
    lost = np.array([np.mean([clean[seed] - poisoned[seed] for seed in same]) for same in groups.values()])
    loss = over(lost)
    if loss.interval is None or loss.interval.low <= 0:
        return None
    (vx, cov), (_, vy) = np.cov(back, lost) / len(groups)
    square = _quantile(len(groups) - 1) ** 2
    x, y = float(back.mean()), float(lost.mean())
    # The roots r of (x - r y)² = t² (vx - 2 r cov + r² vy).
    a, b, c = y * y - square * vy, x * y - square * cov, x * x - square * vx
    half = math.sqrt(max(0.0, b * b - a * c))
    return Recovery(x / y, Interval((b - half) / a, (b + half) / a), len(groups))


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
        key, seed, rest: shares of the variance of one run with a new key and a new seed, 0..1, together 1; nan where
            all values are equal. ``rest`` is what neither explains alone.
        error: standard error of the mean over new keys and new seeds.
        freedom: its degrees of freedom.
        spread: standard deviation of one run with a new key and a new seed; 0 where all values are equal.
        key_p, seed_p: of the F test that keys, or seeds, make no difference; nan where all values are equal.
    """

    keys: int
    seeds: int
    key: float
    seed: float
    rest: float
    error: float
    freedom: float
    spread: float
    key_p: float
    seed_p: float


def crossed(values: Mapping[tuple[int, int], float]) -> Split:
    """Split the variance of runs with every key under every training seed: two-way random effects, one run per cell.

    Estimates below zero are zero, as usual. The error adds the mean squares that are left and takes Satterthwaite's
    degrees of freedom. The F tests compare the mean squares of keys and of seeds with that of the rest.

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
        lack = f"; key {absent[0][0]} with seed {absent[0][1]} is missing" if absent else ""
        raise DataError(
            f"{len(keys)} keys and {len(seeds)} seeds with {len(values)} runs are no crossed design{lack}.",
            "Train every key with every seed, at least two of each.",
        )
    table = np.array([[values[key, seed] for seed in seeds] for key in keys], dtype=np.float64)
    n_keys, n_seeds = table.shape
    rows, columns = table.mean(axis=1) - table.mean(), table.mean(axis=0) - table.mean()
    left = table - table.mean() - rows[:, None] - columns[None, :]
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
        return Split(n_keys, n_seeds, math.nan, math.nan, math.nan, 0.0, math.nan, 0.0, math.nan, math.nan)
    # The mean's variance is (key + seed − rest) / runs where both effects are there; without one, its square and the
    # rest's cancel.
    kept = [name for name in ("key", "seed") if parts[name] > 0] or ["rest"]
    terms = {name: square[name] for name in kept} | ({"rest": -square["rest"]} if len(kept) == 2 else {})
    variance = sum(terms.values())
    degrees = variance**2 / sum(term**2 / freedom[name] for name, term in terms.items())
    key, seed, rest = (parts[name] / whole for name in ("key", "seed", "rest"))
    # Without a rest any difference is one.
    p = {
        name: float(fisher.sf(square[name] / square["rest"], freedom[name], freedom["rest"]))
        if square["rest"] > _EQUAL**2
        else float(square[name] <= _EQUAL**2)
        for name in ("key", "seed")
    }
    error = math.sqrt(variance / table.size)
    return Split(n_keys, n_seeds, key, seed, rest, error, degrees, math.sqrt(whole), p["key"], p["seed"])
