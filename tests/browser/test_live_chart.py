"""The live chart in a real browser: one node, kept zoom, theme, events, downloads, movement."""

import io
import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pypdf
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

pytestmark = pytest.mark.browser
ROOT_NODE = "document.querySelector('[aria-label=\"%s\"]').closest('.ued-chart')"


def node(alt: str) -> str:
    return ROOT_NODE % alt


@pytest.fixture(scope="module")
def visitor(browser: Browser) -> Iterator[BrowserContext]:
    """One browser profile for all tests here, so that the chart library is loaded from its cache."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def stage(visitor: BrowserContext, stage_url: str) -> Iterator[Page]:
    page = visitor.new_page()
    page.goto(stage_url)
    for alt in ("Five waves", "A banded matrix", "Ten clusters"):
        expect(page.get_by_role("img", name=alt)).to_be_visible(timeout=60_000)
    yield page
    page.close()


def press_slider(page: Page, text: str) -> None:
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text(text)).to_be_visible()


def wait_for_y(page: Page, alt: str, index: int, value: float) -> None:
    page.wait_for_function(f"Math.abs({node(alt)}._fullData[0].y[{index}] - {value}) < 1e-4")


def test_new_data_keeps_node_and_zoom(stage: Page) -> None:
    stage.evaluate(f"window.before = {node('Five waves')}")
    stage.evaluate(f"Plotly.relayout({node('Five waves')}, {{'xaxis.range': [1, 2]}})")
    old = stage.evaluate(f"Array.from({node('Five waves')}._fullData[0].y).slice(0, 30)")
    press_slider(stage, "strength is 1.1")
    wait_for_y(stage, "Five waves", 20, old[20] * 1.1)
    assert stage.evaluate(f"window.before === {node('Five waves')}")
    assert stage.evaluate(f"{node('Five waves')}._fullLayout.xaxis.range") == [1, 2]


def test_a_figure_that_stays_is_not_drawn_again(stage: Page) -> None:
    stage.evaluate(
        "window.drawn = []; const react = Plotly.react;const name = (el) => el.querySelector('[role=img]').ariaLabel;"
        "Plotly.react = (el, ...rest) => { drawn.push(name(el)); return react(el, ...rest) }; 0"
    )
    stage.get_by_text("Noisy").click()
    stage.wait_for_function("location.search.includes('noisy=true')")
    stage.wait_for_timeout(500)
    assert stage.evaluate("drawn") == []
    press_slider(stage, "strength is 1.1")
    stage.wait_for_function("drawn.length === 3")


def test_points_move_instead_of_jumping(stage: Page) -> None:
    stage.evaluate(
        f"""window.seen = []; const c = {node("Ten clusters")};
        const point = c.querySelector('.scatterlayer .point');
        const look = () => {{ seen.push(point.getBoundingClientRect().x); requestAnimationFrame(look) }}; look(); 0"""
    )
    slider = stage.get_by_role("slider").first
    slider.focus()
    ways = []
    # A starved browser draws too few frames to show the way; it gets more than one chance.
    for key, text in (("End", "strength is 4.0"), ("Home", "strength is 0.0"), ("End", "strength is 4.0")):
        stage.evaluate("seen.length = 0; 0")
        slider.press(key)
        expect(stage.get_by_text(text)).to_be_visible()
        stage.wait_for_timeout(1500)
        places = stage.evaluate("[...new Set(seen)]")
        assert places in (sorted(places), sorted(places, reverse=True)), "there and not back"
        ways.append(len(places))
        if ways[-1] >= 4:
            break
    # Where it was, where it is, and somewhere in between.
    assert max(ways) >= 4, ways


def test_reduced_motion_is_respected(browser: Browser, stage_url: str) -> None:
    page = browser.new_page(reduced_motion="reduce")
    page.goto(stage_url)
    expect(page.get_by_role("img", name="Ten clusters")).to_be_visible(timeout=60_000)
    press_slider(page, "strength is 1.1")
    page.wait_for_timeout(500)
    assert page.evaluate(f"{node('Ten clusters')}.layout.transition") is None
    page.close()


def test_theme_is_the_readers(browser: Browser, stage_url: str) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(stage_url)
        expect(page.get_by_role("img", name="A banded matrix")).to_be_visible(timeout=60_000)
        layout = f"{node('A banded matrix')}._fullLayout"
        colours[scheme] = (
            page.evaluate(f"{layout}.font.color"),
            page.evaluate(f"{node('A banded matrix')}._fullData[0].colorscale[2][1]"),
        )
        if scheme == "light":
            page.emulate_media(color_scheme="dark")
            page.wait_for_function(f"{layout}.font.color === '#e7eaf1'")
        page.close()
    assert colours == {"light": ("#1b2330", "#f7f8fa"), "dark": ("#e7eaf1", "#11151d")}


def test_clicks_and_boxes_reach_python(stage: Page) -> None:
    box = stage.evaluate(
        f"(() => {{ const b = {node('A banded matrix')}.querySelector('.nsewdrag').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height] })()"
    )
    x, y, width, height = box
    stage.mouse.move(x + width * 2.5 / 24, y + height * 7.5 / 24)
    stage.wait_for_timeout(400)
    stage.mouse.down()
    stage.mouse.up()
    expect(stage.get_by_text(re.compile(r"cell \[2, 7\]"))).to_be_visible()
    stage.evaluate(f"Plotly.relayout({node('Ten clusters')}, {{dragmode: 'select'}})")
    drag = stage.evaluate(
        f"(() => {{ const b = {node('Ten clusters')}.querySelector('.nsewdrag').getBoundingClientRect();"
        "return [b.x, b.y, b.width, b.height] })()"
    )
    stage.mouse.move(drag[0] + 3, drag[1] + 3)
    stage.mouse.down()
    stage.mouse.move(drag[0] + drag[2] - 3, drag[1] + drag[3] - 3, steps=6)
    stage.mouse.up()
    expect(stage.get_by_text("event select 600")).to_be_visible()


def opened_tools(stage: Page, alt: str) -> Locator:
    figure = stage.locator(".ued-figure", has=stage.get_by_role("img", name=alt))
    figure.get_by_role("button", name="Chart tools").click()
    menu = figure.get_by_role("menu", name="Chart tools")
    expect(menu).to_be_visible()
    return menu


def downloaded(stage: Page, menu: Locator, name: str) -> tuple[str, bytes]:
    with stage.expect_download() as download:
        menu.get_by_role("menuitem", name=name).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


@pytest.mark.parametrize(
    ("item", "file", "begin"),
    [
        ("Download as PNG", "waves.png", b"\x89PNG"),
        ("Download the data as CSV", "waves.csv", b"\xef\xbb\xbftrace,x,y\r\nclean,0,0"),
        ("Download as interactive HTML", "waves.html", b"<!doctype html>"),
        ("Download the caption", "waves-caption.txt", b"Five waves"),
    ],
)
def test_downloads(stage: Page, item: str, file: str, begin: bytes) -> None:
    name, content = downloaded(stage, opened_tools(stage, "Five waves"), item)
    assert name == file
    assert content.startswith(begin)
    if file.endswith("html"):
        assert b"Plotly.newPlot" in content
        assert b"src=" not in content[:300]
    if file.endswith("csv"):
        cells = content.decode("utf-8-sig").replace("\r\n", ",").split(",")
        assert max(len(cell) for cell in cells) <= 20, "no digits that nobody measured"
    if file.endswith("png"):
        picture = Image.open(io.BytesIO(content))
        picture.load()
        assert picture.info["Title"] == "Five waves"
        assert "about waves" in picture.info["Source"]
    if file.endswith("txt"):
        assert "\\includegraphics[width=84mm]{waves.pdf}" in content.decode()


def test_a_drawing_for_a_paper_keeps_its_letters_and_says_where_it_comes_from(stage: Page) -> None:
    menu = opened_tools(stage, "Five waves")
    menu.get_by_role("menuitemradio", name="175 mm").click()
    _, wide = downloaded(stage, menu, "Download as SVG")
    menu = opened_tools(stage, "Five waves")
    menu.get_by_role("menuitemradio", name="84 mm").click()
    name, svg = downloaded(stage, menu, "Download as SVG")
    assert name == "waves.svg"
    drawing, space = ElementTree.fromstring(svg), "{http://www.w3.org/2000/svg}"
    assert (drawing.get("width"), ElementTree.fromstring(wide).get("width")) == ("84mm", "175mm")
    assert "place (px)" in [text.text for text in drawing.iter(f"{space}text")], "text is text"
    assert drawing.find(f"{space}title").text == "Five waves"
    assert "about waves" in drawing.find(f"{space}desc").text
    name, pdf = downloaded(stage, opened_tools(stage, "Five waves"), "Download as PDF")
    assert name == "waves.pdf"
    read = pypdf.PdfReader(io.BytesIO(pdf))
    (page,) = read.pages
    assert float(page.mediabox.width) == pytest.approx(84 / 25.4 * 72, abs=0.1)
    assert "place (px)" in page.extract_text()
    assert "about waves" in read.metadata["/Subject"]


def test_the_tools_are_one_stop_of_the_keyboard_and_work_with_it(stage: Page) -> None:
    figure = stage.locator(".ued-figure", has=stage.get_by_role("img", name="Five waves"))
    assert figure.locator("button:visible").count() == 1
    assert figure.locator(".modebar").count() == 0
    figure.get_by_role("button", name="Chart tools").focus()
    stage.keyboard.press("Enter")
    menu = figure.get_by_role("menu", name="Chart tools")
    expect(menu.get_by_role("menuitemradio", name="Drag to zoom")).to_be_focused()
    stage.keyboard.press("ArrowDown")
    stage.keyboard.press("Enter")
    expect(menu).to_be_hidden()
    assert stage.evaluate(f"{node('Five waves')}._fullLayout.dragmode") == "pan"
    press_slider(stage, "strength is 1.1")
    assert stage.evaluate(f"{node('Five waves')}._fullLayout.dragmode") == "pan", "new data keeps it"
    stage.evaluate(f"Plotly.relayout({node('Five waves')}, {{'yaxis.range': [1, 2]}})")
    opened_tools(stage, "Five waves").get_by_role("menuitem", name="Whole view").click()
    stage.wait_for_function(f"{node('Five waves')}._fullLayout.yaxis.range[0] === -4")


def test_no_other_server_and_no_error(page: Page, stage_url: str) -> None:
    requests, problems = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(stage_url)
    expect(page.get_by_role("img", name="Ten clusters")).to_be_visible(timeout=60_000)
    press_slider(page, "strength is 1.1")
    page.wait_for_timeout(500)
    assert [url for url in requests if not url.startswith((stage_url, "data:", "blob:", "ws://127.0.0.1"))] == []
    assert problems == []


@pytest.mark.parametrize("let_go", [False, True])
def test_a_chart_that_the_browser_never_got_heals_itself(browser: Browser, stage_url: str, let_go: bool) -> None:
    # What was fetched once is in a profile's cache for ever.
    page = browser.new_page()
    fetched = []
    page.on("response", lambda answer: fetched.append(answer.status) if "/parts/" in answer.url else None)
    page.goto(f"{stage_url}?never_got" + ("&let_go" if let_go else ""))
    expect(page.get_by_role("img", name="Five waves")).to_be_visible(timeout=60_000)
    assert fetched
    # Once the component has asked for everything, a message that a newer one overtakes is fetched by name, and then
    # found.
    assert fetched[0] == (404 if let_go else 200)
    assert let_go or set(fetched) == {200}
    press_slider(page, "strength is 1.1")
    wait_for_y(page, "Five waves", 20, 1.1 * math.sin(6 * 20 / 79))
    page.close()
