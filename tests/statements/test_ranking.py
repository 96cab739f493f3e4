"""Which defence is best: the words follow made-up cells."""

from benchmarks.statements.ranking import told
from ued_core.results.evidence import Draw


def cell(*values: float) -> dict[Draw, float]:
    return {Draw(seed, seed, seed, "float32"): value for seed, value in enumerate(values)}


CLEAN = {"none": cell(0.85, 0.84, 0.86), "COIN": cell(0.75, 0.76, 0.74), "JPEG 10": cell(0.8, 0.81, 0.82)}
TABLE = {
    "clean": CLEAN,
    "CUDA": {
        "none": cell(0.2, 0.22, 0.24),
        "COIN": cell(0.7, 0.71, 0.72),
        "JPEG 10": cell(0.3, 0.31, 0.33),
    },
    "LSP": {
        "none": cell(0.4, 0.42, 0.41),
        "COIN": cell(0.41, 0.4, 0.45),
        "JPEG 10": cell(0.75, 0.74, 0.76),
        "greyscale": cell(0.7, 0.8, 0.74),
    },
    "harmless": {"none": cell(0.84, 0.83, 0.85), "COIN": cell(0.9, 0.9, 0.9)},
    "kernel per image": {"none": cell(0.5, 0.5, 0.51), "COIN": cell(0.6, 0.6, 0.6)},
}


def test_each_harmful_attack_has_its_best_and_what_cannot_be_told_from_it() -> None:
    lines = told(TABLE).splitlines()
    assert lines[0] == ("- After **CUDA**, which leaves 22.0 ± 2.0 %, COIN is best of 2 with 71.0 ± 1.0 %.")
    assert lines[1] == (
        "- After **LSP**, which leaves 41.0 ± 1.0 %, JPEG 10 is best of 3 with 75.0 ± 1.0 %; greyscale (74.7 ± 5.0 %) "
        "cannot be told from it."
    )
    assert not any("harmless" in line or "per image" in line for line in lines)


def test_the_worst_case_is_over_what_was_run_after_all() -> None:
    assert told(TABLE).splitlines()[-1] == (
        "- **Whichever attack it was** (CUDA and LSP): of 2 defences that were run after all of them, the lowest mean "
        "is highest with COIN 42 % (after LSP) and JPEG 10 31 % (after CUDA)."
    )
    without = {**TABLE, "CUDA": {"none": TABLE["CUDA"]["none"], "COIN": TABLE["CUDA"]["COIN"]}}
    assert "Whichever" not in told(without), "one defence alone is no ranking"


def test_without_rows_nothing_is_said() -> None:
    assert told({}) == ""
