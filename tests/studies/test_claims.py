"""What papers claim: verdicts follow from made-up numbers by the rule, and every claim names conditions that exist."""

from collections.abc import Sequence

import pytest

from ued_core.assets import asset
from ued_core.results.evidence import Comparison, Draw, compare
from ued_core.studies.claims import CLAIMS, Check, Claim, judgements, outcome, verdict
from ued_core.studies.study import Study


def change(*values: float) -> Comparison:
    seeds = [Draw(seed, seed, seed, "float32") for seed in range(len(values))]
    return compare({s: 0.5 + v for s, v in zip(seeds, values, strict=True)}, dict.fromkeys(seeds, 0.5))


UP, DOWN, OPEN, NONE = (
    change(0.2, 0.21, 0.22),
    change(-0.2, -0.21, -0.22),
    change(-0.2, 0.21, 0.02),
    change(0.001, -0.001, 0.0),
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("higher", [True, False, None, None]),
        ("lower", [False, True, None, None]),
        ("not lower", [True, False, None, True]),
        ("not higher", [False, True, None, True]),
    ],
)
def test_one_comparison(wanted: str, expected: list[bool | None]) -> None:
    assert [outcome(wanted, found) for found in (UP, DOWN, OPEN, NONE)] == expected


def test_a_small_loss_is_no_proof_of_none_and_no_loss_at_all_is() -> None:
    slight = change(-0.02, -0.021, -0.019)
    assert slight.word == "worse"
    assert outcome("not lower", slight) is True, "within three points, however surely below zero"
    assert outcome("not lower", change(-0.04, -0.041, -0.039)) is False
    assert outcome("not lower", change(-0.04, 0.01, -0.03)) is None
    assert outcome("not lower", change(0.0, 0.0, 0.0)) is True
    assert outcome("not lower", change(0.0)) is None, "one run has no interval"


def checks(*found: Comparison | None) -> Sequence[tuple[Check, Comparison | None]]:
    return [(Check(str(number), "a", "b", "higher"), one) for number, one in enumerate(found)]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([UP, UP], "holds"),
        ([UP, None], "holds so far"),
        ([UP, OPEN], "holds in part"),
        ([UP, DOWN], "holds in part"),
        ([OPEN, DOWN], "does not hold"),
        ([OPEN, None], "cannot be told"),
        ([None, None], "not run yet"),
    ],
)
def test_a_claim(found: list[Comparison | None], expected: str) -> None:
    assert verdict(checks(*found)) == expected


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text[:40])
def test_every_claim_names_conditions_of_its_study(claim: Claim) -> None:
    study = Study.read(asset("studies", f"{claim.study}.json"))
    assert claim.checks
    for check in claim.checks:
        assert {check.condition, check.control} <= set(study.by_label)
        assert check.condition != check.control
    assert "arXiv" in claim.paper
    assert claim.text.endswith(".")


def test_the_four_systems_and_cuda_are_there_with_verdicts_of_their_rows() -> None:
    found = judgements()
    assert [one.claim for one in found] == list(CLAIMS)
    assert len({one.claim.paper for one in found}) == 5
    assert all(one.verdict == verdict(one.found) for one in found)
    # Five seeds of the table ship: the central claims of the two sides are known whatever comes later.
    assert [one.verdict for one in found if one.claim.study == "fashion"].count("not run yet") < 3
