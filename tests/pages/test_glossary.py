"""The glossary: short, one place for each word, and no page forgets a word that it uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.frame.glossary import ADDRESS, ASKED, WORDS, term
from pages.frame.navigation import PAGES, PageEntry

ABOUT_WORDS = [entry for entry in PAGES if entry.address != ADDRESS]


def sentences(path: Path) -> str:
    """What a script may show: its texts of more than one word, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    told = {
        id(statement.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]
    return "\n".join(text for text in texts if " " in text)


def forgotten(entry: PageEntry) -> set[str]:
    """Words of the glossary that a page's texts use and its entry in the list does not name."""
    text = "\n".join(sentences(path) for path in entry.path.parent.glob("*.py"))
    return {key for key, word in WORDS.items() if re.search(word.written, text)} - set(entry.words)


@pytest.mark.parametrize("entry", ABOUT_WORDS, ids=lambda entry: entry.title)
def test_no_page_forgets_a_word(entry: PageEntry) -> None:
    assert forgotten(entry) == set()
    assert set(entry.words) <= set(WORDS)
    assert len(set(entry.words)) == len(entry.words) > 0


def test_a_forgotten_word_would_be_found() -> None:
    theta = next(entry for entry in PAGES if entry.address == "theta")
    assert forgotten(PageEntry(theta.file, "", "", "", "", tuple(set(theta.words) - {"coin", "theta"}))) == {
        "coin", "theta",
    }  # fmt: skip


def test_it_is_short_and_every_word_has_its_page() -> None:
    assert len(WORDS) <= 20
    assert len({word.term for word in WORDS.values()}) == len(WORDS)
    for key, word in WORDS.items():
        assert re.fullmatch(r"[a-z][a-z-]*", key)
        assert 1 <= len(re.findall(r"[.?!](?= |$)", word.text)) <= 3, key
        assert re.search(word.written, word.term) or key in ("seed", "epsilon"), key
    assert set(WORDS) == {key for entry in PAGES for key in entry.words}


def test_the_page_shows_every_entry_under_its_anchor(open_page: Callable[..., AppTest]) -> None:
    page = open_page(ADDRESS)
    assert not page.exception
    assert [(head.value, head.anchor) for head in page.subheader] == [(word.term, key) for key, word in WORDS.items()]
    shown = [text.value for text in page.markdown]
    assert all(word.text in shown for word in WORDS.values())
    assert any("Is this like Nightshade or Glaze?" in text for text in shown)


def test_the_word_that_was_asked_for_comes_first(open_page: Callable[..., AppTest]) -> None:
    page = open_page(ADDRESS, {ASKED: "theta"})
    assert [head.anchor for head in page.subheader] == ["theta", *(key for key in WORDS if key != "theta")]
    unknown = open_page(ADDRESS, {ASKED: "magic"})
    assert not unknown.exception
    assert [head.anchor for head in unknown.subheader] == list(WORDS)


def test_a_page_lists_its_words_with_links_to_their_entries(open_page: Callable[..., AppTest]) -> None:
    page = open_page("studies")
    entry = next(entry for entry in PAGES if entry.address == "studies")
    told = next(text.value for text in page.markdown if term(entry.words[0]) in text.value)
    assert term("seed") == "[Seed and interval](glossary?word=seed)"
    assert all(f"**{term(key)}**. {WORDS[key].text}" in told for key in entry.words)
    assert term("theta") not in told


def test_an_unknown_word() -> None:
    with pytest.raises(KeyError):
        term("magic")
