"""The journey *train*: from the form to a live run, its result, and a comparison."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser
# A slow machine starts a worker in half a minute while it also draws pages.
PATIENCE = 120_000
EPOCHS = 40
"""So many that a quick machine is still training when a reader has zoomed."""
FORM = {
    "view": "new",
    "new_data_fashion_train_size": "1000",
    "new_data_fashion_test_size": "100",
    "new_model_small_cnn_width": "4",
    "new_plan_fashion_adamw_epochs": str(EPOCHS),
    "new_repetition_device": "cpu",
}
CURVES = "[aria-label^='Training accuracy and accuracy on clean test images']"


@pytest.fixture(scope="module")
def address(own_app: Callable[[str], AbstractContextManager[str]]) -> Iterator[str]:
    with own_app("train") as found:
        yield found


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.set_default_timeout(60_000)
    yield page
    page.close()


def epochs_drawn(page: Page) -> int:
    return page.evaluate(f"""() => {{
        const node = document.querySelector("{CURVES}")?.closest(".ued-chart");
        return node?._fullData?.[1]?.x?.length ?? 0;
    }}""")


def drag_zoom(page: Page) -> list[float]:
    """Zoom into the middle of the curves as a reader does; the new range of the accuracies."""
    # The chart stays while its inside is drawn anew with every epoch.
    page.locator(f".ued-chart:has({CURVES})").first.evaluate("(chart) => chart.scrollIntoView({ block: 'center' })")
    box = page.locator(f".ued-chart:has({CURVES}) .nsewdrag").first.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function("window.chartBefore._fullLayout.yaxis.range[1] < 100")
    return page.evaluate("window.chartBefore._fullLayout.yaxis.range")


def started(page: Page, address: str, seed: int) -> str:
    """Fill the form through its link, press start, and return the id of the run that opens."""
    page.goto(f"{address}/runs?{urlencode(FORM | {'new_repetition_seed': str(seed)})}")
    expect(page.get_by_text("Fashion · CUDA · Small CNN", exact=True).first).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Start training").click()
    page.wait_for_url(re.compile(r"[?&]run=\d{8}-"), timeout=PATIENCE)
    return re.search(r"run=([^&]+)", page.url)[1]


def finished(page: Page) -> None:
    expect(page.get_by_role("heading", name="Protocol")).to_be_visible(timeout=PATIENCE)


def test_submit_watch_finish_and_compare(visitor: Page, address: str) -> None:
    page = visitor
    page.goto(f"{address}/runs")
    expect(page.get_by_role("button", name=re.compile("Start a quick run"))).to_be_visible(timeout=PATIENCE)

    first = started(page, address, seed=0)
    # Live: the number of epochs in the chart grows without anybody touching the page. The chart comes with the first
    # epoch, and settles before the second.
    page.wait_for_function(f"""() => {{
        const node = document.querySelector("{CURVES}")?.closest(".ued-chart");
        return (node?._fullData?.[1]?.x?.length ?? 0) >= 2;
    }}""", timeout=PATIENCE)  # fmt: skip
    page.evaluate(f'window.chartBefore = document.querySelector("{CURVES}").closest(".ued-chart")')
    seen = epochs_drawn(page)
    zoomed = drag_zoom(page)
    page.wait_for_function("seen => (window.chartBefore._fullData[1].x.length) > seen", arg=seen, timeout=PATIENCE)
    assert page.evaluate("window.chartBefore._fullLayout.yaxis.range") == zoomed, "zoom survives the updates"

    finished(page)
    assert epochs_drawn(page) == EPOCHS
    expect(page.get_by_text(re.compile(r"\d+ % in training, \d+ % on 100 clean test images"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Right when clean"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("Answers on clean test images: T-shirt"))).to_be_visible()
    for name in ("spec.json", "history.csv", "result.json", "weights.safetensors"):
        expect(page.get_by_role("button", name=name)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="history.csv").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == EPOCHS + 1
    assert page.get_by_text("This is a bug in UED Studio").count() == 0

    second = started(page, address, seed=1)
    assert second != first
    finished(page)
    page.reload()
    finished(page)
    assert second in page.url, "the link restores the run"

    page.goto(f"{address}/runs?compare={first},{second}")
    chart = page.get_by_role("img", name=re.compile("Accuracy on clean test images over the epochs of 1 curves"))
    expect(chart).to_be_visible(timeout=PATIENCE)
    page.get_by_text("Group seeds").click()
    both = page.get_by_role("img", name=re.compile("over the epochs of 2 curves"))
    expect(both).to_be_visible(timeout=PATIENCE)
    assert page.get_by_text("This is a bug in UED Studio").count() == 0
