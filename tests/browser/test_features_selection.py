"""Features: a box shows images and their table, a tile finds its points, and the link brings it all back."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from ued_core.context import Context
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.jsonl import append_line
from ued_core.runs.pipeline import execute

pytestmark = pytest.mark.browser
SMALL = "data=shapes&data_shapes_train_size=400&data_shapes_test_size=100&per_class=8&layout_by=pca"
PATIENT = 90_000
PLOT = """[...document.querySelectorAll('.js-plotly-plot')].find(c => c._fullData && c._fullData.some(t => t.name ===
'defended'))"""
TINY = {
    "dataset": {"name": "shapes", "train_size": 400, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 4},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def app(
    serve: Callable[[str, Path], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The app with one finished run in its home: address and the run's id."""
    home = tmp_path_factory.mktemp("features")
    spec = RunSpec.from_json(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UED_HOME", str(home))
        folder = RunFolder.create(
            home / "runs", spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": time.time()}
        )
        folder.take_token()
        rows = lambda row: append_line(folder.history_path, row)  # noqa: E731
        result = execute(spec, Context(), weights=folder.weights, epoch_folder=folder.epoch_folder, on_epoch=rows)
        folder.write_result(result.model_copy(update={"attempts": 1}))
    with serve("app.py", home) as address:
        yield address, folder.run_id


def trace(page: Page, name: str) -> dict | None:
    found = page.evaluate(
        f"name => {{ const c = {PLOT}; const t = c && c._fullData.find(t => t.name === name);"
        " return t ? JSON.stringify({x: Array.from(t.x), y: Array.from(t.y), rows: Array.from(t.customdata || [])}) "
        ": null; }",
        name,
    )
    return json.loads(found) if found else None


def wait_for_trace(page: Page, name: str) -> dict:
    there = f"name => {{ const c = {PLOT}; return c && c._fullData.some(t => t.name === name); }}"
    page.wait_for_function(there, arg=name, timeout=PATIENT)
    return trace(page, name)


def open_page(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_role("heading", name="Features", level=1)).to_be_visible(timeout=PATIENT)
    wait_for_trace(page, "defended")
    # The first picture may be a stand-in that is still to be replaced.
    expect(page.get_by_text(re.compile("^PCA, recomputed")).first).to_be_visible(timeout=180_000)


def drag_a_box(page: Page) -> None:
    """Over the right half of the plot."""
    page.evaluate(f"Plotly.relayout({PLOT}, {{dragmode: 'select'}})")
    box = page.evaluate(
        f"(() => {{ const b = {PLOT}.querySelector('.nsewdrag').getBoundingClientRect(); return [b.x, b.y, b.width, "
        f"b.height] }})()"
    )
    page.mouse.move(box[0] + box[2] * 0.6, box[1] + 4)
    page.mouse.down()
    page.mouse.move(box[0] + box[2] - 4, box[1] + box[3] - 4, steps=8)
    page.mouse.up()


def test_a_box_a_tile_and_a_link(page: Page, app: tuple[str, str]) -> None:
    open_page(page, f"{app[0]}/features?{SMALL}")
    expect(page.get_by_text("No image is marked yet.")).to_be_visible(timeout=PATIENT)
    drag_a_box(page)
    expect(page.locator(".ued-tiles button.tile").first).to_be_visible(timeout=PATIENT)
    expect(page.get_by_test_id("stDataFrame")).to_be_visible(timeout=PATIENT)
    page.wait_for_url(re.compile("rows="))
    rows = sorted(int(row) for row in re.search(r"rows=([\d,%C]+)", page.url)[1].replace("%2C", ",").split(","))
    rings = wait_for_trace(page, "marked")
    assert sorted(set(rings["rows"])) == rows, "the rings are around what the address names"
    assert len(rings["rows"]) == 3 * len(rows)

    tile = page.locator(".ued-tiles button.tile").nth(1)
    row = int(page.locator(".ued-tiles .names span").nth(1).inner_text().split()[-1])
    tile.click()
    found = wait_for_trace(page, f"image {row}")
    assert found["rows"] == [row] * 3
    own = [place for place, name in enumerate(trace(page, "clean")["rows"]) if name == row][0]
    for copy, x, y in zip(("clean", "poisoned", "defended"), found["x"], found["y"], strict=True):
        drawn = trace(page, copy)
        assert (drawn["x"][own], drawn["y"][own]) == (x, y)
    expect(page.locator(".ued-tiles button.tile").nth(1)).to_have_attribute("aria-pressed", "true", timeout=PATIENT)

    open_page(page, page.url)
    rings = wait_for_trace(page, "marked")
    assert sorted(set(rings["rows"])) == rows
    expect(page.locator(".ued-tiles button.tile").first).to_be_visible(timeout=PATIENT)


def test_the_film_plays_without_the_server(page: Page, app: tuple[str, str]) -> None:
    address, run = app
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    open_page(page, f"{address}/features?{SMALL}&network={run}&colour=correctness")
    film = page.locator(".ued-film")
    expect(film).to_be_visible(timeout=PATIENT)
    expect(film).to_have_attribute("data-at", "4.000", timeout=PATIENT)
    expect(film.locator(".bar > output")).to_have_text("epoch 4 of 4")
    slider = film.get_by_role("slider", name="Epoch")
    slider.focus()
    slider.press("Home")
    expect(film.locator(".bar > output")).to_have_text("before training")
    cursor = film.locator(".cursor").first
    start = float(cursor.get_attribute("x1"))
    slider.press("ArrowRight")
    expect(film).to_have_attribute("data-at", "1.000")
    assert float(cursor.get_attribute("x1")) > start, "the learning curve's cursor is in step"
    page.evaluate(
        """window.places = []; window.sent = 0; const f = document.querySelector('.ued-film');
        const send = WebSocket.prototype.send; WebSocket.prototype.send = function (...a) { sent++;
          return send.apply(this, a) };
        new MutationObserver(() => places.push(Number(f.dataset.at))).observe(f, {attributes: true,
          attributeFilter: ['data-at']}); 0"""
    )
    film.get_by_role("button", name="Play").click()
    expect(film).to_have_attribute("data-at", "4.000", timeout=PATIENT)
    places = page.evaluate("places")
    assert places == sorted(places)
    assert len({place for place in places if place % 1}) >= 4, "points move between two epochs"
    assert page.evaluate("sent") == 0, "no frame asks the server"
    expect(film.get_by_role("button", name="Play")).to_be_visible()
    assert problems == []


def test_reduced_motion_steps_from_epoch_to_epoch(browser, app: tuple[str, str]) -> None:
    page = browser.new_page(reduced_motion="reduce")
    open_page(page, f"{app[0]}/features?{SMALL}&network={app[1]}")
    film = page.locator(".ued-film")
    expect(film).to_have_attribute("data-at", "4.000", timeout=PATIENT)
    page.evaluate(
        "window.places = []; const f = document.querySelector('.ued-film');"
        "new MutationObserver(() => places.push(Number(f.dataset.at))).observe(f, {attributes: true, attributeFilter: "
        "['data-at']}); 0"
    )
    film.get_by_role("button", name="Play").click()
    page.wait_for_function("places.at(-1) === 4 && places.length > 3", timeout=PATIENT)
    assert {place % 1 for place in page.evaluate("places")} == {0}
    page.close()
