"""Thousands of runs: python -m benchmarks.many_runs [--stored 3000] [--queued 400] [--viewers 5] [--seconds 20]

Makes a home with so many well-formed runs (``stored_runs.py``) and one that this program pretends to execute. Nothing
is
trained: the benchmark holds the supervisor's lock. Measured are ``python -m ued_core runs``, what the page Runs costs
the server for each viewer and refresh while a run goes on and while nothing happens, and how long a reader's slider on
the page Defence takes beside those viewers against alone. Viewers do as browsers do: they wait at the server's route,
and run the page when it says so. CPU times are the figures to look at; wall times only mean something on a machine that
does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.measure import load, machine
from benchmarks.reader import FINISHED, Reader
from benchmarks.serving import ROOT, Server, served
from benchmarks.stored_runs import EPOCHS, fill_table, make_queued, make_stored, report, specs, start_attempt
from ued_core.runs.folder import RunFolder
from ued_core.runs.launcher import supervisor_lock

CHANGED = "runs/changed"
SETTLE_S = 20.0
BARS = {"refresh": 20.0, "runs": 0.7, "slider": 1.5}


@dataclass
class Viewer:
    """Somebody who looks at the page Runs.

    Attributes:
        refreshes: how often its page ran again.
        received: bytes meanwhile.
    """

    address: str
    refreshes: int = 0
    received: int = 0
    waits: dict[str, object] = field(default_factory=dict)
    fragment: str = ""

    async def arrive(self) -> None:
        """Open the page."""
        import websockets
        from websockets.typing import Subprotocol

        url = self.address.replace("http", "ws") + "/_stcore/stream"
        self.socket = await websockets.connect(
            url, subprotocols=[Subprotocol("streamlit")], max_size=None, compression=None
        )
        await self._run()
        if not self.waits:
            raise RuntimeError("The page Runs waits for no changes.")

    async def watch(self, seconds: float) -> None:
        """Stay for so long."""
        until = time.perf_counter() + seconds
        self.refreshes = self.received = 0
        while (left := until - time.perf_counter()) > 0:
            with suppress(TimeoutError):
                if await asyncio.wait_for(asyncio.to_thread(self._changed), left):
                    await self._run()
                    self.refreshes += 1

    def _changed(self) -> bool:
        query = urllib.parse.urlencode({"key": self.waits["keys"]}, doseq=True)
        with urllib.request.urlopen(f"{self.address}{self.waits['address']}?{query}", timeout=60) as answer:
            return json.loads(answer.read())["done"]

    async def _run(self) -> None:
        from streamlit.proto.BackMsg_pb2 import BackMsg
        from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

        message = BackMsg()
        message.rerun_script.page_name = "runs"
        message.rerun_script.fragment_id = self.fragment
        await self.socket.send(message.SerializeToString())
        while True:
            raw = await asyncio.wait_for(self.socket.recv(), 120)
            self.received += len(raw)
            answer = ForwardMsg()
            answer.ParseFromString(raw)
            if answer.WhichOneof("type") == "script_finished" and answer.script_finished in FINISHED:
                return
            element = answer.delta.new_element if answer.WhichOneof("type") == "delta" else None
            if element is not None and element.WhichOneof("type") == "bidi_component":
                data = json.loads(element.bidi_component.json or "{}")
                if str(data.get("address", "")).endswith(CHANGED):
                    self.waits, self.fragment = data, answer.delta.fragment_id


@contextmanager
def going_on(folder: RunFolder) -> Iterator[None]:
    """Report twice a second for a run, as its worker would; this process stands for it."""
    over = threading.Event()

    def work() -> None:
        step = 0
        while not over.wait(0.5):
            step = (step + 1) % 400
            report(folder, time.time(), step, 400, f"epoch {1 + step * EPOCHS // 400} of {EPOCHS}")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def listing(home: Path, *more: str) -> tuple[float, float]:
    """Median wall and CPU seconds of ``python -m ued_core runs``, of five."""
    walls, cpus = [], []
    for _ in range(5):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ued_core", "runs", *more], cwd=ROOT, env={**os.environ, "UED_HOME": str(home)},
            stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - began)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(walls), median(cpus)


async def watched(server: Server, viewers: list[Viewer], seconds: float) -> float:
    """CPU seconds of the server while the viewers look."""
    before = server.cpu_s()
    await asyncio.gather(*(viewer.watch(seconds) for viewer in viewers))
    return server.cpu_s() - before


async def slid(server: Server, viewers: list[Viewer], seconds: float) -> list[float]:
    """Seconds of each rerun of a reader's slider beside the viewers."""
    reader = Reader(server.address, 0, polling=False)
    await reader.arrive()
    await asyncio.gather(reader.live(seconds, 0.5), *(viewer.watch(seconds) for viewer in viewers))
    return reader.reruns


async def pages(server: Server, running: RunFolder, count: int, seconds: float) -> None:
    """Print what viewers cost."""
    first = Reader(server.address, 0, polling=False)
    await first.arrive()
    await first.live(SETTLE_S, 1.0)
    before = server.cpu_s()
    await asyncio.sleep(seconds)
    idle = server.cpu_s() - before
    viewers = [Viewer(server.address) for _ in range(count)]
    for viewer in viewers:
        await viewer.arrive()
    quiet = await watched(server, viewers, seconds)
    print(f"| nothing happens, {count} viewers | {1e3 * (quiet - idle) / seconds / count:.1f} ms a viewer and second | "
          f"{sum(v.refreshes for v in viewers)} refreshes |")  # fmt: skip
    with going_on(running):
        busy = await watched(server, viewers, seconds)
        refreshes = sum(v.refreshes for v in viewers)
        each, sent = 1e3 * (busy - idle) / max(1, refreshes), sum(v.received for v in viewers) / max(1, refreshes)
        print(f"| a run goes on, {count} viewers | **{each:.1f}** ms a refresh, bar {BARS['refresh']:g} | "
              f"{refreshes / seconds / count:.2f} refreshes a viewer and second, {sent / 1e3:.1f} "
              "kB each |")  # fmt: skip
        alone: list[float] = []
        beside: list[float] = []
        # In turns, so that a busy minute of the machine hits both.
        for _ in range(3):
            alone += await slid(server, [], seconds / 2)
            beside += await slid(server, viewers, seconds / 2)
    a, b = median(alone), median(beside)
    print(f"| a reader's slider, alone and beside {count} viewers | **{b / a:.2f}** times as long, bar "
          f"{BARS['slider']:g} | "
          f"medians {1e3 * a:.0f} and {1e3 * b:.0f} ms wall of {len(alone)} and {len(beside)} |")  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stored", type=int, default=3000)
    parser.add_argument("--queued", type=int, default=400)
    parser.add_argument("--viewers", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print(f"{machine()}; {options.stored} stored runs, {options.queued} queued, one running\n\n| | | |\n|---|---|---|")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home, chosen = Path(folder), specs(options.stored + options.queued + 1)
        root = home / "runs"
        make_stored(root, chosen[: options.stored])
        running, *_ = make_queued(root, chosen[options.stored :])
        running.token.unlink()
        start_attempt(running)
        fill_table(root)
        with supervisor_lock(root):
            for more in ((), ("--json",)):
                wall, cpu = listing(home, *more)
                print(
                    f"| `ued runs {' '.join(more)}` | **{cpu:.2f}** s of CPU, bar {BARS['runs']:g} | {wall:.2f} "
                    "s wall |",
                    flush=True,
                )
            with served(ROOT / "app.py", home) as server:
                asyncio.run(pages(server, running, options.viewers, options.seconds))
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
