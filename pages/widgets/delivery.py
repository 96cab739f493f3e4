"""What a browser keeps, so that a rerun sends only what changed: scripts of components, and content under its name.

Streamlit sends a component's script and all its data with every rerun. Here the script is a file
that the browser fetches once, and data is packed as words and parts: a part that this session
was sent before travels as its name. A browser that does not have it after all (it lost its memory, or
Streamlit skipped the message for a newer one) fetches it by that name; where the server has let go
of it too, the component asks for everything anew.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

HERE = Path(__file__).parent
SHARED_SCRIPTS = ("delivery.js", "csv_cell.js", "save_file.js")
BEFORE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tile_rows.js": ("live_operations.js", "follow.js", "live_tiles.js"),
        "live_chart.js": ("follow.js", "live_marks.js", "take_along.js"),
        "hill.js": ("follow.js",),
        "meters.js": ("follow.js",),
    }
)
"""What else is put before the script of some components."""
# What is found under an address here never changes, since its name is a hash of it.
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
MINE_FOREVER = {"Cache-Control": "private, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
KEPT_BYTES = 64 * 2**20
SENT = "delivery_sent"
LOADER = """// The script itself is fetched once; a server that is just starting again is given some seconds.
const address = new URL(%s, document.baseURI).href;
let script;
async function load() {
  for (let pause = 250; ; pause *= 2) {
    try {
      return await import(pause > 250 ? `${address}?again=${pause}` : address);
    } catch (error) {
      if (pause > 8000)
        throw new Error(`A part of the page could not be loaded from ${address}. `
          + `Start the app with: streamlit run app.py`);
      await new Promise((next) => setTimeout(next, pause));
    }
  }
}
export default async (call) => {
  script ??= load().catch((error) => { script = undefined; throw error; });
  return (await script).default(call);
};
"""


@dataclass(frozen=True)
class Part:
    """Content that is sent once.

    Attributes:
        name: 96 bits of its hash; who cannot name it cannot fetch it.
        content: the bytes.
    """

    name: str
    content: bytes


def part(content: bytes | str) -> Part:
    """Content under its name; hash it once and keep the part where the content is kept."""
    content = content.encode() if isinstance(content, str) else content
    return Part(_name(content), content)


def _name(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.blake2b(content, digest_size=12).digest()).decode()


class Kept:
    """Parts that were asked for last, for browsers that do not have what they are told to have.

    Args:
        most_bytes: of all content; the part that was not sent for longest goes first.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._parts: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def keep(self, parts: Sequence[Part]) -> None:
        """Keep the parts, or keep them longer."""
        with self._lock:
            for each in parts:
                if each.name not in self._parts:
                    self._bytes += len(each.content)
                    self._parts[each.name] = each.content
                self._parts.move_to_end(each.name)
            while self._bytes > self._most and len(self._parts) > 1:
                self._bytes -= len(self._parts.popitem(last=False)[1])

    def get(self, name: str) -> bytes | None:
        """The content of that name, if it is still here."""
        with self._lock:
            return self._parts.get(name)


@cache
def kept() -> Kept:
    """The server's parts, for all readers: equal content is kept once."""
    return Kept(KEPT_BYTES)


def pack(key: str, words: Mapping[str, Any], parts: Sequence[Part]) -> bytes:
    """What ``delivery.js`` opens: words, and the content of those parts that were not sent with the last call of this
    key.

    Args:
        key: of the component, unique on the page.
        words: JSON values; small, since they are sent every time.
        parts: in the order in which the component's script expects them.

    Returns:
        Length of the JSON (uint32, little-endian), JSON, contents one after another. The JSON has ``words``, ``parts``
        (name and number of bytes, or ``null`` for a part that is not sent again) and ``from`` (where to fetch those).
    """
    kept().keep(parts)
    sent: dict[str, frozenset[str]] = st.session_state.setdefault(SENT, {})
    there = set(sent.get(key, ()))
    sent[key] = frozenset(each.name for each in parts)
    named: list[tuple[str, int | None]] = []
    contents: list[bytes] = []
    for each in parts:
        if each.name in there:
            named.append((each.name, None))
            continue
        there.add(each.name)
        named.append((each.name, len(each.content)))
        contents.append(each.content)
    head = json.dumps({"words": words, "parts": named, "from": on_this_server("parts/")}).encode()
    return b"".join((len(head).to_bytes(4, "little"), head, *contents))


def forget(key: str) -> None:
    """Send everything with the next call of this key: its browser could not find a part."""
    st.session_state.get(SENT, {}).pop(key, None)


@cache
def on_this_server(path: str) -> str:
    """The address of a route, below the folder that the server is told to live in when it starts."""
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"{'/' + base if base else ''}/{path}"


@cache
def script(file: str) -> bytes:
    """A component's script as browsers get it, below what several of them call; it brings the style sheet beside it."""
    scripts = [(HERE / name).read_bytes() for name in (*SHARED_SCRIPTS, *BEFORE.get(file, ()), file)]
    sheet = (HERE / file).with_suffix(".css")
    if sheet.exists():
        scripts.append(f"styled({json.dumps(file)}, {json.dumps(sheet.read_text('utf-8'))});".encode())
    return b"\n".join(scripts)


def declared(name: str, html: str, *, js: str) -> Any:
    """A component of Streamlit whose script is fetched, not sent with every rerun.

    Args:
        name: of the component, unique in the app.
        html: what it starts with.
        js: a file beside this one; a style sheet of the same name goes with it. Streamlit would send that with every
            rerun too.
    """
    address = on_this_server(f"components/{_name(script(js))}/{js}")
    return st.components.v2.component(name, html=html, js=LOADER % json.dumps(address), isolate_styles=False)


def _serve_script(request: Request) -> Response:
    file, name = request.path_params["file"], request.path_params["name"]
    known = file in {path.name for path in HERE.glob("*.js")}
    if not known or name != _name(script(file)):
        return PlainTextResponse("There is no such script.", 404)
    return Response(script(file), media_type="text/javascript", headers=FOREVER)


async def _serve_part(request: Request) -> Response:
    content = kept().get(request.path_params["name"])
    if content is None:
        return PlainTextResponse("There is no such part any more.", 404, headers={"Cache-Control": "no-store"})
    return Response(content, media_type="application/octet-stream", headers=MINE_FOREVER)


def delivery_routes() -> list[Route]:
    """The routes to mount on the app."""
    return [
        Route(on_this_server("components/{name}/{file}"), _serve_script),
        Route(on_this_server("parts/{name}"), _serve_part),
    ]
