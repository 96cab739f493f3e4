"""What is said of known clean images follows the rows: on tables made by hand, other numbers give other words."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.results.test_measured import row
from ued_core.results.recovery import Attacked, answer, by_attack, half_back, over_alone
from ued_core.results.row import ResultRow

WOBBLE = [-0.01, 0.0, 0.01, 0.005, -0.005]


def runs(attack: str, as_trained: float, points: Mapping[int, tuple[float, float, float]]) -> list[ResultRow]:
    """Five seeds; (refitted, tuned, alone) by number of known images. The control does not wobble with the others."""
    made = []
    for seed, wobble in enumerate(WOBBLE):
        stored = [
            {"known": n, "refitted": a + wobble, "tuned": b + wobble, "alone": c, "alone_one_epoch": 0.1}
            for n, (a, b, c) in points.items()
        ]
        more = {
            "attack": attack,
            "as_trained": as_trained + (wobble if attack == "clean" else -wobble) / 2,
            "points": stored,
        }
        made.append(row(attack, seed, as_trained) | more)
    return [ResultRow.from_json(r) for r in made]


CLEAN = runs("clean", 0.9, {10: (0.88, 0.89, 0.3), 1000: (0.9, 0.9, 0.8)})


def test_curves_are_read_by_draw() -> None:
    clean, cuda = by_attack([*CLEAN, *runs("CUDA", 0.3, {10: (0.5, 0.35, 0.3)})])
    assert (clean.poisoned, cuda.poisoned) == (False, True)
    assert (clean.known, cuda.known) == ([10, 1000], [10])
    assert sorted(cuda.values("refitted", 10).values()) == pytest.approx([0.49, 0.495, 0.5, 0.505, 0.51])
    assert cuda.values("refitted", 1000) == {}
    assert sorted(cuda.as_trained.values())[2] == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("points", "half"),
    [
        ({10: (0.61, 0.35, 0.3)}, (10, "refitted")),
        ({10: (0.5, 0.35, 0.3), 50: (0.5, 0.7, 0.3)}, (50, "tuned")),
        ({10: (0.5, 0.35, 0.3)}, None),
    ],
)
def test_half_of_a_loss(points: dict[int, tuple[float, float, float]], half: tuple[int, str] | None) -> None:
    clean, cuda = by_attack([*CLEAN, *runs("CUDA", 0.3, points)])
    found = half_back(cuda, clean)
    assert (None if found is None else found[:2]) == half


def test_half_of_nothing_is_nothing() -> None:
    clean, harmless = by_attack([*CLEAN, *runs("CUDA", 0.9, {10: (0.9, 0.9, 0.3)})])
    assert half_back(harmless, clean) is None
    assert half_back(harmless, None) is None


def test_the_network_is_judged_against_the_same_images_alone() -> None:
    (own,) = by_attack(runs("CUDA", 0.3, {10: (0.5, 0.35, 0.3), 50: (0.6, 0.3, 0.7)}))
    words = [(one.word if (one := over_alone(own, "refitted", known)) else "") for known in own.known]
    assert words == ["better", "worse"]


def test_the_answer_follows_the_numbers() -> None:
    table = [*CLEAN, *runs("CUDA", 0.3, {10: (0.7, 0.35, 0.3), 1000: (0.8, 0.7, 0.85)})]
    table += runs("LSP", 0.3, {10: (0.3, 0.3, 0.3), 1000: (0.5, 0.4, 0.85)})
    told = answer(by_attack(table))
    assert told.verdict == (
        "Half of what an attack took is back with so many known clean images: CUDA 10; of LSP it is not back, or not "
        "told, with 1,000. With 10 known images, the network of CUDA gives more than the same images alone; whether "
        "the network of LSP does cannot be told. With 1,000, the same images alone give more than the network of CUDA "
        "and LSP."
    )
    words = "with 10 known images 70.0 ± 0.8 % by a new last layer"
    assert told.details[0].startswith(f"CUDA: 30.0 ± 0.4 % as trained; {words}")
    assert "(the better of both against it +40.0 [39, 41] points)" in told.details[0]
    assert "67 % of the loss are back with 10 (last layer refitted)" in told.details[0]
    assert told.details[-1].startswith("Clean: 90.0 ± 0.4 % as trained")


def test_nothing_is_said_without_rows() -> None:
    assert answer([]).verdict == "Not measured yet."
    assert answer(by_attack(CLEAN)).verdict == "Not measured yet."
    assert Attacked("CUDA", ()).known == []
