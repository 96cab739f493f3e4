"""The Detection page: three copies, each examined beside the server."""

import json

import pytest

from pages.shared import detection_views
from tests.pages.components import charts
from ued_core.analysis.detection import TESTS

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
    monkeypatch.setattr(detection_views.background, "submit", lambda key, *a, **k: detection_views.background.Handle(key, None))
    page = open_page("detection", SMALL)
    assert not page.exception
    assert page.title[0].value == "Detection"
    assert "clean and poisoned and defended" in page.info[0].value


def test_shows_every_copy_with_its_verdict(open_page, at_once):
    page = open_page("detection", {**SMALL, "attack": "class_noise"})
    assert not page.exception
    (chart,) = charts(page)
    names = [t.get("name") for t in json.loads(chart["figure"])["data"]]
    assert {"clean", "poisoned", "defended"} <= set(names)
    assert all(f"{role}: " in chart["alt"] for role in ("Clean", "Poisoned", "Defended"))
    assert len(page.dataframe[0].value) == 3 * len(TESTS)
