"""The address follows the controls, and the controls follow the address."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def test_slider_writes_the_address_and_back_returns(page: Page, stage_url: str) -> None:
    page.goto(stage_url)
    expect(page.get_by_text("strength is 1.0")).to_be_visible(timeout=60_000)
    slider = page.get_by_role("slider").first
    slider.focus()
    slider.press("ArrowRight")
    expect(page.get_by_text("strength is 1.1")).to_be_visible()
    page.wait_for_url("**/?panel_wave_strength=1.1")
    slider.press("End")
    expect(page.get_by_text("strength is 4.0")).to_be_visible()
    page.wait_for_url("**/?panel_wave_strength=4.0")
    page.go_back()
    expect(page.get_by_text("strength is 1.1")).to_be_visible()
    assert float(slider.get_attribute("aria-valuenow") or slider.input_value()) == pytest.approx(1.1)


def test_quick_moves_end_where_the_reader_left_them(page: Page, stage_url: str) -> None:
    page.goto(stage_url)
    expect(page.get_by_text("strength is 1.0")).to_be_visible(timeout=60_000)
    slider = page.get_by_role("slider").first
    slider.focus()
    for _ in range(12):
        slider.press("ArrowRight")
        page.wait_for_timeout(60)
    page.get_by_text("Noisy").click()
    page.wait_for_url("**/?*noisy=true*")
    expect(page.get_by_text("strength is 2.2")).to_be_visible()
    assert "panel_wave_strength=2.2" in page.url


def test_a_link_opens_what_its_sender_saw(page: Page, stage_url: str) -> None:
    page.goto(f"{stage_url}/?panel_wave_strength=2.5&panel_wave_edge=zero")
    expect(page.get_by_text("strength is 2.5")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("combobox", name="Edge")).to_have_value("zero")
    page.goto(f"{stage_url}/?panel_wave_strength=25")
    expect(page.get_by_text("it must be a number from 0 to 4 px")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("strength is 1.0")).to_be_visible()
