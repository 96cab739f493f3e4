"""Explore: from an attack's kernels to COIN's slider; Θ changes, features move, the link restores it all."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
SMALL = "data_fashion_train_size=400&data_fashion_test_size=100"
PATIENT = 90_000


def feature_points(page: Page) -> list[float]:
    return page.evaluate(
        """() => { const chart = [...document.querySelectorAll('.js-plotly-plot')]
            .find(c => c._fullData && c._fullData.some(t => t.name === 'defended'));
                   return chart ? Array.from(chart._fullData.find(t => t.name === 'defended').x).slice(0, 50) : []; }"""
    )


def theta(page: Page) -> tuple[float, float]:
    text = page.get_by_text(re.compile("^At α = ")).inner_text()
    return tuple(float(x) for x in re.findall(r"= ([0-9.]+(?:e[+-]?[0-9]+)?)", text)[1:3])


def test_from_attack_to_moving_features(page: Page) -> None:
    page.goto(f"/attack?{SMALL}&key=4")
    expect(page.get_by_role("heading", name="Attack", level=1)).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("key 4").first).to_be_visible(timeout=PATIENT)
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=PATIENT)
    page.get_by_role("link", name="Defence", exact=True).click()
    expect(page.get_by_role("heading", name="Defence", level=1)).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("key 4").first).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text(re.compile("^At α = 2.00"))).to_be_visible(timeout=PATIENT)
    # Principal components stand in until UMAP is compiled; the caption says which one is shown.
    expect(page.get_by_text(re.compile("^Mean distance from the clean copy"))).to_be_visible(timeout=180_000)
    before, points = theta(page), feature_points(page)
    assert len(points) == 50

    slider = page.get_by_role("slider", name="Strength α")
    slider.focus()
    for _ in range(20):
        slider.press("ArrowLeft")
    expect(page.get_by_text(re.compile("^At α = 1.00"))).to_be_visible(timeout=PATIENT)
    after = theta(page)
    assert after[0] < before[0]
    page.wait_for_function(
        "old => { const c = [...document.querySelectorAll('.js-plotly-plot')]"
        ".find(c => c._fullData && c._fullData.some(t => t.name === 'defended'));"
        " const now = Array.from(c._fullData.find(t => t.name === 'defended').x).slice(0, 50); return now.some((v, i) "
        "=> v !== old[i]); }",
        arg=points,
        timeout=PATIENT,
    )

    assert "defence_coin_strength=1.0" in page.url
    page.goto(page.url)
    expect(page.get_by_text(re.compile("^At α = 1.00"))).to_be_visible(timeout=PATIENT)
    assert theta(page) == after
    expect(page.get_by_text("key 4").first).to_be_visible()

    page.get_by_role("button", name="Train with this").click()
    expect(page.get_by_role("heading", name="Runs", level=1)).to_be_visible(timeout=PATIENT)
    expect(page.get_by_text("Handed over from Defence").first).to_be_visible(timeout=PATIENT)
