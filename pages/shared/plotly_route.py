"""plotly.js from the installed package: no copy in the repository, no other server."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

# The address holds the version, so what is there never changes.
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def plotly_address() -> str:
    """Where browsers find plotly.js on this server."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/vendor/plotly-{_version()}.min.js"


@cache
def _version() -> str:
    return version("plotly")


def plotly_file() -> Path:
    """The script inside the installed package; found without importing it."""
    return Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js"


@cache
def packed_plotly() -> bytes:
    """plotly.js, compressed once: 4.8 MB become 1.5 MB."""
    return gzip.compress(plotly_file().read_bytes(), 6)


async def _serve(request: Request) -> Response:
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(plotly_file(), media_type="text/javascript", headers=FOREVER)
    body = await asyncio.to_thread(packed_plotly)
    headers = {**FOREVER, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return Response(body, media_type="text/javascript", headers=headers)


def plotly_route() -> Route:
    """The route to mount on the app."""
    return Route(plotly_address(), _serve)
