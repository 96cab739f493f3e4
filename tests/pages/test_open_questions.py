"""The third part of the page Results: every question with its answer, figure, table and way into the app."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.results import questions as open_views
from pages.results.measured import GO_TO
from pages.results.questions import on_page, open_frame, questions_csv
from tests.pages.components import charts
from tests.runs.examples import RESULT
from ued_core.results import measured
from ued_core.results import open_questions as series
from ued_core.results.open_answers import NOT_YET
from ued_core.results.open_questions import QUESTIONS
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow
from ued_core.runs.spec import RunSpec

CUDA = {"name": "cuda", "blur": 0.3}
COIN = {"name": "coin", "strength": 2.0}


def run(name: str, seed: int, last: float, attack: Any = None, defenses: Any = (), **more: Any) -> dict[str, Any]:
    """A stored row with the spec of a real run."""
    dataset = {"name": "shapes", "seed": seed, "train_size": 200, "test_size": 20, **more.pop("dataset", {})}
    spec = RunSpec.from_json({"dataset": dataset, "attack": attack, "defenses": list(defenses), "seed": seed, **more})
    return {
        "condition": name, "seed": seed, "key": spec.key(), "spec": spec.to_json(), "probe": None,
        "last": last, "best": last, "train_accuracy": 0.9, "epochs": 10, "seconds": 20.0,
        "data": {**RESULT["data"], "train": 200, "test": 20, "class_names": list("abcdefghij")},
        "environment": {**RESULT["environment"], "torch": "2"},
    }  # fmt: skip


ROWS = {
    "b": [run("shapes · α = 0", 0, 0.95), run("shapes · α = 2", 0, 0.90, defenses=[COIN])],
    "c": [
        {**run(name, seed, last + seed / 100, attack, defenses), "dataset": "shapes", "plan": "adamw"}
        for name, last, attack, defenses in (
            ("clean", 0.9, None, ()),
            ("CUDA", 0.2, CUDA, ()),
            ("CUDA + COIN", 0.7, CUDA, [COIN]),
        )
        for seed in (0, 1)
    ],
    "d": [
        run("none", 0, 0.2, CUDA),
        run("COIN", 0, 0.7, CUDA, [COIN]),
        run("Elastic distortion", 0, 0.5, CUDA, ["elastic"]),
    ],
    "e": [
        run("50 % poisoned · none", 0, 0.4, CUDA, poison_rate=0.5),
        run("50 % poisoned · COIN on all", 0, 0.7, CUDA, [COIN], poison_rate=0.5),
        run("50 % poisoned · COIN on the flagged", 0, 0.8, CUDA, ["gated_coin"], poison_rate=0.5),
    ],
    "f": [
        run("as published · none", 0, 0.2, CUDA),
        run("as published · COIN", 0, 0.7, CUDA, [COIN]),
        run("7×7 kernels · none", 0, 0.2, {**CUDA, "kernel_size": 7}),
        run("7×7 kernels · COIN", 0, 0.3, {**CUDA, "kernel_size": 7}, [COIN]),
    ],
    "g": [
        run(f"{s} px · α = {n}", 0, 0.5 if n else 0.2, CUDA, [COIN] if n else [], dataset={"side": s})
        for s in (32, 64)
        for n in (0, 2)
    ],
    "h": [
        run(f"p_b = {b} · α = {a}", 0, 0.4, {**CUDA, "blur": b}, [{**COIN, "strength": a}])
        for b in (0.1, 0.3)
        for a in (1.0, 2.0)
    ],
}


def stored(key: str) -> list[Condition]:
    return series.found([ResultRow.from_json(row) for row in ROWS[key]])


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``tables(rows)`` puts the rows of every question in place of the shipped ones; the defence table is empty."""

    def put(rows: dict[str, list[Any]]) -> None:
        monkeypatch.setattr(series, "FOLDER", tmp_path)
        monkeypatch.setattr(measured, "FOLDER", tmp_path)
        monkeypatch.setattr(measured, "DEFENCES_FILE", tmp_path / "defences.json")
        for key, question in QUESTIONS.items():
            question.file.unlink(missing_ok=True)
            if key in rows:
                question.file.write_text(json.dumps(rows[key]))

    return put


def checked(page: AppTest) -> AppTest:
    assert not page.exception
    assert not page.error
    return page


def test_a_question_has_its_answer_figure_table_and_command(open_page, tables) -> None:
    tables(ROWS)
    page = checked(open_page("results", {"part": "open", "question": "d"}))
    assert page.header[0].value == QUESTIONS["d"].asked
    answer = " ".join(m.value for m in page.markdown)
    assert "Whether COIN is better than elastic distortion cannot be told." in answer
    assert "COIN ends at 70.0 %, against 20.0 % without a defence." in answer
    (chart,) = charts(page)
    assert "Elastic distortion 50.0 % (n = 1)" in chart["alt"]
    assert json.loads(chart["figure"])["layout"]["yaxis"]["ticktext"] == ["no defence", "COIN", "Elastic distortion"]
    captions = " ".join(c.value for c in page.caption)
    assert "3 runs, one seed for each condition, which is few" in captions
    assert QUESTIONS["d"].command in captions
    assert list(page.dataframe[0].value["last"]) == [20, 70, 50]
    page.segmented_control(key="question").set_value("f").run()
    checked(page)
    assert page.header[0].value == QUESTIONS["f"].asked
    assert "can it be told that less is left after COIN" in " ".join(m.value for m in page.markdown)
    assert list(page.dataframe[0].value["name"])[0] == "without COIN: as published", (
        "the table's names are the figure's"
    )


def test_photographs_come_first_once_they_were_trained(open_page, tables) -> None:
    tables(ROWS)
    page = checked(open_page("results", {"part": "open", "question": "d"}))
    assert page.segmented_control(key="ground").value == "drawn", "nothing else was trained"
    photographs = [{**row, "last": row["last"] + 0.1} for row in ROWS["d"]]
    QUESTIONS["d"].on("photographs").file.write_text(json.dumps(photographs))
    page = checked(open_page("results", {"part": "open", "question": "d"}))
    assert page.segmented_control(key="ground").value == "photographs"
    assert list(page.dataframe[0].value["last"]) == pytest.approx([30, 80, 60])
    assert "ued study run fashion-coin-rivals" in " ".join(c.value for c in page.caption)
    page.segmented_control(key="ground").set_value("drawn").run()
    assert list(checked(page).dataframe[0].value["last"]) == [20, 70, 50]
    page.segmented_control(key="question").set_value("c").run()
    assert not [one for one in checked(page).segmented_control if one.key == "ground"], "one study has all sets"


def test_missing_rows_are_said_with_their_command(open_page, tables) -> None:
    tables({})
    page = checked(open_page("results", {"part": "open", "question": "g"}))
    assert charts(page) == []
    assert page.info[0].value.startswith(NOT_YET)
    assert QUESTIONS["g"].command in page.info[0].value


@pytest.mark.parametrize("key", QUESTIONS)
def test_every_question_with_all_with_one_and_with_no_row(key: str, tables) -> None:
    own = ROWS[key]
    tables(ROWS)
    shown = open_views.shown_for(key, series.DRAWN)
    assert shown.answer.verdict != NOT_YET
    assert len(shown.conditions) == len({row["condition"] for row in own})
    assert len(questions_csv(shown.conditions).splitlines()) == 1 + len(own)
    tables({key: own[:1]})
    alone = open_views.shown_for(key, series.DRAWN)
    assert alone.figure is not None
    assert alone.answer.verdict == NOT_YET
    assert list(open_frame(alone.conditions)["seeds"]) == [1]
    tables({})
    nothing = open_views.shown_for(key, series.DRAWN)
    assert (nothing.figure, nothing.conditions, nothing.answer.verdict) == (None, (), NOT_YET)


def test_clean_reference_may_come_from_the_defence_table(tables) -> None:
    tables({"d": ROWS["d"]})
    assert [note.text for note in open_views.shown_for("d", series.DRAWN).figure.layout.annotations] == [
        "no defence 20 %"
    ]
    measured.DEFENCES_FILE.write_text(
        json.dumps([{**ROWS["b"][0], "dataset": "shapes", "attack": "clean", "defence": "none"}])
    )
    shown = open_views.shown_for("d", series.DRAWN)
    assert any("clean data 95 %" in note.text for note in shown.figure.layout.annotations)
    assert shown.words.endswith("; clean data 95.0 % (n = 1)."), "what the picture shows is in its words"


def test_table_shows_what_varies_and_where_rows_lead() -> None:
    frame = open_frame(stored("e"))
    assert list(frame["see"]) == ["Attack →", "Defence →", "Defence →"]
    assert list(frame["strength"].isna()) == [False, False, True]
    assert not {"blur", "side", "kernel_size", "poison_rate"} & set(frame.columns)
    assert "see" not in open_frame(stored("b")), "clean images have no attack to look at"
    assert list(open_frame(stored("g"))["side"]) == [32, 32, 64, 64]


def test_csv_holds_the_settings_of_every_run() -> None:
    text = questions_csv(stored("h"))
    header, first = text.splitlines()[:2]
    found = dict(zip(header.split(","), first.split(","), strict=True))
    assert (found["strength"], found["blur"], found["side"], found["defences"], found["last"]) == (
        "1.0",
        "0.1",
        "32",
        "coin",
        "0.4",
    )


def test_only_what_a_page_can_show_has_a_button() -> None:
    kinds = {
        "clean": (None, [COIN]),
        "attack": (CUDA, []),
        "one": (CUDA, [COIN]),
        "two": (CUDA, ["jpeg", COIN]),
        "slow": (CUDA, ["dvae"]),
    }
    specs = {name: RunSpec.from_json(run(name, 0, 0.5, *kind)["spec"]) for name, kind in kinds.items()}
    assert [name for name, spec in specs.items() if on_page(spec)] == ["attack", "one"]
    assert on_page(None) is None


def test_row_opens_its_attack_with_its_defence(open_page, tables) -> None:
    tables(ROWS)
    page = open_page("results", {"part": "open"})
    # What the reader chose on the page Defence before.
    page.session_state["kept"] = {"further": "jpeg", "attack_cuda_blur": 0.1}
    wanted = run("", 3, 0.5, {**CUDA, "blur": 0.6}, [{**COIN, "strength": 3.0}])
    page.session_state[GO_TO] = ("images", RunSpec.from_json(wanted["spec"]))
    page.run()
    checked(page)
    assert page.title[0].value != "Results"
    assert (page.session_state["attack"], page.session_state["attack_cuda_blur"]) == ("cuda", 0.6)
    assert (page.session_state["defence"], page.session_state["defence_coin_strength"]) == ("coin", 3.0)
    assert page.session_state["further"] == []
