"""What stands before the app when others can reach it: without a passcode nothing of it is answered, with one the
reader has a name.

On the loopback address everything is as if this were not there. A request counts as the owner's only when it came from
this computer, to this computer, under a name of this computer, and was not passed on by a proxy.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psutil
import streamlit as st
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from pages.frame.passcodes import OWNER_CODE, VISITOR_CODE, Keeper, read_codes, signing_key
from pages.frame.sign_in import SECURE_HEADERS, sign_in_page
from ued_core.person import OWNER, Person
from ued_core.runs.limits import Limits

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROUTER = Path(__file__).with_name("router.py")
SERVED = "UED_SERVED"
HEADER = "x-ued-person"
"""How the door tells the app who came in; what a browser sends under this name is dropped."""
COOKIE = "ued_person"
SIGN_IN, SIGN_OUT, HEALTH, METRICS = "/sign-in", "/sign-out", "/_stcore/health", "/_stcore/metrics"
REMEMBERED_DAYS = 180
MOST_BYTES = 4096
SLOW_S = 0.5
FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


def is_loopback(host: str | None) -> bool:
    """Whether an address or name means this computer alone."""
    if host is None:
        return False
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return found.is_loopback or (mapped is not None and mapped.is_loopback)


def is_served() -> bool:
    """Whether others can reach this server: it does not listen on loopback, or ``UED_SERVED`` says that a proxy passes
    them on."""
    said = os.environ.get(SERVED, "").strip().lower() not in ("", "0", "false", "no", "off")
    return said or not is_loopback(st.get_option("server.address"))


@cache
def keeper() -> Keeper:
    """The passcodes and the cookies of this process.

    Raises:
        UedError: the passcodes that were set cannot be used.
    """
    return Keeper(read_codes(os.environ), signing_key())


@cache
def announce() -> None:
    """Say on the terminal, once, what is open to whom, and the passcodes that nobody but this process knows."""
    codes, limits = keeper().codes, Limits.read()
    set_code = "as you have set it"
    print(
        "\n".join(
            [
                "",
                "  Others can reach this server. Without a passcode it shows them a sign-in page and nothing else.",
                *(f"    Address to hand out     {address}" for address in _addresses()),
                f"    Passcode for visitors   {codes.visitor if VISITOR_CODE in codes.made else set_code}",
                f"    Passcode of the owner   {codes.owner if OWNER_CODE in codes.made else set_code}",
                "  Visitors use every page, upload images and files, and act on their own runs alone:",
                f"  for each of them {limits.running} may be executed and {limits.waiting} may wait, with at most "
                f"{limits.epochs} epochs.",
                "  They see no path, no folder and no log of this computer. The owner sees and does everything.",
                *(
                    [f"  What was made for this start ends with it; {VISITOR_CODE} and {OWNER_CODE} set your own."]
                    if codes.made
                    else []
                ),
                "",
            ]
        ),
        flush=True,
    )


def _addresses() -> list[str]:
    """Where others find this server, as far as it knows itself."""
    address, port = st.get_option("server.address") or "0.0.0.0", st.get_option("server.port")
    scheme = "https" if st.get_option("server.sslCertFile") else "http"
    if is_loopback(address):
        return ["that of the proxy before it"]
    hosts = [address]
    if address in ("0.0.0.0", "::"):
        found = [
            entry.address
            for entries in psutil.net_if_addrs().values()
            for entry in entries
            if entry.family == socket.AF_INET
        ]
        hosts = [host for host in found if not is_loopback(host)] or [socket.gethostname()]
    return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{base_path()}" for host in hosts]


def base_path() -> str:
    """What every address of this server begins with; empty or ``/something``."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


class Door:
    """ASGI middleware around the whole app: pages, websocket, media, uploads, metrics and our own routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != HEADER.encode()]
        scope = {**scope, "headers": headers}
        person = person_of(scope)
        if person is not None:
            scope = {**scope, "headers": [*headers, (HEADER.encode(), _written(person))]}
        path = scope["path"].removeprefix(base_path())
        if scope["type"] == "http" and path in (SIGN_IN, SIGN_OUT):
            await (await _door_page(Request(scope, receive), path))(scope, receive, send)
        elif person is not None and scope["type"] == "websocket" and not person.owner:
            await self._app(scope, receive, _without_script_path(send))
        elif person is not None and not person.owner and path.rstrip("/") == METRICS:
            await PlainTextResponse("These are the owner's.", 403, headers=SECURE_HEADERS)(scope, receive, send)
        elif person is not None or (scope["type"] == "http" and path == HEALTH and scope["method"] in ("GET", "HEAD")):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "sign in first"})
        else:
            await _refused(Request(scope))(scope, receive, send)


def _without_script_path(send: Send) -> Send:
    """Streamlit tells every browser where its script lies on the disk; a visitor's gets the file's name alone."""
    told = str(ROUTER.parent).encode()

    async def careful(message: Message) -> None:
        if told in (message.get("bytes") or b""):
            forward = ForwardMsg.FromString(message["bytes"])
            if forward.WhichOneof("type") == "new_session":
                forward.new_session.main_script_path = ROUTER.name
                message = {**message, "bytes": forward.SerializeToString()}
        await send(message)

    return careful


def person_of(scope: Scope) -> Person | None:
    """Who sends a request: the owner at this computer, or whoever the cookie names; None when nobody is known."""
    if not is_served() and _from_here(scope):
        return OWNER
    announce()
    return keeper().person(HTTPConnection(scope).cookies.get(COOKIE, ""))


def _from_here(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    ends = (scope.get("client"), scope.get("server"))
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        return False
    return (
        all(end is not None and is_loopback(end[0]) for end in ends)
        and is_loopback(name)
        and not any(h in headers for h in FORWARDING)
    )


def _written(person: Person) -> bytes:
    return json.dumps({"id": person.id, "name": person.name, "owner": person.owner}).encode("ascii")


def read_person(text: str) -> Person:
    """Read what the door wrote into :data:`HEADER`."""
    return Person(**json.loads(text))


def _refused(request: Request) -> Response:
    """The sign-in page for a reader, a line for anything else."""
    if request.method in ("GET", "HEAD") and "text/html" in request.headers.get("accept", ""):
        where = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return _page(request, 401, where)
    return PlainTextResponse("Sign in first.", 401, headers=SECURE_HEADERS)


def _page(request: Request, status: int, where: str, problem: str = "") -> HTMLResponse:
    known = keeper().name(request.cookies.get(COOKIE, ""))
    page = sign_in_page(action=f"{base_path()}{SIGN_IN}", where=where, name=known, problem=problem)
    return HTMLResponse(page, status, headers=SECURE_HEADERS)


async def _door_page(request: Request, path: str) -> Response:
    """Signing in and out."""
    front = f"{base_path()}/"
    if path == SIGN_OUT:
        answer = RedirectResponse(front, 303, headers=SECURE_HEADERS)
        _remember(request, answer, keeper().leave(request.cookies.get(COOKIE, "")))
        return answer
    if request.method in ("GET", "HEAD"):
        return _page(request, 200, front)
    if request.method != "POST":
        return PlainTextResponse("Only GET and POST.", 405, headers=SECURE_HEADERS)
    if request.headers.get("sec-fetch-site", "same-origin") == "cross-site":
        return PlainTextResponse("This form belongs to another site.", 403, headers=SECURE_HEADERS)
    given = await _form(request)
    if given is None:
        return PlainTextResponse("This is not the form of this page.", 413, headers=SECURE_HEADERS)
    return await _sign_in(request, given)


async def _sign_in(request: Request, given: dict[str, str]) -> Response:
    where, address = _local(given.get("where", "")), request.client.host if request.client else ""
    wait = keeper().attempts.wait_s(address)
    if wait > 0:
        page = _page(request, 429, where, f"Too many wrong passcodes. Try again in {wait:.0f} seconds.")
        page.headers["Retry-After"] = f"{wait:.0f}"
        return page
    cookie = keeper().admit(given.get("code", ""), given.get("name", ""), request.cookies.get(COOKIE, ""))
    if cookie is None:
        keeper().attempts.wrong(address)
        await asyncio.sleep(SLOW_S)
        return _page(request, 401, where, "This is not the passcode. Ask whoever runs this server.")
    answer = RedirectResponse(where, 303, headers=SECURE_HEADERS)
    _remember(request, answer, cookie)
    return answer


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of the form; None when it is something else, or too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            return None
    with suppress(UnicodeDecodeError, ValueError):
        return {name: values[0] for name, values in parse_qs(body.decode("ascii"), max_num_fields=8).items()}
    return None


def _local(where: str) -> str:
    """An address on this server; the front page for any other."""
    safe = (
        where.startswith("/")
        and not where.startswith("//")
        and "\\" not in where
        and where.isprintable()
        and where.isascii()
    )
    return where if safe else f"{base_path()}/"


def _remember(request: Request, answer: Response, cookie: str) -> None:
    shared: dict[str, Any] = {
        "path": base_path() or "/", "httponly": True, "samesite": "lax", "secure": request.url.scheme == "https",
    }  # fmt: skip
    if cookie:
        answer.set_cookie(COOKIE, cookie, max_age=REMEMBERED_DAYS * 86_400, **shared)
    else:
        answer.delete_cookie(COOKIE, **shared)
