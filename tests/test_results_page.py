"""docs/results.md and the README show what the stored rows say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import results_page, study_tables
from tests.results.test_measured import row
from ued_core.results.row import ResultRow


@pytest.mark.parametrize("path", results_page.PAGES, ids=lambda path: path.name)
def test_the_tables_are_those_of_the_stored_rows(path: Path) -> None:
    there = path.read_text(encoding="utf-8")
    assert results_page.with_tables(there) == there, "Run python -m benchmarks.results_page"


def test_every_table_is_on_one_page() -> None:
    texts = [page.read_text(encoding="utf-8") for page in results_page.PAGES]
    marked = [found[2] for text in texts for found in results_page.MARKED.finditer(text)]
    assert sorted(marked) == sorted(results_page.TABLES)


def test_a_stale_table_is_replaced_and_the_text_around_it_is_kept() -> None:
    text = "Before.\n\n<!-- table: feature_quality -->\n\n| old |\n\n<!-- end -->\n\nAfter.\n"
    now = results_page.with_tables(text)
    assert now.startswith("Before.\n\n<!-- table: feature_quality -->\n\n| data | trained on |")
    assert now.endswith("\n\n<!-- end -->\n\nAfter.\n")
    assert results_page.with_tables(now) == now


def test_a_mark_without_a_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        results_page.with_tables("<!-- table: unknown -->\n<!-- end -->")


def test_a_made_up_table_with_unequal_seeds_is_paired_or_dropped() -> None:
    """The mean of JPEG's one seed, 30 %, is below that of the three without a defence, 67 %; on the same seed it is 10
    points above. Grey and its whole line have no seed in common with them."""
    jpeg, grey, coin = ([{"name": name}] for name in ("jpeg", "greyscale", "coin"))
    rows = [row("EM", seed, last, attack="EM", defence="none") for seed, last in enumerate((0.2, 0.9, 0.9))]
    rows += [row("EM", seed, last, attack="EM", defence="COIN", defenses=coin) for seed, last in ((0, 0.5), (1, 0.95))]
    rows += [row("EM", 0, 0.3, attack="EM", defence="JPEG 10", defenses=jpeg)]
    rows += [row("EM", 7, 0.99, attack="EM", defence="grey", defenses=grey)]
    assert study_tables.defences([ResultRow.from_json(r) for r in rows]).splitlines() == [
        "| shapes | EM |",
        "|---|---|",
        "| none | 66.7 ± 40.4 n3 |",
        "| COIN | +17.5? [−100, 100] n2 |",
        "| JPEG 10 | +10.0? n1 |",
    ]


def test_another_data_set_needs_no_change_of_the_table() -> None:
    """Five seeds of a set that the benchmark does not name."""
    rows = []
    for seed, (none, defended) in enumerate(zip((0.2, 0.3, 0.25, 0.2, 0.3), (0.6, 0.72, 0.66, 0.61, 0.7), strict=True)):
        rows += [row("EM", seed, none, attack="EM", defence="none", dataset="fashion")]
        rows += [row("EM", seed, defended, attack="EM", defence="COIN", defenses=[{"name": "coin"}], dataset="fashion")]
    table = study_tables.defences([ResultRow.from_json(r) for r in rows])
    assert table.splitlines()[2:] == ["| none | 25.0 ± 5.0 n5 |", "| COIN | +40.8 [40, 42] n5 |"]
