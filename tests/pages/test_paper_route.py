"""What the server answers to a drawing that is to be a PDF."""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette

from pages.widgets.paper_route import paper_address, paper_route

DRAWING = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text x="2" y="9">a</text></svg>'
ASKED = {"svg": DRAWING, "width": 84, "title": "t", "caption": "c"}


def ask(body: Any, kind: str = "application/json", method: str = "POST") -> tuple[int, str, bytes]:
    """Status, media type and content of the answer."""
    scope = {
        "type": "http",
        "method": method,
        "path": paper_address(),
        "query_string": b"",
        "headers": [(b"content-type", kind.encode())],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(Starlette(routes=[paper_route()])(scope, receive, send))
    kinds = dict(sent[0]["headers"])
    return sent[0]["status"], kinds.get(b"content-type", b"").decode(), b"".join(m.get("body", b"") for m in sent[1:])


def test_a_drawing_becomes_a_pdf() -> None:
    status, kind, content = ask(ASKED)
    assert (status, kind) == (200, "application/pdf")
    assert content.startswith(b"%PDF")


def test_anything_else_is_refused_with_words() -> None:
    assert ask(ASKED, method="GET")[0] == 405
    assert ask(ASKED, "text/plain")[0] == 415, "no form of another page"
    for wrong in ([], {"svg": DRAWING}, {**ASKED, "width": "wide"}):
        assert ask(wrong)[0] == 400
    status, _, words = ask({**ASKED, "width": 5000})
    assert status == 422
    assert b"must be 20 to 400 mm" in words
