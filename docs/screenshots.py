"""The pictures of the tour: python -m docs.screenshots [--only defence runs]

Starts the app in a fresh home, runs the quick run of the page Runs, opens every page in headless Chromium (1,400 px
wide, light) and writes ``docs/images/ADDRESS.webp``, each below 200 kB. Minutes on two cores, most of them waiting
until layouts and measurements beside the server have come.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.serving import ROOT, browser, served
from pages.frame.navigation import PAGES

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = ROOT / "docs" / "images"
SIZE = (1400, 1000)
MOST_BYTES = 200_000
PATIENCE_S = 300
QUIET_S = 4.0
TALL = {"defence": 1500, "attack": 1300, "features": 1300, "detection": 1300}
"""Pages whose point lies lower than one screen."""
BUSY = """() => {
    const running = document.querySelector('[data-testid=stApp][data-test-script-state=running]');
    const told = [...document.querySelectorAll(
        '[data-testid=stMain] :is([data-testid=stAlert], [data-testid=stMarkdown] p, .ued-caption)')];
    const undrawn = [...document.querySelectorAll('.ued-chart')].some(
        (one) => one.offsetParent && !one.querySelector('.main-svg'));
    return !!running || undrawn || told.some((one) => / …(?! ?[\\d−?])/.test(one.textContent));
}"""
"""The script still runs, a chart is not drawn yet, or a sentence on the page says that something is on its way."""


def settle(page: Page) -> bytes:
    """The page as PNG once it has stayed the same for some seconds; as it is when patience ends."""
    page.locator("[data-testid=stMain] h1").first.wait_for(timeout=120_000)
    began = last_change = time.monotonic()
    seen = b""
    while time.monotonic() - began < PATIENCE_S:
        now = page.screenshot(timeout=1000 * PATIENCE_S)
        if now != seen or page.evaluate(BUSY):
            seen, last_change = now, time.monotonic()
        elif time.monotonic() - last_change > QUIET_S:
            break
        time.sleep(0.5)
    return seen


def as_webp(picture: bytes) -> bytes:
    """A PNG as WebP of less than ``MOST_BYTES`` bytes, at the best quality of a few that fits."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality in (88, 80, 70, 60, 45):
        written = io.BytesIO()
        image.save(written, "WEBP", quality=quality, method=6)
        if len(written.getvalue()) < MOST_BYTES:
            break
    return written.getvalue()


def quick_run(page: Page, address: str) -> str:
    """Start the quick run and wait until its result is there; the address of the page that shows it."""
    page.goto(f"{address}/runs")
    page.get_by_role("button", name="Start a quick run").click(timeout=120_000)
    page.get_by_text("finished").first.wait_for(timeout=300_000)
    return page.url


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [entry.address or "overview" for entry in PAGES]
    parser.add_argument("--only", nargs="*", choices=names, default=names)
    wanted = parser.parse_args().only
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    with (
        tempfile.TemporaryDirectory() as home,
        served(ROOT / "app.py", Path(home)) as server,
        browser() as chromium,
    ):
        page = chromium.new_page(viewport={"width": SIZE[0], "height": SIZE[1]}, color_scheme="light")
        addresses = {name: f"{server.address}/{'' if name == 'overview' else name}" for name in wanted}
        if "runs" in wanted:
            addresses["runs"] = quick_run(page, server.address)
        for name in wanted:
            page.set_viewport_size({"width": SIZE[0], "height": TALL.get(name, SIZE[1])})
            page.goto(addresses[name])
            written = as_webp(settle(page))
            (IMAGES / f"{name}.webp").write_bytes(written)
            print(f"{name}: {len(written) / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
