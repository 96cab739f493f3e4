"""What a study's declared comparisons say: the words follow made-up numbers."""

import re

import pytest

from benchmarks import study_tables
from benchmarks.statements import studies
from benchmarks.statements.studies import _question
from ued_core.assets import asset
from ued_core.results.evidence import Draw, compare, corrected
from ued_core.studies.progress import Judged
from ued_core.studies.study import Compared, Condition


def seeds(*values: float) -> dict[Draw, float]:
    return {Draw(seed, seed, seed, "float32"): value for seed, value in enumerate(values)}


def judged(cells: dict[str, tuple[dict[Draw, float], dict[Draw, float]]]) -> list[Judged]:
    single = [compare(own, control) for own, control in cells.values()]
    control = Condition("none", {}, ())
    return [
        Judged(Compared("What it gives", Condition(name, {}, ()), control, None), found, None)
        for name, found in zip(cells, corrected(single), strict=True)
    ]


def test_differences_stand_under_what_can_be_told_and_what_is_left_after_correction() -> None:
    own = judged(
        {
            "sure": (seeds(0.9, 0.901, 0.902), seeds(0.1, 0.102, 0.101)),
            "alone": (seeds(0.45, 0.6, 0.53), seeds(0.3, 0.31, 0.32)),
            "worse": (seeds(0.2, 0.21, 0.22), seeds(0.3, 0.31, 0.33)),
            "open": (seeds(0.5, 0.3, 0.4), seeds(0.4, 0.4, 0.41)),
            "missing": ({}, seeds(0.4)),
        }
    )
    text = _question("What it gives", own, 60)
    assert text.startswith("**What it gives** higher (2): sure +80.0 [80, 80] n3 and alone +21.7 [")
    assert "; lower (1): worse −10.3 [−12, −9] n3; cannot be told (1): open −0.3? [" in text
    assert text.endswith("; 2 of these 3 after correction for all 60 comparisons (Holm); 1 not run yet.")


def test_what_has_no_pair_is_not_spoken_of() -> None:
    assert _question("What it gives", judged({"missing": ({}, seeds(0.4))}), 1) == ""


def test_only_the_largest_are_named() -> None:
    many = {f"c{k}": (seeds(0.9 - k / 100, 0.9 - k / 100 + 0.001), seeds(0.1, 0.1)) for k in range(9)}
    text = _question("What it gives", judged(many), 9)
    assert "higher (9): c0 " in text
    assert "and 3 more" in text
    assert "c7" not in text


@pytest.mark.parametrize("name", ["fashion-strength", "fashion-victims", "fashion-length", "fashion-staged"])
def test_every_study_of_the_documents_has_its_numbers(name: str) -> None:
    found = studies.shipped(name)
    assert found.study.name == asset("studies", f"{name}.json").stem
    first = studies.words(name).splitlines()[0]
    assert f"{found.counts['finished']:,} " in first
    table = study_tables.matrix(found, list(found.study.by_axis)[-1]).splitlines()
    axis = found.study.grid_axes[-1]
    assert table[0].split(" | ")[-len(axis.by_label) :] == [*list(axis.by_label)[:-1], f"{list(axis.by_label)[-1]} |"]
    cells = sum(len(re.findall(r" n\d+ \|", line)) for line in table[2:])
    assert cells == sum(bool(cell.draws) for cell in found.cells.values())
