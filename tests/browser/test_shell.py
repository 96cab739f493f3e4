"""The frame around every page, in a real browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pages.frame.glossary import WORDS
from pages.frame.navigation import GROUPS, PAGES

pytestmark = pytest.mark.browser
# Streamlit asks below the page's address first; both answers are in its own log as well.
HARMLESS = ("/_stcore/health", "/_stcore/host-config")


def navigation(page: Page) -> Locator:
    """The list of pages; the glossary names them too."""
    return page.get_by_test_id("stSidebarNav")


def test_first_visit_of_a_deep_link_after_a_start_shows_the_whole_app(browser: Browser, serve, tmp_path: Path) -> None:
    with serve("app.py", tmp_path) as address:
        page = browser.new_page()
        page.goto(f"{address}/defence")
        expect(page.get_by_role("heading", name="Defence", level=1)).to_be_visible(timeout=60_000)
        for entry in PAGES:
            expect(navigation(page).get_by_role("link", name=entry.title, exact=True)).to_be_visible()
        for group in GROUPS:
            expect(navigation(page).get_by_text(group, exact=True).first).to_be_visible()
        page.close()


def test_every_page_is_reached_by_its_link(page: Page) -> None:
    page.goto("/")
    for entry in reversed(PAGES):
        navigation(page).get_by_role("link", name=entry.title, exact=True).click()
        expect(page.get_by_role("heading", name=entry.heading, level=1)).to_be_visible(timeout=60_000)
        assert page.url.rstrip("/").split("?")[0].endswith(entry.address)


@pytest.mark.parametrize("entry", PAGES, ids=lambda entry: entry.title)
def test_nothing_is_fetched_elsewhere_and_nothing_fails(page: Page, base_url: str, entry) -> None:
    requests, problems = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "response",
        lambda answer: (
            problems.append(f"{answer.status} {answer.url}")
            if answer.status >= 400 and not answer.url.endswith(HARMLESS)
            else None
        ),
    )
    page.on(
        "console",
        lambda message: (
            problems.append(message.text) if message.type == "error" and "404" not in message.text else None
        ),
    )
    page.goto(f"/{entry.address}")
    expect(page.get_by_role("heading", name=entry.heading, level=1)).to_be_visible(timeout=60_000)
    page.wait_for_timeout(1000)
    local = (base_url, base_url.replace("http", "ws"), "data:", "blob:")
    assert [url for url in requests if not url.startswith(local)] == []
    assert problems == []
    assert page.get_by_text("This is a bug in UED Studio").count() == 0


def test_the_tab_shows_our_icon(page: Page, base_url: str) -> None:
    page.goto("/")
    expect(page.get_by_role("heading", level=1)).to_be_visible(timeout=60_000)
    page.wait_for_function("document.querySelector('link[rel*=icon]').href.includes('/media/')")
    assert page.locator("link[rel*=icon]").first.get_attribute("href").startswith(base_url)


def test_a_word_of_a_page_opens_its_entry(page: Page) -> None:
    page.goto("/studies")
    page.get_by_role("button", name="Words").click()
    entry = page.get_by_role("link", name=WORDS["seed"].term)
    with page.expect_popup() as opened:
        entry.click()
    glossary = opened.value
    assert glossary.url.endswith("/glossary?word=seed")
    expect(glossary.get_by_text(WORDS["seed"].text[:25]).first).to_be_in_viewport(timeout=60_000)
    expect(page.get_by_role("heading", name="Studies", level=1)).to_be_visible()
