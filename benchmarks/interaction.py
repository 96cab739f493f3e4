"""From the key press to the picture: python -m benchmarks.interaction [--presses 20]

Three questions about the page Defence when its strength slider moves, answered by a real server
and headless Chromium: how much the server works (one websocket client), how long until new tiles
and Θ are drawn, in turns with a bare page that has one slider and one chart of the same kind, and
when the layout of 600 features follows. Zoom and hidden traces must survive.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.load import crowd
from benchmarks.measure import load, machine, percentile
from benchmarks.serving import ROOT, Server, browser, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Looks at every frame; what it waits for is drawn when it is in the document.
WATCH = """
(wanted) => {
  const chart = (i) => document.querySelectorAll('.ued-chart')[i]?._fullData;
  const look = {
    tiles: () => document.querySelectorAll('.ued-tiles .strip')[2]?.style.getPropertyValue('--source'),
    theta: () => JSON.stringify(chart(0)?.map((q) => [q.x?.[0], q.y?.[0], q.y?.[9]])),
    features: () => JSON.stringify(chart(1)?.map((q) => q.x?.[0])),
    matrix: () => String(chart(0)?.[0]?.z?.map((row) => Array.from(row).join())),
  };
  const before = Object.fromEntries(wanted.map((n) => [n, look[n]()]));
  window.seen = {};
  addEventListener('keydown', () => {
    const pressed = performance.now();
    const frame = () => {
      for (const n of wanted) if (!(n in seen) && look[n]() !== before[n]) seen[n] = performance.now() - pressed;
      if (wanted.some((n) => !(n in seen))) requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }, { once: true, capture: true });
}
"""
# While a layout is on its way, other words stand there.
SETTLED = "() => [...document.querySelectorAll('.ued-caption')].some((p) => /^Mean distance/.test(p.textContent))"


def press(page: Page, wanted: list[str], key: str) -> dict[str, float]:
    """One key on the focused slider; milliseconds until each wanted thing has changed."""
    page.bring_to_front()
    page.get_by_role("slider", name="Strength").first.focus()
    page.evaluate(WATCH, wanted)
    page.keyboard.press(key)
    page.wait_for_function(f"() => Object.keys(window.seen).length === {len(wanted)}", timeout=20_000)
    return page.evaluate("() => window.seen")


def state_of_charts(page: Page) -> dict[str, Any]:
    """What the reader has set on the two charts: zoom, and which traces are hidden."""
    return page.evaluate(
        """() => { const [t, f] = document.querySelectorAll('.ued-chart');
        const digits = (r) => r.map((v) => v.toFixed(6));
        return { "zoom on Θ": digits(t._fullLayout.xaxis.range), "zoom on features": digits(f._fullLayout.xaxis.range),
                 "hidden copy": f._fullData.map((q) => q.visible) } }"""
    )


def set_charts(page: Page) -> None:
    """Zoom into both charts with the mouse and hide one copy of the features by its legend entry."""
    for chart in page.locator(".ued-chart").all()[:2]:
        chart.scroll_into_view_if_needed()
        box = chart.locator(".nsewdrag").first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
        page.mouse.down()
        page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.7 * box["height"], steps=8)
        page.mouse.up()
        page.wait_for_timeout(1000)
    page.locator(".ued-chart").nth(1).locator(".legendtoggle").first.click()
    page.wait_for_timeout(1000)


def in_browser(presses: int, app: Server, bare: Server) -> None:
    """Print medians, their ratio, the layout's delay, and what survived."""
    with browser() as chromium:
        context = chromium.new_context(viewport={"width": 1400, "height": 1000})
        floor, page = context.new_page(), context.new_page()
        floor.goto(bare.address)
        page.goto(f"{app.address}/defence")
        for tab, charts in ((floor, 1), (page, 2)):
            tab.bring_to_front()
            tab.wait_for_function(
                f"() => document.querySelectorAll('.ued-chart .main-svg').length >= {charts}", timeout=120_000
            )
        page.wait_for_timeout(1000)
        page.wait_for_function(SETTLED, timeout=240_000)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.ued-chart')].slice(0, 2).every((c) => c._fullLayout)"
        )
        untouched = state_of_charts(page)
        set_charts(page)
        before = state_of_charts(page)
        times: dict[str, list[float]] = {name: [] for name in ("bare", "tiles", "theta", "both", "features", "matrix")}
        for number in range(presses + 2):
            key = "ArrowRight" if number % 20 < 10 else "ArrowLeft"
            lone = press(floor, ["theta"], key)
            whole = press(page, ["tiles", "theta", "features"], key)
            page.wait_for_function(SETTLED, timeout=20_000)
            if number < 2:
                continue
            times["bare"].append(lone["theta"])
            for name in ("tiles", "theta", "features"):
                times[name].append(whole[name])
            times["both"].append(max(whole["tiles"], whole["theta"]))
        after = state_of_charts(page)
        page.goto(f"{app.address}/matrices?size=32&operator=product")
        page.wait_for_function("() => document.querySelectorAll('.ued-chart .main-svg').length >= 6", timeout=120_000)
        page.wait_for_timeout(8000)
        for number in range(presses):
            times["matrix"].append(
                press(page, ["matrix"], "ArrowRight" if number < presses / 2 else "ArrowLeft")["matrix"]
            )
    print("| key press until | median, ms | p95, ms | ÷ bare page |")
    print("|---|---|---|---|")
    rows = {
        "bare": "the bare page's chart",
        "tiles": "new tiles",
        "theta": "new Θ",
        "both": "both",
        "features": "the new layout",
        "matrix": "the 32×32 matrix on its own page",
    }
    for name, words in rows.items():
        middle, late = median(times[name]), percentile(times[name], 0.95)
        print(f"| {words} | {middle:.0f} | {late:.0f} | {middle / median(times['bare']):.2f} |")
    waited = sum(f < b for f, b in zip(times["features"], times["both"], strict=True))
    follow = [f - b for f, b in zip(times["features"], times["both"], strict=True)]
    print(
        f"\nThe layout came a median of {median(follow):.0f} ms after tiles and Θ, which waited for it {waited} times "
        f"of {presses}."
    )
    fates = {
        n: "was never set" if before[n] == untouched[n] else "kept" if before[n] == after[n] else "LOST" for n in before
    }
    print(f"After {presses + 2} updates: " + ", ".join(f"{name} {word}" for name, word in fates.items()) + ".")


def on_the_server(app: Server, seconds: float) -> None:
    """Print what one client's reruns take and cost."""
    asyncio.run(crowd(app, 1, 10.0, 0.5, False))
    seen = asyncio.run(crowd(app, 1, seconds, 0.5, False))
    spent, errors, reruns = seen.cpu_s, seen.errors, [1e3 * r for r in seen.clients[0].reruns]
    print(
        f"Server, one websocket client, {len(reruns)} reruns: p50 {percentile(reruns, 0.5):.0f} ms, p95 "
        f"{percentile(reruns, 0.95):.0f} ms "
        f"from message to end of script; {1e3 * spent / max(1, len(reruns)):.0f} ms CPU of the server a rerun."
        + (f" Errors: {errors}" if errors else "")
    )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presses", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=15.0, help="of the websocket client")
    options = parser.parse_args()
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with served(ROOT / "app.py", home / "app") as app:
            time.sleep(5)
            on_the_server(app, options.seconds)
            print()
            with served(ROOT / "benchmarks" / "bare" / "app.py", home / "bare") as bare:
                in_browser(options.presses, app, bare)
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
