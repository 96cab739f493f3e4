"""One reader of the page Defence over a websocket, who keeps what a browser keeps."""

from __future__ import annotations

import asyncio
import json
import random
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.BidiComponent_pb2 import BidiComponent
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

PAGE, SLIDER = "defence", "Strength α (px)"
FINISHED = (0, 1, 3)
KINDS = ("tiles", "Θ chart", "features chart", "other")
# Streamlit's browser forgets a message that this many runs have not used.
FORGOTTEN_AFTER = 2


def kind_of(component: BidiComponent) -> str:
    """Which part of the page a component is."""
    if component.component_name == "ued_tile_rows":
        return "tiles"
    if component.component_name == "ued_live_chart":
        return {"theta": "Θ chart", "features_chart": "features chart"}.get(component.id.rsplit("-", 1)[-1], "other")
    return "other"


@dataclass
class Reader:
    """One reader.

    Attributes:
        reruns: seconds of each page rerun.
        first: seconds of the first visit.
        polls: how many timed fragment reruns it made.
        received: bytes since it began to move the slider, by :data:`KINDS`.
    """

    address: str
    number: int
    polling: bool
    reruns: list[float] = field(default_factory=list)
    first: float = float("nan")
    polls: int = 0
    received: Counter[str] = field(default_factory=Counter)

    async def arrive(self) -> None:
        """Open the page."""
        import websockets
        from websockets.typing import Subprotocol

        url = self.address.replace("http", "ws") + "/_stcore/stream"
        self.socket = await websockets.connect(
            url, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None
        )
        self.slider, self.fragment = "", ""
        self.timed: dict[str, float] = {}
        self.page, self.query = "", ""
        self.runs = 0
        # What a browser keeps: whole messages (when last used, kind) by their hash, parts of messages by their name.
        self.messages: dict[str, tuple[int, str]] = {}
        self.parts: set[str] = set()
        self.first = await self._run(None)
        # As the first layout's arrival does in a browser.
        await self._run(None)

    async def live(self, seconds: float, think_s: float) -> None:
        """Move the slider until the time is over, and leave."""
        rng = random.Random(self.number)
        self.received.clear()
        until = time.perf_counter() + seconds
        try:
            await self._think(rng.random() * think_s)
            while time.perf_counter() < until:
                self.reruns.append(await self._run(round(0.05 * rng.randrange(1, 121), 2)))
                await self._think(think_s * (0.5 + rng.random()))
        finally:
            await self.socket.close()

    async def _think(self, seconds: float) -> None:
        end = time.perf_counter() + seconds
        while self.polling and self.timed:
            pause = min(self.timed.values())
            if time.perf_counter() + pause >= end:
                break
            await asyncio.sleep(pause)
            for fragment in list(self.timed):
                self.polls += 1
                await self._run(self.strength, fragment)
        await asyncio.sleep(max(0.0, end - time.perf_counter()))

    async def _run(self, strength: float | None, timed: str = "") -> float:
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        self.strength = strength
        message = self._request(strength, timed)
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            raw = await asyncio.wait_for(self.socket.recv(), 120)
            answer = ForwardMsg()
            answer.ParseFromString(raw)
            self.received[self._kept(answer)] += len(raw)
            await self._notice(answer)
            if answer.WhichOneof("type") == "script_finished" and answer.script_finished in FINISHED:
                break
        took = time.perf_counter() - began
        self.runs += 1
        self.messages = {name: kept for name, kept in self.messages.items() if self.runs - kept[0] <= FORGOTTEN_AFTER}
        return took

    def _request(self, strength: float | None, timed: str) -> BackMsg:
        from streamlit.proto.BackMsg_pb2 import BackMsg

        message = BackMsg()
        # As a browser does: the page by its address first, by its hash afterwards.
        message.rerun_script.page_name = "" if self.page else PAGE
        message.rerun_script.page_script_hash = self.page
        message.rerun_script.query_string = self.query
        message.rerun_script.cached_message_hashes.extend(self.messages)
        if timed:
            message.rerun_script.fragment_id, message.rerun_script.is_auto_rerun = timed, True
        elif self.fragment:
            # As a browser does: a control inside a fragment runs that fragment alone.
            message.rerun_script.fragment_id = self.fragment
        else:
            self.timed = {}
        if strength is not None:
            state = message.rerun_script.widget_states.widgets.add()
            state.id = self.slider
            state.double_array_value.data.append(strength)
        return message

    def _kept(self, answer: ForwardMsg) -> str:
        """The kind of a message; it is kept as Streamlit's browser does."""
        if answer.WhichOneof("type") == "ref_hash":
            kind = self.messages[answer.ref_hash][1]
            self.messages[answer.ref_hash] = (self.runs, kind)
            return kind
        element = answer.delta.new_element if answer.WhichOneof("type") == "delta" else None
        kind = "other"
        if element is not None and element.WhichOneof("type") == "bidi_component":
            kind = kind_of(element.bidi_component)
        if answer.metadata.cacheable:
            self.messages[answer.hash] = (self.runs, kind)
        return kind

    async def _notice(self, answer: ForwardMsg) -> None:
        match answer.WhichOneof("type"):
            case "delta" if answer.delta.WhichOneof("type") == "new_element":
                element = answer.delta.new_element
                if element.WhichOneof("type") == "slider" and element.slider.label == SLIDER:
                    self.slider, self.fragment = element.slider.id, answer.delta.fragment_id
                elif element.WhichOneof("type") == "bidi_component" and element.bidi_component.bytes:
                    await self._complete(element.bidi_component)
            case "new_session":
                self.page = answer.new_session.page_script_hash
            case "page_info_changed":
                self.query = answer.page_info_changed.query_string
            case "auto_rerun":
                self.timed[answer.auto_rerun.fragment_id] = answer.auto_rerun.interval
            case "stop_auto_rerun":
                for fragment in answer.stop_auto_rerun.fragment_ids:
                    self.timed.pop(fragment, None)

    async def _complete(self, component: BidiComponent) -> None:
        """Fetch the parts of packed data that this reader was never sent, as ``pages/widgets/delivery.js`` does."""
        packet = component.bytes
        head = json.loads(packet[4 : 4 + int.from_bytes(packet[:4], "little")])
        for name, size in head["parts"]:
            if size is None and name not in self.parts:
                self.received[kind_of(component)] += len(await asyncio.to_thread(self._fetch, head["from"] + name))
            self.parts.add(name)

    def _fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(self.address + path, timeout=60) as answer:
            return answer.read()
