"""Many readers at once: python -m benchmarks.load [--clients 1 10 30] [--seconds 20] [--polling]

Websocket clients open the page Defence of a real server and move its strength slider with two
seconds of thought in between. Each rerun is timed from sending to the end of the script. With
``--polling`` a client also runs the page's timed fragments, as a browser does while it waits for
a layout.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import load, machine, percentile
from benchmarks.serving import ROOT, served

PAGE, SLIDER = "defence", "Strength α (px)"
FINISHED = (0, 1, 3)


@dataclass
class Client:
    """One reader.

    Attributes:
        reruns: seconds of each page rerun.
        first: seconds of the first visit.
        polls: how many timed fragment reruns it made.
    """

    address: str
    number: int
    polling: bool
    reruns: list[float] = field(default_factory=list)
    first: float = float("nan")
    polls: int = 0
    received: int = 0

    async def live(self, until: float, think_s: float) -> None:
        """Visit, then move the slider until the time is over."""
        import websockets

        rng = random.Random(self.number)
        url = self.address.replace("http", "ws") + "/_stcore/stream"
        async with websockets.connect(url, subprotocols=["streamlit"], max_size=None, compression=None) as self.socket:
            self.slider, self.fragment, self.timed = "", "", {}
            self.first = await self._run(None)
            await self._think(rng.random() * think_s)
            while time.perf_counter() < until:
                self.reruns.append(await self._run(round(0.05 * rng.randrange(1, 121), 2)))
                await self._think(think_s * (0.5 + rng.random()))

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
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        self.strength = strength
        message = BackMsg()
        message.rerun_script.page_name = PAGE
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
        began = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        while True:
            raw = await asyncio.wait_for(self.socket.recv(), 120)
            self.received += len(raw)
            answer = ForwardMsg()
            answer.ParseFromString(raw)
            self._notice(answer)
            if answer.WhichOneof("type") == "script_finished" and answer.script_finished in FINISHED:
                return time.perf_counter() - began

    def _notice(self, answer: object) -> None:
        match answer.WhichOneof("type"):
            case "delta" if answer.delta.WhichOneof("type") == "new_element":
                element = answer.delta.new_element
                if element.WhichOneof("type") == "slider" and element.slider.label == SLIDER:
                    self.slider, self.fragment = element.slider.id, answer.delta.fragment_id
            case "auto_rerun":
                self.timed[answer.auto_rerun.fragment_id] = answer.auto_rerun.interval
            case "stop_auto_rerun":
                for fragment in answer.stop_auto_rerun.fragment_ids:
                    self.timed.pop(fragment, None)


async def crowd(address: str, count: int, seconds: float, think_s: float, polling: bool) -> tuple[list[Client], list[str]]:
    """Let ``count`` readers live beside each other; returns them and what went wrong."""
    clients = [Client(address, number, polling) for number in range(count)]
    until = time.perf_counter() + seconds
    ends = await asyncio.gather(*(c.live(until, think_s) for c in clients), return_exceptions=True)
    return clients, [f"{type(e).__name__}: {e}" for e in ends if e is not None]


def row(clients: Iterable[Client], errors: list[str], cpu_s: float, seconds: float) -> str:
    """One line of the table."""
    clients = list(clients)
    reruns = [1e3 * r for c in clients for r in c.reruns]
    firsts = [1e3 * c.first for c in clients]
    polls = sum(c.polls for c in clients)
    cells = [
        str(len(clients)), f"{len(reruns)} ({len(reruns) / seconds:.1f}/s)", f"{percentile(firsts, 0.5):.0f}",
        f"{percentile(reruns, 0.5):.0f}", f"**{percentile(reruns, 0.95):.0f}**", f"{max(reruns, default=float('nan')):.0f}",
        f"{1e3 * cpu_s / max(1, len(reruns) + polls):.0f}", str(polls), str(len(errors)),
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |" + (f" {errors[0]}" if errors else "")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 10, 30])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--think", type=float, default=2.0)
    parser.add_argument("--polling", action="store_true")
    parser.add_argument("--address", help="of a server that runs already; default: start one")
    options = parser.parse_args()
    print(f"{machine()}; think time {options.think:g} s; {'with' if options.polling else 'without'} timed fragments\n")
    print("| clients | reruns | first visit p50, ms | rerun p50, ms | p95 | max | server CPU a rerun, ms | fragment reruns | errors |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home, served(ROOT / "app.py", Path(home)) as server:
        address = options.address or server.address
        # The first visit loads data and reference model; start-up work ends meanwhile.
        asyncio.run(crowd(address, 1, 15.0, 1.0, options.polling))
        for count in options.clients:
            before = server.cpu_s()
            clients, errors = asyncio.run(crowd(address, count, options.seconds, options.think, options.polling))
            print(row(clients, errors, server.cpu_s() - before, options.seconds), flush=True)
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
