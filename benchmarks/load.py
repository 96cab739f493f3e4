"""Many readers at once: python -m benchmarks.load [--clients 30 60 100 30] [--seconds 20] [--training] [--polling]

Websocket clients open the page Defence of one server and move its strength slider with two seconds
of thought in between, after all of them have arrived; one crowd after another, so that the last
row shows what earlier crowds have left behind. Each rerun is timed from sending to the end of the
script. Clients keep what a browser keeps and ask for what it would ask for, but wait for no layout.
With ``--training`` a run trains beside the server all the time, and the bars are twice as high.
With ``--polling`` a client also runs the page's timed fragments.

Times only mean something on a machine that does nothing else: look at the last two columns.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.measure import load, machine, percentile
from benchmarks.reader import KINDS, Reader
from benchmarks.serving import ROOT, Server, served

PLAN = (30, 60, 100, 30)
# Of the 95th percentile, ms, on two cores.
BARS = {60: 150.0, 100: 400.0}
BAR_AFTER = 100.0
WITH_TRAINING = 2
STARTED_WITHIN_S = 60.0
ENDED_WITHIN_S = 30.0


@dataclass
class Crowd:
    """Some readers at once.

    Attributes:
        clients: the readers.
        errors: what went wrong, one line each.
        cpu_s: CPU seconds of the server while they moved their sliders; their first visits do not count.
        foreign: cores that other programs took meanwhile, on average.
        left: the largest crowd that was there before.
    """

    clients: list[Reader]
    errors: list[str]
    cpu_s: float
    foreign: float = float("nan")
    left: int = 0

    @property
    def reruns(self) -> list[float]:
        """Of all readers, ms."""
        return [1e3 * r for c in self.clients for r in c.reruns]

    @property
    def name(self) -> str:
        """As the table says it."""
        return f"{len(self.clients)} after {self.left}" if self.left > len(self.clients) else str(len(self.clients))

    def bar(self) -> float | None:
        """What the 95th percentile may be, ms, on a quiet machine."""
        if self.left > len(self.clients):
            return BAR_AFTER if len(self.clients) == 30 else None
        return BARS.get(len(self.clients))


def busy_s() -> float:
    """CPU seconds that the whole machine has worked."""
    times = psutil.cpu_times()
    return sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq"))


def ours_s(home: Path) -> float:
    """CPU seconds of this benchmark, its server and everything that works in its home."""
    total = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or process.environ().get("UED_HOME") == str(home):
                times = process.cpu_times()
                total += times.user + times.system
    return total


async def crowd(
    server: Server, count: int, seconds: float, think_s: float, polling: bool, home: Path | None = None
) -> Crowd:
    """Let ``count`` readers arrive one after another, then move their sliders beside each other."""
    clients = [Reader(server.address, number, polling) for number in range(count)]
    errors = []
    for client in clients:
        try:
            await client.arrive()
        except Exception as error:
            errors.append(f"first visit: {type(error).__name__}: {error}")
    here = [client for client in clients if client.first == client.first]
    before, began, busy = server.cpu_s(), time.perf_counter(), busy_s() - (ours_s(home) if home else 0.0)
    ends = await asyncio.gather(*(c.live(seconds, think_s) for c in here), return_exceptions=True)
    cpu, foreign = server.cpu_s() - before, busy_s() - (ours_s(home) if home else 0.0) - busy
    errors += [f"{type(e).__name__}: {e}" for e in ends if e is not None]
    return Crowd(clients, errors, cpu, foreign / (time.perf_counter() - began) if home else float("nan"))


HEAD = (
    ("clients", "reruns", "first visit p50, ms", "rerun p50, ms", "p95", "max", "server CPU per rerun, ms")
    + (*(f"{kind}, kB per rerun" for kind in KINDS), "all, kB")
    + ("fragment reruns", "errors", "load", "foreign cores")
)


def row(seen: Crowd, seconds: float) -> str:
    """One line of the table."""
    reruns = seen.reruns
    firsts = [1e3 * c.first for c in seen.clients if c.first == c.first]
    polls = sum(c.polls for c in seen.clients)
    runs = max(1, len(reruns) + polls)
    kilobytes = sum((c.received for c in seen.clients), Counter())
    cells = [
        seen.name,
        f"{len(reruns)} ({len(reruns) / seconds:.1f}/s)",
        f"{percentile(firsts, 0.5):.0f}",
        f"{percentile(reruns, 0.5):.0f}",
        f"**{percentile(reruns, 0.95):.0f}**",
        f"{max(reruns, default=float('nan')):.0f}",
        f"{1e3 * seen.cpu_s / runs:.1f}",
        *(f"{kilobytes[kind] / 1e3 / runs:.1f}" for kind in KINDS),
        f"**{kilobytes.total() / 1e3 / runs:.1f}**",
        str(polls),
        str(len(seen.errors)),
        load().split(" ")[0],
        f"{seen.foreign:.2f}",
    ]
    return "| " + " | ".join(cells) + " |" + (f" {seen.errors[0]}" if seen.errors else "")


def verdict(seen: Crowd, training: bool) -> str | None:
    """How a row stands to its bar, in words; None for a row without one."""
    bar = seen.bar()
    if bar is None:
        return None
    bar *= WITH_TRAINING if training else 1
    late = percentile(seen.reruns, 0.95)
    kept = late <= bar and not seen.errors
    return (
        f"- {seen.name} readers: p95 {late:.0f} ms, bar {bar:.0f} ms, {len(seen.errors)} errors: "
        f"{'kept' if kept else '**MISSED**'}"
    )


SPEC = {
    "dataset": {"name": "shapes"},
    "attack": {"name": "cuda"},
    "defenses": [{"name": "coin"}],
    "model": {"name": "small_cnn"},
    "plan": {"name": "adamw", "epochs": 1000},
    "device": "cpu",
}


@contextmanager
def training(home: Path) -> Iterator[None]:
    """One run that trains until the end of the block.

    Raises:
        RuntimeError: it does not begin within a minute.
    """
    environment = {**os.environ, "UED_HOME": str(home), "UED_IDLE_S": "5", "OMP_WAIT_POLICY": "PASSIVE"}

    def ued(*words: str) -> str:
        command = [sys.executable, "-m", "ued_core", *words]
        return subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    (home / "spec.json").write_text(json.dumps(SPEC), "utf-8")
    run = ued("train", str(home / "spec.json")).split()[0]

    def state() -> str:
        return json.loads(ued("run", run, "--json"))["state"]

    try:
        until = time.monotonic() + STARTED_WITHIN_S
        while (now := state()) != "running":
            if now != "queued" or time.monotonic() > until:
                raise RuntimeError(f"The run beside the readers is {now}:\n{ued('run', run)}")
            time.sleep(0.5)
        yield
        if (now := state()) != "running":
            print(f"\n**The run beside the readers is {now}: the rows above were not measured beside one.**")
    finally:
        ued("cancel", run)
        # The home goes with the benchmark, and its worker must not outlive it.
        until = time.monotonic() + ENDED_WITHIN_S
        while state() == "running" and time.monotonic() < until:
            time.sleep(0.5)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, nargs="+", default=list(PLAN))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--think", type=float, default=2.0)
    parser.add_argument("--training", action="store_true", help="beside one training run")
    parser.add_argument("--polling", action="store_true")
    options = parser.parse_args()
    timed = "with" if options.polling else "without"
    beside = "beside one training run" if options.training else "no training"
    print(f"{machine()}; think time {options.think:g} s; {timed} timed fragments; {beside}\n")
    print("| " + " | ".join(HEAD) + " |\n" + "|---" * len(HEAD) + "|")
    crowds: list[Crowd] = []
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        served(ROOT / "app.py", Path(folder)) as server,
    ):
        home = Path(folder)
        # The first visit loads data and reference model; start-up work ends meanwhile.
        asyncio.run(crowd(server, 1, 15.0, 1.0, options.polling))
        with training(home) if options.training else nullcontext():
            for count in options.clients:
                seen = asyncio.run(crowd(server, count, options.seconds, options.think, options.polling, home))
                seen.left = max((len(before.clients) for before in crowds), default=0)
                crowds.append(seen)
                print(row(seen, options.seconds), flush=True)
    print("\n" + "\n".join(filter(None, (verdict(seen, options.training) for seen in crowds))))
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
