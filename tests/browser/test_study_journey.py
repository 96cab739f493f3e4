"""From a slider to a study: its curve fills, the lowest condition is opened, and stands beside its control."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser
PATIENCE = 240_000
SMALL = "data_fashion_train_size=100&data_fashion_test_size=100"


@pytest.fixture(scope="module")
def address(own_app: Callable[[str], AbstractContextManager[str]]) -> Iterator[str]:
    with own_app("study") as found:
        yield found


@pytest.fixture
def reader(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def test_sweep_fills_and_leads_to_a_comparison(reader: Page, address: str) -> None:
    page = reader
    page.goto(f"{address}/defence?{SMALL}")
    page.get_by_role("button", name="Sweep this parameter").click()
    seeds = page.get_by_role("spinbutton", name="Seeds")
    seeds.fill("1")
    seeds.press("Enter")
    # Five values over the range and the published one, the attack alone, clean images.
    page.get_by_role("button", name="Start 8 runs").click()

    expect(page.get_by_role("heading", name="Studies", level=1)).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text(re.compile(r"^8 conditions, 1 seed: "))).to_be_visible(timeout=PATIENCE)
    # The page follows by itself until the last run is there.
    expect(page.get_by_text("8 of 8 runs have finished")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("[aria-label^='Clean test accuracy over ']").first).to_be_visible()

    chosen = page.get_by_role("combobox", name=re.compile("^Look into a condition"))
    chosen.click()
    chosen.fill("1.5")
    chosen.press("Enter")
    expect(page.get_by_text(re.compile("points on one seed against the attack alone, cannot be told"))).to_be_visible()
    page.get_by_role("button", name="Compare with the attack alone").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible(timeout=PATIENCE)
    assert len(re.findall(r"\d{8}-\d{6}-\d{3}-\w{4}", page.url)) == 2
