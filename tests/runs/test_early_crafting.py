"""Crafting that a person ends early: what is there is trained with, kept apart, and taken for the whole attack by
nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ued_core import runs
from ued_core.artefacts import CRAFTED, Draft
from ued_core.attacks import ATTACKS
from ued_core.attacks.checkpoint import crafted_card
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.errors import Cancelled, RunError
from ued_core.records import PoisonedSet
from ued_core.results.parts import Crafting
from ued_core.runs import RunSpec
from ued_core.runs.pipeline import execute
from ued_core.runs.record import read_record
from ued_core.runs.worker import EarlyStop, Stopper, claim, work

QUICK = {"surrogate_width": 8}
LONG = {
    "em": {"max_rounds": 4, "batches": 1, "steps": 1, **QUICK},
    "rem": {"train_steps": 4, "noise_steps": 1, "adversarial_steps": 1, **QUICK},
    "tap": {"steps": 1, "surrogate_epochs": 1, **QUICK},
    "emax": {"epsilon": 2, "steps": 1, "step_size": 0.5, "surrogate_epochs": 6, **QUICK},
    "hypo": {"steps": 1, "surrogate_epochs": 1, **QUICK},
    "uc": {"clusters": 4, "steps": 1, "generator_width": 4, "generator_blocks": 1},
}
EARLY = {
    "em": "after 2 of at most 4 rounds",
    "rem": "after 2 of at most 4 training steps",
    "tap": "after 128 of 200 images; the others are clean",
    "emax": "after 2 of at most 3 rounds",
    "hypo": "after 128 of 200 images; the others are clean",
    "uc": "after 2 of 4 clusters; the images of the others are clean",
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def spec_of(name: str = "em", **more: object) -> RunSpec:
    return RunSpec.from_json(
        {
            "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
            "attack": {"name": name, **LONG[name]},
            "model": {"name": "small_cnn", "width": 4},
            "plan": {"name": "adamw", "epochs": 1},
            "device": "cpu",
            **more,
        }
    )


class Wish:
    """Says that it is enough from the given question on."""

    def __init__(self, question: int = 2) -> None:
        self.question, self.asked = question, 0

    def __call__(self) -> bool:
        self.asked += 1
        return self.asked >= self.question


@pytest.mark.parametrize("name", list(LONG))
def test_what_is_there_is_trained_with_and_kept_apart(name: str, tmp_path: Path) -> None:
    spec, made = spec_of(name), []
    result = execute(
        spec,
        Context(enough=Wish(1 if name in ("tap", "hypo") else 2)),
        partial=tmp_path / "own",
        on_poisoned=made.append,
    )
    poisoned: PoisonedSet = made[0]
    train = load_split(spec.dataset, Context()).train
    assert result.crafting.stopped_early == EARLY[name]
    assert f"Stopped early {EARLY[name]}" in result.crafting.note
    assert not result.crafting.to_json()["converged"]
    assert Crafting.model_validate(json.loads(json.dumps(result.crafting.to_json()))) == result.crafting
    # Bound, and untouched images are those without noise.
    delta = poisoned.delta.flatten(1).abs().amax(1)
    assert int(delta.max()) <= spec.attack.bound(train.shape).size
    assert torch.equal(poisoned.touched, delta > 0)
    if name == "uc":
        groups = spec.attack.groups(train, Context()).assignment
        assert torch.equal(poisoned.touched, groups < 2)
    else:
        the_first_ones(name, poisoned)
    # Nobody takes it for the attack, and the work goes on for others.
    assert crafted_card(spec.attack, 0, train.content_hash) is None
    assert not list(CRAFTED.root().glob("*/*/card.json"))
    # The run itself, resumed, trains on the same images without crafting anything.
    again = execute(spec, Context(on_report=no_crafting), partial=tmp_path / "own")
    assert again.data.trained_on_hash == result.data.trained_on_hash
    assert again.crafting == result.crafting


def the_first_ones(name: str, poisoned: PoisonedSet) -> None:
    expected = 128 if name in ("tap", "hypo") else 200
    assert int(poisoned.touched.sum()) >= expected - 2
    assert not poisoned.touched[expected:].any()


def no_crafting(done: float, total: float, text: str) -> None:
    assert "gradient evaluations" not in text


def test_tap_keeps_the_best_of_the_starts_that_are_complete() -> None:
    """Two pieces a start: asked for the seventh time, two starts are complete and the third has begun."""
    attack, asked = ATTACKS.build("tap", restarts=4, **LONG["tap"]), []
    train = load_split(spec_of().dataset, Context()).train

    def enough() -> bool:
        asked.append(1)
        # Once between the pieces of the first start, then before every later one and before each of its pieces.
        return len(asked) >= 1 + 3 + 3

    early = attack.poison(train, Context(enough=enough))
    two = attack.with_values(restarts=2).poison(train, Context())
    assert torch.equal(early.images, two.images)


def test_rem_computes_the_noise_of_every_image_anew_when_its_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last pass that came too soon and was cancelled must leave no trace in the whole set."""
    from ued_core.attacks import checkpoint

    monkeypatch.setattr(checkpoint.Draft.__init__, "__defaults__", (None, 0.0))
    spec = spec_of("rem")
    train = load_split(spec.dataset, Context()).train
    expected = spec.attack.poison(train, Context()).images

    def stop_in_the_last_pass(done: float, total: float, text: str) -> None:
        if "noise of every image" in text:
            reached.append(text)
        if len(reached) > 2:
            raise Cancelled("enough")

    reached: list[str] = []
    with pytest.raises(Cancelled):
        checkpoint.craft_once(spec.attack, train, Context(enough=Wish(), on_report=stop_in_the_last_pass))
    assert torch.load(next(CRAFTED.root().glob("*/*.draft")), weights_only=True)["done"] > 0
    assert torch.equal(checkpoint.craft_once(spec.attack, train, Context()).images, expected)


@pytest.mark.parametrize("name", [name for name, entry in ATTACKS.items() if entry.needs_whole_set])
def test_enough_is_heard_or_ignored_but_never_breaks_anything(name: str) -> None:
    """Whatever the attack: asked or not, images within the bound; where it is ended early its log says so."""
    attack = ATTACKS.build(name, **ATTACKS[name].quick_values())
    train = load_split(spec_of().dataset, Context()).train.take(range(0, 200, 3))
    asked: list[int] = []
    poisoned = attack.poison(train, Context(enough=lambda: asked.append(1) or True))
    assert int(poisoned.delta.abs().max()) <= attack.bound(train.shape).size
    assert (poisoned.delta != 0).any()
    if not asked:
        assert torch.equal(poisoned.images, attack.poison(train, Context()).images)


def submitted(**more: object) -> runs.RunFolder:
    return runs.folder(runs.submit(spec_of(**more), launch=False))


def test_from_the_request_to_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process: the marker appears, the request is heard, record, log and result say what happened."""
    folder = submitted()
    assert claim(folder, 1) == 1
    seen = []
    whole = EarlyStop.__call__

    def watch(self: EarlyStop) -> bool:
        self._next = 0.0
        answer = whole(self)
        seen.append(folder.usable.exists())
        # The attempt's worker is this process, so the run counts as running.
        assert read_record(folder).craftable == (not folder.stop_crafting_requested())
        if len(seen) == 2:
            runs.stop_crafting(folder.run_id)
        return answer

    monkeypatch.setattr(EarlyStop, "__call__", watch)
    said: list[str] = []
    monkeypatch.setattr("ued_core.runs.worker.say", said.append)
    assert work(folder, Stopper(folder), 1, 1) == 0
    assert seen == [True, True, True]
    assert not folder.usable.exists()
    result = folder.result()
    assert result is not None
    assert result.crafting.stopped_early == "after 3 of at most 4 rounds"
    assert any("Stopped early after 3 of at most 4 rounds" in line for line in said)
    record = read_record(folder)
    assert (record.state, record.stopped_early, record.craftable) == ("finished", "after 3 of at most 4 rounds", False)
    assert record.title.endswith("(crafting stopped early)")
    assert record.key != spec_of().key()
    assert runs.find(spec_of().key()) == [], "a run of a part must not pass for one of the whole attack"
    with pytest.raises(RunError, match="no unfinished crafted set"):
        runs.stop_crafting(folder.run_id)


def test_a_cancelled_run_goes_on_with_its_own_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended early, then cancelled after the first epoch: the second attempt trains on what the first one did."""
    # On a busy machine a draft would be saved, from which the whole run below would craft on.
    monkeypatch.setattr(Draft.__init__, "__defaults__", (None, 1e9))
    folder = submitted(plan={"name": "adamw", "epochs": 3})
    spec, reached = RunSpec.from_json(folder.spec()[0]), []
    paths = {"checkpoint": folder.checkpoint, "partial": folder.partial}
    with pytest.raises(Cancelled):
        execute(spec, Context(enough=Wish(), stop=lambda: bool(reached)), on_epoch=reached.append, **paths)
    assert read_record(folder).stopped_early == EARLY["em"]
    folder.stop_crafting_path.touch()
    folder.request_resume()
    assert not folder.stop_crafting_requested()
    whole = execute(spec, Context(enough=Wish()))
    assert execute(spec, Context(), **paths).history[-1].loss == whole.history[-1].loss


def test_cancelled_crafting_resumes_from_its_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the whole pipeline: the second execution begins where the first one was, and ends as an uninterrupted
    one."""
    from ued_core.attacks import checkpoint

    monkeypatch.setattr(checkpoint.Draft.__init__, "__defaults__", (None, 0.0))
    spec = spec_of()
    train = load_split(spec.dataset, Context()).train
    expected = spec.attack.poison(train, Context()).as_training_set().content_hash

    def stop(done: float, total: float, text: str) -> None:
        if text.startswith("round 3"):
            raise Cancelled("stop")

    with pytest.raises(Cancelled):
        execute(spec, Context(on_report=stop))
    told: list[str] = []
    result = execute(spec, Context(on_report=lambda done, total, text: told.append(text)))
    assert result.data.trained_on_hash == expected
    assert any(text.startswith("round 4") for text in told)
    assert not any(text.startswith(("round 1", "round 2")) for text in told)


def test_attacks_without_crafting_show_no_marker(spec_of: Callable[..., RunSpec]) -> None:
    folder = runs.folder(runs.submit(spec_of(attack="cuda", device="cpu", epochs=1), launch=False))
    assert claim(folder, 1) == 1
    folder.usable.touch()
    assert work(folder, Stopper(folder), 1, 1) == 0
    assert not folder.usable.exists(), "the marker of an earlier attempt goes"
    assert folder.result().crafting is None
    assert read_record(folder).stopped_early == ""
