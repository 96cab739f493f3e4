"""What browsers keep: scripts and content are sent once, named afterwards, and can always be fetched or asked for
again."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import streamlit as st
from starlette.applications import Starlette
from streamlit import config
from streamlit.testing.v1 import AppTest

from pages.frame.navigation import ROOT
from pages.widgets import delivery
from pages.widgets.delivery import Kept, Part, delivery_routes, forget, kept, pack, part
from pages.widgets.live_chart import pieces
from tests.pages.components import charts, opened


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of one reader."""
    monkeypatch.setattr(st, "session_state", {})


class Answer:
    """What a route says to a browser."""

    def __init__(self, path: str) -> None:
        self.content = b""
        asyncio.run(Starlette(routes=delivery_routes())(self._scope(path), self._receive, self._send))

    @staticmethod
    def _scope(path: str) -> dict[str, Any]:
        rest = {
            "headers": [],
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": None,
        }
        return {"type": "http", "http_version": "1.1", "method": "GET", "path": path, "raw_path": path.encode(), **rest}

    async def _receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.content += message.get("body", b"")


@pytest.mark.usefixtures("session")
def test_a_part_is_sent_once_and_named_afterwards() -> None:
    clean, first, second = (part(bytes([n]) * 5000) for n in range(3))
    whole = pack("tiles", {"n": 1}, [clean, first])
    less = pack("tiles", {"n": 2}, [clean, second])
    least = pack("tiles", {"n": 3}, [clean, second])
    assert len(whole) > 10_000 > len(less) > 5_000 > 300 > len(least)
    assert [opened(packet) for packet in (whole, less, least)] == [
        ({"n": 1}, [clean.content, first.content]),
        ({"n": 2}, [clean.content, second.content]),
        ({"n": 3}, [clean.content, second.content]),
    ]
    assert len(pack("tiles", {}, [first, first])) < 5_500, "twice in one message is once"
    assert len(pack("other tiles", {}, [clean])) > 5_000, "another component may be in a browser's other window"


@pytest.mark.usefixtures("session")
def test_a_browser_that_lost_its_memory_gets_everything_again() -> None:
    clean = part(b"c" * 5000)
    pack("tiles", {}, [clean])
    forget("tiles")
    assert len(pack("tiles", {}, [clean])) > 5_000
    forget("never drawn")


def test_a_new_session_is_told_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        monkeypatch.setattr(st, "session_state", {})
        assert len(pack("tiles", {}, [part(b"c" * 5000)])) > 5_000


def test_the_server_keeps_what_was_sent_last_within_a_limit() -> None:
    store = Kept(100)
    parts = [part(bytes([n]) * 40) for n in range(3)]
    store.keep(parts[:2])
    store.keep(parts[:1])
    store.keep(parts[2:])
    assert [store.get(p.name) is not None for p in parts] == [True, False, True]
    store.keep([part(b"x" * 1000)])
    assert store.get(part(b"x" * 1000).name) is not None, "what is just being sent must be there"


def test_what_a_browser_misses_can_be_fetched() -> None:
    known = part(b"\x89PNG and so on")
    kept().keep([known])
    answer = Answer(f"/parts/{known.name}")
    assert (answer.status, answer.content) == (200, known.content)
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"], "images may be a reader's own"
    gone = Answer("/parts/0000000000000000")
    assert gone.status == 404
    assert gone.headers["cache-control"] == "no-store"


def test_scripts_are_fetched_under_a_name_that_changes_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, str] = {}
    monkeypatch.setattr(st.components.v2, "component", lambda name, **parts: given.update(parts))
    delivery.declared("test", "<i></i>", js="waiting.js")
    assert len(given["js"]) < 1200, "Streamlit sends it with every rerun"
    address = re.search(r'"(/components/.*?waiting\.js)"', given["js"]).group(1)  # type: ignore[union-attr]
    answer = Answer(address)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.content == delivery.script("waiting.js")
    assert b"export default" in answer.content
    assert Answer(address.replace("waiting.js", "live_chart.js")).status == 404
    assert Answer("/components/0/delivery.py").status == 404


def sizes(page: AppTest) -> dict[str, tuple[int, int]]:
    """Bytes of each component's message, and how many of its parts are only named, by key."""
    found = {}
    for component in page.get("bidi_component"):
        proto, named = component.proto, 0
        if proto.bytes:
            end = 4 + int.from_bytes(proto.bytes[:4], "little")
            named = sum(size is None for _, size in json.loads(proto.bytes[4:end])["parts"])
        found[proto.id.rsplit("-", 1)[-1]] = (proto.ByteSize(), named)
    return found


def test_a_move_of_the_slider_sends_what_changed(open_page: Callable[..., AppTest]) -> None:
    page = open_page("defence", {"data": "shapes"}, timeout=240)
    first = sizes(page)
    first_features = pieces(charts(page)[1]["figure"])
    # Nothing else may come in between that is new to a browser, as the layout would.
    slider = next(s for s in page.slider if s.label.startswith("Strength"))
    moved = sizes(slider.set_value(2.5).run())
    assert [moved[key][1] for key in ("tiles", "theta", "features_chart")] == [3, 1, len(first_features)]
    assert sum(size for size, _ in first.values()) > 120_000
    assert sum(size for size, _ in moved.values()) < 80_000
    assert moved["theta"][0] < 5_000
    assert moved["features_chart"][0] < 5_000
    again = sizes(slider.set_value(2.5).run())
    assert again["tiles"][0] < 5_000


def scatter(places: np.ndarray) -> str:
    """As the charts of features are: words and colours that stay, places that move."""
    words = [f"image {number} of a class" for number in range(200)]
    return go.Figure(go.Scatter(x=places, y=-places, text=words, hovertext=words)).to_json()


@pytest.mark.usefixtures("session")
def test_of_a_figure_only_the_arrays_that_changed_are_sent() -> None:
    before, after = (scatter(np.random.default_rng(seed).random(200, dtype=np.float32)) for seed in range(2))
    for text in (before, after):
        assert b"".join(piece.content for piece in pieces(text)).decode() == text
    whole, less = (len(pack("chart", {}, pieces(text))) for text in (before, after))
    assert whole > 10_000
    assert less < 4_000
    rows = json.dumps([[0.123456789] * 100] * 600)
    assert len(pieces(rows)) == 1, "names would be longer than what they save"
    assert pieces("{}") == (part("{}"),)


def test_a_message_that_stays_is_sent_as_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config.get_config_options(force_reparse=True)
    least = config.get_option("global.minCachedMessageSize")
    assert len(delivery.LOADER) < least <= 1_000, (
        "names and words of an unchanged chart are longer, and go as one hash then"
    )


def test_parts_are_named_by_their_content() -> None:
    assert part("a") == part(b"a") == Part(part("a").name, b"a")
    assert part("a").name != part("b").name
