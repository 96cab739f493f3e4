"""Many readers at once: python -m benchmarks.load [--clients 1 10 30] [--seconds 20] [--polling]

Websocket clients open the page Defence of a real server and move its strength slider with two
seconds of thought in between, after all of them have arrived. Each rerun is timed from sending to the end of the script. With
``--polling`` a client also runs the page's timed fragments, as a browser does while it waits for
a layout.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measure import load, machine, percentile
from benchmarks.serving import ROOT, Server, served

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

    async def arrive(self) -> None:
        """Open the page."""
        import websockets

        url = self.address.replace("http", "ws") + "/_stcore/stream"
        self.socket = await websockets.connect(url, subprotocols=["streamlit"], max_size=None, compression=None)
        self.slider, self.fragment, self.timed = "", "", {}
        self.first = await self._run(None)

    async def live(self, seconds: float, think_s: float) -> None:
        """Move the slider until the time is over, and leave."""
        rng = random.Random(self.number)
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


@dataclass
class Crowd:
    """Some readers at once.

    Attributes:
        clients: the readers.
        errors: what went wrong, one line each.
        cpu_s: CPU seconds of the server while they moved their sliders; their first visits do not count.
    """

    clients: list[Client]
    errors: list[str]
    cpu_s: float


async def crowd(server: Server, count: int, seconds: float, think_s: float, polling: bool) -> Crowd:
    """Let ``count`` readers arrive one after another, then move their sliders beside each other."""
    clients = [Client(server.address, number, polling) for number in range(count)]
    for client in clients:
        await client.arrive()
    before = server.cpu_s()
    ends = await asyncio.gather(*(c.live(seconds, think_s) for c in clients), return_exceptions=True)
    return Crowd(clients, [f"{type(e).__name__}: {e}" for e in ends if e is not None], server.cpu_s() - before)


def row(seen: Crowd, seconds: float) -> str:
    """One line of the table."""
    clients, errors, cpu_s = seen.clients, seen.errors, seen.cpu_s
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
    options = parser.parse_args()
    print(f"{machine()}; think time {options.think:g} s; {'with' if options.polling else 'without'} timed fragments\n")
    print("| clients | reruns | first visit p50, ms | rerun p50, ms | p95 | max | server CPU a rerun, ms | fragment reruns | errors |")
    print("|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as home, served(ROOT / "app.py", Path(home)) as server:
        # The first visit loads data and reference model; start-up work ends meanwhile.
        asyncio.run(crowd(server, 1, 15.0, 1.0, options.polling))
        for count in options.clients:
            print(row(asyncio.run(crowd(server, count, options.seconds, options.think, options.polling)), options.seconds), flush=True)
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
