"""When Python collects garbage: by the clock, and over as little as possible.

A full collection looks at everything that every open session keeps alive, 0.3 to 0.4 ms per session,
and nobody is served meanwhile. Streamlit's own after every rerun (``runner.postScriptGC``, off in
``.streamlit/config.toml``) would be dearer than the rerun once some sixty readers are there.
"""

from __future__ import annotations

import asyncio
import gc

# With a hundred readers each one takes about a tenth of a second.
COLLECT_S = 30.0
# Python's counts would cause full collections in between, the more the busier the server is.
NEVER_BY_COUNT = 1_000_000


def set_aside() -> None:
    """Take what is loaded now out of every later collection, which would take 0.15 to 0.3 s longer with torch in view.

    At the end of the start-up and never again: cycles that a session holds now are not found when it ends.
    """
    gc.collect()
    gc.freeze()


async def collect_by_the_clock(every_s: float = COLLECT_S) -> None:
    """Collect everything every ``every_s`` seconds, for ever; young objects are collected as Python always does."""
    youngest, middle, _ = gc.get_threshold()
    gc.set_threshold(youngest, middle, NEVER_BY_COUNT)
    while True:
        await asyncio.sleep(every_s)
        gc.collect()
