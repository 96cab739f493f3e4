"""Pages run through the router, as visitors reach them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from pages.frame.navigation import PAGES, ROOT
from ued_core import runs

ROUTER = ROOT / "pages" / "frame" / "router.py"


@pytest.fixture
def open_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """``open_page("attack")`` visits an address in a fresh home; ``query`` is its query string's values. Whoever
    sizes the drawn set looks at it.

    Looking at queued runs does not start them here.
    """
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "attend", lambda records: None)
    # Tests write run folders as other processes do, and do not wait for the list's next refresh.
    monkeypatch.setattr("ued_core.runs.listing.REFRESH_S", 0.0)

    def visit(address: str = "", query: dict[str, str] | None = None, timeout: float = 60) -> AppTest:
        entry = next(entry for entry in PAGES if entry.address == address)
        visitor = AppTest.from_file(str(ROUTER), default_timeout=timeout)
        drawn = {"data": "shapes"} if any(name.startswith("data_shapes_") for name in query or {}) else {}
        for name, value in {**drawn, **(query or {})}.items():
            visitor.query_params[name] = value
        if address:
            # Before a first run, switch_page would guess the address from the file's name.
            visitor._page_hash = calc_hash(entry.address)
        return visitor.run()

    return visit
