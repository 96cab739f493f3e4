"""The page Staged training: what it says of stored rows, and the way from a button to a pair of runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from streamlit.testing.v1 import AppTest

from pages.staged import views as staged_views
from pages.staged.views import pair
from tests.pages.components import charts
from tests.runs.examples import RESULT
from tests.studies.test_estimate import recorded
from tests.training.test_loop import job, network, plan
from ued_core import runs
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.defenses.staged_training import StagedTraining
from ued_core.figures.roles import ROLES
from ued_core.models import MODELS
from ued_core.results import staged
from ued_core.results.parts import EpochRow
from ued_core.runs import RunFolder
from ued_core.runs.folder import runs_root
from ued_core.runs.spec import RunSpec
from ued_core.training import Setup, train

SMALL = {"name": "shapes", "train_size": 100, "test_size": 50}
ANSWERED = StagedTraining(threshold=0.9, watched=8, most_alarms=3)


@pytest.fixture(autouse=True)
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Nothing is timed beside the server: the handles that were asked for, none of them done."""
    asked: list[Any] = []
    real = staged_views.background.Handle
    monkeypatch.setattr(
        staged_views.background, "submit", lambda key, *_, **__: asked.append(real(key, None)) or asked[-1]
    )
    return asked


@cache
def trained(method: StagedTraining, model: str = "small_cnn") -> tuple[list[dict[str, float]], dict[str, Any]]:
    """History and report of a real run of two epochs."""
    built = (
        network()
        if model == "small_cnn"
        else MODELS.build(model, width=8).build((3, 12, 12), 4, torch.Generator().manual_seed(0))
    )
    base = job(network=built, plan=plan(epochs=2, learning_rate=0.02))
    hook = method.training(Setup(base.train, base.network, base.plan, Context()))
    history = train(job(plan=base.plan, network=base.network, hooks=[hook]), Context()).rows
    return history, {"name": "staged", **hook.report()}


def row(scene: str, arm: str, seed: int, method: StagedTraining | None, last: float) -> dict[str, Any]:
    history, report = trained(method or StagedTraining(reaction="none"))
    history = [{**r, "test_accuracy": last} for r in history]
    spec = RunSpec.from_json({"dataset": SMALL, "defenses": [method.to_json()] if method else [], "seed": seed})
    return {
        "scene": scene,
        "arm": arm,
        "seed": seed,
        "key": spec.key(),
        "spec": spec.to_json(),
        "last": last,
        "best": last,
        "train_accuracy": 0.99,
        "history": history,
        "training": [report] if method else [],
        "seconds": 3.0,
        "cpu_s": 2.0,
    }


@pytest.fixture
def stored_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[dict[str, Any]]], None]:
    def put(rows: list[dict[str, Any]]) -> None:
        (tmp_path / "staged.json").write_text(json.dumps(rows))

    monkeypatch.setattr(staged, "FILE", tmp_path / "staged.json")
    return put


def checked(page: AppTest) -> AppTest:
    assert not page.exception
    assert not page.error
    return page


def test_stored_runs_are_shown_at_once_beside_plain_training(open_page, stored_rows) -> None:
    watching = StagedTraining(reaction="none", watched=8)
    stored_rows(
        [
            row("clean digits", "ST", 0, ANSWERED, 0.9),
            row("LSP digits", staged.HELD, 0, ANSWERED, 0.65),
            row("LSP digits", "plain", 0, None, 0.3),
            row("LSP digits", "watched only", 0, watching, 0.3),
            row("LSP digits", "ST", 0, ANSWERED, 0.6),
            row("LSP digits", "ST", 1, ANSWERED, 0.8),
        ]
    )
    page = checked(open_page("staged"))
    accuracy, signal, growth, rates, readings = charts(page)
    assert readings["alt"].startswith("shallow layers frozen at the start 65.0 %; plain 30.0 %;")
    said = next(m.value for m in page.markdown if "staged reading" in m.value)
    assert said.startswith("**The highest staged reading beats every control**: ST 70.0 %, plain training 30.0 %;")
    assert "staged training at 60.0 % after epoch 2, plain training at 30.0 % after epoch 2" in accuracy["alt"]
    assert [t["name"] for t in json.loads(accuracy["figure"])["data"]] == ["plain training", "staged training"]
    assert "Plain training" in signal["caption"]
    assert "Staged training first exceeds the threshold after" in signal["caption"]
    assert "same layer, plain training" in growth["figure"]
    assert "block 3" in rates["figure"]
    assert {m.label: m.value for m in page.metric}["Alarms"] == "3"
    table = page.dataframe[0].value.set_index("trained with")
    assert table.loc["ST", "clean test, last epoch"] == "70.0 % ± 14.1"
    assert table.loc["ST", "alarms"] == "3, 3"
    told = " ".join(c.value for c in page.caption)
    assert (
        "Highest mean at the last epoch: **ST**, 70.0 % ± 14.1; +30.0 points on one seed against plain training; "
        "whether it is better cannot be told. "
        "The control whose shallow layers stay"
    ) in told
    page = checked(open_page("staged", {"scene": "clean digits"}))
    assert "plain training" not in charts(page)[0]["alt"]
    page = checked(open_page("staged", {"seed": "1"}))
    assert "staged training at 80.0 %" in charts(page)[0]["alt"]


def test_the_punch_line_follows_the_numbers() -> None:
    def line(name: str, mean: float) -> dict:
        return {"trained with": name, "mean": mean}

    staged_alone = [line("plain", 0.5), line("ST", 0.884), line("ST-full: ST + colours", 0.937)]
    said = staged_views.punch_line([*staged_alone, line("colours alone", 0.98)])
    assert said.startswith("**Colours alone reaches 98.0 % and so beats every staged reading** (the highest: ST-full")
    assert "93.7 %, plain training 50.0 %" in said
    assert "beats every control" in staged_views.punch_line([*staged_alone, line("colours alone", 0.9)])
    assert staged_views.punch_line(staged_alone[1:]) == "", "nothing to compare with"


def test_photographs_come_first_where_three_seeds_were_run() -> None:
    def rows(scene: str, *seeds: int) -> list:
        return [SimpleNamespace(scene=scene, seed=seed) for seed in seeds]

    digits = rows("clean digits", 0) + rows("LSP digits", 0, 1, 2)
    assert staged_views.opening_scene(rows("LSP photographs", 0, 1) + digits) == "LSP digits", "two seeds are too few"
    assert staged_views.opening_scene(digits) == "LSP digits"
    assert staged_views.opening_scene(rows("LSP photographs", 0, 1, 2) + digits) == "LSP photographs"


def test_without_rows_it_names_the_command(open_page, stored_rows) -> None:
    page = checked(open_page("staged"))
    assert "ued study run staged" in page.info[0].value


OWN = {
    "source": "own",
    "data_shapes_train_size": "100",
    "data_shapes_test_size": "50",
    "attack": "class_noise",
    "staged_threshold": "1.5",
}


def test_both_runs_are_started_once(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted: list[Any] = []
    monkeypatch.setattr(runs, "submit_many", lambda specs, **_: submitted.extend(specs) or ["id"] * len(specs))
    page = checked(open_page("staged", OWN))
    assert "No run with this defence" in page.info[0].value
    page.button(key="staged_start").click().run()
    checked(page)
    answered, watching = submitted
    assert answered.defenses == DefenseStack([StagedTraining(threshold=1.5)])
    assert watching.defenses == DefenseStack([StagedTraining(threshold=1.5, reaction="none")])
    assert answered.attack.key == "class_noise"
    assert len(pair(watching, watching.defenses[0])) == 1


def test_what_has_not_happened_yet_is_not_said_to_be_never() -> None:
    history, report = trained(StagedTraining(reaction="none", watched=8))
    epochs = [EpochRow(row) for row in history]
    spec = RunSpec.from_json(
        {"dataset": SMALL, "defenses": [StagedTraining(threshold=50.0, watched=8).to_json()]}
    ).to_json()
    under_way, over = (staged.trace_of(spec, epochs[:1], ()), staged.trace_of(spec, epochs, (report,)))
    said = [
        staged_views._crossing(staged_views.Shown("a run", trace, None, None, "slug")) for trace in (under_way, over)
    ]
    assert said[0] == "Staged training has not exceeded the threshold so far."
    assert "so far" not in said[1]


@pytest.mark.parametrize("threshold", [None, "2.5"])
def test_forms_say_whether_an_alarm_is_to_be_expected(open_page, threshold) -> None:
    """On this page and where any run is set up; the words follow the threshold and the stored rows."""
    asked = {name: value for name, value in OWN.items() if name != "staged_threshold"}
    method = StagedTraining(threshold=float(threshold or StagedTraining().threshold))
    words = staged.expectation(staged_views.stored_rows(), {"defenses": [method.to_json()]})
    assert ("Expect no alarm" in words) == (threshold is not None)
    page = checked(open_page("staged", asked | ({"staged_threshold": threshold} if threshold else {})))
    assert words in [c.value for c in page.caption]
    form = {"view": "new", "new_defences": "staged"} | (
        {"new_defence_staged_threshold": threshold} if threshold else {}
    )
    page = open_page("runs", form)
    assert not page.exception
    assert words in [c.value for c in page.caption]


def test_a_run_under_way_and_a_finished_one_are_shown(open_page) -> None:
    history, report = trained(ANSWERED)
    spec = RunSpec.from_json(
        {"dataset": SMALL, "defenses": [ANSWERED.to_json()], "plan": {"name": "adamw", "epochs": 2}}
    )
    page = open_page("staged", OWN)
    request = {"title": spec.title(), "key": spec.key(), "created": 1.0}
    folder = RunFolder.create(runs_root(), spec.to_json(), request)
    folder.history_path.write_text("".join(json.dumps(r) + "\n" for r in history[:1]))
    page.run()
    checked(page)
    assert len(charts(page)) == 4
    shown = {m.label: m.value for m in page.metric}
    assert shown["Plain"] == "–"
    assert shown["Alarms"] == str(int(history[0]["staged alarms"])) != "0"
    assert shown["Trap seen"] == "epoch 1"
    line = json.loads(charts(page)[0]["figure"])["data"][0]
    assert (line["name"], line["line"]["color"]) == ("staged training", ROLES["defended"].light), (
        "as beside plain training"
    )
    folder.history_path.write_text("".join(json.dumps(r) + "\n" for r in history))
    folder.result_path.write_text(json.dumps({**RESULT, "history": history, "training": [report]}))
    page.run()
    checked(page)
    assert {m.label: m.value for m in page.metric}["Alarms"] == "3"


def test_another_model_is_chosen_and_its_time_is_told(
    open_page, timed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: list[Any] = []
    monkeypatch.setattr(runs, "submit_many", lambda specs, **_: submitted.extend(specs) or ["id"] * len(specs))
    page = checked(open_page("staged", {**OWN, "staged_model": "resnet18", "staged_model_resnet18_width": "8"}))
    assert page.title[0].value == "Staged training"
    assert list(MODELS)[:4] == ["small_cnn", "resnet18", "vit", "mixer"]
    assert page.selectbox(key="staged_model").options == [MODELS[name].title for name in MODELS]
    told = " ".join(m.value for m in page.markdown)
    assert "two runs of **ResNet-18 (width 8)**" in told
    assert "stem, stage 1, stage 2, stage 3, penultimate; the first 3 may be slowed" in told
    assert "Timing a few steps of this model …" in [c.value for c in page.caption]
    timed[-1].state, timed[-1].value = "ready", 0.01
    timed[-1].done.set()
    done = timed[-1]
    monkeypatch.setattr(staged_views.background, "submit", lambda *_, **__: done)
    page.run()
    checked(page)
    epochs = planned_epochs()
    (cost,) = [c.value for c in page.caption if "from a few steps" in c.value]
    assert f"100 images, {epochs} epochs" in cost
    assert cost.startswith(
        f"**About {staged_views.duration(epochs)}** each, {staged_views.duration(2 * epochs)} for both"
    )
    page.button(key="staged_start").click().run()
    checked(page)
    assert [spec.model for spec in submitted] == [MODELS.build("resnet18", width=8)] * 2
    page.selectbox(key="staged_model").set_value("small_cnn").run()
    checked(page)
    assert "staged_model" not in page.query_params


def planned_epochs() -> int:
    """Epochs of the plan that shapes recommend."""
    return RunSpec.from_json({"dataset": SMALL}).plan.epochs


def test_a_finished_run_tells_the_time_of_the_next(open_page, timed: list[Any]) -> None:
    page = open_page("staged", OWN)
    recorded(RunSpec.from_json({"dataset": SMALL, "device": "cpu"}), crafting=None, poison_seconds=0.0)
    timed.clear()
    page.run()
    checked(page)
    assert timed == []
    assert [c.value for c in page.caption if c.value.startswith("About") and "finished run" in c.value]


def test_a_run_of_another_architecture_is_shown(open_page) -> None:
    """Layers, colours and legend follow the network of the run."""
    history, report = trained(ANSWERED, "resnet18")
    model, plan = {"name": "resnet18", "width": 8}, {"name": "adamw", "epochs": 2}
    spec = RunSpec.from_json({"dataset": SMALL, "model": model, "defenses": [ANSWERED.to_json()], "plan": plan})
    page = open_page("staged", OWN)
    folder = RunFolder.create(runs_root(), spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": 1.0})
    folder.history_path.write_text("".join(json.dumps(r) + "\n" for r in history))
    folder.result_path.write_text(json.dumps({**RESULT, "history": history, "training": [report]}))
    page.run()
    checked(page)
    layers = ["stem", "stage 1", "stage 2", "stage 3", "penultimate"]
    growth, rates = (json.loads(chart["figure"]) for chart in charts(page)[2:])
    assert [t["name"] for t in growth["data"]][: len(layers)] == layers
    assert rates["data"][0]["y"] == layers
    assert "ResNet-18" in page.selectbox(key="staged_run").options[0]


def test_the_run_that_reacts_is_shown_first(open_page) -> None:
    """The run that is only watched is the newer one of a pair, and stands beside the other."""
    history, _ = trained(ANSWERED)
    page = open_page("staged", OWN)
    for place, method in enumerate((ANSWERED, ANSWERED.with_values(reaction="none"))):
        spec = RunSpec.from_json(
            {"dataset": SMALL, "defenses": [method.to_json()], "plan": {"name": "adamw", "epochs": 2}}
        )
        folder = RunFolder.create(
            runs_root(), spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": 1.0 + place}
        )
        folder.history_path.write_text("".join(json.dumps(r) + "\n" for r in history))
    page.run()
    checked(page)
    chosen = page.selectbox(key="staged_run")
    assert ["watched only" in option for option in chosen.options] == [True, False]
    assert chosen.value == runs.runs()[1].id
    assert {m.label: m.value for m in page.metric}["Plain"] != "–"
