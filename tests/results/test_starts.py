"""What is said of a pretrained start follows the rows: on tables made by hand, other numbers give other words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.results.test_measured import row
from ued_core.assets import asset
from ued_core.results import starts
from ued_core.results.row import ResultRow
from ued_core.results.starts import answer, starts_of
from ued_core.studies.study import Study

SEEDS = range(5)


def cell(start: str, attack: str, accuracies: list[float]) -> list[ResultRow]:
    made: list[dict[str, Any]] = []
    for seed, last in zip(SEEDS, accuracies, strict=False):
        label = {"condition": f"{start} · {attack}", "attack": attack}
        made.append(row(attack, seed, last) | label | {"key": f"{start}{attack}{seed}"})
    return [ResultRow.from_json(r) for r in made]


def wobbling(middle: float, width: float = 0.01) -> list[float]:
    return [middle + width * (seed - 2) / 2 for seed in SEEDS]


def table(probed: float = 0.7, width: float = 0.02) -> list[ResultRow]:
    """From scratch CUDA takes 50 points; of a probe whatever is asked for."""
    scratch = [*cell("from scratch", "clean", [0.8] * 5), *cell("from scratch", "CUDA", wobbling(0.3))]
    return [*scratch, *cell("linear probe", "clean", [0.8] * 5), *cell("linear probe", "CUDA", wobbling(probed, width))]


def test_cells_stand_by_start_and_attack_and_losses_are_from_the_same_start() -> None:
    found = starts_of(table())
    assert (found.starts, found.attacks) == (("from scratch", "linear probe"), ("clean", "CUDA"))
    assert {place: round(one.gain.mean, 3) for place, one in found.losses.items()} == {
        ("from scratch", "CUDA"): -0.5,
        ("linear probe", "CUDA"): -0.1,
    }
    spared = found.spared("linear probe", "CUDA")
    assert spared is not None
    assert spared.gain.mean == pytest.approx(0.4)
    assert spared.gain.count == 5


def test_a_start_that_is_spared_is_said_to_be_so() -> None:
    told = answer(starts_of(table()))
    assert told.verdict == (
        "From scratch: 1 of 1 attacks take accuracy (CUDA). Linear probe: 1 of 1 attacks take accuracy (CUDA); CUDA "
        "takes less than from scratch."
    )
    assert told.details[0] == "From scratch: clean 80.0 ± 0.0 % (n = 5); CUDA −50.0 [−51, −49] points, n = 5."
    assert "5 seeds for each condition" in told.seeds


@pytest.mark.parametrize(
    ("probed", "width", "says"),
    [
        (0.1, 0.02, "CUDA takes more than from scratch"),
        (0.3, 0.02, "whether CUDA takes less than from scratch cannot be told"),
        (0.7, 0.3, "Linear probe: of CUDA it cannot be told whether accuracy is lost"),
    ],
)
def test_other_numbers_give_other_words(probed: float, width: float, says: str) -> None:
    assert says in answer(starts_of(table(probed, width))).verdict


def test_what_is_still_to_be_trained_counts_among_the_comparisons() -> None:
    lost = starts_of(table()).losses["linear probe", "CUDA"]
    assert lost.among == 15
    assert lost.adjusted == pytest.approx(min(1.0, lost.p * 14)), "the smaller p of two comes first"


def test_the_study_declares_these_starts_and_attacks() -> None:
    study = Study.read(asset("studies", "pretrained.json"))
    start, attack = (tuple(choice.label for choice in axis.choices) for axis in study.axes)
    assert (start, attack) == (starts.STARTS, ("clean", *starts.ATTACKS))
    assert len(study.compared) == len(starts.STARTS) * len(starts.ATTACKS)


def test_what_is_not_trained_yet_is_named() -> None:
    assert answer(starts_of(table())).details[-1] == (
        "Not trained yet on poison and clean images: from scratch LSP, region, EM and UC; linear probe LSP, region, EM "
        "and UC; fine-tuned CUDA, LSP, region, EM and UC."
    )


def test_missing_rows_are_left_out() -> None:
    assert answer(starts_of([])).verdict.startswith("Not measured")
    alone = starts_of(cell("fine-tuned", "CUDA", [0.5]))
    assert (alone.losses, alone.clean("fine-tuned"), alone.spared("fine-tuned", "CUDA")) == ({}, None, None)
    partial = starts_of([*table(), *cell("fine-tuned", "clean", [0.9])])
    assert "Fine-tuned" not in answer(partial).verdict
    assert "Fine-tuned: clean 90.0 % (n = 1)." in answer(partial).details
