"""On the Defence page: damage against suppression, and runs over several values."""

import json

import pytest

from pages.defence import tradeoff as tradeoff_views
from tests.pages.components import charts
from ued_core import runs

SMALL = {"data_shapes_train_size": "100", "data_shapes_test_size": "50"}


@pytest.fixture
def at_once(monkeypatch):
    """What would be measured beside the server is measured at once."""

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = tradeoff_views.background.Handle(key, None)
        if slot.startswith("suppression"):
            handle.state, handle.value = "ready", function(*args)
        return handle

    monkeypatch.setattr(tradeoff_views.background, "submit", submit)


def chart(page):
    return next((c for c in charts(page) if "perturbation, or the image" in c["question"]), None)


def test_shown_when_asked_for(open_page, at_once):
    page = open_page("defence", SMALL)
    assert chart(page) is None
    page = open_page("defence", {**SMALL, "measure": "true"})
    assert not page.exception
    found = chart(page)
    curve = json.loads(found["figure"])["data"][0]
    assert curve["text"][0] == "0"
    assert curve["y"][0] == pytest.approx(1)
    assert "Border score" in found["caption"]


def test_stands_in_where_theta_is_not_defined(open_page, at_once):
    page = open_page("defence", {**SMALL, "attack": "class_noise", "defence": "greyscale"})
    assert chart(page) is not None
    assert len(json.loads(chart(page)["figure"])["data"][0]["x"]) == 0  # no parameter, no curve


def test_a_sweep_queues_one_run_a_value(open_page, at_once, monkeypatch):
    made = []
    monkeypatch.setattr(
        runs, "submit_many", lambda specs, **_: made.extend(specs) or [str(k) for k, _ in enumerate(made)]
    )
    page = open_page("defence", SMALL)
    page.multiselect(key="sweep_values").set_value([0.0, 3.0]).run()
    assert any("No time estimate yet" in caption.value for caption in page.caption), (
        "what the runs take is said before they start"
    )
    page.button(key="sweep_start").click().run()
    assert [spec.defenses[0].strength for spec in made] == [0.0, 3.0]
    assert {spec.attack.key for spec in made} == {"cuda"}
