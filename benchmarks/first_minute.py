"""A newcomer's first minute, with a stopwatch: python -m benchmarks.first_minute [--shots FOLDER] [--times 3]

Starts the app in a home that was used before but has no runs, opens the Overview in a new headless Chromium, waits for
the first picture, pulls COIN's slider and trains both short runs. Prints seconds from the command and from the click,
with the load averages beside them.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving import ROOT, browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_MS = 180_000
DRAWN = """() => [...document.querySelectorAll('.ued-tiles .strip')].some(
    (one) => getComputedStyle(one).getPropertyValue('--source'))"""
LEVEL = "document.querySelector('.ued-hill .value')?.textContent"


def once(home: Path, shots: Path | None) -> dict[str, float]:
    """One start; seconds by what they are of."""
    took: dict[str, float] = {}
    began = time.monotonic()
    with served(ROOT / "app.py", home) as server, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        opened = time.monotonic()
        page.goto(server.address)
        page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
        took["first picture, from the command"] = time.monotonic() - began
        took["first picture, from opening the page"] = time.monotonic() - opened
        shot(page, shots, "1-first-picture")
        page.wait_for_function("document.querySelectorAll('canvas.live').length > 0", timeout=PATIENCE_MS)
        slider = page.get_by_role("slider", name="Strength α")
        slider.focus()
        before = page.evaluate(LEVEL)
        slider.press("ArrowRight")
        page.wait_for_function(f"old => {LEVEL} !== old", arg=before, timeout=PATIENCE_MS)
        took["first pull of the slider, from the command"] = time.monotonic() - began
        shot(page, shots, "2-first-pull")
        # What the pull asked of the server is over before the click.
        page.wait_for_timeout(1500)
        clicked = time.monotonic()
        page.get_by_role("button", name="Train both").click()
        words = page.locator(".st-key-overview_curves figcaption")
        page.wait_for_function(
            "document.querySelector('.st-key-overview_curves figcaption')?.textContent.includes('starts')",
            timeout=PATIENCE_MS,
        )
        took["both runs have started, from the click"] = time.monotonic() - clicked
        page.wait_for_function(
            "document.querySelector('.st-key-overview_curves figcaption')?.textContent.includes('points on clean')",
            timeout=PATIENCE_MS,
        )
        took["both results, from the click"] = time.monotonic() - clicked
        shot(page, shots, "3-results")
        print(words.inner_text(), flush=True)
    return took


def shot(page: Page, folder: Path | None, name: str) -> None:
    """Keep what the screen shows."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / f"{name}.png")


def main() -> None:
    """Start, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shots", type=Path, help="folder for a screenshot of every step")
    parser.add_argument("--times", type=int, default=3, help="starts after the first one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.times + 1):
            # Equal runs would be found again, and nothing would be trained.
            shutil.rmtree(Path(folder) / "runs", ignore_errors=True)
            took = once(Path(folder), options.shots if number else None)
            load = " ".join(f"{value:.1f}" for value in os.getloadavg())
            kind = f"start {number}" if number else "start into an empty home"
            print(f"{kind} (load {load}): " + "; ".join(f"{name} {s:.1f} s" for name, s in took.items()), flush=True)


if __name__ == "__main__":
    main()
