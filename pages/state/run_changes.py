"""Whether the runs have changed since a page drew them: asked by the browser, answered without running any page."""

from __future__ import annotations

import asyncio

from starlette.routing import Route

from pages.widgets.waiting import waiting_route
from ued_core import runs
from ued_core.runs.listing import REFRESH_S

CHANGED = "runs/changed"


def changes_route() -> Route:
    """Answers whether the runs are others than in the snapshot whose version is ``key``; all who ask share one look a
    second."""
    return waiting_route(CHANGED, _changed, look_s=REFRESH_S)


async def _changed(versions: list[str]) -> bool:
    return (await asyncio.to_thread(_watched)).version not in versions


def _watched() -> runs.Snapshot:
    """All runs now. A queue whose supervisor has died changes no more by itself, so whoever asks looks after it."""
    now = runs.snapshot()
    runs.attend(now.waiting)
    return now
