"""On the Defence page: damage against suppression, and runs over several values."""

import json

import pytest

from pages.defence import tradeoff as tradeoff_views
from pages.frame import visitor
from tests.pages.components import charts
from ued_core import runs
from ued_core.defenses import Coin
from ued_core.person import Person
from ued_core.studies.shelf import own_studies
from ued_core.studies.study import Study

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


def test_the_present_and_the_published_value_are_offered_beside_a_few_over_the_range(open_page, at_once):
    parameter = next(p for p in Coin.parameters() if p.name == "strength")
    offered, first = tradeoff_views.sweep_choice(parameter, 1.35)
    assert offered == [0, 0.75, 1.35, 1.5, 2, 2.25, 3, 3.75, 4.5, 5.25, 6]
    assert first == [0, 1.35, 1.5, 2, 3, 4.5, 6]
    page = open_page("defence", {**SMALL, "defence_coin_strength": "1.35"})
    box = page.multiselect(key="sweep_values")
    assert box.value == first
    assert {"1.35 (now)", "2 (published)", "6"} <= set(box.options)


def test_a_sweep_is_a_study_of_every_value_with_its_controls(open_page, at_once, monkeypatch):
    made = []
    monkeypatch.setattr(
        runs, "submit_many", lambda specs, **_: made.extend(specs) or [str(k) for k, _ in enumerate(made)]
    )
    monkeypatch.setattr(runs, "ensure_supervisor", lambda: None)
    page = open_page("defence", SMALL)
    page.multiselect(key="sweep_values").set_value([0.0, 3.0]).run()
    assert any("No time estimate yet" in caption.value for caption in page.caption), (
        "what the runs take is said before they start"
    )
    page.number_input(key="sweep_seeds").set_value(2).run()
    page.button(key="sweep_start").click().run()
    assert not page.exception
    (study,) = (Study.read(file) for file in own_studies().glob("*.json"))
    assert [c.label for c in study.conditions] == ["0", "3", "the attack alone", "clean images"]
    assert study.seeds == [0, 1]
    assert sorted(spec.key() for spec in made) == sorted(study.planned)


def test_a_visitors_sweep_is_one_run_a_value(open_page, at_once, monkeypatch):
    made = []
    monkeypatch.setattr(
        runs, "submit_many", lambda specs, **_: made.extend(specs) or [str(k) for k, _ in enumerate(made)]
    )
    monkeypatch.setenv("UED_SERVED", "1")
    monkeypatch.setattr(visitor, "NOBODY", Person("ada", "Ada"))
    page = open_page("defence", SMALL)
    page.multiselect(key="sweep_values").set_value([0.0, 3.0]).run()
    page.button(key="sweep_start").click().run()
    assert [spec.defenses[0].strength for spec in made] == [0.0, 3.0]
    assert {spec.attack.key for spec in made} == {"cuda"}
    assert not own_studies().exists()
