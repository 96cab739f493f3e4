import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ued_core.analysis.confidence import share_interval


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_scipys(counted: tuple[int, int]) -> None:
    right, count = counted
    theirs = binomtest(right, count).proportion_ci(method="wilson")
    ours = share_interval(right / count, count)
    assert ours.low == pytest.approx(theirs.low, abs=1e-9)
    assert ours.high == pytest.approx(theirs.high, abs=1e-9)


def test_eight_of_ten() -> None:
    # Worked by hand: z² = 3.8415, centre (0.8 + 0.19207) / 1.38415 = 0.71674, half width 0.22640.
    assert share_interval(0.8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)


def test_nothing_counted_says_nothing() -> None:
    assert share_interval(0.0, 0) == (0.0, 1.0)
