"""Comparisons, worked by hand: the same seeds, intervals, recovery, Holm's correction, and keys against seeds."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ued_core.errors import DataError
from ued_core.results import evidence
from ued_core.results.evidence import Draw, Summary, compare, corrected, crossed, gain, holm, judge, over, recovery
from ued_core.results.row import ResultRow


def row(seed: int, last: float | None, key: int | None = None, arithmetic: str = "float32", **more: Any) -> ResultRow:
    """A run; with a key it has an attack."""
    spec: dict[str, Any] = {"seed": seed, "attack": None if key is None else {"name": "cuda"}, "defenses": []}
    if key is not None:
        spec["attack_seed"] = key
    machine = {"device": "cpu", "device_name": "x", "precision": arithmetic, "threads": 1}
    environment = {**machine, "torch": "2", "numpy": "2", "python": "3"} if arithmetic else None
    value = {"key": f"{key}-{seed}", "spec": spec, "seed": seed, "environment": environment, **more}
    return ResultRow.from_json(value if last is None else {**value, "last": last})


# ---- one number --------------------------------------------------------------------------------


def test_mean_spread_and_interval() -> None:
    found = over([0.1, 0.2, 0.3, math.nan])
    assert (found.mean, found.spread, found.count) == (pytest.approx(0.2), pytest.approx(0.1), 3)
    # t with 2 degrees of freedom at 97.5 % is 4.302653; 0.1 / √3 is 0.057735.
    assert found.error == pytest.approx(0.0577350, abs=1e-7)
    assert found.interval == pytest.approx((0.2 - 0.2484138, 0.2 + 0.2484138), abs=1e-6)
    assert found.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.3], 0).pvalue)
    # One run more: 4.302653 · 0.1 · √(4 / 3).
    assert found.next_run == pytest.approx((0.2 - 0.4968276, 0.2 + 0.4968276), abs=1e-6)


@pytest.mark.parametrize("values", [[], [0.3], [0.2, 0.2, 0.2], [0.1 + 0.2, 0.3]])
def test_one_run_and_equal_runs_have_no_interval(values: list[float]) -> None:
    found = over(values)
    assert found.interval is None
    assert found.next_run is None
    assert math.isnan(found.p)
    assert found.count == len(values)


# ---- the same seeds ----------------------------------------------------------------------------


def test_gains_are_taken_on_the_seeds_that_both_have() -> None:
    assert gain({0: 0.8, 1: 0.6, 2: 0.7}, {0: 0.7, 1: 0.4, 2: 0.4}) == Summary(
        pytest.approx(0.2), pytest.approx(0.1), 3
    )
    assert gain({0: 0.8, 1: 0.6}, {1: 0.5, 2: 0.1}) == Summary(
        pytest.approx(0.1), pytest.approx(math.nan, nan_ok=True), 1
    )
    assert gain({0: 0.8}, {1: 0.5}).count == 0


def test_means_over_different_seeds_would_have_the_other_sign() -> None:
    """The undefended runs go from 10 to 90 %; the defence helps on the one seed that it has, by 5 points."""
    none, defended = {0: 0.1, 1: 0.9, 2: 0.8}, {0: 0.15}
    assert over(defended.values()).mean < over(none.values()).mean
    assert gain(defended, none).mean == pytest.approx(0.05)


def test_rows_are_compared_on_draws_that_all_have() -> None:
    clean = [row(0, 0.9), row(1, 0.91), row(3, 0.92)]
    none = [row(0, 0.2, 0), row(1, 0.3, 1), row(2, 0.4, 2)]
    coin = [row(0, 0.7, 0), row(1, None, 1), row(3, 0.8, 3)]
    assert evidence.like_with_like(clean, none, coin) == [
        {Draw(0, 0, None, "float32"): value} for value in (0.9, 0.2, 0.7)
    ]
    assert [list(v.values()) for v in evidence.like_with_like(clean, none)] == [[0.9, 0.91], [0.2, 0.3]]
    assert evidence.like_with_like(clean, clean[:1]) == [{Draw(0, None, None, "float32"): 0.9}] * 2
    assert evidence.like_with_like(none, [row(5, 0.1, 5)]) == [{}, {}]


def test_clean_runs_stand_beside_every_key() -> None:
    clean = [row(0, 0.9), row(1, 0.8)]
    none = [row(seed, 0.1 * key + 0.01 * seed, key) for key in (7, 8) for seed in (0, 1)]
    found = evidence.like_with_like(clean, none)
    assert list(found[0].values()) == [0.9, 0.8, 0.9, 0.8]
    assert {(d.key, d.seed) for d in found[1]} == {(7, 0), (7, 1), (8, 0), (8, 1)}


def test_another_key_or_arithmetic_is_another_draw() -> None:
    assert evidence.like_with_like([row(0, 0.2, 0)], [row(0, 0.7, 1)]) == [{}, {}]
    assert evidence.like_with_like([row(0, 0.2, 0)], [row(0, 0.7, 0, "bfloat16")]) == [{}, {}]
    assert evidence.draw_of(row(3, 0.5, arithmetic="")) == Draw(3, None, None, "")


def test_other_numbers_of_the_rows() -> None:
    first, second = row(0, 0.2, 0, best=0.5), row(0, 0.1, 0, best=0.9)
    assert evidence.like_with_like([first], [second], number="best") == [
        {Draw(0, 0, None, "float32"): 0.5},
        {Draw(0, 0, None, "float32"): 0.9},
    ]


# ---- recovery ----------------------------------------------------------------------------------


def test_recovery_by_hand() -> None:
    """Back 0.4, 0.5, 0.6 of lost 0.7, 0.8, 0.9: means 0.5 and 0.8, all variances and the covariance 0.01 / 3, and
    t² = 18.5128, so r solves 0.578291 r² − 2 · 0.338291 r + 0.188291 = 0."""
    poisoned = {0: 0.2, 1: 0.1, 2: 0.05}
    found = recovery({0: 0.6, 1: 0.6, 2: 0.65, 9: 0.1}, poisoned, {0: 0.9, 1: 0.9, 2: 0.95})
    assert found is not None
    assert (found.share, found.count) == (pytest.approx(0.625), 3)
    assert found.interval == pytest.approx((0.456116, 0.713855), abs=1e-5)


def test_bounds_of_recovery_are_where_the_t_test_turns() -> None:
    rng = np.random.default_rng(0)
    poisoned, clean, defended = (dict(enumerate(m + 0.05 * rng.normal(size=6))) for m in (0.3, 0.9, 0.6))
    found = recovery(defended, poisoned, clean)
    assert found is not None
    for bound in found.interval:
        left = over(defended[s] - poisoned[s] - bound * (clean[s] - poisoned[s]) for s in poisoned)
        assert left.p == pytest.approx(0.05, abs=1e-6)
    assert found.interval.low < found.share < found.interval.high


def test_no_recovery_without_a_clear_loss() -> None:
    clean = {0: 0.9, 1: 0.9, 2: 0.95}
    assert recovery({0: 0.9}, {0: 0.1}, {0: 0.9}) is None, "one seed has no interval"
    assert recovery(clean, {0: 0.1, 1: 0.85, 2: 0.94}, clean) is None, "the loss may be none"
    assert recovery(clean, {0: 0.95, 1: 0.96, 2: 0.99}, clean) is None, "the attack helps"
    assert recovery({5: 0.5}, {6: 0.5}, {7: 0.5}) is None


def test_error_of_the_test_set() -> None:
    assert evidence.sampling_error(0.8, 400) == pytest.approx(0.02)
    assert evidence.sampling_error(1.0, 400) == 0.0


# ---- verdicts ----------------------------------------------------------------------------------


def test_better_worse_or_cannot_be_told() -> None:
    five = {seed: 0.5 for seed in range(5)}

    def against(*gains: float) -> evidence.Comparison:
        return compare({seed: 0.5 + more for seed, more in enumerate(gains)}, five)

    assert against(0.10, 0.11, 0.12, 0.11, 0.10).verdict == "better"
    assert against(-0.10, -0.11, -0.12, -0.11, -0.10).verdict == "worse"
    assert against(0.3, -0.1, 0.2, 0.0, 0.1).verdict == "cannot be told"
    assert against(0.10, 0.11, 0.12).verdict == "better (3 seeds)"
    assert against(0.4).verdict == "cannot be told (1 seed)"
    assert against(0.2, 0.2, 0.2, 0.2, 0.2).verdict == "cannot be told", "equal gains say nothing of their spread"
    assert compare({}, five).verdict == "cannot be told (no common seed)"
    # 2.4 deviations, which once counted as clear, are t = 4.10 over three seeds: p = 0.055.
    assert against(0.12, 0.22, 0.30).verdict == "cannot be told (3 seeds)"


def test_the_word_follows_the_interval() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        found = judge(over(0.1 * rng.normal(size=4) + 0.08))
        assert found.gain.interval is not None
        assert (found.word == "cannot be told") == (found.gain.interval.low <= 0 <= found.gain.interval.high)


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    found = holm([0.01, math.nan])
    assert found[0] == pytest.approx(0.02), "what was declared counts, be there data or not"
    assert math.isnan(found[1])


def test_a_list_of_comparisons_is_corrected() -> None:
    alone = judge(over([0.1, 0.14, 0.16]))
    assert alone.word == "better"
    doubtful = judge(over([0.1, 0.3, -0.1]))
    first, second = corrected([alone, doubtful])
    assert (first.p, first.adjusted, first.among) == (alone.p, pytest.approx(2 * alone.p), 2)
    assert second.adjusted == doubtful.p
    assert 0.01 < alone.p < 0.025
    assert corrected([alone] * 3)[0].word == "cannot be told", "three times its p is above 5 %"


# ---- keys against seeds ------------------------------------------------------------------------


def test_split_by_hand() -> None:
    """Rows are keys. Means 1.5 and 4.5, columns 2 and 4, all 3: mean squares 9, 4 and 1, so the components are
    (9 − 1) / 2, (4 − 1) / 2 and 1; the mean's variance is (9 + 4 − 1) / 4 with 144 / 98 degrees of freedom."""
    found = crossed({(0, 0): 1, (0, 1): 2, (1, 0): 3, (1, 1): 6})
    assert (found.keys, found.seeds) == (2, 2)
    assert (found.key, found.seed, found.rest) == pytest.approx((8 / 13, 3 / 13, 2 / 13))
    assert (found.error, found.freedom) == pytest.approx((math.sqrt(3), 144 / 98))
    assert found.spread == pytest.approx(math.sqrt(4 + 1.5 + 1))
    # F with 1 and 1 degrees of freedom is above f with probability 1 − 2/π · atan √f.
    by_hand = (1 - 2 / math.pi * math.atan(3), 1 - 2 / math.pi * math.atan(2))
    assert (found.key_p, found.seed_p) == pytest.approx(by_hand)


def test_split_where_one_side_does_nothing() -> None:
    only_key = crossed({(k, s): float(k) for k in range(3) for s in range(4)})
    assert (only_key.key, only_key.seed, only_key.rest) == pytest.approx((1, 0, 0))
    # Then the keys' means are the sample: 0, 1 and 2.
    assert (only_key.error, only_key.freedom) == pytest.approx((over([0.0, 1.0, 2.0]).error, 2))
    assert (only_key.key_p, only_key.seed_p) == (0, 1)
    equal = crossed({(k, s): 0.5 for k in range(2) for s in range(2)})
    assert math.isnan(equal.key)
    assert math.isnan(equal.key_p)


def test_split_of_noise_is_all_rest() -> None:
    found = crossed({(0, 0): 1.0, (0, 1): 0.0, (1, 0): 0.0, (1, 1): 1.0})
    assert (found.key, found.seed, found.rest) == (0.0, 0.0, 1.0)


def test_a_crossed_design_is_no_sample_of_independent_runs() -> None:
    """Three keys with three seeds each, where the key decides: three numbers, not nine."""
    none = [row(seed, 0.1 * key, key) for key in range(3) for seed in range(3)]
    coin = [row(seed, 0.3 * key, key) for key in range(3) for seed in range(3)]
    clean = [row(seed, 0.9 + 0.001 * seed) for seed in range(3)]
    reference, undefended, defended = evidence.like_with_like(clean, none, coin)
    found = gain(defended, undefended)
    assert found.count == 9
    assert found.split is not None
    assert found.interval == pytest.approx(over([0.0, 0.2, 0.4]).interval)
    assert found.p == pytest.approx(over([0.0, 0.2, 0.4]).p)
    back = recovery(defended, undefended, reference)
    assert back is not None
    assert back.count == 3, "keys"
    assert evidence.summed(dict(list(defended.items())[:-1])).split is None, "a pair is missing"
    equal = evidence.summed({Draw(s, k, None, ""): 0.5 for s in range(2) for k in range(2)})
    assert (equal.interval, equal.count) == (None, 4)


@pytest.mark.parametrize(
    "values",
    [{}, {(0, 0): 0.1}, {(0, 0): 0.1, (0, 1): 0.2}, {(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.3}],
)
def test_an_incomplete_design_is_refused(values: dict[tuple[int, int], float]) -> None:
    with pytest.raises(DataError, match="no crossed design"):
        crossed(values)


def test_intervals_cover_what_they_should() -> None:
    """5 × 5 with sds 0.1 (keys), 0.05 (seeds), 0.05 (rest) around 0.6: about 95 of 100 intervals hold 0.6, where a
    plain t interval of the 25 runs would hold it in about two thirds; shares come near 4/6, 1/6 and 1/6."""
    rng = np.random.default_rng(5)
    held, plain, shares = 0, 0, []
    for _ in range(400):
        table = 0.6 + 0.1 * rng.normal(size=(5, 1)) + 0.05 * rng.normal(size=(1, 5)) + 0.05 * rng.normal(size=(5, 5))
        summed = evidence.summed({Draw(s, k, None, ""): float(table[k, s]) for k in range(5) for s in range(5)})
        found = summed.split
        assert found is not None
        assert summed.interval is not None
        held += summed.interval.low <= 0.6 <= summed.interval.high
        simple = over(table.ravel()).interval
        assert simple is not None
        plain += simple.low <= 0.6 <= simple.high
        shares.append((found.key, found.seed, found.rest))
    assert 0.92 < held / 400 < 0.99
    assert plain / 400 < 0.75
    assert np.mean(shares, axis=0) == pytest.approx((4 / 6, 1 / 6, 1 / 6), abs=0.08)


def test_a_further_run_lies_where_it_is_said_to() -> None:
    """Of 500 samples of five runs, about 95 % say rightly where a sixth lies; the interval of the mean would not."""
    rng = np.random.default_rng(6)
    told = plain = 0
    for _ in range(500):
        *five, sixth = 0.5 + 0.1 * rng.normal(size=6)
        found = over(five)
        assert found.next_run is not None
        assert found.interval is not None
        told += found.next_run.low <= sixth <= found.next_run.high
        plain += found.interval.low <= sixth <= found.interval.high
    assert 0.92 < told / 500 < 0.98
    assert plain / 500 < 0.85
