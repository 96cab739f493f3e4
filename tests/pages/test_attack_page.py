"""The Attack page: tiles, kernels, matrix, and what it says about them."""

import json

from tests.pages.components import tiles
from ued_core.attacks import Cuda

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


def texts(page):
    return " ".join([*(m.value for m in page.markdown), *(c.value for c in page.caption), *(t["caption"] for t in tiles(page))])


def test_content(open_page):
    page = open_page("attack", {**SMALL, "key": "3"})
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Attack"
    headings = [s.value for s in page.subheader]
    assert headings == ["Clean, poisoned, and what changed", "One kernel a class", "The same filter as a matrix: disc"]
    assert "key 3" in texts(page)
    assert "484 of them not zero" in texts(page)  # 8×8 image, 3×3 kernel: (3·8 - 2)²


def test_choosing_a_class_and_a_border_pixel(open_page):
    page = open_page("attack", SMALL)
    page.selectbox(key="class").select(4).run()
    assert "The same filter as a matrix: star" in [s.value for s in page.subheader]
    page.slider(key="pixel8").set_value(0).run()
    assert "**Output pixel 0** is row 0, column 0 of the image and mixes 4 input pixels. 5 of its taps fall off" in texts(page)


def test_full_size_matrix(open_page):
    page = open_page("attack", SMALL)
    page.session_state["matrix_size"] = "32 × 32"
    page.run()
    assert not page.exception
    assert "8,836 of them not zero" in texts(page)


def test_other_attack_has_its_own_kernels(open_page):
    page = open_page("attack", {**SMALL, "attack": "vuda"})
    assert "VUDA" in texts(page)
    assert "176 of them not zero" in texts(page)  # vertical taps only: 8 · (3·8 - 2)


def test_unknown_attack_in_a_link_is_answered_in_words(open_page):
    page = open_page("attack", {**SMALL, "attack": "cudda"})
    assert "Did you mean" in page.warning[0].value
    assert not page.exception


def test_train_with_this_hands_over_the_exact_configuration(open_page):
    page = open_page("attack", {**SMALL, "key": "5", "attack_cuda_blur": "0.5"})
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = page.session_state["handed_spec"]
    assert spec["attack"] == Cuda(blur=0.5).to_json()
    assert spec["attack_seed"] == 5
    assert spec["dataset"]["train_size"] == 200
    assert spec["defenses"] == []
    json.dumps(spec)
