"""docs/results.md and the README show what the stored rows say, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import results_page


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
