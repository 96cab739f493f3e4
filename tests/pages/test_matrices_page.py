"""The Matrices page: one operator in every form; clicks and controls move all pictures together."""

import base64
import json

import numpy as np
import pytest

from pages.matrices import views as matrix_views
from pages.matrices.views import NAMES, SIZES, clicked_pixel
from tests.pages.components import charts
from ued_core.attacks.convolution import draw_kernels
from ued_core.theory import convolution_matrix
from ued_core.theory.spectrum import operator

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}
KERNELS = draw_kernels(10, 3, 0.3, "full", 0)


@pytest.fixture
def at_once(monkeypatch):
    """No process is started: whatever would be computed beside the server is still on its way."""
    asked = []

    def submit(key, function, *args, slot="", after_s=0.0):
        asked.append((slot, args))
        return matrix_views.background.Handle(key, None)

    monkeypatch.setattr(matrix_views.background, "submit", submit)
    return asked


def chart(page, words):
    return next(c for c in charts(page) if words in c["question"])


def array(value):
    if isinstance(value, dict):
        flat = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
        return flat.reshape([int(n) for n in str(value["shape"]).split(",")]) if "shape" in value else flat
    return np.asarray(value)


def cells(page):
    return array(json.loads(chart(page, "As a matrix")["figure"])["data"][0]["z"])


def test_matrix_and_pictures_of_the_attack(open_page):
    page = open_page("matrices", SMALL)
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Matrices"
    assert np.allclose(cells(page), convolution_matrix(KERNELS[0], 8, 8).dense(), atol=1e-6)
    assert "484 of them not zero" in chart(page, "As a matrix")["caption"]  # 8×8 image, 3×3 kernel: (3·8 - 2)²
    assert all(c["question"] and c["formula"] and c["caption"] and c["alt"] for c in charts(page))
    names = [t["name"] for t in json.loads(chart(page, "singular values")["figure"])["data"]]
    assert len(names) == 5


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_is_the_one_that_is_named(open_page, name):
    page = open_page(
        "matrices", {**SMALL, "operator": name, "size": "6", "defence_coin_strength": "1.5", "draws": "7", "draw": "2"}
    )
    assert not page.exception
    expected = operator(name, KERNELS[0], size=(6, 6), strength=1.5, draws=7, seed=2, other=KERNELS[1])
    assert np.allclose(cells(page), expected.toarray(), atol=1e-6)


def test_controls_move_the_pictures(open_page):
    page = open_page("matrices", {**SMALL, "operator": "product"})
    before = cells(page)
    page.slider(key="defence_coin_strength").set_value(0.0).run()
    assert np.allclose(cells(page), convolution_matrix(KERNELS[0], 8, 8).dense(), atol=1e-6)
    assert not np.allclose(before, cells(page))
    page.selectbox(key="class").select("star").run()
    assert np.allclose(cells(page), convolution_matrix(KERNELS[4], 8, 8).dense(), atol=1e-6)
    page.slider(key="pixel8").set_value(0).run()
    assert "mixes 4 input pixels" in chart(page, "Where in the image does")["caption"]


def test_border_pixel_of_the_attack(open_page):
    page = open_page("matrices", {**SMALL, "pixel8": "0"})
    caption = chart(page, "Where in the image does")["caption"]
    assert "Output pixel 0 is row 0, column 0 of the image and mixes 4 input pixels." in caption
    assert "5 of its taps fall off" in caption
    reflected = open_page("matrices", {**SMALL, "pixel8": "0", "attack_cuda_padding": "reflect"})
    assert np.allclose(cells(reflected), convolution_matrix(KERNELS[0], 8, 8, "reflect").dense(), atol=1e-6)
    assert "fall off" not in chart(reflected, "Where in the image does")["caption"]


@pytest.mark.parametrize(
    ("key", "point", "pixel"),
    [
        ("operator_matrix", {"x": 3, "y": 17}, 17),
        ("operator_taps", {"x": 2, "y": 5}, 42),
        ("operator_kernel", {"x": 1, "y": -1}, 29),
    ],
)
def test_a_click_chooses_the_output_pixel(open_page, key, point, pixel):
    page = open_page("matrices", SMALL)
    assert page.slider(key="pixel8").value == 36
    page.session_state[key] = {"event": {"kind": "click", "points": [{"trace": 0, "point": [0, 0], **point}], "at": 1}}
    page.run()
    assert not page.exception
    assert page.slider(key="pixel8").value == pixel
    assert (
        f"Output pixel {pixel} is row {pixel // 8}, column {pixel % 8}"
        in chart(page, "Where in the image does")["caption"]
    )
    frame = json.loads(chart(page, "As a matrix")["figure"])["layout"]["shapes"][0]
    assert (frame["y0"], frame["y1"]) == (pixel - 0.5, pixel + 0.5)
    page.slider(key="pixel8").set_value(3).run()
    assert page.slider(key="pixel8").value == 3, "a click counts once"


def test_what_a_click_means():
    assert clicked_pixel({"chart": "operator_overview", "x": 0, "y": 4091.5}, 0, 64) == 4092
    assert clicked_pixel({"chart": "operator_kernel", "x": -1, "y": -1}, 0, 8) == 63, "COIN reads across the border"
    assert clicked_pixel({"chart": "operator_matrix", "x": 0, "y": 64.4}, 0, 8) == 63


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_small_enough_to_send(open_page, at_once, name, side):
    page = open_page("matrices", {**SMALL, "operator": name, "size": str(side), "defence_coin_strength": "6.0"})
    assert not page.exception
    assert not page.error
    assert len(charts(page)) == (5 if side <= 16 else 6)
    assert max(len(c["figure"]) for c in charts(page)) < 600_000
    assert bool(at_once) == (side > 16), "dense decompositions of large matrices never hold the page up"


def test_large_images_are_approximated_and_the_page_says_so(open_page, at_once):
    page = open_page("matrices", {**SMALL, "size": "64"})
    shown = chart(page, "singular values")
    assert "approximations by the frequency response" in shown["caption"]
    assert "following" in shown["caption"]
    assert "4,096 × 4,096 entries, 36,100 of them not zero" in chart(page, "As a matrix")["caption"]
    assert {args[2] for _, args in at_once} == {64}


def test_values_that_arrive_or_fail_are_shown(open_page, monkeypatch):
    """Curves from the side process are drawn once they are there; a failure is told in words."""

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = matrix_views.background.Handle(key, None)
        handle.done.set()
        if args[0] == "product":
            handle.state, handle.error = "failed", matrix_views.background.WorkFailed("No room left.")
        else:
            handle.state, handle.value = "ready", np.linspace(2, 1, 1024) * (1 + len(args[0]))
        return handle

    monkeypatch.setattr(matrix_views.background, "submit", submit)
    page = open_page("matrices", {**SMALL, "size": "32"})
    assert not page.exception
    shown = chart(page, "singular values")
    drawn = {t["name"]: array(t["y"])[0] for t in json.loads(shown["figure"])["data"]}
    assert drawn["R: one draw of COIN"] == 10
    assert drawn["mean of 50 draws"] == 10
    assert drawn["A: attack"] == 14
    assert "R·A: one draw" not in drawn
    assert "No room left." in shown["caption"]


def test_attack_without_kernels_leaves_coin(open_page, monkeypatch):
    from ued_core.attacks import Cuda

    monkeypatch.setattr(Cuda, "kernels", lambda *_: None)
    page = open_page("matrices", {**SMALL, "defence_coin_strength": "1.5"})
    assert not page.exception
    assert "does not work by class kernels" in page.info[0].value
    expected = operator("coin", None, size=(8, 8), strength=1.5, draws=1, seed=0)
    assert np.allclose(cells(page), expected.toarray(), atol=1e-6)
    assert page.button_group(key="operator").options == ["COIN R", "mean of many draws: E[R]"]


def test_strength_travels_to_the_defence_page(open_page):
    page = open_page("matrices", SMALL)
    page.slider(key="defence_coin_strength").set_value(0.8).run()
    page.switch_page("../defence/page.py").run()
    assert page.slider(key="defence_coin_strength").value == 0.8
