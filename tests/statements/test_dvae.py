"""What is said of D-VAE follows the rows: on tables made by hand, other numbers give other words."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import study_tables
from benchmarks.statements import dvae
from tests.results.test_measured import row
from ued_core.results.row import ResultRow


def arms(**more: Any) -> list[ResultRow]:
    """Five seeds: two stages give back 30 points after LSP, and cost clean images between 9 and 11."""
    made = []
    for seed in range(5):
        wobble = (seed - 2) / 200
        clean, lsp = {"attack": "clean", "dataset": "small"}, {"attack": "LSP", "dataset": "small"}
        none, two, one, subtracted, plain = (
            {"defence": "none"},
            {"defence": dvae.TWO_STAGES, "defenses": [{"name": "dvae"}]},
            {"defence": dvae.ONE_STAGE, "defenses": [{"name": "dvae", "variant": "reconstruction"}]},
            {"defence": dvae.SUBTRACTED, "defenses": [{"name": "dvae", "variant": "subtraction"}]},
            {"defence": dvae.PLAIN, "defenses": [{"name": "dvae", "variant": "plain_vae"}]},
        )
        made += [row("clean", seed, 0.8, **clean, **none), row("LSP", seed, 0.4, **lsp, **none)]
        made += [row("clean", seed, 0.7 + wobble, **clean, **two), row("LSP", seed, 0.7 + wobble, **lsp, **two)]
        made += [row("LSP", seed, 0.5 - wobble, **lsp, **one), row("LSP", seed, 0.5 + 20 * wobble, **lsp, **plain)]
        measured = {"name": "dvae", "psnr_clean": 20.0 + wobble, "psnr_input": 21.0}
        measured["separation"] = {"images": 9, "found": -0.3 + wobble, "found_elsewhere": 0.0}
        made += [row("LSP", seed, 0.3, **lsp, **subtracted, purification=[measured])]
    return [ResultRow.from_json(r) for r in made]


def rates(passing: dict[float, list[float]]) -> list[ResultRow]:
    made = [row("LSP", seed, 0.4) for seed in range(5)]
    for target, shares in passing.items():
        for seed, share in enumerate(shares):
            report = {"name": "dvae", "psnr_clean": 20.0 + target, "psnr_input": 22.0}
            report["separation"] = {"images": 9, "nats": target, "surviving": share, "found": 0.1}
            defenses = [{"name": "dvae", "rate_1": target}]
            made.append(
                row("LSP, x̂", seed, 0.5 + share / 10, attack="LSP", defenses=defenses, purification=[report])
                | {"condition": f"LSP, x̂ at {target:g}"}
            )
    return [ResultRow.from_json(r) for r in made]


SHARES = [0.10, 0.12, 0.14, 0.12, 0.12]


def test_arms_are_paired_with_the_published_images_and_with_each_other() -> None:
    lines = dvae.words(arms(), []).splitlines()
    assert lines[0].startswith("- **D-VAE, two stages:** on clean images −10.0 [−11, −9] points, to 70.0 ± 0.8 %; ")
    assert "after LSP +30.0 [29, 31] points, to 70.0 ± 0.8 %." in lines[0]
    assert any(line.startswith("- **Two stages against x̂ of one stage:** after LSP +20.0 [18, 22]") for line in lines)
    (plain,) = (line for line in lines if "plain VAE, which" in line)
    assert "(cannot be told)" in plain
    assert "after LSP −0.30 ± 0.01 against 0.00 ± 0.00 (n = 5)." in lines[-1]


def test_what_passes_is_told_of_the_two_ends_only_where_it_differs() -> None:
    assert dvae.words([], rates({1.0: SHARES})) == ""
    text = dvae.words([], rates({0.3: SHARES, 6.0: [share + 0.2 + share / 10 for share in SHARES], 1.0: SHARES[:1]}))
    assert "12.0 ± 1.4 % at 0.3 nats and 33.2 ± 1.6 % at 6 nats of the perturbation pass (n = 5)" in text
    assert "20.3 ± 0.0 dB at 0.3 nats and 26.0 ± 0.0 dB at 6 nats to the clean images" in text
    assert "the accuracy is higher at 6 nats by 2.1 [2, 2] points" in text
    same = dvae.words([], rates({0.3: SHARES, 6.0: SHARES[::-1]}))
    assert "of the perturbation pass, which cannot be told apart (n = 5)" in same
    assert "at which of the two the accuracy is higher cannot be told" in same


def test_bfloat16_is_told_against_float32_on_the_same_seeds() -> None:
    made = [row("none", seed, 0.4, defence="none") for seed in range(3)]
    for seed in range(3):
        wobble = (seed - 1) / 100
        for arm, last, db, found in ((dvae.FLOAT32, 0.7, 22.0, -0.2), (dvae.BFLOAT16, 0.69, 23.0, -0.2 - 20 * wobble)):
            report = {"name": "dvae", "psnr_clean": db + db * wobble, "separation": {"images": 9, "found": found}}
            made.append(row(arm, seed, last + wobble, defence=arm, defenses=[{"name": "dvae"}], purification=[report]))
    (line,) = dvae.words([], [], [ResultRow.from_json(r) for r in made]).splitlines()
    assert line.startswith("- **bfloat16 against float32** in the steps of both stages, after LSP: ")
    assert "clean test accuracy −1.0" in line
    assert "23.0 ± 0.2 dB against 22.0 ± 0.2 dB to the clean images (n = 3)" in line
    assert "−0.20 ± 0.20 against −0.20 ± 0.00 is the correlation" in line
    assert "which cannot be told apart (n = 3)" in line
    assert dvae.words([], [], [ResultRow.from_json(r) for r in made[:3]]) == ""


def test_nothing_is_said_without_rows() -> None:
    assert dvae.words([], []) == ""
    assert study_tables.dvae([], []) == ""


def test_the_tables_of_the_documents() -> None:
    gains, nearness, passing = study_tables.dvae(arms(), rates({1.0: SHARES})).split("\n\n")
    assert gains.splitlines()[0] == "| small | clean | LSP |"
    assert "| D-VAE, two stages | −10.0 [−11, −9] n5 | +30.0 [29, 31] n5 |" in gains
    assert nearness.splitlines()[2:] == ["| D-VAE, x − p̂ |  | 20.0 ± 0.0 |"]
    assert passing.splitlines()[2] == (
        "| 1 | 51.2 ± 0.1 n5 | +11.2 [11, 11] n5 | 1.00 ± 0.00 | 22.0 ± 0.0 | 21.0 ± 0.0 | 0.120 ± 0.014 | "
        "0.100 ± 0.000 |  |"
    )


@pytest.mark.parametrize("number", ["found", "psnr_clean"])
def test_a_row_says_what_became_of_the_images(number: str) -> None:
    (own, *_) = (r for r in arms() if r.purification)
    assert own.number(number) == pytest.approx({"found": -0.31, "psnr_clean": 19.99}[number])
