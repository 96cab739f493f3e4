"""The route that makes a PDF of a chart as a browser has drawn it."""

from __future__ import annotations

import asyncio
import json
import tomllib
from functools import cache

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pages.frame.navigation import ROOT
from pages.widgets.delivery import on_this_server
from ued_core.errors import UedError
from ued_core.figures.paper import MOST_BYTES, pdf_of

MOST_WORDS = 20_000
"""Characters of a title or a caption."""


@cache
def paper_address() -> str:
    """Where browsers send a drawing."""
    return on_this_server("figure.pdf")


@cache
def program() -> str:
    """The program and its version, for captions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return f"UED Studio {project['version']}"


async def _serve(request: Request) -> Response:
    # A page of another server can send a form, but no JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return PlainTextResponse("A figure is sent as JSON.", 415)
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > 2 * MOST_BYTES:
            return PlainTextResponse("The drawing is too large for a PDF. Take the PNG.", 413)
    try:
        asked = json.loads(bytes(body))
        words = {name: str(asked[name])[:MOST_WORDS] for name in ("title", "caption")}
        svg, width = str(asked["svg"]), float(asked["width"])
    except (ValueError, KeyError, TypeError):
        return PlainTextResponse("A figure is sent with svg, width, title and caption.", 400)
    try:
        made = await asyncio.to_thread(pdf_of, svg, width, words["title"], words["caption"], (program(),))
    except UedError as error:
        return PlainTextResponse(str(error), 422)
    return Response(made, media_type="application/pdf", headers={"Cache-Control": "no-store"})


def paper_route() -> Route:
    """The route to mount on the app."""
    return Route(paper_address(), _serve, methods=["POST"])
