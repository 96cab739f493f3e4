"""plotly.js from the installed package: no copy in the repository, no other server."""

from __future__ import annotations

import asyncio
import gzip
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pages.widgets.delivery import FOREVER, on_this_server


def plotly_address() -> str:
    """Where browsers find plotly.js on this server."""
    return on_this_server(f"vendor/plotly-{_version()}.min.js")


@cache
def _version() -> str:
    return version("plotly")


def plotly_file() -> Path:
    """The script inside the installed package; found without importing it."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("plotly is not installed; install requirements.txt.")
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


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
