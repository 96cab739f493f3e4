"""The components' scripts as Streamlit calls them: the end of a call that a newer one overtook comes after the newer one has begun."""

import base64
from collections.abc import Iterator
from pathlib import Path

import plotly
import pytest
from playwright.sync_api import Browser, Page

from pages.shared.csv_export import CELL_SCRIPT
from pages.shared.live_chart import FRAME
from pages.shared.navigation import ROOT
from tests.pages.test_csv_export import FORMULAS, KEPT

pytestmark = pytest.mark.browser
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
LOAD = """async (code) => {
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
    page.evaluate(LOAD, base64.b64encode((ROOT / "pages" / "shared" / script).read_bytes()).decode())


CHART = """async (pause) => {
    const data = (k) => ({
        figure: JSON.stringify({ data: [{ x: [1, 2], y: [k, 2 * k] }], layout: { meta: { animate: true } } }), height: 200,
        alt: `line ${k}`, filename: "line", clickable: false, question: "", formula: "", caption: "", plotly: "", colours: {},
    });
    const node = document.querySelector(".ued-chart");
    const draw = (k, overtaken) => window.call({ data: data(k), setStateValue() {} }, overtaken);
    await draw(1, false);
    const first = draw(2, true);
    if (pause) await new Promise((next) => setTimeout(next, pause));
    const end = await draw(3, false);
    await first;
    await new Promise((next) => setTimeout(next, 100));
    const seen = [node.classList.contains("ued-failed"), node._fullData?.[0]?.y, node.querySelectorAll("[role=img]").length];
    end();
    await new Promise((next) => setTimeout(next, 100));
    return [...seen, node._fullData === undefined];
}"""


def test_no_chart_offers_to_be_uploaded(blank: Page) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    blank.evaluate(
        """() => window.call({ setStateValue() {}, data: {
            figure: '{"data": [{"x": [1, 2], "y": [1, 2]}], "layout": {}}', height: 200, alt: "line", filename: "line", clickable: false,
            question: "", formula: "", caption: "", plotly: "", colours: {},
        } }, false)"""
    )
    titles = blank.evaluate("[...document.querySelectorAll('.modebar-btn')].map((b) => b.dataset.title)")
    assert "Download as PNG" in titles
    assert not [title for title in titles if "share" in title.lower() or "cloud" in title.lower()], "there is no network, and no account"


@pytest.mark.parametrize("pause", [0, 100])
def test_a_chart_keeps_what_a_newer_call_draws(blank: Page, pause: int) -> None:
    load(blank, "live_chart.js", FRAME)
    blank.add_script_tag(path=str(PLOTLY))
    failed, drawn, named, purged = blank.evaluate(CHART, pause)
    assert not failed
    assert drawn == [3, 6]
    assert named == 1
    assert purged, "the end of the last call takes the chart away"


def test_a_page_goes_on_waiting_for_what_a_newer_call_waits_for(blank: Page) -> None:
    load(blank, "waiting.js", '<span class="ued-wait"></span>')
    asked = """async (keys) => {
        window.fetch = () => new Promise((answer) => setTimeout(() => answer({ ok: true, json: async () => ({ done: true }) }), 200));
        let told = 0;
        const wait = (keys, overtaken) => window.call({ data: { keys, address: "" }, setTriggerValue: () => told++ }, overtaken);
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
    cell = "(text) => {" + CELL_SCRIPT.read_text("utf-8") + "; return csvCell(text); }"
    for text, expected in FORMULAS.items():
        quoted = f'"{expected}"' if "\n" in expected or "\r" in expected else expected
        assert blank.evaluate(cell, text) == quoted
    for text in KEPT:
        assert blank.evaluate(cell, text) == text
    assert blank.evaluate(cell, -0.5) == "-0.5"
    assert blank.evaluate(cell, 'a"=b') == '"a""=b"'
    assert blank.evaluate(cell, None) == ""
