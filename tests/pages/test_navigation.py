"""The frame: every page is listed, reached through the router, and itself."""

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from pages.frame.navigation import PAGES, ROOT


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
