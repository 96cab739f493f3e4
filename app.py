"""The server: ``streamlit run app.py``.

Start-up work runs beside the first visits, never before them.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import plotly
import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pages.shared import background
from pages.shared.live_chart import plotly_path

ROOT = Path(__file__).resolve().parent
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
# The address holds the version, so what is there never changes.
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
HEAVY = ("torch", "plotly.graph_objects", "ued_core.attacks", "ued_core.defenses", "ued_core.theory", "ued_core.data")
log = logging.getLogger("ued")


@cache
def packed_plotly() -> bytes:
    """plotly.js, compressed once: 4.8 MB become 1.5 MB."""
    return gzip.compress(PLOTLY.read_bytes(), 6)


async def plotly_script(request: Request) -> Response:
    """The chart library from the installed package: no copy in the repository, no other server."""
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(PLOTLY, media_type="text/javascript", headers=FOREVER)
    body = await asyncio.to_thread(packed_plotly)
    return Response(body, media_type="text/javascript", headers={**FOREVER, "Content-Encoding": "gzip"})


def import_heavy_modules() -> None:
    """Load the large libraries once, and take them out of the garbage collector's sight.

    Streamlit collects garbage after every rerun; with torch's objects in view that costs
    0.15 to 0.3 s each time.
    """
    packed_plotly()
    for name in HEAVY:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def ensure_supervisor() -> None:
    """See that somebody takes care of runs."""
    from ued_core import runs

    runs.ensure_supervisor()


async def start_up() -> None:
    """Everything that makes later pages quick; a failure is logged and costs only speed."""
    for step in (import_heavy_modules, ensure_supervisor, background.start):
        try:
            await asyncio.to_thread(step)
        except Exception:
            log.exception("Start-up step %s failed", step.__name__)


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    task = asyncio.create_task(start_up())
    try:
        yield {}
    finally:
        task.cancel()
        await asyncio.to_thread(background.stop)


app = st.App(
    ROOT / "pages" / "shared" / "router.py",
    lifespan=lifespan,
    routes=[Route(plotly_path(), plotly_script)],
)
