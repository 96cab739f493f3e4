"""The Perturbations page: six questions, any attack, and numbers that agree with the library."""

import json

import numpy as np
import pytest

from pages.state import background
from pages.state.background import Handle, WorkFailed
from tests.pages.components import charts, tiles
from ued_core.analysis.perturbation import distortion
from ued_core.analysis.separability import separability
from ued_core.attacks import ATTACKS
from ued_core.attacks.checkpoint import poison_once
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.records import balanced_rows

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}
CHARTS = [
    "How far is a poisoned image from its original?",
    "Which frequencies do the images lose or gain?",
    "Where does the perturbation itself lie, and do the classes differ?",
    "Is the perturbation stronger than the image at some frequency?",
    "Is the perturbation, taken alone, linearly separable by class?",
    "Is the frame darker than what lies inside it?",
]


@pytest.fixture
def at_once(monkeypatch):
    """The side process's work is done here and now; what was asked for is kept."""
    asked = []

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = Handle(key, None, state="ready", value=function(*args))
        handle.done.set()
        asked.append((slot, handle))
        return handle

    monkeypatch.setattr(background, "submit", submit)
    return asked


def comparison(page):
    (found,) = (c for c in page.get("bidi_component") if c.proto.component_name == "ued_compare_slider")
    return json.loads(found.proto.json)


def by_question(page):
    return {chart["question"]: chart for chart in charts(page)}


def poisoned(attack="cuda", **values):
    train = load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train
    images = train.take(balanced_rows(train.labels, 100, 0))
    assert len(images) <= 300
    return images, ATTACKS.build(attack, **values).poison(images, Context())


def test_content(open_page, at_once):
    page = open_page("perturbations", SMALL)
    assert not page.exception
    assert not page.error
    assert not page.warning
    assert not page.info
    assert page.title[0].value == "Perturbations"
    assert len(page.header) == 6
    assert all(s.value.endswith("?") for s in page.header)
    links = next(m.value for m in page.markdown if m.value.startswith("[What does"))
    assert all(f"[{s.value}](#" in links for s in page.header), "every part is one click away"
    of_one, *drawn = charts(page)
    assert of_one["alt"].startswith("Log power spectrum of the difference")
    assert [c["question"] for c in drawn] == [*CHARTS, "Do the edge pixels tell CUDA from clean images?"]
    assert all(c["formula"] and c["caption"] and c["alt"] and len(c["figure"]) < 600_000 for c in drawn)
    assert [slot for slot, _ in at_once] == ["distortion", "separability", "edges"]


def test_numbers_are_those_of_the_library(open_page, at_once):
    page = open_page("perturbations", SMALL)
    images, result = poisoned()
    found = distortion(images.images, result.images)
    words = by_question(page)[CHARTS[0]]["caption"]
    assert f"**L∞ {np.median(found.linf):.0f}/255**" in words
    assert f"**SSIM {np.median(found.ssim):.3f}**" in words
    table = page.dataframe[0].value
    assert np.allclose(np.sort(table["psnr"]), np.sort(found.psnr))
    assert np.allclose(table["l2_bytes"], 255 * table["l2"])
    fits = separability(images.images, result.images, images.labels)
    words = by_question(page)[CHARTS[4]]["caption"]
    assert f"**{100 * fits.perturbation.held_out:.0f} %** on perturbations" in words
    assert "no evidence" in words


def test_gain_is_printed_and_drawn(open_page, at_once):
    page = open_page("perturbations", {**SMALL, "gain": "8"})
    shown = tiles(page)[0]
    assert [row["more"] for row in shown["rows"]] == ["", "CUDA", "× 8, grey = none"]
    assert "127.5 + **8** ·" in shown["caption"]
    picture = shown["rows"][2]["source"]
    page.select_slider(key="gain").set_value("2").run()
    shown = tiles(page)[0]
    assert shown["rows"][2]["more"].startswith("× 2,")
    assert shown["rows"][2]["source"] != picture


def test_compared_image_follows_the_choice(open_page, at_once):
    page = open_page("perturbations", SMALL)
    first = comparison(page)
    assert first["before"] != first["after"]
    assert first["before"].startswith("data:image/png;base64,")
    assert first["labels"] == ["● clean", "✕ poisoned"]
    page.selectbox(key="compare").select(3).run()
    other = comparison(page)
    assert other["before"] != first["before"]
    assert tiles(page)[0]["names"][3] in other["alt"]


@pytest.mark.parametrize("key", list(ATTACKS))
def test_every_attack_of_the_catalogue(open_page, at_once, key):
    quick = ATTACKS[key].quick_values()
    address = {f"attack_{key}_{name}": str(value) for name, value in quick.items()}
    address |= {"data_shapes_train_size": "100", "data_shapes_test_size": "100", "attack": key}
    attack = ATTACKS.build(key, **quick)
    if attack.needs_whole_set:
        page = open_page("perturbations", address)
        assert "has to be crafted before it can be shown" in page.info[0].value
        assert not charts(page)
        data = load_split(DATASETS.build("shapes", train_size=100, test_size=100), Context())
        poison_once(attack, data.train, Context(seed=0))
    page = open_page("perturbations", address)
    assert not page.exception
    assert not page.error
    assert not page.warning
    assert len(charts(page)) == 8
    assert ATTACKS[key].title in tiles(page)[0]["caption"]


def test_opponent_and_reflection(open_page, at_once):
    page = open_page("perturbations", SMALL)
    words = charts(page)[-1]["caption"]
    assert "Reflection padding evades the verdict" in words
    assert "CUDA **darkened**" in words
    assert "clean images **not darkened**" in words
    page.selectbox(key="opponent").select("huda").run()
    assert charts(page)[-1]["question"] == "Do the edge pixels tell CUDA from HUDA?"
    page = open_page("perturbations", {**SMALL, "attack_cuda_padding": "reflect"})
    words = charts(page)[-1]["caption"]
    assert "evades" not in words
    assert "CUDA **not darkened**" in words
    border = json.loads(by_question(page)[CHARTS[5]]["figure"])
    assert [t["name"] for t in border["data"]] == ["clean", "poisoned"]


def test_evasion_is_judged_by_what_was_measured(open_page, at_once):
    page = open_page("perturbations", {"data": "digits"})
    assert not page.exception
    words = charts(page)[-1]["caption"]
    assert "does not evade the verdict here" in words
    assert "clean images **not darkened**" in words


def test_it_says_what_it_waits_for_and_what_failed(open_page, monkeypatch):
    def submit(key, function, *args, slot="", after_s=0.0):
        handle = Handle(key, None, state="failed" if slot == "edges" else "waiting")
        if slot == "edges":
            handle.error = WorkFailed("No luck.")
            handle.done.set()
        return handle

    monkeypatch.setattr(background, "submit", submit)
    page = open_page("perturbations", SMALL)
    assert not page.exception
    assert ["Measuring" in i.value or "Fitting" in i.value for i in page.info] == [True, True]
    assert "No luck." in page.warning[0].value
    assert len(charts(page)) == 5


def test_the_last_result_stays_until_the_next_is_ready(open_page, monkeypatch):
    ready = [True]

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = Handle(key, None)
        if ready[0]:
            handle.state, handle.value = "ready", function(*args)
            handle.done.set()
        return handle

    monkeypatch.setattr(background, "submit", submit)
    page = open_page("perturbations", SMALL)
    before = charts(page)
    ready[0] = False
    page.slider(key="attack_cuda_blur").set_value(0.5).run()
    after = charts(page)
    assert not page.info
    assert len(after) == 8
    assert after[1]["figure"] == before[1]["figure"]
    assert "belongs to the last choice" in after[1]["caption"]
    assert after[4]["figure"] != before[4]["figure"], "what the page computes itself follows at once"
    ready[0] = True
    page.run()
    assert charts(page)[1]["figure"] != before[1]["figure"]
    assert "last choice" not in charts(page)[1]["caption"]
    ready[0] = False
    page.selectbox(key="attack").select("vuda").run()
    assert len(page.info) == 3, "another attack's numbers are never shown under this one's name"
