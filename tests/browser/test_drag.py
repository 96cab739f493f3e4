"""While a finger is on COIN's slider, pictures, marks and read-outs follow it; the server is asked on release."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
SMALL = "data_fashion_train_size=400&data_fashion_test_size=100"
PATIENT = 90_000
THUMB = ".st-key-defence_coin_strength [data-testid=stSliderThumbValue]"
SEEN = """() => ({
    live: [...document.querySelectorAll('canvas.live')].filter((one) => !one.hidden).length,
    pixels: document.querySelector('canvas.live')?.toDataURL() ?? '',
    mark: [...document.querySelectorAll('.st-key-theta .points path')]
        .map((one) => one.getAttribute('transform')).join(),
    caption: document.querySelector('.st-key-theta .ued-caption').textContent,
})"""


def test_pictures_marks_and_numbers_follow_the_finger(page: Page) -> None:
    page.goto(f"/defence?{SMALL}")
    expect(page.get_by_text(re.compile("^At α = 2.00"))).to_be_visible(timeout=PATIENT)
    value = page.locator(".ued-hill .value")
    expect(value).to_have_text("α = 2.00 px", timeout=PATIENT)
    page.wait_for_function("document.querySelectorAll('canvas.live').length === 10", timeout=PATIENT)
    page.wait_for_function("document.querySelectorAll('.st-key-theta .points path').length === 4", timeout=PATIENT)
    # Nothing is left to come that would run the fragment again in the middle.
    expect(page.get_by_text(re.compile("^Mean distance from the clean copy"))).to_be_visible(timeout=180_000)
    start = page.evaluate(SEEN)
    assert start["live"] == 0, "the server's own picture is shown"
    thumb = page.locator(THUMB).locator("..").bounding_box()
    assert thumb is not None
    x, y = thumb["x"] + thumb["width"] / 2, thumb["y"] + thumb["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y, steps=6)
    expect(value).not_to_have_text("α = 2.00 px")
    page.wait_for_function("[...document.querySelectorAll('canvas.live')].filter((one) => !one.hidden).length === 10")
    first = page.evaluate(SEEN)
    page.mouse.move(x + 160, y, steps=6)
    page.wait_for_function("old => document.querySelector('canvas.live').toDataURL() !== old", arg=first["pixels"])
    second = page.evaluate(SEEN)
    assert second["mark"] != first["mark"] != start["mark"]
    assert second["caption"] == start["caption"], "the server has not been asked yet"
    chosen = value.inner_text()
    page.mouse.up()
    strength = chosen.removeprefix("α = ").removesuffix(" px")
    expect(page.get_by_text(re.compile(f"^At α = {re.escape(strength)}"))).to_be_visible(timeout=PATIENT)
    page.wait_for_function("[...document.querySelectorAll('canvas.live')].every((one) => one.hidden)", timeout=PATIENT)
    expect(value).to_have_text(chosen)


def test_the_overview_answers_at_once(page: Page) -> None:
    page.goto("/")
    value = page.locator(".ued-hill .value")
    expect(value).to_have_text("α = 2.00 px", timeout=PATIENT)
    page.wait_for_function("document.querySelectorAll('canvas.live').length === 3", timeout=PATIENT)
    slider = page.get_by_role("slider", name="Strength α")
    slider.focus()
    slider.press("ArrowRight")
    expect(value).to_have_text("α = 2.05 px")
    expect(page.locator(".ued-hill .level")).to_have_text(re.compile(r"^\d+ %$"))
