"""What is said of photographs follows the rows: on tables made by hand, other numbers give other words."""

from benchmarks.statements import photographs
from benchmarks.statements.stored import COIN, FASHION, SHAPES

CLEAN = ("fashion", None, [], [0.80, 0.82, 0.84, 0.82, 0.82])


def test_what_an_attack_takes_is_paired_and_doubt_is_said(table):
    table(CLEAN, ("fashion", "cuda", [], [0.20, 0.24, 0.24, 0.21, 0.23]), ("fashion", "synper", [], [0.80, 0.30, 0.85]))
    lines = photographs.photographs().splitlines()
    # (60 + 58 + 60 + 61 + 59) / 5
    assert lines[0].startswith("- **Filters:** CUDA takes 59.6 [")
    assert lines[0].endswith("points and leaves 22.4 ± 1.8 %.")
    assert "LSP takes 17.0" in lines[1]
    assert "(3 seeds, cannot be told)" in lines[1]


def test_what_a_defence_gives_and_costs(table):
    coin = [COIN]
    table(
        CLEAN,
        ("fashion", "cuda", [], [0.20, 0.24, 0.24, 0.21, 0.23]),
        ("fashion", "cuda", coin, [0.60, 0.62, 0.66, 0.61, 0.61]),
        ("fashion", None, coin, [0.70, 0.71, 0.72, 0.73, 0.74]),
    )
    text = photographs.photographs()
    # (40 + 38 + 42 + 40 + 38) / 5 and (−10 − 11 − 12 − 9 − 8) / 5
    assert "**COIN** after CUDA: +39.6 [" in text
    assert "changes the accuracy on clean images by −10.0 [" in text
    assert "to 72.0 ± 1.6 %" in text


def test_the_findings_in_brief_follow_the_verdicts(table):
    low = [0.20, 0.24, 0.24, 0.21, 0.23]
    coin, grey = [COIN], [photographs.GREY]
    table(
        CLEAN,
        *(("fashion", attack, [], low) for attack in ("cuda", "vuda", "synper")),
        ("fashion", "cuda", coin, [0.60, 0.62, 0.66, 0.61, 0.61]),
        ("fashion", "vuda", coin, [0.10, 0.14, 0.13, 0.11, 0.13]),
        ("fashion", "synper", coin, [0.10, 0.54, 0.13, 0.31, 0.13]),
        ("fashion", None, coin, [0.70, 0.71, 0.72, 0.73, 0.74]),
        ("fashion", "cuda", grey, low),
        ("fashion", None, grey, CLEAN[3]),
    )
    first, healed, same = photographs.findings([]).splitlines()
    assert first == "- **What is left of 82 %** after each attack: CUDA 22, VUDA 22 and LSP 22 %."
    assert healed.startswith(
        "- **COIN**: points back after CUDA +40; points lost after VUDA −10; "
        "whether it helps cannot be told after LSP; clean ones: −10.0 ["
    )
    assert same == "- **Greyscale**: no change of any run after CUDA; no price on clean ones."


def test_nothing_is_said_of_what_was_not_run(table):
    table(CLEAN)
    assert photographs.photographs() == photographs.findings([]) == ""
    assert photographs.drawn() == ""


def test_other_recipes_do_not_speak_for_the_default(table):
    table(CLEAN)
    assert FASHION.known() is not None
    assert SHAPES.known() is None


def test_a_difference_between_data_is_told_where_one_attack_works_on_one_alone(table):
    shapes = ("shapes", None, [], [0.96, 0.97, 0.98, 0.97, 0.97])
    table(
        CLEAN,
        shapes,
        ("fashion", "em", [], [0.20, 0.24, 0.24, 0.21, 0.23]),
        ("shapes", "em", [], [0.97, 0.96, 0.98, 0.98, 0.96]),
        ("fashion", "cuda", [], [0.20, 0.24, 0.24, 0.21, 0.23]),
        ("shapes", "cuda", [], [0.20, 0.24, 0.24, 0.21, 0.23]),
    )
    text = photographs.drawn()
    assert "EM is seen to take effect on photographs and not on shapes: 22.4 ± 1.8 % are left on photographs" in text
    assert "CUDA" not in text
