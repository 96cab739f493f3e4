"""The frame: every page is listed, reached through the router, and itself."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.frame import navigation
from pages.frame.navigation import GROUPS, PAGES, ROOT, PageEntry


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.title)
def test_page_shows_its_own_title_without_error(open_page: Callable[..., AppTest], entry) -> None:
    page = open_page(entry.address)
    assert not page.exception
    assert not page.error
    assert page.title[0].value == entry.heading


def test_every_page_file_is_listed_once() -> None:
    files = [f"{path.parent.name}/page.py" for path in (ROOT / "pages").glob("*/page.py")]
    assert sorted(entry.file for entry in PAGES) == sorted(files)
    assert len({entry.address for entry in PAGES}) == len(PAGES)
    assert [entry.address for entry in PAGES].count("") == 1


def test_the_list_is_in_the_order_of_the_navigation() -> None:
    groups = [entry.group for entry in PAGES]
    assert list(dict.fromkeys(groups)) == list(GROUPS)
    assert groups == sorted(groups, key=GROUPS.index)
    assert PAGES[0].address == ""


def test_what_a_page_imports_is_loaded_without_drawing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pages" / "new").mkdir(parents=True)
    (tmp_path / "large_library").mkdir()
    for name in ("__init__", "part", "other"):
        (tmp_path / "large_library" / f"{name}.py").write_text("")
    page = "import large_library.other\nfrom large_library import part\nraise RuntimeError('drawn')\n"
    (tmp_path / "pages" / "new" / "page.py").write_text(page)
    monkeypatch.setattr(navigation, "ROOT", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    PageEntry("new/page.py", "New", "new", "New", GROUPS[0]).load()
    loaded = {name for name in sys.modules if name.startswith("large_library")}
    assert loaded == {"large_library", "large_library.other", "large_library.part"}


@pytest.mark.parametrize(
    ("asked", "chips"),
    [
        ({"attack": "synper", "key": "7", "defence": "jpeg"}, ["Data **Fashion**", "Attack **LSP**", "Key **7**",
                                                             "Defence **JPEG**"]),
        ({"attack": "nonsense", "data": "nonsense", "defence": "nonsense"},
         ["Data **Fashion**", "Attack **CUDA**", "Key **0**", "Defence **COIN**"]),
        ({"further": "jpeg,cutout"}, ["Defence **COIN + 2**"]),
    ],
)  # fmt: skip
def test_chips_say_what_the_page_shows(open_page, asked, chips):
    page = open_page("defence", {"data_fashion_train_size": "200", "data_fashion_test_size": "100", **asked})
    assert not page.exception
    labels = [block.proto.popover.label for block in popovers(page)]
    assert [label for label in labels if label in chips] == chips


def popovers(page):
    """Every popover of a page, in order."""
    found, waiting = [], [page.main]
    while waiting:
        block = waiting.pop(0)
        if getattr(block, "type", "") == "popover":
            found.append(block)
        waiting[:0] = list(getattr(block, "children", {}).values())
    return found
