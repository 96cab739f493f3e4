"""Waiting in the browser: a page asks a route of the server whether something has happened, and only then runs again.

A timed fragment would run the page for every reader every second to find that nothing has changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pages.widgets.delivery import declared, on_this_server

# Shorter than what proxies allow a request.
ANSWER_AFTER_S = 20.0


def rerun_when(happened: str, keys: Sequence[str], key: str) -> None:
    """Run the fragment (or page) around this call again once the route says so.

    Call it also when there is nothing to wait for: what comes and goes would move the elements after it, and they would
    be drawn anew.

    Args:
        happened: the address of a :func:`waiting_route`.
        keys: what is waited for, as the route knows it; none for nothing.
        key: unique on the page.
    """
    _component()(key=key, data={"keys": list(keys), "address": on_this_server(happened)}, on_done_change=_nothing)


def waiting_route(address: str, happened: Callable[[list[str]], Awaitable[bool]], look_s: float) -> Route:
    """Answers whether something has happened, as soon as it has, and at the latest after :data:`ANSWER_AFTER_S`.

    Args:
        address: below the folder that the server lives in, without a slash before it.
        happened: asked with the keys that are waited for.
        look_s: seconds between two looks.
    """

    async def answer(request: Request) -> JSONResponse:
        keys = request.query_params.getlist("key")
        until = time.monotonic() + ANSWER_AFTER_S
        while not await happened(keys):
            if time.monotonic() > until:
                return JSONResponse({"done": False})
            await asyncio.sleep(look_s)
        return JSONResponse({"done": True})

    return Route(on_this_server(address), answer)


@cache
def _component() -> Any:
    return declared("ued_waiting", '<span class="ued-wait"></span>', js="waiting.js")


def _nothing() -> None:
    """The component needs a callback to report; that the page runs again is all that is wanted."""
