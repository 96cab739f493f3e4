"""From the command to the first picture: python -m benchmarks.startup [--repeats 3]

Starts ``./ued.py app`` on an empty home (nothing computed yet) and again on the same home, opens
one page in headless Chromium as soon as the server answers, and waits for a picture or chart in
the page's body. Then the deep-link test: the first visit after a start goes to a page's own
address and must show the whole app, navigation included.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.measure import load, machine
from benchmarks.serving import ROOT, browser, started

PAGES = {"Overview": "/", "Attack": "/attack"}
# A row of tiles has its picture once it is decoded.
PICTURE = """() => [...document.querySelectorAll(`[data-testid=stMain] .ued-tiles .strip,
[data-testid=stMain] .ued-chart .main-svg`)]
  .some((e) => { const b = e.getBoundingClientRect();
    return b.width > 150 && b.height > 20 && (!e.matches('.strip') || e.style.getPropertyValue('--source') !== '') })"""
LINKS = "() => [...document.querySelectorAll('[data-testid=stSidebarNavLink]')].map((e) => e.textContent.trim())"


def command() -> list[str]:
    """``./ued.py app`` when it would install nothing, else the server directly."""
    spec = importlib.util.spec_from_file_location("ued_start", ROOT / "ued.py")
    assert spec is not None
    assert spec.loader is not None
    start = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(start)
    if start.STAMP.exists() and start.STAMP.read_text() == start.fingerprint():
        return [sys.executable, str(ROOT / "ued.py"), "app"]
    return [sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py")]


def first_picture(home: Path, path: str) -> tuple[float, float, list[str]]:
    """Seconds from the command to an answer and to the first picture, and the navigation that was shown."""
    with browser() as chromium:
        # A browser that runs already, as its user's does.
        page = chromium.new_page(viewport={"width": 1400, "height": 1000})
        began = time.perf_counter()
        with started(command(), home) as server:
            for _ in range(600):
                with contextlib.suppress(Exception):
                    page.goto(server.address + path, wait_until="commit")
                    break
                time.sleep(0.05)
            answered = time.perf_counter() - began
            page.wait_for_function(PICTURE, timeout=120_000)
            seen = time.perf_counter() - began
            page.locator("[data-testid=stSidebarNavLink]").first.wait_for(timeout=60_000)
            return answered, seen, page.evaluate(LINKS)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}; {' '.join(Path(part).name for part in command()[1:])}\n")
    print("| page | home | server answers, s | first picture, s (each) | median, s | navigation on this first visit |")
    print("|---|---|---|---|---|---|")
    for name, path in PAGES.items():
        runs: dict[str, list[tuple[float, float, list[str]]]] = {"empty": [], "used": []}
        for _ in range(options.repeats):
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
                for kind in runs:
                    runs[kind].append(first_picture(Path(home), path))
        for kind, rows in runs.items():
            seen = [f"{row[1]:.1f}" for row in rows]
            links = rows[0][2] if all(row[2] == rows[0][2] for row in rows) else ["differs between repeats"]
            print(
                f"| {name} | {kind} | {median(r[0] for r in rows):.1f} | {', '.join(seen)} | "
                f"**{median(r[1] for r in rows):.1f}** | {', '.join(links)} |",
                flush=True,
            )
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
