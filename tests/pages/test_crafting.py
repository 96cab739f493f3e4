"""Attacks that must be crafted: pages say so at once, start a run, and show the images once they are there."""

import time

import pytest

from pages.state import crafting
from tests.pages.components import tiles
from ued_core.attacks import ATTACKS
from ued_core.attacks.checkpoint import craft_once
from ued_core.attacks.looks import look_card
from ued_core.context import Context
from ued_core.data import DATASETS, load_split

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100", "key": "4"}
QUICK = {"max_rounds": 1, "batches": 2, "steps": 2, "surrogate_width": 8}
ASKED = {**SMALL, "attack": "em", **{f"attack_em_{name}": str(value) for name, value in QUICK.items()}}


def craft():
    data = load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train
    return data, craft_once(ATTACKS.build("em", **QUICK), data, Context(seed=4))


@pytest.mark.parametrize("name", [name for name, entry in ATTACKS.items() if entry.needs_whole_set])
def test_page_says_what_is_missing_and_does_not_craft(open_page, monkeypatch, name):
    monkeypatch.setattr(ATTACKS[name], "craft", lambda *args: pytest.fail("the page crafts"))
    page = open_page("attack", {**SMALL, "attack": name})
    assert not page.exception
    assert not page.error
    told = page.info[0].value
    assert ATTACKS[name].title in told
    assert f"{ATTACKS.build(name).gradient_evaluations(200):,} gradient evaluations" in told
    assert "at most about" in told
    assert not tiles(page)


@pytest.mark.parametrize("address", ["defence", "perturbations", "features"])
def test_other_pages_say_it_too(open_page, address):
    page = open_page(address, {**SMALL, "attack": "tap"})
    assert not page.exception
    assert "has to be crafted" in page.info[0].value


@pytest.mark.parametrize("address", ["matrices", "theta"])
def test_pages_without_poisoned_images_are_not_stopped(open_page, address):
    page = open_page(address, {**SMALL, "attack": "tap"})
    assert not page.exception
    assert not any("has to be crafted" in box.value for box in page.info)


def test_button_starts_exactly_one_run_of_this_choice(open_page, monkeypatch):
    asked = []
    monkeypatch.setattr(crafting.runs, "submit", lambda spec, **_: asked.append(spec))
    page = open_page("attack", ASKED)
    next(b for b in page.button if b.label.startswith("Craft it")).click().run()
    assert not page.exception
    (spec,) = asked
    assert spec.attack == ATTACKS.build("em", **QUICK)
    assert spec.attack_seed == 4
    assert spec.dataset.train_size == 200
    assert not spec.defenses


def test_images_are_those_of_the_crafted_set(open_page):
    data, made = craft()
    began = time.perf_counter()
    page = open_page("attack", ASKED)
    assert time.perf_counter() - began < 30
    assert not page.exception
    assert not any("has to be crafted" in box.value for box in page.info)
    assert "EM" in tiles(page)[0]["caption"]
    assert any("Not converged" in box.value for box in page.warning)
    shown = ATTACKS.build("em", **QUICK).preview(data.take([7, 3, 120]), 4)
    assert shown.images.equal(made.images[[7, 3, 120]])


def test_defence_page_shows_a_crafted_set(open_page):
    craft()
    page = open_page("defence", ASKED)
    assert not page.exception
    assert not page.error
    assert len(tiles(page)[0]["rows"]) == 3


def test_the_form_says_what_crafting_costs_before_the_start(open_page):
    asked = {"view": "new", "new_attack": "em", "new_data": "shapes"}
    asked |= {"new_data_shapes_train_size": "200", "new_data_shapes_test_size": "100"}
    asked |= {f"new_attack_em_{name}": str(value) for name, value in QUICK.items()} | {"new_poisoning_attack_seed": "4"}
    told = "\n".join(box.value for box in open_page("runs", asked).info)
    assert f"{ATTACKS.build('em', **QUICK).gradient_evaluations(200):,} gradient evaluations" in told.replace("\\", "")
    assert "EM is crafted first" in told
    assert "no time estimate yet" in told
    craft()
    page = open_page("runs", asked)
    assert not page.exception
    assert any("EM is already crafted" in box.value for box in page.caption)
    assert not any("crafted first" in box.value for box in page.info)


def test_the_form_downloads_nothing_to_say_it(open_page, monkeypatch):
    monkeypatch.setattr("ued_core.data.torchvision_sets.fetch", lambda *args: pytest.fail("it downloads"))
    page = open_page("runs", {"view": "new", "new_data": "cifar10", "new_attack": "tap"})
    assert not page.exception
    assert any("is known once" in box.value for box in page.info)


def test_button_ends_crafting_only_while_something_is_usable(open_page, monkeypatch):
    from ued_core import runs
    from ued_core.runs import RunSpec
    from ued_core.runs.worker import claim

    open_page("runs")
    spec = RunSpec.from_json(
        {"dataset": {"name": "shapes", "train_size": 200, "test_size": 100}, "attack": {"name": "em", **QUICK}}
    )
    folder = runs.folder(runs.submit(spec, launch=False))
    assert claim(folder, 1) == 1
    address = {"run": folder.run_id}

    def labels(page):
        assert not page.exception
        return [b.label for b in page.button if b.label.startswith("Stop crafting here")]

    assert labels(open_page("runs", address)) == []
    folder.usable.touch()
    page = open_page("runs", address)
    assert labels(page) == ["Stop crafting here and train with it"]
    next(b for b in page.button if b.label.startswith("Stop crafting here")).click().run()
    assert folder.stop_crafting_requested()
    page = open_page("runs", address)
    assert labels(page) == []
    assert any("Crafting ends after the part" in box.value for box in page.caption)


@pytest.mark.parametrize("name", [name for name, entry in ATTACKS.items() if entry.needs_whole_set])
def test_what_the_app_opens_with_is_seen_at_once(open_page, monkeypatch, name):
    monkeypatch.setattr(ATTACKS[name], "craft", lambda *args: pytest.fail("the page crafts"))
    monkeypatch.setattr(ATTACKS[name], "seconds_for", lambda *args: pytest.fail("nobody asked for an estimate"))
    page = open_page("attack", {"attack": name})
    assert not page.exception
    assert not page.error
    (shown,) = tiles(page)
    assert [row["count"] for row in shown["rows"]] == [10, 10, 10]
    told = page.info[0].value
    assert told.startswith("**50 images of a real crafting, which ship with the program.**")
    assert "all 5,000 images of Fashion" in told
    card = look_card(name)
    assert ("ended early" in told) == ("stopped_early" in card["log"])
    note = card["log"]["note"]
    assert any(note[:20] in box.value.replace("\\", "") for box in [*page.caption, *page.warning])


def test_the_estimate_and_the_button_come_when_asked_for(open_page, monkeypatch):
    monkeypatch.setattr(ATTACKS["em"], "seconds_for", lambda *args: 3600.0)
    monkeypatch.setattr(crafting.st, "expander", opened(crafting.st.expander))
    page = open_page("attack", {"attack": "em"})
    assert not page.exception
    assert any("at most about 1 h" in box.value for box in page.info)
    assert any(button.label.startswith("Craft it") for button in page.button)
    assert tiles(page)


def opened(expander):
    """Expanders that a reader has opened."""

    def open_one(*args, **kwargs):
        return expander(*args, **{**kwargs, "expanded": True})

    return open_one


def test_other_settings_are_not_shown_as_if_they_were_these(open_page):
    page = open_page("attack", {"attack": "em", "attack_em_epsilon": "4"})
    assert "has to be crafted" in page.info[0].value
    assert not tiles(page)
    page.button(key="other_look").click().run()
    assert not page.exception
    assert page.slider(key="attack_em_epsilon").value == 8
    assert tiles(page)


def test_pages_that_need_the_whole_set_name_the_page_that_does_not(open_page):
    page = open_page("detection", {"attack": "em"})
    assert not page.exception
    assert "has to be crafted" in page.info[0].value
    assert not tiles(page)
    assert any("Look at 50 of its images" in str(link.proto) for link in page.get("page_link"))


@pytest.mark.parametrize("address", ["perturbations", "defence", "features"])
def test_pages_that_show_single_images_show_the_look(open_page, address):
    page = open_page(address, {"attack": "em", "layout_by": "pca"})
    assert not page.exception
    assert not page.error
    assert page.info[0].value.startswith("**50 images of a real crafting")
    if address != "features":
        assert tiles(page)
    if address == "perturbations":
        assert sum("the 50 images that ship are too few" in box.value for box in page.info) == 2


def test_another_choice_of_images_is_another_part_of_the_look(open_page):
    page = open_page("attack", {"attack": "em"})
    before = tiles(page)[0]["rows"]
    page.number_input(key="pick").set_value(1).run()
    after = tiles(page)[0]["rows"]
    assert not page.exception
    assert [row["source"] for row in before] != [row["source"] for row in after]


def test_a_set_that_was_crafted_here_takes_the_place_of_the_look(open_page, monkeypatch):
    monkeypatch.setattr(crafting, "is_crafted", lambda choice: True)
    page = open_page("attack", {"attack": "em"})
    assert not any("real crafting" in box.value for box in page.info)
