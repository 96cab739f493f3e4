"""Answers follow the rows: other numbers, other words; and missing rows are said to be missing."""

import math

import pytest

from tests.results.test_open_questions import CUDA, coin, conditions, row
from ued_core.results import open_answers as answers
from ued_core.results import open_questions as series
from ued_core.results.evidence import Summary, over
from ued_core.results.open_answers import NOT_YET, difference, kind
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow
from ued_core.results.words import points

GATED = [{"name": "gated_coin", "strength": 2.0}]


def runs(name: str, lasts: list[float], attack=None, defenses=(), **more) -> list[ResultRow]:
    return [row(name, seed, last, attack, defenses, **more) for seed, last in enumerate(lasts)]


def one(*lasts: float) -> Condition:
    return conditions(*runs("x", list(lasts)))[0]


def test_differences_are_taken_seed_by_seed() -> None:
    found = difference(one(0.8, 0.6, 0.7), one(0.7, 0.4, 0.4))
    assert (found.mean, found.spread, found.count) == (pytest.approx(0.2), pytest.approx(0.1), 3)
    assert difference(one(0.8, 0.6, 0.7), one(0.7)).count == 1, "only seeds that both have"
    assert math.isnan(difference(Condition("", ()), one(0.5)).mean)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ([0.2, 0.21, 0.22], "more"),
        ([-0.2, -0.21, -0.22], "less"),
        ([0.12, 0.22, 0.30], "untold"),
        ([0.2, 0.21], "more"),
        ([0.2, 0.4], "untold"),
        ([0.5], "untold"),
        ([0.2, 0.2], "untold"),
        ([], "unpaired"),
    ],
)
def test_a_difference_counts_where_its_interval_leaves_zero_out(values: list[float], word: str) -> None:
    assert kind(over(values)) == word


def test_numbers_in_words() -> None:
    # Half the interval is t = 4.303 times 1 / √3 points, 2.48.
    assert points(Summary(0.1234, 0.01, 3)) == "+12.3 [10, 15] points"
    assert points(Summary(-0.05, math.nan, 1)) == "−5.0 points on one seed"
    assert points(Summary(-0.0001, 0.01, 2)) == "0.0 [−9, 9] points"
    assert answers.ends_at(one(0.5, 0.6)) == "55.0 ± 7.1 %"
    assert [answers.listed(names) for names in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_seeds_are_counted() -> None:
    assert answers.rests_on([]) == ""
    assert answers.rests_on([one(0.5), one(0.5)]) == "It rests on 2 runs, one seed for each condition, which is few."
    assert (
        answers.rests_on([one(0.5), one(0.5, 0.6)])
        == "It rests on 3 runs, 1 to 2 seeds for each condition, which is few."
    )
    assert answers.rests_on([one(0.5, 0.6, 0.7, 0.6, 0.5)]) == "It rests on 5 runs, 5 seeds for each condition."


# ---- questions ---------------------------------------------------------------------------------


def cost(shapes: list[float], digits: list[float]) -> answers.Answer:
    rows = []
    for name, lasts in (("shapes", shapes), ("digits", digits)):
        rows += runs(f"{name} 0", [0.9, 0.91, 0.92], dataset=name) + runs(
            f"{name} 2", lasts, defenses=coin(2.0), dataset=name
        )
    return answers.cost_answer(series.cost_lines(conditions(*rows)))


def test_price_depends_on_the_rows() -> None:
    dear, free = [0.8, 0.82, 0.81], [0.9, 0.92, 0.91]
    more = [0.95, 0.97, 0.965]
    assert cost(dear, dear).verdict == "On clean data COIN costs accuracy on Shapes and Digits (judged at α = 2 px)."
    assert cost(dear, free).verdict == (
        "On clean data COIN costs accuracy on Shapes; it cannot be told whether COIN costs accuracy on Digits (judged "
        "at α = 2 px)."
    )
    assert (
        cost(free, free).verdict
        == "On clean data it cannot be told whether COIN costs accuracy on Shapes and Digits (judged at α = 2 px)."
    )
    assert cost(more, more).verdict == "On clean data COIN adds accuracy on Shapes and Digits (judged at α = 2 px)."
    detail = cost(dear, free).details[0]
    assert detail == "Shapes: 91.0 ± 1.0 % without COIN. At α = 2 px COIN costs 10.0 [8, 12] points."
    assert "it cannot be told whether COIN costs anything (−5.0 points on one seed)" in answers.cost_answer(
        series.cost_lines(conditions(*runs("0", [0.9]), *runs("2", [0.95], defenses=coin(2.0))))
    ).details[0]  # fmt: skip


def test_the_dearest_strength_is_told_only_if_it_is_another_one_and_costs_something() -> None:
    def detail(**lasts: float) -> str:
        rows = [
            *runs("0", [0.9]),
            *(r for s, v in lasts.items() for r in runs(s, [v], defenses=coin(float(s[1:])))),
        ]
        return answers.cost_answer(series.cost_lines(conditions(*rows))).details[0]

    assert detail(a2=0.8, a3=0.7).endswith("(10.0 points on one seed); the most, 20.0 points on one seed, at α = 3 px.")
    assert detail(a2=0.8, a3=0.85).endswith("(10.0 points on one seed).")
    assert detail(a2=0.96, a3=0.95).endswith("(−6.0 points on one seed).")


def test_price_without_its_reference_is_not_measured() -> None:
    lines = series.cost_lines(conditions(*runs("2", [0.9], defenses=coin(2.0))))
    assert answers.cost_answer(lines).verdict == NOT_YET
    assert answers.cost_answer(lines).details == ("Shapes: not measured without COIN yet.",)
    assert answers.cost_answer([]) == answers.Answer(NOT_YET)


def central(attacked: list[float]) -> answers.Answer:
    found = [
        Condition("clean", tuple(runs("clean", [0.9, 0.92, 0.91]))),
        Condition("CUDA", tuple(runs("CUDA", attacked, CUDA))),
        Condition("common", tuple(runs("common", [0.9, 0.9, 0.9], {**CUDA, "assignment": "common"}))),
        Condition("CUDA + COIN", tuple(runs("CUDA + COIN", [0.8, 0.82, 0.84], CUDA, coin(2.0)))),
    ]
    return answers.seeds_answer([series.Group("Shapes", tuple(found))])


def test_spread_of_seeds() -> None:
    sure = central([0.2, 0.25, 0.3])
    assert sure.verdict == (
        "The standard deviation over seeds reaches 5 points (CUDA on Shapes); that COIN gives something back can be "
        "told in 1 of 1 settings where the attack does harm."
    )
    assert "between 20.0 and 30.0 %. COIN's gain is +57.0 [50, 64] points." in sure.details[0]
    unsure = central([0.2, 0.8, 0.85])
    assert "told in 0 of 1" in unsure.verdict
    assert "whether it is one cannot be told over these seeds" in unsure.details[0]
    assert "nothing to gain" in central([0.9, 0.92, 0.91]).details[0]
    assert answers.seeds_answer([]).verdict == NOT_YET


def rivals(elastic: list[float], shifts: list[float]) -> answers.Answer:
    rows = [
        *runs("none", [0.2, 0.2], CUDA),
        *runs("COIN", [0.7, 0.72], CUDA, coin(2.0)),
        *runs("elastic", elastic, CUDA, [{"name": "elastic"}]),
        *runs("shifts", shifts, CUDA, [{"name": "coin_shifts"}]),
    ]
    return answers.rivals_answer(series.rivals(conditions(*rows), []))


def test_design_is_needed_only_if_it_beats_its_rivals() -> None:
    assert (
        rivals([0.8, 0.83], [0.5, 0.53]).verdict
        == "COIN's design is not needed here: elastic gives back more than COIN."
    )
    assert rivals([0.8, 0.83], [0.9, 0.93]).verdict.endswith("shifts and elastic give back more than COIN.")
    assert (
        rivals([0.71, 0.7], [0.5, 0.53]).verdict
        == "Whether COIN is better than elastic cannot be told. It beats the one other."
    )
    assert (
        rivals([0.5, 0.53], [0.4, 0.43]).verdict == "COIN's design matters: it gives back more than both rivals tried."
    )
    told = rivals([0.8, 0.83], [0.5, 0.53]).details[1]
    assert "elastic +10.5 [4, 17] points; shifts −19.5 [−26, −13] points" in told
    assert rivals([], []).verdict == NOT_YET
    assert answers.rivals_answer(None).verdict == NOT_YET


def mixed(flagged: dict[float, float], none: float = 0.2) -> answers.Answer:
    rows = []
    for rate, last in flagged.items():
        for name, value, stack in (("none", none, []), ("all", 0.7, coin(2.0)), ("flagged", last, GATED)):
            second = value + (0.015 if name == "flagged" else 0.01)
            rows += runs(f"{rate} {name}", [value, second], CUDA, stack, rate=rate)
    return answers.mixtures_answer(series.mixtures(conditions(*rows), []))


def test_flagged_or_all() -> None:
    assert mixed({0.5: 0.8, 0.8: 0.75}).verdict.startswith(
        "Shaking only the flagged images is better (flagged against all: +10."
    )
    assert mixed({0.5: 0.6}).verdict.startswith("Shaking all images is better")
    assert mixed({0.5: 0.7}).verdict.startswith("It cannot be told which of the two is better (")
    apart = mixed({0.5: 0.8, 0.8: 0.6}).verdict
    assert "with 50 % of the images poisoned, shaking only the flagged" in apart
    assert "with 80 % of the images poisoned, shaking all images is better" in apart
    assert "no defence" not in apart
    assert mixed({0.5: 0.8}, none=0.9).verdict.endswith(
        "But of neither can it be told that it is better than no defence."
    )
    assert answers.mixtures_answer([]).verdict == NOT_YET


def test_what_throwing_away_costs() -> None:
    rows = runs("none", [0.9, 0.91], CUDA, rate=0.8) + runs("clean", [0.4, 0.41], CUDA, rate=0.8, train_on="clean")
    assert answers.mixtures_answer(series.mixtures(conditions(*rows), [])).details == (
        "80 % of the images poisoned: no defence 90.5 ± 0.7 %, the clean images alone 40.5 ± 0.7 %; throwing the "
        "others away: −50.0 points against no defence.",
    )


def adaptive(wide: list[float]) -> answers.Answer:
    big = {**CUDA, "kernel_size": 7}
    rows = [
        *runs("p", [0.2, 0.2], CUDA),
        *runs("pc", [0.7, 0.72], CUDA, coin(2.0)),
        *runs("w", [0.25, 0.25], big),
        *runs("wc", wide, big, coin(2.0)),
    ]
    return answers.attackers_answer(series.attackers(conditions(*rows)))


def test_attackers_win_if_less_is_left_after_coin() -> None:
    verdict = adaptive([0.3, 0.302]).verdict
    assert verdict == (
        "It helps less against 1 of 1 who adapt: after COIN, less is left by 7×7 kernels than by the attack as "
        "published (−40.9 [−52, −29] points)."
    )
    assert adaptive([0.25, 0.25]).verdict.endswith(
        "Against 7×7 kernels it cannot be told whether COIN gives anything back."
    )
    assert adaptive([0.1, 0.101]).verdict.endswith("Against 7×7 kernels COIN harms.")
    assert adaptive([0.7, 0.75]).verdict == (
        "Of none of the 1 tried can it be told that less is left after COIN than of the attack as published."
    )
    half = adaptive([])
    assert half.verdict == NOT_YET
    assert half.details[-1] == "7×7 kernels: 25.0 ± 0.0 % without COIN; the other half is not measured yet."
    assert answers.attackers_answer([]).verdict == NOT_YET


def sizes(large: list[float], larger: list[float]) -> answers.Answer:
    rows = []
    for side, two, four in ((32, [0.7, 0.71], [0.5, 0.5]), (64, large, larger)):
        for strength, lasts in ((0.0, [0.2, 0.2]), (2.0, two), (4.0, four)):
            rows += runs(f"{side} {strength}", lasts, CUDA, coin(strength) if strength else [], side=side)
    return answers.resolution_answer(series.resolution_lines(conditions(*rows), []))


def three(*sides: dict[float, float]) -> answers.Answer:
    rows = []
    for side, lasts in zip((32, 64, 96), sides, strict=True):
        for strength, last in {0.0: 0.2, **lasts}.items():
            ends = [last, last + 0.01 + 0.001 * strength]
            rows += runs(f"{side} {strength}", ends, CUDA, coin(strength) if strength else [], side=side)
    return answers.resolution_answer(series.resolution_lines(conditions(*rows), []))


def test_gain_and_strength_over_the_size() -> None:
    assert sizes([0.4, 0.42], [0.3, 0.3]).verdict == (
        "From 32×32 px to 64×64 px COIN's best gain shrinks (−29.5 [−36, −23] points); whether the best strength moves "
        "with the size cannot be told."
    )
    assert sizes([0.5, 0.5], [0.7, 0.71]).verdict == (
        "Whether COIN's best gain changes from 32×32 px to 64×64 px cannot be told (0.0 points); the best strength is "
        "2 px at 32×32 px, 4 px at 64×64 px."
    )
    assert (
        "moves with the size cannot be told"
        not in three({2.0: 0.7, 4.0: 0.7}, {2.0: 0.7, 4.0: 0.5}, {2.0: 0.5, 4.0: 0.7}).verdict
    )
    assert (
        "moves with the size cannot be told"
        in three({2.0: 0.7, 4.0: 0.7}, {2.0: 0.7, 4.0: 0.5}, {2.0: 0.6, 4.0: 0.6}).verdict
    )
    assert "grows (+10.5" in sizes([0.8, 0.82], []).verdict
    assert sizes([], []).verdict == NOT_YET
    assert answers.resolution_answer([]).verdict == NOT_YET


def strengths(second: dict[float, float]) -> answers.Answer:
    rows = []
    for blur, lasts in ((0.3, {0.0: 0.2, 1.0: 0.5, 2.0: 0.7}), (0.6, second)):
        for strength, last in lasts.items():
            stack = coin(strength) if strength else []
            ends = [last, last + 0.01 + 0.001 * strength]
            rows += runs(f"{blur} {strength}", ends, {**CUDA, "blur": blur}, stack)
    return answers.optimum_answer(*series.optimum_lines(conditions(*rows), []))


def test_a_strength_counts_as_alike_until_it_is_told_to_be_worse() -> None:
    line = series.cost_lines(
        conditions(*runs("1", [0.9, 0.91], defenses=coin(1.0)), *runs("2", [0.5, 0.52], defenses=coin(2.0)))
    )
    assert answers.best(line[0])[2] == (1.0,)
    apart = [row("1", 0, 0.9, None, coin(1.0)), row("2", 1, 0.5, None, coin(2.0))]
    assert answers.best(series.cost_lines(conditions(*apart))[0])[2] == (1.0, 2.0), (
        "seeds that no two share say nothing"
    )


def test_one_strength_for_all_or_not() -> None:
    assert strengths({1.0: 0.3, 2.0: 0.5}).verdict.startswith(
        "One strength may do for both attacks: α = 2 px can nowhere be told from the best"
    )
    assert strengths({1.0: 0.6, 2.0: 0.5}).verdict == (
        "No single strength suits both attacks: the best goes from α = 1 px (p_b = 0.6, k = 3) to 2 px (p_b = "
        "0.3, k = 3)."
    )
    assert "(α = 1 px cannot be told from it)" in strengths({1.0: 0.5, 2.0: 0.5}).details[1]
    helpless = strengths({0.0: 0.5, 1.0: 0.5, 2.0: 0.5}).verdict
    assert (
        helpless == f"{NOT_YET} Against p_b = 0.6, k = 3 it can be told of no strength that it gives anything back."
    ), "one attack says nothing of others"
    assert strengths({1.0: 0.6}).verdict == NOT_YET, "one strength has no best one"
    assert answers.optimum_answer([], []).verdict == NOT_YET


def test_no_number_is_said_where_no_seed_is_shared() -> None:
    """A benchmark that was stopped: one seed of one condition, another seed of the other."""
    big = {**CUDA, "kernel_size": 7}
    apart = [row("p", 0, 0.2, CUDA), row("pc", 0, 0.7, CUDA, coin(2.0)), row("w", 1, 0.25, big),
             row("wc", 0, 0.3, big, coin(2.0))]  # fmt: skip
    found = answers.attackers_answer(series.attackers(conditions(*apart)))
    assert found.details[-1] == "7×7 kernels: 25.0 % without COIN, 30.0 % with it."
    assert "gives anything" not in found.verdict
    parts = [row("none", 0, 0.9, CUDA, rate=0.8), row("clean", 1, 0.4, CUDA, rate=0.8, train_on="clean")]
    assert answers.mixtures_answer(series.mixtures(conditions(*parts), [])).details == (
        "80 % of the images poisoned: no defence 90.0 %, the clean images alone 40.0 %.",
    )


def test_the_best_strength_is_chosen_on_the_seeds_that_all_have() -> None:
    """α = 2 has one seed more, on which every run is good: its mean over all of them says nothing of α = 1."""
    line = series.cost_lines(
        conditions(*runs("1", [0.5, 0.5], defenses=coin(1.0)), *runs("2", [0.4, 0.41, 0.99], defenses=coin(2.0)))
    )
    found = answers.best(line[0])
    assert found is not None
    assert found[0] == 1.0
