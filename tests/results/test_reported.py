"""Reported figures: every name means one thing, every value is what its source prints."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from ued_core.attacks import ATTACKS
from ued_core.data import DATASETS
from ued_core.defenses import DEFENSES
from ued_core.errors import DataError, Unavailable
from ued_core.models import MODELS
from ued_core.results import reported as module
from ued_core.results.reported import FOLDER, NAMES, NOT_HERE, clean_reference, name_of, reported, sources

CATALOGUES = {"attack": ATTACKS, "defense": DEFENSES, "dataset": DATASETS, "model": MODELS}
ROWS = reported()


def value(
    source: str, dataset: str, attack: str, defense: str, model: str = "ResNet-18", variants: tuple[str, str] = ("", "")
) -> float:
    (row,) = [
        r
        for r in ROWS
        if (r.source.title, r.dataset.title, r.model.title) == (source, dataset, model)
        and (r.attack.key, r.defense.key) == (attack, defense)
        and (r.attack.variant, r.defense.variant) == variants
    ]
    return row.test_accuracy


def test_every_line_of_every_table_is_a_row_with_its_value() -> None:
    lines = [
        line
        for file in sorted(FOLDER.glob("*.csv"))
        for line in csv.DictReader(file.open(encoding="utf-8", newline=""))
    ]
    assert len(lines) == len(ROWS) > 600
    for line, row in zip(lines, ROWS, strict=True):
        assert row.test_accuracy == pytest.approx(float(line["test_accuracy_percent"]) / 100)
        assert row.source.text == line["source"]
        assert dict(row.spelled) == {column: line[column] for column in NAMES}


def test_values_read_by_hand() -> None:
    assert value("ISS", "CIFAR-10", "one_pixel", "none") == pytest.approx(0.3655)
    assert value("APBench", "CIFAR-10", "one_pixel", "none") == pytest.approx(0.1469)
    assert value("BridgePure", "CIFAR-10", "clean", "none") == pytest.approx(0.9401)
    assert value("BridgePure", "CIFAR-10", "em", "adversarial_training") == pytest.approx(0.8386)
    assert value("UC slides, Table 1", "Pets", "uc", "none", variants=("CLIP", "")) == pytest.approx(0.0469)
    assert value("UC slides, Table 3", "Pets", "uc", "gaussian_blur") == pytest.approx(0.2426)
    assert value("COIN, mean of 4 networks", "CIFAR-10", "cuda", "coin", "mean of 4 networks") == pytest.approx(0.7241)
    assert value("CUDA", "ImageNet-100", "cuda", "adversarial_training", variants=("", "L2")) == pytest.approx(0.2058)
    assert value("RSK + FF", "CIFAR-10", "cuda", "rsk") == pytest.approx(0.7853)
    assert value("APBench", "CIFAR-100", "em", "gaussian_as_published") == pytest.approx(0.0299)


@pytest.mark.parametrize("column", NAMES)
def test_every_name_is_in_a_catalogue_or_left_out_on_purpose(column: str) -> None:
    used = {getattr(row, column).key for row in ROWS}
    assert used - set(CATALOGUES[column]) - set(NOT_HERE[column]) == set()
    built = set(NOT_HERE[column]) & set(CATALOGUES[column])
    assert built == set(), f"{built} can be built now: take it out of NOT_HERE"
    assert set(NOT_HERE[column]) <= used, "nothing is explained that no table has"


@pytest.mark.parametrize("column", NAMES)
def test_every_spelling_of_the_vocabulary_is_used(column: str) -> None:
    printed = {row.spelled[column] for row in ROWS}
    printed |= {module.BUDGET.sub("", text) for text in printed}
    assert set(NAMES[column]) <= printed


def test_spellings_of_one_thing_meet() -> None:
    assert name_of("attack", "EMinN") == name_of("attack", "EM") == name_of("attack", "EM (L_inf=8)")
    assert name_of("attack", "SynPer") == name_of("attack", "LSP (L_2=1.0)") == name_of("attack", "LSP")
    assert name_of("attack", "AdvPoison") == name_of("attack", "TAP")
    assert name_of("defense", "PGD-AT") == name_of("defense", "adversarial training") == name_of("defense", "AT")
    assert name_of("attack", "none") == name_of("attack", "clean")
    assert name_of("attack", "UC") != name_of("attack", "UC-CLIP"), "two forms stay apart under one key"
    assert name_of("attack", "UC").key == name_of("attack", "UC-CLIP").key == "uc"


def test_the_same_word_means_a_real_blur_in_one_source_only() -> None:
    assert {r.defense.key for r in ROWS if r.spelled["defense"] == "gaussian" and r.source.title == "APBench"} == {
        "gaussian_as_published"
    }
    assert {r.defense.key for r in ROWS if r.spelled["defense"] == "gaussian" and r.source.title != "APBench"} == {
        "gaussian_blur"
    }


def test_no_source_has_two_values_for_one_thing() -> None:
    counts = Counter((r.source.text, r.dataset, r.model, r.attack, r.defense) for r in ROWS)
    assert [place for place, count in counts.items() if count > 1] == []


def test_every_source_is_described_once_and_used() -> None:
    described = sources()
    assert set(described) == {row.source.text for row in ROWS}
    assert len({source.title for source in described.values()}) == len(described)
    assert all(source.note and source.where and source.kind for source in described.values())


def test_the_page_s_warning_is_true() -> None:
    undefended = [
        r for r in ROWS if r.defense.key == "none" and (r.dataset.key, r.model.key) == ("cifar10", "resnet18")
    ]
    spans = {}
    for row in undefended:
        spans.setdefault(row.attack, []).append(row.test_accuracy)
    assert max(max(found) - min(found) for found in spans.values()) > 0.2


def test_clean_reference_is_of_the_same_source() -> None:
    iss = next(r for r in ROWS if r.source.title == "ISS" and r.attack.key == "em")
    assert clean_reference(iss, ROWS) == pytest.approx(0.9468)
    apbench = next(r for r in ROWS if r.source.title == "APBench" and r.attack.key == "em")
    assert clean_reference(apbench, ROWS) is None


def table(tmp_path: Path, line: str, header: str = ",".join(module.COLUMNS)) -> Path:
    (tmp_path / "sources.json").write_text('[{"source": "S", "title": "S", "kind": "k", "where": "w", "note": "n"}]')
    (tmp_path / "one.csv").write_text(f"{header}\n{line}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("CIFAR-10,ResNet-18,EMM,none,3.0,S", "'EMM'"),
        ("CIFAR-10,ResNet-18,EM,nothing,3.0,S", "'nothing'"),
        ("CIFAR-10,ResNet-18,EM,none,101,S", "'101'"),
        ("CIFAR-10,ResNet-18,EM,none,nan,S", "'nan'"),
        ("CIFAR-10,ResNet-18,EM,none,3.0,T", "'T'"),
    ],
)
def test_what_nobody_described_is_refused_with_its_place(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        reported(table(tmp_path, line))
    assert "one.csv, line 2" in str(error.value)
    assert words in str(error.value)


def test_missing_columns_and_files_are_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        reported(tmp_path)
    with pytest.raises(DataError, match="columns"):
        reported(table(tmp_path, "EM,3.0", "attack,accuracy"))
