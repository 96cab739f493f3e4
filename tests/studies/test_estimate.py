"""What a run will cost, said before it starts: crafting counted and timed, training from finished runs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.runs.examples import RESULT
from ued_core import runs
from ued_core.attacks import ATTACKS
from ued_core.attacks.checkpoint import craft_once
from ued_core.cli import main
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.data.cache import is_kept
from ued_core.files import write_json
from ued_core.runs import RunSpec
from ued_core.studies.estimate import CraftingCost, Estimate, crafting_cost, duration, estimate, in_all

QUICK = {"max_rounds": 1, "batches": 2, "steps": 2, "surrogate_width": 8}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path


def spec_of(**more: object) -> RunSpec:
    return RunSpec.from_json(
        {
            "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
            "attack": {"name": "em", **QUICK},
            "model": {"name": "small_cnn", "width": 4},
            "plan": {"name": "adamw", "epochs": 2},
            "device": "cpu",
            **more,
        }
    )


def test_durations_in_words() -> None:
    assert [duration(s) for s in (0, 59.4, 60, 200, 3599, 7500)] == [
        "0 s",
        "59 s",
        "1 min",
        "3 min 20 s",
        "59 min",
        "2 h 5 min",
    ]


@pytest.mark.parametrize("name", [name for name, entry in ATTACKS.items() if entry.needs_whole_set])
def test_cost_of_every_crafted_attack(name: str) -> None:
    """Counted by the attack, timed on its own images; more work costs more."""
    train = load_split(spec_of().dataset, Context()).train
    attack = ATTACKS.build(name, **ATTACKS[name].quick_values())
    cost = crafting_cost(attack, train, 3)
    assert not cost.ready
    assert cost.evaluations == attack.gradient_evaluations(200) > 0
    assert cost.seconds > 0
    assert f"{attack.title} is crafted first: at most {cost.evaluations:,} gradient evaluations" in cost.sentence()
    assert ATTACKS.build(name).gradient_evaluations(200) > cost.evaluations


def test_a_crafted_set_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = spec_of()
    train = load_split(spec.dataset, Context()).train
    craft_once(spec.attack, train, Context(seed=4))
    monkeypatch.setattr(type(spec.attack), "seconds_for", lambda *rest: pytest.fail("nothing has to be timed"))
    cost = crafting_cost(spec.attack, train, 4)
    assert cost.ready
    assert cost.seconds == 0
    assert "already crafted" in cost.sentence()
    assert not crafting_cost(spec.attack, train, 5, lambda attack, train: 2.5).ready, "another key is another set"


def test_sum() -> None:
    """The set is crafted once, every run trains."""
    crafting, training = CraftingCost("EM", 10, 100.0, False), Estimate(30.0, 1000.0, 1, True)
    assert in_all(crafting, training, 3) == "In all at most about 3 min 10 s."
    assert in_all(None, training) == in_all(crafting, None) == in_all(CraftingCost("EM", 10, 0.0, True), training) == ""


def recorded(spec: RunSpec, **result: object) -> None:
    """A finished run of one attempt that took 100 s."""
    folder = runs.folder(runs.submit(spec, launch=False))
    folder.token.unlink()
    began = 1000.0
    row = {"attempt": 1, "time": began, "pid": 2, "created": 1.0, "host": "elsewhere"}
    folder.attempts_path.write_text(json.dumps(row) + "\n")
    write_json(folder.result_path, {**RESULT, "crafting": None, **result})
    os.utime(folder.result_path, (began + 100, began + 100))


def test_crafting_of_other_runs_is_no_overhead() -> None:
    """100 s in all, 4 of training; with 90 of crafting 6 are left for everything else."""
    recorded(spec_of(), crafting=RESULT["crafting"], poison_seconds=90.0)
    found = estimate(spec_of(attack="cuda"), runs.runs())
    assert found is not None
    assert found.seconds == pytest.approx(2 * 200 / 100 + 6)


def test_poisoning_without_crafting_is_overhead() -> None:
    recorded(spec_of(attack="cuda"), crafting=None, poison_seconds=90.0)
    found = estimate(spec_of(attack="cuda"), runs.runs())
    assert found is not None
    assert found.seconds == pytest.approx(2 * 200 / 100 + 96)


def speed_under(stack: list[object]) -> float:
    found = estimate(spec_of(defenses=stack), runs.runs())
    assert found is not None
    assert found.seconds == pytest.approx(2 * 200 / found.images_per_s + 96)
    return found.images_per_s


def test_speed_of_other_runs_is_scaled_by_what_defences_declare() -> None:
    """100 images/s without a defence: eleven passes per step take eleven times as long, two draws of UEraser on average
    twice."""
    recorded(spec_of())
    assert speed_under([]) == speed_under(["coin"]) == 100
    assert speed_under(["adversarial_training"]) == pytest.approx(100 / 11)
    assert speed_under([{"name": "trades", "steps": 3}]) == pytest.approx(100 / (3 + 7 / 3))
    assert speed_under(["ueraser"]) == pytest.approx(100 / 2)
    found = estimate(spec_of(defenses=["adversarial_training"]), runs.runs())
    assert "with other defences or none, scaled to a step as long as 11 plain ones" in found.sentence(1)
    recorded(
        spec_of(defenses=["adversarial_training"]), history=[{"epoch": 1, "test_accuracy": 0.5, "images_per_s": 8.0}]
    )
    assert speed_under(["adversarial_training"]) == 8, "what was measured comes before what is declared"


def test_speed_under_a_defence_tells_that_without_it() -> None:
    recorded(spec_of(defenses=["adversarial_training"]))
    assert speed_under([]) == pytest.approx(1100)
    recorded(spec_of(defenses=["jpeg"]), history=[{"epoch": 1, "test_accuracy": 0.5, "images_per_s": 700.0}])
    recorded(spec_of(defenses=["coin"]))
    assert speed_under([]) == 700, "batches of a purified set cost nothing, those of COIN something"


def test_a_run_of_unknown_defences_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(spec_of(defenses=["coin"]))
    kept = [replace(record, spec={**record.spec, "defenses": [{"name": "forgotten"}]}) for record in runs.runs()]
    assert estimate(spec_of(), kept) is None


def test_speed_is_that_of_the_whole_training() -> None:
    """Two epochs of equal length in images, at 100 and 300 images/s: 150."""
    recorded(
        spec_of(),
        history=[{"epoch": k, "test_accuracy": 0.5, "images_per_s": speed} for k, speed in ((1, 100.0), (2, 300.0))],
    )
    assert speed_under([]) == pytest.approx(150)


def call(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(word) for word in words])
    return code, *capsys.readouterr()


def test_command_line_says_it_before_the_start(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, spec = tmp_path / "spec.json", spec_of()
    path.write_text(json.dumps(spec.to_json()))
    assert not is_kept(spec.dataset)
    code, out, err = call(capsys, "train", path, "--dry-run")
    assert (code, err) == (0, "")
    assert f"at most {spec.attack.gradient_evaluations(200):,} gradient evaluations" in out
    assert "No time estimate yet" in out
    assert runs.runs() == [], "a dry run starts nothing"
    assert is_kept(spec.dataset)
    recorded(spec.with_values(seed=9), crafting=RESULT["crafting"], poison_seconds=90.0)
    assert "In all at most about" in call(capsys, "train", path, "--dry-run")[1]

    submitted: list[RunSpec] = []
    monkeypatch.setattr(runs, "submit", lambda spec: submitted.append(spec) or "an-id")
    code, out, err = call(capsys, "train", path)
    assert (code, out) == (0, "an-id\n")
    assert "gradient evaluations" in err
    assert submitted == [spec]

    small = ("--data", "shapes", "--data-train-size", 200, "--data-test-size", 100, "--out", tmp_path / "p.npz")
    quick = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert "EM is crafted first" in call(capsys, "poison", "em", *small, *quick)[2]
    assert "EM is already crafted" in call(capsys, "poison", "em", *small, *quick)[2]
    path.write_text(json.dumps(spec_of(attack="cuda").to_json()))
    assert call(capsys, "train", path)[2] == ""
    assert "gradient" not in call(capsys, "train", path, "--dry-run")[1]


def test_stop_crafting_refuses_what_crafts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run_id = runs.submit(spec_of(attack="cuda"), launch=False)
    code, out, err = call(capsys, "stop-crafting", run_id)
    assert (code, out) == (2, "")
    assert "it is queued" in err


def test_a_dry_run_says_when_staged_training_will_do_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    for threshold, quiet in ((None, False), (2.5, True)):
        path = tmp_path / "spec.json"
        defence = {"name": "staged"} | ({"threshold": threshold} if threshold else {})
        path.write_text(json.dumps({"dataset": "digits", "attack": "synper", "defenses": [defence]}))
        code, out, err = call(capsys, "train", path, "--dry-run")
        assert (code, err) == (0, "")
        assert "Stored runs of plain training whose signal acm exceeded" in out
        assert ("Expect no alarm" in out) == quiet
    path.write_text(json.dumps({"dataset": "digits", "attack": "synper"}))
    assert "alarm" not in call(capsys, "train", path, "--dry-run")[1]
