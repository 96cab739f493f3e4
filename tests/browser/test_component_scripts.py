"""The components' scripts as Streamlit calls them: the end of a call that a newer one overtook comes after the newer
one has begun."""

import base64
from collections.abc import Iterator
from pathlib import Path

import plotly
import pytest
from playwright.sync_api import Browser, Page

from pages.widgets.delivery import HERE as SCRIPTS
from pages.widgets.delivery import script as script_of
from pages.widgets.live_chart import FRAME
from tests.test_csv_export import FORMULAS, KEPT

pytestmark = pytest.mark.browser
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
LOAD = """async (code) => {
    // As delivery.py packs; a part without text is only named.
    window.pack = (words, parts) => {
        const text = new TextEncoder();
        const contents = parts.map(([name, content]) => [name, content === null ? null : text.encode(content)]);
        const named = contents.map(([name, bytes]) => [name, bytes && bytes.length]);
        const head = text.encode(JSON.stringify({ words, parts: named, from: "/parts/" }));
        const length = new Uint8Array(new Uint32Array([head.length]).buffer);
        return new Uint8Array([length, head, ...contents.map(([, bytes]) => bytes ?? [])].flatMap((bytes) =>
          [...bytes]));
    };
    window.line = (k) => JSON.stringify({ data: [{ x: [1, 2], y: [k, 2 * k] }], layout: { meta: { animate: true } } });
    window.chart = (name, figure, words = {}) => window.pack({
        changes: {}, height: 200, alt: `line ${name}`, filename: "line", clickable: false,
        question: "", formula: "", caption: "", plotly: "", colours: {}, ...words,
    }, [[name, figure]]);
    window.component = (await import("data:text/javascript;base64," + code)).default;
    // What Streamlit does with a call: when it is answered too late, its end follows at once.
    window.call = async (args, overtaken) => {
        const end = await window.component({ parentElement: document.body, ...args });
        if (overtaken) end();
        return end;
    };
}"""


@pytest.fixture
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def load(page: Page, script: str, html: str) -> None:
    page.set_content(html)
    page.evaluate(LOAD, base64.b64encode(script_of(script)).decode())


CHART = """async (pause) => {
    const node = document.querySelector(".ued-chart");
    const draw = (k, overtaken) => window.call({ data: chart(`${k}`, line(k)), setStateValue() {} }, overtaken);
    await draw(1, false);
    const first = draw(2, true);
    if (pause) await new Promise((next) => setTimeout(next, pause));
    const end = await draw(3, false);
    await first;
    await new Promise((next) => setTimeout(next, 100));
    const seen = [node.classList.contains("ued-failed"), node._fullData?.[0]?.y,
      node.querySelectorAll("[role=img]").length];
    end();
    await new Promise((next) => setTimeout(next, 100));
    return [...seen, node._fullData === undefined];
}"""


def test_no_chart_offers_to_be_uploaded(blank: Page) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    blank.evaluate("() => window.call({ setStateValue() {}, data: chart('a', line(1)) }, false)")
    blank.locator(".ued-open").click()
    titles = blank.evaluate("[...document.querySelectorAll('button')].map((b) => b.textContent)")
    assert "Download as PNG" in titles
    assert blank.locator(".modebar-btn").count() == 0
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()], (
        "there is no network, and no account"
    )


@pytest.mark.parametrize("pause", [0, 100])
def test_a_chart_keeps_what_a_newer_call_draws(blank: Page, pause: int) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    failed, drawn, named, purged = blank.evaluate(CHART, pause)
    assert not failed
    assert drawn == [3, 6]
    assert named == 1
    assert purged, "the end of the last call takes the chart away"


KEPT_BY_THE_SERVER = """window.fetch = async (address) => {
    asked.push(address);
    const content = here[address.split("/").pop()];
    return content === undefined ? { ok: false } : { ok: true, arrayBuffer: async () =>
      new TextEncoder().encode(content).buffer };
}; window.asked = []; window.told = []; window.here = {};
window.drawn = async (data) => {
    const tell = (name) => told.push(name);
    await window.call({ data, setStateValue() {}, setTriggerValue: tell }, false);
    return document.querySelector(".ued-chart")._fullData?.[0]?.y;
}; 0"""


def test_a_chart_keeps_a_figure_and_draws_what_changes_in_it(blank: Page) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    blank.evaluate(KEPT_BY_THE_SERVER)
    assert blank.evaluate("drawn(chart('one', line(1)))") == [1, 2]
    assert blank.evaluate("drawn(chart('one', null, { changes: { 'data/0/y': [7, 8] } }))") == [7, 8]
    assert blank.evaluate("drawn(chart('two', line(2)))") == [2, 4]
    assert blank.evaluate("drawn(chart('one', null))") == [1, 2], "an older figure is not forgotten"
    assert blank.evaluate("asked") == []


def test_a_chart_that_misses_its_figure_fetches_it_or_asks_for_everything(blank: Page) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    blank.evaluate(KEPT_BY_THE_SERVER)
    blank.evaluate("here.three = line(3); 0")
    assert blank.evaluate("drawn(chart('three', null))") == [3, 6]
    assert blank.evaluate("[asked, told]") == [["/parts/three"], []]
    assert blank.evaluate("drawn(chart('four', null))") == [3, 6], "what is drawn stays until the figure comes"
    assert blank.evaluate("told") == ["lost"]
    assert blank.evaluate("drawn(chart('four', line(4)))") == [4, 8]
    assert blank.evaluate("told") == ["lost"]


def test_a_figure_that_comes_late_does_not_replace_a_newer_one(blank: Page) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    blank.evaluate(KEPT_BY_THE_SERVER)
    late = """async () => {
        here.old = line(5);
        const quick = window.fetch;
        window.fetch = async (address) => { await new Promise((next) => setTimeout(next, 200)); return quick(address);
          };
        const first = drawn(chart("old", null));
        await drawn(chart("new", line(6)));
        await first;
        await new Promise((next) => setTimeout(next, 100));
        return document.querySelector(".ued-chart")._fullData[0].y;
    }"""
    assert blank.evaluate(late) == [6, 12]


TILES = """async () => {
    const pixel = (colour) => {
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 1;
        const pen = canvas.getContext("2d");
        pen.fillStyle = colour;
        pen.fillRect(0, 0, 1, 1);
        return Uint8Array.from(atob(canvas.toDataURL("image/png").split(",")[1]), (c) => c.charCodeAt(0));
    };
    // Pictures are bytes, not text.
    TextEncoder.prototype.encode = ((encode) => function (text)
      { return text instanceof Uint8Array ? text : encode.call(this, text); })(
        TextEncoder.prototype.encode);
    const rows = ["clean", "defended"].map((label) => ({ label, more: "", count: 1 }));
    const words = { rows, names: [], alt: "tiles", caption: "", clickable: false, selected: [] };
    const told = [];
    window.fetch = async () => ({ ok: false });
    const strips = async (parts) => {
        await window.call({ data: pack(words, parts), setTriggerValue: (name) => told.push(name) }, false);
        await new Promise((next) => setTimeout(next, 100));
        return [...document.querySelectorAll(".strip")].map((strip) => strip.style.getPropertyValue("--source"));
    };
    const first = await strips([["red", pixel("red")], ["blue", pixel("blue")]]);
    const second = await strips([["red", null], ["green", pixel("green")]]);
    const third = await strips([["red", null], ["unknown", null]]);
    return [first, second, third, told];
}"""


def test_a_row_of_tiles_that_stays_is_neither_sent_nor_drawn_again(blank: Page) -> None:
    load(blank, "tile_rows.js", '<figure class="ued-tiles"></figure>')
    first, second, third, told = blank.evaluate(TILES)
    assert all(source.startswith("url(") for source in (*first, *second))
    assert second[0] == first[0]
    assert second[1] != first[1]
    assert third == second, "what is drawn stays until everything comes"
    assert told == ["lost"]


BANDS = """async () => {
    const count = 10;
    const rows = ["clean", "poisoned"].map((label) => ({ label, more: "", count, role: label, mark: "●" }));
    const names = Array.from({ length: count }, (_, k) => (k % 2 ? "ankle boot" : "hourglass"));
    const words = { rows, names, alt: "tiles", caption: "", clickable: false, selected: [], above: false };
    await window.call({ data: pack(words, [["a", "x"], ["b", "x"]]), setTriggerValue() {} }, false);
    const places = (what) => [...document.querySelectorAll(what)].map((e) => e.getBoundingClientRect());
    const shown = [...document.querySelectorAll(".label")].filter((e) => e.offsetParent);
    return {
      columns: new Set(places(".tile").map((box) => Math.round(box.left))).size,
      right: Math.max(...places(".tile, .name").map((box) => box.right)),
      side: places(".tile")[0].width,
      labels: shown.map((e) => e.textContent),
      // Rows of one band stand below each other: clean, poisoned, and then the next five.
      order: [0, 10, 5, 15].map((k) => places(".tile")[k].top),
      cut: [...document.querySelectorAll(".name")].filter((e) => e.scrollWidth > e.clientWidth + 1).length,
    };
}"""


@pytest.mark.parametrize(("width", "columns"), [(1200, 10), (800, 10), (660, 5), (480, 5), (360, 5)])
def test_tiles_come_in_bands_where_the_page_is_narrow(browser: Browser, width: int, columns: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    try:
        style = (SCRIPTS / "tile_rows.css").read_text("utf-8")
        load(
            page,
            "tile_rows.js",
            f'<style>{style}</style><main style="container: page / inline-size"><figure class="ued-tiles">'
            "</figure></main>",
        )
        seen = page.evaluate(BANDS)
    finally:
        page.close()
    assert seen["columns"] == columns
    assert seen["right"] <= width
    assert seen["side"] >= 56, "none shrinks until nothing is seen"
    assert seen["cut"] == 0, "names are whole"
    bands = 10 // columns
    assert sorted(seen["labels"]) == sorted(["●\u00a0clean", "●\u00a0poisoned"] * bands)
    clean, poisoned, next_clean, next_poisoned = seen["order"]
    assert clean < poisoned
    assert (clean, poisoned) == (next_clean, next_poisoned) if bands == 1 else poisoned < next_clean < next_poisoned


def test_a_page_goes_on_waiting_for_what_a_newer_call_waits_for(blank: Page) -> None:
    load(blank, "waiting.js", '<span class="ued-wait"></span>')
    asked = """async (keys) => {
        window.fetch = () => new Promise((answer) => setTimeout(() => answer({ ok: true, json: async () =>
          ({ done: true }) }), 200));
        let told = 0;
        const wait = (keys, overtaken) => window.call({ data: { keys, address: "" }, setTriggerValue: () => told++ },
          overtaken);
        const first = wait(keys, true);
        const end = await wait(["b"], false);
        await first;
        await new Promise((next) => setTimeout(next, 500));
        end();
        return told;
    }"""
    assert blank.evaluate(asked, ["a"]) == 1
    assert blank.evaluate(asked, ["b"]) == 1, "also when both wait for the same"


def test_cells_of_tables_are_no_formulas(blank: Page) -> None:
    cell = "(text) => {" + (SCRIPTS / "csv_cell.js").read_text("utf-8") + "; return csvCell(text); }"
    for text, expected in FORMULAS.items():
        quoted = f'"{expected}"' if "\n" in expected or "\r" in expected else expected
        assert blank.evaluate(cell, text) == quoted
    for text in KEPT:
        assert blank.evaluate(cell, text) == text
    assert blank.evaluate(cell, -0.5) == "-0.5"
    assert blank.evaluate(cell, 'a"=b') == '"a""=b"'
    assert blank.evaluate(cell, None) == ""
