"""The Detection page: three copies, each examined beside the server."""

import json

import pytest

from pages.detection import evidence as detection_views
from tests.pages.components import charts
from ued_core.analysis.detection import TESTS, Evidence, Examination
from ued_core.analysis.edge_detector import verdict
from ued_core.attacks import ATTACKS
from ued_core.studies.edge_evidence import convolutions

SMALL = {"data_shapes_train_size": "100", "data_shapes_test_size": "50"}


@pytest.fixture
def at_once(monkeypatch):
    """What would be computed beside the server is computed at once."""

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = detection_views.background.Handle(key, None)
        handle.state, handle.value = "ready", function(*args)
        return handle

    monkeypatch.setattr(detection_views.background, "submit", submit)


def test_says_what_it_waits_for(open_page, monkeypatch):
    monkeypatch.setattr(
        detection_views.background, "submit", lambda key, *a, **k: detection_views.background.Handle(key, None)
    )
    page = open_page("detection", SMALL)
    assert not page.exception
    assert page.title[0].value == "Detection"
    assert "clean, poisoned and defended" in page.info[0].value


def test_a_set_that_is_too_small_is_answered_once(open_page, monkeypatch):
    def submit(key, function, *args, slot="", after_s=0.0):
        handle = detection_views.background.Handle(key, None)
        handle.state, handle.error = "failed", ValueError("Too few images.")
        return handle

    monkeypatch.setattr(detection_views.background, "submit", submit)
    page = open_page("detection", SMALL)
    assert not page.exception
    examined, edges = (w.value.replace("\\", "") for w in page.warning)
    assert examined == "The clean, poisoned and defended images could not be examined: Too few images."
    assert edges.startswith("The trained edge detectors")
    assert not page.info


def test_shows_every_copy_with_its_verdict(open_page, at_once):
    page = open_page("detection", {**SMALL, "attack": "class_noise"})
    assert not page.exception
    chart, edges = charts(page)
    names = [t.get("name") for t in json.loads(chart["figure"])["data"]]
    assert {"clean", "poisoned", "defended"} <= set(names)
    assert all(f"{role}: " in chart["alt"] for role in ("Clean", "Poisoned", "Defended"))
    table = page.dataframe[0].value
    assert len(table) == 3 * (len(TESTS) + 1)
    known = {attack.title for attack in convolutions()}
    assert known == {ATTACKS[name].title for name in ("cuda", "vuda", "huda")}
    figure = json.loads(edges["figure"])
    assert [t["name"] for t in figure["data"]] == [
        "clean",
        "poisoned",
        "defended",
        "other clean images",
        "its own attack, another key",
    ]
    assert [text.partition(":")[0] for text in figure["layout"]["yaxis"]["ticktext"]] == [
        attack.title for attack in convolutions()
    ]
    assert "Each learned from 33 clean images" in edges["caption"]
    assert "34 more are judged" in edges["caption"]
    own = table[table["test"].str.startswith("Trained edge detectors")]
    assert list(own["images"]) == ["clean", "poisoned", "defended"]
    assert set(own["shuffled labels"]) == set(own["chance"]) == {""}
    told = " ".join(m.value for m in page.markdown)
    assert "Trained edge detectors (EPD)" in told
    assert "shapes, reflect padding 0.48 to 0.52" in told


def test_a_convolution_raises_the_alarm_of_the_trained_edge_detector(open_page, at_once, monkeypatch):
    """HUDA is among the attacks that were learned, with other keys."""
    monkeypatch.setattr(detection_views, "examine_set", quick_examination)
    page = open_page("detection", {**SMALL, "data_shapes_train_size": "600", "attack": "huda", "defence": "greyscale"})
    assert not page.exception
    own = page.dataframe[0].value
    outcome = own[own["test"].str.startswith("Trained edge detectors")].set_index("images")["outcome"]
    assert outcome["poisoned"] == "suspicious"
    assert outcome["clean"] == "nothing found"
    assert "(dark border, trained edge detectors)" in charts(page)[0]["alt"]


def test_no_verdict_from_a_few_held_out_images(open_page, at_once, monkeypatch):
    monkeypatch.setattr(detection_views, "examine_set", quick_examination)
    page = open_page("detection", {**SMALL, "data_shapes_train_size": "400", "attack": "huda"})
    assert not page.exception
    chart, edges = charts(page)
    assert "Poisoned: no verdict, because the accuracies rest on 80 held-out images" in chart["alt"]
    assert "suspicious" not in chart["alt"]
    assert set(page.dataframe[0].value["outcome"]) == {"too few images"}
    # A third of 400 is enough for the detectors that learned known convolutions.
    assert "Poisoned: suspicious (" in edges["alt"]


def quick_examination(data, seed):
    """The dark border alone: nothing is trained."""
    seen = verdict(data.images)
    return Examination(
        (Evidence("border", seen.score, seen.threshold, seen.finding == "darkened", None, 0.1),), len(data), seed
    )


def test_every_defence_of_the_stack_is_named(open_page, monkeypatch):
    monkeypatch.setattr(
        detection_views.background, "submit", lambda key, *a, **k: detection_views.background.Handle(key, None)
    )
    page = open_page("detection", {**SMALL, "defence": "greyscale", "further": "jpeg"})
    assert not page.exception
    assert any("**Greyscale + JPEG**" in m.value for m in page.markdown)
