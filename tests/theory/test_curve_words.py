"""The words about a curve are true of it: checked against the curve itself, not against other words."""

import re

import numpy as np
import pytest

from ued_core.attacks.convolution import draw_kernels
from ued_core.theory import expected, limit
from ued_core.theory.curve_words import Fall, ends_words, falls, number, shape_words

PLACES = [0.0, 1.0, 2.0, 3.0, 4.0]
STRENGTHS = np.linspace(0, 6, 49)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2, 3, 4], ()),
        ([1, 1, 1, 1, 1], ()),
        ([0, 0, 1, 1, 2], ()),
        ([0, 2, 1, 3, 4], (Fall(1, 2, 1, 0.5),)),
        ([0, 4, 3, 3, 2], (Fall(1, 4, 2, 0.5),)),
        ([0, 4, 3, 3, 4], (Fall(1, 2, 1, 0.25),)),
        ([4, 3, 2, 1, 0], (Fall(0, 4, 4, 1.0),)),
        ([2, 1, 2, 1, 2], (Fall(0, 1, 1, 0.5), Fall(2, 3, 1, 0.5))),
        ([1, 1 - 1e-12, 1, 1, 2], ()),
        ([0, -1, 0, 0, 0], (Fall(0, 1, 1, float("inf")),)),
    ],
)
def test_falls_by_hand(values, expected) -> None:
    assert falls(PLACES, values) == expected


def test_sentences_by_hand() -> None:
    assert shape_words("It", PLACES, [0, 1, 2, 3, 4]) == "It goes from 0 at α = 0 to 4 at α = 4 and never falls."
    assert shape_words("It", PLACES, [4, 3, 2, 1, 0]) == "It falls from 4 at α = 0 to 0 at α = 4 and never rises."
    assert shape_words("It", PLACES, [0.5] * 5, along="j") == "It is 0.5 for every j from 0 to 4."
    assert shape_words("It", PLACES, [0, 2, 1.9, 3, 2.4], relative=True) == (
        "It goes from 0 at α = 0 to 2.4 at α = 4 and falls on the way, twice, by 5 to 20 % (α from 1 to 2 and from "
        "3 to 4)."
    )
    assert shape_words("It", PLACES, [0, 2, 1.9998, 3, 4]) == (
        "It goes from 0 at α = 0 to 4 at α = 4 and falls on the way, once, by 2.0·10⁻⁴ (α from 1 to 2)."
    )
    many = np.arange(20) % 2
    assert "9 times, by" in shape_words("It", range(20), many)
    assert "and later)" in shape_words("It", range(20), many)


def test_order_at_both_ends() -> None:
    curves = {"a": [1.0, 2.0], "b": [3.0, 2.0], "c": [2.0, 5.0]}
    assert ends_words(curves, "Height") == "Height begins at 3 (b), 2 (c) and 1 (a) and ends at 5 (c) and 2 (a and b)"


def test_numbers() -> None:
    given = (0, 0.5, 2.375, 0.000642, -0.25, 12.0, 3e-10)
    assert [number(v) for v in given] == ["0", "0.5", "2.38", "6.42·10⁻⁴", "−0.25", "12", "3.00·10⁻¹⁰"]


def said(words: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"from ([0-9.]+) to ([0-9.]+)", words.split("(")[-1])]


@pytest.mark.parametrize(("support", "seed"), [("full", 0), ("column", 7), ("full", 7), ("row", 0)])
def test_words_about_theta_are_true_of_its_curves(support, seed) -> None:
    """CUDA with key 0 and VUDA with key 7 among them: Θ_imc does not rise all the way, and the dips of Θ_imi are more
    than 1 %."""
    kernels = draw_kernels(10, 3, 0.3, support, seed)
    full = [limit(kernels, float(a)) for a in STRENGTHS]
    imi, imc = np.array([t.imi for t in full]), np.array([t.imc for t in full])
    for values, relative in ((imi, True), (imc, False)):
        words = shape_words("Θ", STRENGTHS, values, relative=relative)
        falling = np.flatnonzero(np.diff(values) < -1e-9 * values.max())
        assert ("never falls" in words) == (len(falling) == 0)
        inside = np.zeros(len(values) - 1, dtype=bool)
        for start, stop in said(words) if len(falling) else ():
            part = (STRENGTHS[:-1] >= start - 0.006) & (STRENGTHS[1:] <= stop + 0.006)
            assert part.any()
            inside |= part
        assert np.array_equal(np.flatnonzero(inside), falling), "every fall is named and no other stretch"
    found = falls(STRENGTHS, imc)
    assert bool(found) == ((support, seed) != ("row", 0))
    assert all(f.amount < 0.0007 for f in found)
    sizes = [100 * f.share for f in falls(STRENGTHS, imi)]
    assert (1.0 < max(sizes) < 1.6) if support == "full" else (3.0 < max(sizes) < 3.7)


def test_words_about_few_samples_follow_n() -> None:
    """The curve of 20 draws bends down for good; that of a million does what the limit does."""
    kernels = draw_kernels(10, 3, 0.3, "full", 0)
    full = [limit(kernels, float(a)) for a in STRENGTHS]
    few, many = ([expected(t, n, 1024)[1] for t in full] for n in (20, 10**6))
    last = falls(STRENGTHS, few)[-1]
    assert last.amount > 0.05
    assert "on the way" in shape_words("It", STRENGTHS, few)
    assert falls(STRENGTHS, many)[-1].amount < 0.001
