"""Training in place: which runs the button starts, when it is not offered, and what is said of them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pages.state import train_here as strip
from pages.state.choice import Selection
from pages.state.sets import split
from ued_core.attacks import ATTACKS
from ued_core.data import DATASETS
from ued_core.defenses import DEFENSES, Coin, DefenseStack


def choice(attack: str = "cuda", **data) -> Selection:
    dataset = DATASETS.build("fashion", **data)
    few = split(DATASETS.build("fashion", train_size=50, test_size=10))
    return Selection(dataset, ATTACKS.build(attack), 3, 0, few)


def test_both_runs_are_short_and_differ_in_the_defence_alone():
    pair = strip.pair_of(choice(), DefenseStack([Coin(strength=1.5)]))
    assert pair is not None
    assert pair.alone.quick
    assert pair.defended.quick
    assert pair.defended.with_values(defenses=DefenseStack()) == pair.alone
    assert [defence.strength for defence in pair.defended.defenses] == [1.5]
    assert (pair.alone.dataset.train_size, pair.alone.plan.epochs, pair.alone.model.width) == (2000, 8, 16)
    assert (pair.alone.attack_seed, pair.alone.seed) == (3, 3)
    assert "1.5" in pair.words


def test_smaller_data_stays_small():
    pair = strip.pair_of(choice(train_size=300), DefenseStack([Coin()]))
    assert pair is not None
    assert pair.alone.dataset.train_size == 300


@pytest.mark.parametrize(("attack", "defence"), [("em", "coin"), ("cuda", "dvae"), ("cuda", "adversarial_training")])
def test_what_takes_longer_than_seconds_is_not_offered(attack, defence):
    assert strip.pair_of(choice(attack), DefenseStack([DEFENSES.build(defence)])) is None


def record(state="finished", last=0.5, **more):
    return SimpleNamespace(state=state, last=last, **more)


def test_words_follow_both_runs():
    assert strip._said([], "COIN") == ""
    text = strip._said([record(last=0.27), record(last=0.67)], "COIN")
    assert text.startswith("**+40 points on clean pictures with COIN**: 67 % instead of 27 %")
    assert "not a result to quote" in text
    assert strip._said([record(last=0.8), record(last=0.7)], "COIN").startswith("**−10 points")
    moving = [record("running", None, epoch=3, epochs=8), record("running", None, epoch=0, epochs=8)]
    assert strip._said(moving, "COIN") == "without defence: epoch 3 of 8 · with COIN: starts"
    assert "failed" in strip._said([record("failed", None), record(last=0.7)], "COIN")


def test_the_button_queues_what_was_not_trained_yet(open_page, monkeypatch):
    asked = []
    monkeypatch.setattr(strip.runs, "submit", lambda spec, by: asked.append(spec) or f"id-{len(asked)}")
    monkeypatch.setattr(strip.runs, "attend", lambda records: None)
    page = open_page("defence", {"data": "fashion", "defence_coin_strength": "2.5"})
    next(b for b in page.button if b.label == "Train both").click().run()
    assert not page.exception
    assert [[d.strength for d in spec.defenses] for spec in asked] == [[], [2.5]]
    assert all(spec.quick for spec in asked)
    done = SimpleNamespace(key=asked[0].key(), id="there", state="finished")
    monkeypatch.setattr(strip.runs, "snapshot", lambda: SimpleNamespace(records=[done], waiting=[], version="1"))
    strip_state: dict = {}
    monkeypatch.setattr(strip.st, "session_state", strip_state)
    pair = strip.pair_of(choice(), DefenseStack([Coin()]))
    assert pair is not None
    done.key = pair.alone.key()
    asked.clear()
    strip._start(pair, "x")
    assert [bool(spec.defenses) for spec in asked] == [True], "equal keys mean equal results"
    assert strip_state[strip.STARTED]["x"] == ["there", "id-1"]
