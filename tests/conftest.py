"""How tests are shared out between processes."""

import os

import pytest
from xdist.scheduler import LoadFileScheduling

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes with a thread for every core each would get into each other's way; must be set before torch
    # loads.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


class ByFile(LoadFileScheduling):
    """The tests of a file stay in one process, as their fixtures do, and so do all that drive a browser."""

    def _split_scope(self, nodeid: str) -> str:
        return BROWSER if nodeid.startswith(BROWSER) else super()._split_scope(nodeid)


BROWSER = "tests/browser/"


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """In place of xdist's own ways; its groups by mark are lost on this version of pytest."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last, where little else slows them; counting lines under a page takes twice its time."""
    items.sort(key=lambda item: item.nodeid.startswith(BROWSER))
    for item in items:
        if item.nodeid.startswith((BROWSER, "tests/pages/")):
            item.add_marker("no_cover")
