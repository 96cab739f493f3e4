"""Clock, machine and percentiles, the same for every benchmark."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Cost:
    """What a piece of work took: wall seconds, and CPU seconds of this process over all its threads."""

    wall_s: float
    cpu_s: float


def cost_of(work: Callable[[], object]) -> Cost:
    """Do the work once."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def interleaved(works: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, Cost]:
    """Medians over repeats in which every piece of work has its turn, so that a busy minute hits all of them.

    Each is done once beforehand: compilation and first touch of memory do not count.
    """
    for work in works.values():
        work()
    rounds = [{name: cost_of(work) for name, work in works.items()} for _ in range(repeats)]
    return {n: Cost(median(r[n].wall_s for r in rounds), median(r[n].cpu_s for r in rounds)) for n in works}


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of the values lie; nan for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def processor() -> str:
    """The processor's name, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def load() -> str:
    """The load averages, which say how much of the machine was left."""
    return " / ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def machine() -> str:
    """One line for the head of a table."""
    return f"{processor()}, {os.cpu_count()} cores; Python {platform.python_version()}; load (1, 5, 15 min) {load()}"
