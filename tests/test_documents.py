"""The code in the documents runs, their links lead somewhere, and the README stays short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(
        ROOT / name
        for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md")
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
]
MADE = ("methods/", "library/")
"""Below these, the site has pages that are made when it is built (docs/generated_pages.py); its strict build checks
links to them."""
LINK = re.compile(r"!?\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.M | re.S)
named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(document: Path) -> list[str]:
    """The Python code of a document that is no file to be written, block by block."""
    return re.findall(r"^```python\n(.*?)^```", document.read_text("utf-8"), re.M | re.S)


def anchors(document: Path) -> set[str]:
    """The names of a document's headings, as both GitHub and the site make them for plain ones."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken(document: Path) -> list[str]:
    """The links of a document that lead nowhere: a file that is missing, a heading that is not there, no address."""
    found = []
    for link in LINK.findall(FENCE.sub("", document.read_text("utf-8"))):
        if "://" in link:
            if not re.fullmatch(r"https?://[\w.-]+\.\w+(/\S*)?", link):
                found.append(link)
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if target.is_relative_to(ROOT / "docs") and str(target.relative_to(ROOT / "docs")).startswith(MADE):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            found.append(link)
    return found


@named
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_broken_links_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading\n[a](#a-heading) [b](#none) [c](none.md) [d](page.md#a-heading) [e](https://) ![f](g.png)\n"
    )
    assert broken(page) == ["#none", "none.md", "https://", "g.png"]


@named
def test_every_block_of_code_runs(document: Path) -> None:
    for block in blocks(document):
        exec(compile(block, str(document.relative_to(ROOT)), "exec"), {"__name__": "tests.documents"})


def test_there_is_code_to_run() -> None:
    assert len(blocks(ROOT / "README.md")) >= 1
    assert len(blocks(ROOT / "docs" / "command-line.md")) >= 1


def test_the_readme_is_short_and_holds_no_long_table() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 130
    tables = re.findall(r"(?:^\|.*\n)+", "\n".join([*lines, ""]), re.M)
    assert max(table.count("\n") - 2 for table in tables) <= 10


def test_architecture_fits_in_its_lines() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text("utf-8").splitlines()) <= 120


def test_every_page_is_on_the_tour() -> None:
    from pages.frame.navigation import PAGES

    tour = (ROOT / "docs" / "tour.md").read_text("utf-8")
    shown = re.findall(r"\]\(images/([\w-]+)\.webp\)", tour)
    assert shown == [entry.address or "overview" for entry in PAGES]


def test_pictures_are_small() -> None:
    pictures = [path for path in (ROOT / "docs" / "images").iterdir() if path.suffix in (".webp", ".png")]
    assert len(pictures) >= 10
    assert {path.name: size for path in pictures if (size := path.stat().st_size) >= 200_000} == {}
