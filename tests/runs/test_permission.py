"""What visitors may do with runs is decided where it is done: by paths, sizes, numbers and whose run it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ued_core import runs
from ued_core.data.handles import PREFIX
from ued_core.errors import NotAllowed, ParameterError
from ued_core.person import OWNER, Person
from ued_core.runs import RunSpec
from ued_core.runs.limits import Limits

ADA, BOB = Person("ada", "Ada"), Person("bob", "Bob")
SMALL = {"dataset": {"name": "shapes", "train_size": 100, "test_size": 50}, "plan": {"name": "adamw", "epochs": 1}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    return tmp_path


def spec(**changes: object) -> RunSpec:
    return RunSpec.from_json({**SMALL, **changes})


def submit(by: Person, count: int = 1, **changes: object) -> list[str]:
    return runs.submit_many([spec(seed=k, **changes) for k in range(count)], launch=False, by=by)


def end(run_id: str) -> None:
    runs.folder(run_id).request_cancel()


def test_a_run_says_whose_it_is() -> None:
    (own,), (hers,) = submit(OWNER), submit(ADA)
    assert (runs.run(hers).by, runs.run(hers).by_name) == ("ada", "Ada")
    assert (runs.run(own).by, runs.run(own).by_name) == ("", "")
    request = json.loads((runs.folder(own).path / "request.json").read_text())
    assert set(request) == {"title", "key", "created"}, "the owner's runs are written as before"
    assert {record.id: record.by for record in runs.snapshot().records} == {own: "", hers: "ada"}


ACTIONS: dict[str, Callable[[str, Person], None]] = {
    "cancel": lambda run_id, by: runs.cancel(run_id, by=by),
    "delete": lambda run_id, by: runs.delete(run_id, by=by),
    "resume": lambda run_id, by: runs.resume(run_id, launch=False, by=by),
    "stop_crafting": lambda run_id, by: runs.stop_crafting(run_id, by=by),
}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("whose", [OWNER, BOB])
def test_a_visitor_acts_on_own_runs_alone(action: str, whose: Person) -> None:
    (run_id,) = submit(whose)
    if action in ("delete", "resume"):
        end(run_id)
    before = runs.run(run_id)
    for stranger in (ADA, Person("", "No id")):
        with pytest.raises(NotAllowed, match="not yours"):
            ACTIONS[action](run_id, stranger)
    assert runs.run(run_id) == before
    if action != "stop_crafting":
        ACTIONS[action](run_id, whose)


def test_the_owner_acts_on_all() -> None:
    (run_id,) = submit(ADA)
    runs.cancel(run_id)
    runs.resume(run_id, launch=False)
    runs.cancel(run_id)
    runs.delete(run_id)
    assert runs.runs() == []


def test_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    made = submit(ADA, 3)
    with pytest.raises(NotAllowed, match="at most 2 waiting and 1 running") as refused:
        submit(ADA)
    assert "Wait until one is over, or cancel one" in refused.value.do
    submit(BOB, 3)
    submit(OWNER, 9)
    end(made[0])
    with pytest.raises(NotAllowed):
        submit(ADA, 2)
    assert len([r for r in runs.runs() if r.by == "ada"]) == 3, "all of them or none"
    submit(ADA)
    with pytest.raises(NotAllowed):
        runs.resume(made[0], launch=False, by=ADA)
    monkeypatch.setenv("UED_VISITOR_WAITING", "5")
    runs.resume(made[0], launch=False, by=ADA)


def test_a_quota_holds_against_many_at_once() -> None:
    refused = []

    def try_it() -> None:
        try:
            submit(ADA)
        except NotAllowed:
            refused.append(1)

    threads = [threading.Thread(target=try_it) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs.runs()) == 3
    assert len(refused) == 9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dataset": {"name": "folder", "path": "/srv/photos"}}, "visitors may not use"),
        ({"dataset": {"name": "folder", "path": "~"}}, "visitors may not use"),
        ({"dataset": {"name": "folder", "path": "import:../.."}}, "visitors may not use"),
        ({"plan": {"name": "adamw", "epochs": 101}}, "epochs is 101"),
        ({"plan": {"name": "simclr", "epochs": 1000}}, "epochs is 1000"),
        ({"defenses": [{"name": "dvae", "epochs": 500}]}, "epochs is 500"),
        ({"dataset": {"name": "shapes", "train_size": 50000, "side": 128}}, "million pixels"),
    ],
)
def test_what_is_not_for_a_visitor(changes: dict, said: str) -> None:
    with pytest.raises(NotAllowed, match=said) as refused:
        submit(ADA, **changes)
    assert refused.value.do
    assert runs.runs() == []


def test_an_upload_is_for_a_visitor() -> None:
    submit(ADA, dataset={"name": "folder", "path": PREFIX + "0123456789abcdef"})


def test_limits_from_the_environment() -> None:
    assert Limits.read({}) == Limits(2, 1, 100, 64)
    assert Limits.read({"UED_VISITOR_EPOCHS": "7", "UED_VISITOR_RUNNING": "3"}) == Limits(2, 3, 7, 64)
    for text in ("0", "-1", "many", "1.5", "٣"):
        with pytest.raises(ParameterError, match="UED_VISITOR_WAITING"):
            Limits.read({"UED_VISITOR_WAITING": text})
