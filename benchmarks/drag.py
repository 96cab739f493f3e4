"""How smoothly pictures follow a finger on COIN's slider: python -m benchmarks.drag [--throttle 4]

Starts the app in a fresh home, opens Defence in headless Chromium and drags the slider to and fro. It prints the times
between two pictures on the screen while it is dragged and while nothing happens, in the same page, with and without a
throttled processor. Software drawing on a machine without a GPU: lower bounds.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving import ROOT, browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_MS = 180_000
STEPS = 120
RECORD = """() => {
    window.uedFrames = [];
    let last = performance.now();
    const next = (now) => { window.uedFrames.push(now - last); last = now; requestAnimationFrame(next); };
    requestAnimationFrame(next);
}"""
THUMB = ".st-key-defence_coin_strength [data-testid=stSliderThumbValue]"


def frames(page: Page, drag: bool) -> list[float]:
    """Milliseconds between pictures on the screen."""
    box = page.locator(THUMB).locator("..").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    if drag:
        page.mouse.move(x, y)
        page.mouse.down()
    page.evaluate("window.uedFrames.length = 0")
    for step in range(STEPS):
        if drag:
            # To the right and back, so that every value differs from the one before.
            page.mouse.move(x + 3 * (step if step < STEPS / 2 else STEPS - step), y)
        else:
            page.wait_for_timeout(16)
    found: list[float] = page.evaluate("window.uedFrames")
    if drag:
        page.mouse.move(x, y)
        page.mouse.up()
    return found


def words(times: list[float]) -> str:
    """Median, 95th percentile and frames per second."""
    ordered = sorted(times)
    slow = ordered[int(0.95 * (len(ordered) - 1))]
    rate = 1000 * len(times) / sum(times)
    return f"median {statistics.median(times):.1f} ms, 95 % below {slow:.1f} ms, {rate:.0f} frames/s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--throttle", type=float, nargs="+", default=[1.0, 4.0], help="how many times slower")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as home,
        served(ROOT / "app.py", Path(home)) as server,
        browser() as chromium,
    ):
        page = chromium.new_page(viewport={"width": 1400, "height": 900})
        page.goto(f"{server.address}/defence")
        page.get_by_text("Mean distance from the clean copy").wait_for(timeout=PATIENCE_MS)
        page.wait_for_function("document.querySelectorAll('canvas.live').length > 0", timeout=PATIENCE_MS)
        page.wait_for_timeout(3000)
        page.evaluate(RECORD)
        session = page.context.new_cdp_session(page)
        for rate in options.throttle:
            session.send("Emulation.setCPUThrottlingRate", {"rate": rate})
            print(f"{rate:g} × slower, at rest:  {words(frames(page, drag=False))}", flush=True)
            print(f"{rate:g} × slower, dragging: {words(frames(page, drag=True))}", flush=True)
            page.wait_for_timeout(3000)


if __name__ == "__main__":
    main()
