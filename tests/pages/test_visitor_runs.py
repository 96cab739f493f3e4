"""Runs on the pages of a visitor: own ones first, others' out of reach, nothing of the server's disk, and how long to
wait."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.frame import visitor
from pages.frame.navigation import ROOT
from tests.pages.test_visitor_paths import everything
from tests.runs.examples import RESULT
from tests.studies.test_estimate import recorded
from ued_core import runs
from ued_core.person import OWNER, Person
from ued_core.runs import RunSpec
from ued_core.runs.turns import queue_order, wait_behind

ADA, BOB = Person("ada", "Ada"), Person("bob", "Bob")
SMALL = {"dataset": {"name": "shapes", "train_size": 100, "test_size": 50}, "plan": {"name": "adamw", "epochs": 2}}
SECRET = "/srv/hushhush/photos"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    monkeypatch.setenv("UED_SERVED", "1")
    monkeypatch.setattr(visitor, "NOBODY", ADA)
    # No page of a test starts a process.
    monkeypatch.setattr("ued_core.runs.client.ensure_supervisor", lambda: False)
    return tmp_path


def submit(by: Person, **changes: object) -> str:
    return runs.submit(RunSpec.from_json({**SMALL, **changes}), launch=False, by=by)


def with_secrets() -> str:
    """A failed run of the owner on a folder of theirs, whose files name paths everywhere."""
    spec = RunSpec.from_json({**SMALL, "dataset": {"name": "folder", "path": SECRET}, "note": f"see {SECRET}/notes"})
    run_id = runs.submit(spec, launch=False)
    folder = runs.folder(run_id)
    folder.take_token()
    folder.log.write_text(f'File "{SECRET}/x.png" is damaged\n')
    folder.write_error(
        f"The folder '{SECRET}' is gone.", f"Look at {SECRET}.", "DataError", f'Traceback\n File "{ROOT}/x.py"'
    )
    return run_id


def finished(run_id: str) -> None:
    folder = runs.folder(run_id)
    folder.take_token()
    data = {**RESULT["data"], "notes": [f"Skipped: damaged ({SECRET}/a.png)"]}
    folder.result_path.write_text(json.dumps({**RESULT, "data": data}))


def words(page: AppTest) -> str:
    return everything(page).replace("\\", "")


def test_own_runs_come_first_and_say_whose_they_are(open_page) -> None:
    own = submit(ADA, seed=1)
    others = [submit(BOB, seed=2), submit(OWNER, seed=3)]
    page = open_page("runs")
    assert not page.error
    table = page.dataframe[0].value
    assert list(table["Id"]) == [run_id[-4:] for run_id in (own, *others[::-1])]
    assert list(table["By"]) == ["you", "Owner", "Bob"]


def test_without_visitors_the_table_says_nothing_of_people(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UED_SERVED")
    submit(OWNER)
    assert "By" not in open_page("runs").dataframe[0].value


def test_others_runs_offer_nothing_to_press(open_page) -> None:
    own, other = submit(ADA), submit(BOB)
    page = open_page("runs")
    assert [b.key for b in page.button if b.key.startswith("card_cancel")] == [f"card_cancel_{own}"]
    keys = {b.key for b in open_page("runs", {"run": other}).button}
    assert not keys & {"detail_cancel", "detail_resume", "detail_delete_sure", "detail_stop_crafting"}
    assert "detail_cancel" in {b.key for b in open_page("runs", {"run": own}).button}
    runs.folder(other).request_cancel()
    keys = {b.key for b in open_page("runs", {"run": other}).button}
    assert not keys & {"detail_resume", "detail_delete_sure"}


def test_a_button_that_was_drawn_before_is_refused(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page was the owner's, and the next click is a visitor's: what is drawn decides nothing."""
    run_id = submit(BOB)
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    page = open_page("runs", {"run": run_id})
    monkeypatch.setattr("pages.runs.table.own", lambda records: list(records))
    monkeypatch.setattr(visitor, "NOBODY", ADA)
    page.button(key="detail_cancel").click().run()
    assert any("is not yours" in error.value.replace("\\", "") for error in page.error)
    assert runs.run(run_id).state == "queued"


def test_the_owner_acts_on_everything(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = submit(BOB)
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    page = open_page("runs", {"run": run_id})
    assert "by Bob" in words(page)
    page.button(key="detail_cancel").click().run()
    assert runs.run(run_id).state == "cancelled"


def test_a_run_on_a_folder_of_the_owner_shows_no_path(open_page) -> None:
    bad, good = with_secrets(), submit(OWNER, dataset={"name": "folder", "path": SECRET})
    finished(good)
    named = submit(OWNER, dataset={"name": "npz", "path": f"{SECRET}.npz"})
    assert "photos.npz" in runs.run(named).title
    for link in ({}, {"run": bad}, {"run": good}, {"run": named}, {"compare": f"{bad},{good},{named}"}):
        page = open_page("runs", link)
        told = everything(page)
        for secret in ("hushhush", "photos", str(ROOT), "Traceback", "damaged\n"):
            assert secret not in told, link
    for address in ("features", "theta", "staged", "dvae", "defence", ""):
        assert "hushhush" not in everything(
            open_page(address, {"data_shapes_train_size": "200", "data_shapes_test_size": "100"})
        )


def test_names_with_spaces_and_names_of_classes_stay_with_the_owner(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "/srv/hush hush/two photos"
    told = [submit(OWNER, dataset={"name": "folder", "path": secret}, attack="cuda", seed=seed) for seed in range(2)]
    for run_id in told:
        folder = runs.folder(run_id)
        folder.take_token()
        data = {
            **RESULT["data"],
            "class_names": ["kittenfolder", "puppyfolder"],
            "notes": ["Skipped 1: kittenfolder/letter.txt"],
        }
        folder.result_path.write_text(json.dumps({**RESULT, "data": data}))
    failed = submit(OWNER, dataset={"name": "folder", "path": secret}, seed=2)
    runs.folder(failed).take_token()
    runs.folder(failed).write_error(
        "The image kittenfolder/7.png is damaged.", "Delete kittenfolder/7.png.", "DataError", ""
    )
    links = ({}, {"run": told[0]}, {"run": failed}, {"compare": ",".join(told)})
    for link in links:
        page = open_page("runs", link)
        assert not any("bug in UED Studio" in error.value for error in page.error), link
        for word in ("hush", "photos", "kittenfolder", "puppyfolder", "letter"):
            assert word not in everything(page), link
    page = open_page("runs", {"run": told[0]})
    assert "Only the owner can repeat this run" in words(page)
    assert "detail_train_reference" not in {b.key for b in page.button}, "it would be refused"
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    assert "detail_train_reference" in {b.key for b in open_page("runs", {"run": told[0]}).button}
    assert "kittenfolder" in everything(open_page("runs", {"run": told[0]}))
    assert "kittenfolder" in everything(open_page("runs", {"run": failed}))


def test_comparing_says_no_more_than_the_table(open_page) -> None:
    named = [submit(OWNER, dataset={"name": "npz", "path": f"{SECRET}.npz"}, seed=seed) for seed in range(2)]
    for run_id in named:
        finished(run_id)
        runs.folder(run_id).history_path.write_text("".join(json.dumps(row) + "\n" for row in RESULT["history"]))
    page = open_page("runs", {"compare": ",".join(named)})
    assert len(page.multiselect[0].value) == 2
    assert "photos" not in everything(page)


def test_whoever_may_name_no_path_is_not_told_how_to_write_one(open_page) -> None:
    page = open_page("runs", {"view": "new"})
    page.text_area(key="spec_text").set_value(
        json.dumps({**SMALL, "dataset": {"name": "folder", "path": "photos"}})
    ).run()
    page.button(key="spec_check").click().run()
    assert ["visitors may not use" in error.value for error in page.error] == [True]


def test_the_owner_sees_what_visitors_do_not(open_page, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = with_secrets()
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    told = everything(open_page("runs", {"run": bad}))
    assert told.count("hushhush") > 3
    assert "Traceback" in told


def test_a_spec_with_a_path_is_refused_however_it_comes(open_page) -> None:
    spec = {**SMALL, "dataset": {"name": "folder", "path": SECRET}}
    page = open_page("runs", {"view": "new"})
    page.text_area(key="spec_text").set_value(json.dumps(spec)).run()
    page.button(key="spec_check").click().run()
    assert any("visitors may not use" in error.value for error in page.error)
    assert "hushhush" not in "".join(error.value for error in page.error)
    assert "handed_start" not in {b.key for b in page.button}
    page = open_page("runs", {"run": submit(OWNER, dataset={"name": "folder", "path": SECRET})})
    assert page.button(key="detail_edit").disabled
    assert len(runs.runs()) == 1


def test_a_quota_is_said_and_the_page_stays(open_page) -> None:
    for seed in range(3):
        submit(ADA, seed=seed)
    page = open_page("runs", {"view": "new", "new_data_shapes_train_size": "100", "new_data_shapes_test_size": "50"})
    page.button(key="new_start").click().run()
    assert any("at most 2 waiting and 1 running" in error.value for error in page.error)
    assert len(runs.runs()) == 3


def test_crafting_beyond_the_quota_is_refused_on_the_page(open_page) -> None:
    for seed in range(3):
        submit(ADA, seed=seed)
    link = {"data_shapes_train_size": "100", "data_shapes_test_size": "50", "attack": "em"}
    page = open_page("attack", link)
    next(b for b in page.button if b.label.startswith("Craft it")).click().run()
    assert any("at most 2 waiting and 1 running" in error.value for error in page.error)
    assert len(runs.runs()) == 3


def test_position_and_wait(open_page) -> None:
    submit(BOB, seed=1)
    submit(BOB, seed=2)
    own = submit(ADA, seed=3)
    assert "1 run is before it" in words(open_page("runs", {"run": own})), "Bob's second comes after Ada's first"
    recorded(RunSpec.from_json({**SMALL, "seed": 9}))
    told = words(open_page("runs", {"run": own}))
    known = runs.runs()
    order = queue_order(known)
    ahead = order[: [run.id for run in order].index(own)]
    assert wait_behind([], ahead, lambda run: 60.0) == 60.0
    assert "and it begins in about" in told


def test_cards_stand_in_the_order_in_which_runs_begin_and_own_ones_first(
    open_page, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = submit(BOB, seed=1), submit(BOB, seed=2)
    own = submit(ADA, seed=3)

    def cards() -> list[str]:
        return [
            button.key.removeprefix("card_open_")
            for button in open_page("runs").button
            if str(button.key).startswith("card_open_")
        ]

    assert cards() == [own, first, second]
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    assert cards() == [first, own, second], "Bob's second comes after Ada's first"


ACTS = {"submit", "submit_many", "cancel", "resume", "delete", "stop_crafting"}


def test_every_page_says_who_asks() -> None:
    """In the source: what acts on runs names the reader, and images are loaded where the reader is asked."""
    bare, loads = [], []
    for path in (ROOT / "pages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                called = [node.func, *(a for a in node.args if isinstance(a, ast.Attribute))]
                named = [
                    c
                    for c in called
                    if isinstance(c, ast.Attribute) and ast.unparse(c.value) == "runs" and c.attr in ACTS
                ]
                if named and not any(keyword.arg == "by" for keyword in node.keywords):
                    bare.append(f"{path.name}:{node.lineno}")
                if ast.unparse(node.func).endswith("load_split"):
                    loads.append(path.name)
    assert bare == []
    assert loads == ["sets.py"]
