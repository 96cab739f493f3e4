"""The Perturbations page in a real browser: every answer arrives, and the cut obeys keys and pointer."""

import os

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
CHARTS = 8


def test_answers_arrive_and_the_cut_moves(page: Page) -> None:
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto("/perturbations?data=shapes&data_shapes_train_size=300&data_shapes_test_size=100")
    expect(page.get_by_role("heading", name="Perturbations", exact=True)).to_be_visible(timeout=60_000)
    expect(page.locator(".ued-chart:has(svg.main-svg)")).to_have_count(CHARTS, timeout=120_000)
    expect(page.locator(".ued-chart:has(svg.main-svg[role=img])")).to_have_count(CHARTS)
    figure = page.locator(".ued-compare")
    cut = figure.get_by_role("slider")
    expect(cut).to_have_attribute("aria-valuetext", "50 % clean, 50 % poisoned")
    cut.focus()
    page.keyboard.press("ArrowLeft")
    expect(cut).to_have_attribute("aria-valuetext", "49 % clean, 51 % poisoned")
    assert figure.evaluate("node => node.style.getPropertyValue('--cut')") == "49%"
    stage = figure.locator(".stage")
    box = stage.bounding_box()
    page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    expect(cut).to_have_attribute("aria-valuetext", "90 % clean, 10 % poisoned")
    assert figure.locator("img.after").get_attribute("alt").startswith("An image of the class")
    # Both pictures are there and of one size.
    sizes = figure.locator("img").evaluate_all("images => images.map((i) => [i.naturalWidth, i.naturalHeight])")
    assert sizes == [[32, 32], [32, 32]]
    assert page.locator("[data-testid=stException]").count() == 0
    if folder := os.environ.get("UED_SCREENSHOTS"):
        page.set_viewport_size({"width": 1400, "height": 4600})
        page.wait_for_timeout(1500)
        page.screenshot(path=f"{folder}/perturbations.png")
