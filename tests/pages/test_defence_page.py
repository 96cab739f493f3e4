"""The Defence page: the slider moves tiles, Θ and the hand-over together."""

import re

import numpy as np

from tests.pages.components import charts, tiles
from ued_core.attacks.convolution import draw_kernels
from ued_core.theory import theta

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


def numbers(page):
    text = next(c["caption"] for c in charts(page) if c["caption"].startswith("At α"))
    return [float(x) for x in re.findall(r"= ([0-9.e+-]+)", text)][:3]


def defended(page):
    return tiles(page)[0]["rows"][2]["source"]


def test_content(open_page):
    page = open_page("defence", SMALL)
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Defence"
    assert [c["question"] for c in charts(page)] == ["Θ: how consistent is the noise?", "Features: where do the copies go?"]
    assert [r["label"] for r in tiles(page)[0]["rows"]] == ["clean", "poisoned", "defended", "defended − clean"]
    expected = theta(draw_kernels(10, 3, 0.3, "full", 0), 2.0, 20, np.random.default_rng(0))
    strength, imi, imc = numbers(page)
    assert strength == 2.0
    assert abs(imi / expected.imi - 1) < 1e-3
    assert abs(imc - expected.imc) < 1e-3


def test_slider_moves_theta_and_tiles(open_page):
    page = open_page("defence", SMALL)
    before, picture = numbers(page), defended(page)
    page.slider(key="defence_coin_strength").set_value(0.5).run()
    after = numbers(page)
    assert after[0] == 0.5
    assert after[1] < before[1]
    assert after[2] < before[2]
    assert defended(page) != picture
    page.slider(key="defence_coin_strength").set_value(0.0).run()
    assert numbers(page)[1] == 0.0


def test_stack_is_handed_over(open_page):
    page = open_page("defence", {**SMALL, "defence_coin_strength": "1.25"})
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = page.session_state["handed_spec"]
    assert [(d["name"], d["strength"]) for d in spec["defenses"]] == [("coin", 1.25)]


def test_digits_use_their_own_reference_model(open_page):
    page = open_page("defence", {"data": "digits"})
    assert not page.exception
    assert "clean digits" in charts(page)[-1]["caption"]
