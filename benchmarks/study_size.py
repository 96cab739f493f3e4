"""A study of thousands of runs: python -m benchmarks.study_size [--runs 2000]

Makes a home with a study of so many runs (``stored_runs.py``), of which three quarters have finished and a fifth waits.
Nothing is trained: the benchmark holds the supervisor's lock. Measured are ``python -m ued_core study status``, the
parts of it in a process that lives on, as a server does, the page Studies in a browser, to its first picture and to its
matrix, and queueing the whole study in an empty home. CPU times are the figures to look at; wall times only mean
something on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import load, machine
from benchmarks.serving import ROOT, browser, served
from benchmarks.stored_runs import fill_table, make_queued, make_stored
from ued_core import runs
from ued_core.files import write_json
from ued_core.results.shipped_runs import shipped_runs
from ued_core.runs.launcher import supervisor_lock
from ued_core.studies.progress import progress_of
from ued_core.studies.study import Study
from ued_core.studies.submission import submit_missing

TURNS = 5
SEEDS = 5
BARS = {"first picture": 1.0, "matrix": 1.5}
MATRIX = ".ued-figure .main-svg"
ATTACKS = ["cuda", "vuda", "huda", None]


def declared(count: int) -> dict[str, Any]:
    """A study of about so many runs: attack × strength of COIN, five seeds."""
    strengths = max(1, count // (len(ATTACKS) * SEEDS)) - 1
    return {
        "name": "size",
        "base": {"dataset": "fashion", "defenses": ["coin"], "device": "cpu"},
        "axes": [
            {"name": "attack", "field": "attack", "values": ATTACKS},
            {
                "name": "α",
                "field": "defenses.0.strength",
                "range": {"from": 0, "to": strengths / 100, "step": 0.01},
            },
        ],
        "seeds": list(range(SEEDS)),
        "comparisons": [{"name": "How strong?", "against": {"α": "0"}}],
    }


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Median wall and CPU seconds of some turns."""
    walls, cpus = [], []
    for _ in range(TURNS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return median(walls), median(cpus)


def commanded(home: Path, file: Path) -> tuple[float, float]:
    """Median wall and CPU seconds of ``python -m ued_core study status``."""
    walls, cpus = [], []
    for _ in range(TURNS):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "ued_core", "study", "status", str(file)], cwd=ROOT,
            env={**os.environ, "UED_HOME": str(home)}, stdout=subprocess.DEVNULL, check=True,
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - began)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return median(walls), median(cpus)


def visited(home: Path) -> None:
    """Print how long the page takes in a browser, from the address to its title and to the matrix; the first visit
    of a server is left out."""
    with served(ROOT / "app.py", home) as server, browser() as chromium:
        firsts, matrices, cpus = [], [], []
        for turn in range(TURNS + 1):
            context = chromium.new_context(viewport={"width": 1400, "height": 1000})
            page = context.new_page()
            cpu, began = server.cpu_s(), time.perf_counter()
            page.goto(f"{server.address}/studies?study=size")
            page.locator("[data-testid=stMain] h1").first.wait_for(timeout=120_000)
            first = time.perf_counter() - began
            page.locator(MATRIX).first.wait_for(timeout=120_000)
            if turn:
                firsts.append(first)
                matrices.append(time.perf_counter() - began)
                cpus.append(server.cpu_s() - cpu)
            context.close()
    print(f"| the page, first picture | **{median(firsts):.2f}** s wall, bar {BARS['first picture']:g} | |")
    print(f"| the page, matrix | **{median(matrices):.2f}** s wall, bar {BARS['matrix']:g} | "
          f"{median(cpus):.2f} s of CPU of the server |", flush=True)  # fmt: skip


def told(what: str, times: tuple[float, float]) -> None:
    """One line of the table."""
    print(f"| {what} | **{times[1]:.2f}** s of CPU | {times[0]:.2f} s wall |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    count = parser.parse_args().runs
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "full"
        file = Path(folder) / "size.json"
        write_json(file, declared(count))
        specs = [run.spec for run in Study.read(file).planned.values()]
        print(f"{machine()}; a study of {len(specs)} runs\n\n| | | |\n|---|---|---|")
        root = home / "runs"
        make_stored(root, specs[: len(specs) * 3 // 4])
        make_queued(root, specs[len(specs) * 3 // 4 : len(specs) * 19 // 20])
        fill_table(root)
        write_json(home / "studies" / file.name, declared(count))
        with supervisor_lock(root):
            told("`ued study status`", commanded(home, file))
            visited(home)
        os.environ["UED_HOME"] = str(home)
        told("reading the file and its runs", timed(lambda: Study.read(file)))
        study, snapshot, shipped = Study.read(file), runs.snapshot(), shipped_runs()

        def shown() -> None:
            found = progress_of(study, snapshot, shipped)
            _ = found.cells, found.left, found.judged, [cell.accuracy for cell in found.cells.values()]

        told("what has been reached, in a process that lives on", timed(shown))
        os.environ["UED_HOME"] = str(Path(folder) / "empty")
        empty = Path(folder) / "empty" / "runs"
        empty.mkdir(parents=True)
        with supervisor_lock(empty):
            wall, cpu = time.perf_counter(), time.process_time()
            submit_missing(file)
            told("queueing the whole study", (time.perf_counter() - wall, time.process_time() - cpu))
            told("finding that nothing is missing", timed(lambda: submit_missing(file)))
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
