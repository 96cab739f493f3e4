"""The Attack page: tiles, kernels, and what it says about them."""

import json

from tests.pages.components import charts, tiles
from ued_core.attacks import ATTACKS, Cuda
from ued_core.params import LARGEST_SEED

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


def texts(page):
    return " ".join(
        [*(m.value for m in page.markdown), *(c.value for c in page.caption), *(t["caption"] for t in tiles(page))]
    )


def test_content(open_page):
    page = open_page("attack", {**SMALL, "key": "3"})
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Attack"
    headings = [s.value for s in page.header]
    assert headings == ["Clean, poisoned, and what changed", "One kernel per class"]
    assert "key 3" in texts(page)


def framed(page):
    """The class whose name is set in bold over the kernels."""
    notes = json.loads(charts(page)[0]["figure"])["layout"]["annotations"]
    return [n["text"] for n in notes if n["text"].startswith("<b>")]


def test_choosing_a_class_frames_its_kernel_and_stays_in_the_address(open_page):
    page = open_page("attack", SMALL)
    assert framed(page) == ["<b>disc</b>"]
    page.selectbox(key="class").select("star").run()
    assert framed(page) == ["<b>star</b>"]
    assert framed(open_page("attack", {**SMALL, "class": "star"})) == ["<b>star</b>"]


def test_a_class_of_another_data_set_is_forgotten(open_page):
    page = open_page("attack", SMALL)
    page.selectbox(key="class").select("star").run()
    page.selectbox(key="data").select("digits").run()
    assert not page.exception
    assert not page.warning
    assert page.selectbox(key="class").value == page.selectbox(key="class").options[0]


def test_other_attack_has_its_own_kernels(open_page):
    page = open_page("attack", {**SMALL, "attack": "vuda"})
    assert "VUDA" in texts(page)
    drawn = json.loads(charts(page)[0]["figure"])["data"][0]["text"]
    assert drawn[1][0] == drawn[1][2] == "0.00"  # vertical taps only
    assert float(drawn[1][1]) > 0


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


def test_every_key_that_a_run_may_have_is_shown(open_page):
    largest = str(LARGEST_SEED)
    page = open_page("attack", {**SMALL, "key": largest})
    assert not page.exception
    assert not page.error
    assert page.number_input(key="key").value == LARGEST_SEED
    beyond = open_page("attack", {**SMALL, "key": str(LARGEST_SEED + 1)})
    assert any(largest in notice.value for notice in (*beyond.warning, *beyond.error))


def test_every_attack_says_its_idea_and_whether_it_does_anything_here(open_page):
    page = open_page("attack", {"data": "shapes", "attack": "synper"})
    assert not page.exception
    told = [m.value for m in page.markdown]
    assert f"**LSP.** {ATTACKS['synper'].summary()}" in told
    (box,) = page.info
    assert "**LSP alone is not seen to lower the accuracy on this data.**" in box.value
    assert "LSP is known to work on" in box.value
    (row,) = tiles(page)
    assert [(r["role"], r["mark"]) for r in row["rows"]] == [("clean", "●"), ("poisoned", "✕"), ("", "")]
    assert row["caption"].startswith("Shapes · LSP · key 0."), "nothing at its default is listed"


def test_captions_name_what_differs_from_the_default(open_page):
    page = open_page("attack", {**SMALL, "attack_cuda_blur": "0.2"})
    assert "Shapes · CUDA (blur p_b 0.2) · key 0." in tiles(page)[0]["caption"]
