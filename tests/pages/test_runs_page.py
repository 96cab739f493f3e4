"""The page Runs, with real runs in a home of its own."""

import asyncio
import codecs
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.runs import table as run_table
from pages.runs.detail import resume_words
from pages.runs.spec_card import read_spec
from pages.runs.verdict import accuracy_words, histogram_words, probe_words, verdict
from pages.state import run_changes, whose
from pages.state.run_address import HANDED
from pages.state.run_words import STATE_WORDS, differing, time_left
from tests.pages.components import charts, tiles
from tests.runs.conftest import end_all
from tests.runs.examples import RESULT
from ued_core import runs
from ued_core.assets import asset
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin
from ued_core.errors import SpecError, UedError
from ued_core.files import write_json
from ued_core.results.known import known
from ued_core.results.parts import Probe
from ued_core.results.words import level
from ued_core.runs import RunRecord, RunSpec
from ued_core.runs.folder import RunFolder
from ued_core.runs.jsonl import append_line
from ued_core.runs.record import STATES
from ued_core.studies.estimate import duration, estimate
from ued_core.studies.study import Study

TINY = {
    "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 2},
    "device": "cpu",
}


def tiny(**more: object) -> RunSpec:
    return RunSpec.from_json({**TINY, **more})


@pytest.fixture
def open_runs(
    open_page: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., AppTest]]:
    """Visits the page; its home's supervisor and workers end with the test."""
    for name, value in {"UED_IDLE_S": "2", "UED_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}.items():
        monkeypatch.setenv(name, value)
    yield lambda **query: open_page("runs", query)
    end_all(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[str]]]:
    """A home with three finished runs (two seeds, one without attack) and a failed one."""
    home = tmp_path_factory.mktemp("finished")
    patch = pytest.MonkeyPatch()
    for name, value in {
        "UED_HOME": str(home),
        "UED_IDLE_S": "2",
        "UED_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }.items():
        patch.setenv(name, value)
    try:
        made = runs.submit_many(
            [
                tiny(),
                tiny(seed=1),
                tiny(attack=None, note="reference"),
                tiny(dataset={"name": "folder", "path": "/nowhere"}),
            ]
        )
        ended = [runs.wait(run_id, timeout=120).state for run_id in made]
        assert ended == ["finished", "finished", "finished", "failed"]
        yield home, made
    finally:
        end_all(home)
        patch.undo()


@pytest.fixture
def open_finished(
    finished: tuple[Path, list[str]], open_runs: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AppTest]:
    monkeypatch.setenv("UED_HOME", str(finished[0]))
    return open_runs


def shown(page: AppTest) -> str:
    """Everything written on the page."""
    assert not page.exception, page.exception
    parts = [
        page.title,
        page.header,
        page.subheader,
        page.markdown,
        page.caption,
        page.info,
        page.error,
        page.warning,
        page.success,
        page.code,
    ]
    text = "\n".join(str(element.value) for kind in parts for element in kind).replace("\\", "")
    assert "This is a bug in UED Studio" not in text, text
    return text


def button(page: AppTest, label: str):
    return next(b for b in page.button if b.label.startswith(label))


# ---- empty -------------------------------------------------------------------------------------


def test_a_stranger_is_told_what_a_run_is_and_gets_one_button(open_runs) -> None:
    page = open_runs()
    assert page.title[0].value == "Runs"
    assert "unlearnable" in shown(page)
    assert [b.label for b in page.button if "quick" in b.label]
    assert not page.dataframe


def test_the_quick_run_is_real(open_runs) -> None:
    button(open_runs(), "Start a quick run").click().run()
    (record,) = runs.runs()
    assert record.spec["dataset"]["train_size"] == 2000
    runs.cancel(record.id)


# ---- queue and table ---------------------------------------------------------------------------


def test_a_queued_run_is_listed_with_its_place_and_can_be_cancelled(open_runs) -> None:
    open_runs()
    first, second = (runs.submit(tiny(seed=seed, note=f"number {seed}"), launch=False) for seed in (0, 1))
    page = open_runs()
    table = page.dataframe[0].value
    assert list(table["State"]) == ["○ Queued", "○ Queued"]
    assert list(table["Note"]) == ["number 1", "number 0"], "newest first"
    assert list(table["Epoch"]) == ["0 / 2", "0 / 2"]
    detail = open_runs(run=second)
    assert "1 run is before it" in shown(detail)
    button(detail, "Cancel").click().run()
    assert runs.run(second).state == "cancelled"
    assert "was stopped on request" in shown(open_runs(run=second))
    assert runs.run(first).state == "queued"


def test_the_table_shows_what_was_measured(open_finished, finished) -> None:
    page = open_finished()
    table = page.dataframe[0].value
    assert list(table["State"]) == ["✖ Failed", "✔ Finished", "✔ Finished", "✔ Finished"]
    assert list(table["Seed"]) == [0, 0, 1, 0]
    result = runs.folder(finished[1][0]).result()
    assert table["Clean test"].iloc[3] == pytest.approx(100 * result.last)
    assert table["Training"].iloc[3] == pytest.approx(100 * result.train_accuracy)
    assert table["Epoch"].iloc[3] == "2 / 2"
    legend = shown(page)
    assert all(words.meaning in legend for words in STATE_WORDS.values())


def test_runs_of_one_name_are_told_apart(open_runs) -> None:
    open_runs()
    swept = [tiny().with_values(defenses=(Coin(strength=strength),)) for strength in (0.0, 1.5)]
    runs.submit_many([*swept, tiny(), tiny().with_values(note="again")], launch=False)
    page = open_runs()
    table = page.dataframe[0].value
    assert [name.split(" · ")[2] for name in table["Run"][2:]] == ["COIN α = 1.5", "COIN α = 0"], (
        "the strength is named"
    )
    assert "Differs in" not in table, "the names say it already"
    assert "more run" not in shown(page)
    larger = {**swept[0].to_json(), "dataset": {**swept[0].to_json()["dataset"], "test_size": 60}}
    runs.submit(RunSpec.from_json(larger), launch=False)
    assert list(open_runs().dataframe[0].value["Differs in"])[0] == "test size 60"
    assert "1 more run is queued" in shown(open_runs())


def test_every_state_has_words() -> None:
    assert set(STATE_WORDS) == set(STATES)
    assert len({words.icon for words in STATE_WORDS.values()}) == len(STATES), "icons alone tell them apart"


def test_two_hundred_runs_are_paged_and_quick(open_runs) -> None:
    open_runs()
    runs.submit_many([tiny(seed=seed) for seed in range(200)], launch=False)
    page = open_runs()
    # This process's own time: how long it takes depends on what else the machine does.
    began = time.process_time()
    page.run()
    taken = time.process_time() - began
    assert len(page.dataframe[0].value) == 50
    assert "All runs (200)" in shown(page)
    assert taken < 3.0


def test_a_page_of_thousands_of_runs_is_made_of_its_fifty(
    open_runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a refresh does must not grow with the runs that are stored: rows and differences are worked out for those in
    sight."""
    open_runs()
    runs.submit_many([tiny(seed=seed) for seed in range(130)], launch=False)
    rows, told, ordered = [], [], []
    queue_order = whose.queue_order
    monkeypatch.setattr(whose, "queue_order", lambda records: ordered.append(len(records)) or queue_order(records))
    row, apart = run_table._row, run_table.told_apart
    monkeypatch.setattr(run_table, "_row", lambda record, *more: rows.append(record.id) or row(record, *more))
    monkeypatch.setattr(run_table, "told_apart", lambda records: told.append(len(records)) or apart(records))
    page = open_runs()
    assert "All runs (130)" in shown(page)
    assert "130 queued" in shown(page)
    assert len(rows) == 50
    assert max(told) <= 50
    assert ordered == [130], "the queue is put in order once for all cards and readers"
    page.run()
    assert len(rows) == 50, "the same rows are not made again, for this reader or another"


def test_browsers_ask_for_changes_and_pages_run_only_then(open_runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The route that a browser waits at answers once there is another version, and at most one of the askers reads
    folders."""
    from starlette.requests import Request

    from pages.state.run_changes import CHANGED, changes_route
    from pages.widgets import waiting

    def answer(version: str) -> dict[str, bool]:
        scope = {
            "type": "http",
            "method": "GET",
            "path": CHANGED,
            "headers": [],
            "query_string": f"key={version}".encode(),
        }
        return json.loads(asyncio.run(changes_route().endpoint(Request(scope))).body)

    page = open_runs()
    runs.submit(tiny(), launch=False)
    page = open_runs()
    asked = [json.loads(part.proto.json) for part in page.get("bidi_component") if '"address"' in part.proto.json]
    (wanted,) = [data for data in asked if data["address"].endswith(CHANGED)]
    assert wanted["keys"] == [runs.snapshot().version]
    assert not page.get("auto_rerun"), "no timer runs the page"
    monkeypatch.setattr(waiting, "ANSWER_AFTER_S", 0.0)
    assert answer(wanted["keys"][0]) == {"done": False}
    runs.submit(tiny(seed=1), launch=False)
    assert answer(wanted["keys"][0]) == {"done": True}


# ---- one run -----------------------------------------------------------------------------------


def test_a_finished_run_shows_result_protocol_and_files(open_finished, finished) -> None:
    run_id = finished[1][0]
    result, record = runs.folder(run_id).result(), runs.run(run_id)
    page = open_finished(run=run_id)
    text = shown(page)
    assert page.header[0].value.replace("\\", "") == record.title
    assert verdict(result.train_accuracy, result.last, 10, True, result.data.test).sentence in text
    assert f"{100 * result.last:.1f} % after the last epoch" in text
    assert f"clean {result.data.clean_hash} → trained on {result.data.trained_on_hash}" in text
    assert result.data.clean_hash != result.data.trained_on_hash
    assert record.key in text
    assert "random crop (4 px padding) → random flip" in text
    assert "python -m ued_core train spec.json" in text
    assert "finished in" in text, "the log's tail"
    labels = [element.proto.label for element in page.get("download_button")]
    assert labels == ["spec.json", "history.csv", "result.json", "weights.safetensors"]
    assert "The same run without attack and defence reached" in text, "the reference was found by its key"


def test_the_page_of_a_run_opens_its_result_once(open_finished, finished, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def reading(path: Path, *arguments: object, **more: object) -> str:
        opened.append(path.parent.name if path.name == "result.json" else "")
        return read_text(path, *arguments, **more)

    read_text = Path.read_text
    monkeypatch.setattr(Path, "read_text", reading)
    assert "Protocol" in shown(open_finished(run=finished[1][0]))
    assert opened.count(finished[1][0]) == 1


def test_a_short_id_is_a_link_too_and_a_wrong_one_is_explained(open_finished, finished) -> None:
    assert runs.run(finished[1][0]).title in shown(open_finished(run=finished[1][0][-4:]))
    page = open_finished(run="zzzz")
    assert "There is no run 'zzzz'" in shown(page)
    button(page, "All runs").click().run()
    assert "All runs (4)" in shown(page)


def test_a_failed_run_says_what_and_what_to_do_and_offers_to_resume(open_finished, finished) -> None:
    page = open_finished(run=finished[1][3])
    assert "There is no folder" in page.error[0].value.replace("\\", "")
    assert "What to do" in page.error[0].value
    assert button(page, "Resume")
    assert "Protocol" not in [h.value for h in page.subheader]


def test_deleting_needs_a_second_word_and_leads_back(open_runs) -> None:
    open_runs()
    run_id = runs.submit(tiny(), launch=False)
    runs.cancel(run_id)
    page = open_runs(run=run_id)
    button(page, "Delete for good").click().run()
    assert runs.runs() == []
    assert "No run yet" in shown(page)


def test_whoever_looks_at_a_waiting_run_sees_to_its_supervisor(open_runs, monkeypatch) -> None:
    open_runs()
    run_id = runs.submit(tiny(), launch=False)
    for query in ({}, {"run": run_id}):
        seen: set[str] = set()
        monkeypatch.setattr(runs, "attend", lambda records, seen=seen: seen.update(r.id for r in records if not r.over))
        assert not open_runs(**query).exception
        assert seen == {run_id}
        # The table waits at a route: nothing changes there while no supervisor lives.
        seen.clear()
        run_changes._watched()
        assert seen == {run_id}


def test_the_time_left_says_of_what() -> None:
    """The time that a step before the training still takes is not that of the run."""
    known = {"id": "x", "state": "running", "epochs": 60, "seconds_left": 9.0}
    assert time_left(RunRecord(**known, text="Drawing shapes", fraction=0.5)) == "9 s left of this step"
    assert time_left(RunRecord(**known | {"seconds_left": 0.0}, text="Drawing shapes (test)", fraction=1.0)) == ""
    assert time_left(RunRecord(**known, text="epoch 2 of 60", fraction=0.5)) == "9 s left"


def test_a_training_that_diverged_is_shown(open_runs) -> None:
    """Its last loss is no number; the page still has curves."""
    open_runs()
    run_id = runs.submit(tiny(), launch=False)
    folder = runs.folder(run_id)
    folder.take_token()
    rows = [
        {"epoch": k, "loss": loss, "test_accuracy": 0.1, "train_accuracy": 0.1}
        for k, loss in ((1, 2.5), (2, float("nan")))
    ]
    folder.history_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = open_runs(run=run_id)
    assert not page.error, [error.value for error in page.error]
    assert "the latest is not known" in "".join(json.dumps(chart) for chart in charts(page))


def test_a_damaged_run_is_marked_and_takes_nothing_from_others(open_runs) -> None:
    """The two faults that stopped everybody: NaN for an epoch, and a request without a time."""
    open_runs()
    sound, broken = (runs.submit(tiny(seed=seed), launch=False) for seed in (0, 1))
    folder = runs.folder(broken)
    folder.take_token()
    rows = [{"epoch": 1, "test_accuracy": 0.5, "train_accuracy": 0.75}, {"epoch": float("nan")}]
    folder.history_path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder.request_path.write_text(json.dumps({"title": "a title", "key": "k", "created": "x"}))
    table = open_runs().dataframe[0].value
    assert list(table["Id"]) == [broken[-4:], sound[-4:]]
    said = 'damaged: field created of request.json is "x"; field epoch of line 2 of history.jsonl is NaN'
    assert list(table["Damaged"]) == [said, ""]
    assert list(table.columns).index("Damaged") < list(table.columns).index("Run"), "in sight before anybody scrolls"
    page = open_runs(run=broken)
    assert not page.exception
    assert not page.error, "a row without a loss is no bug"
    assert any("field epoch of line 2 of history.jsonl is NaN" in box.value.replace("\\", "") for box in page.warning)
    assert not open_runs(compare=f"{broken},{sound}").exception
    folder.spec_path.write_text(json.dumps({**tiny(seed=1).to_json(), "seed": -1}))
    both = open_runs(compare=f"{broken},{sound}")
    assert "None" not in "".join(both.multiselect[0].options)
    page = open_runs(run=broken)
    assert "seed unknown" in shown(page)
    assert "Use as a template" not in [b.label for b in page.button], "what is left of a damaged spec is another run"


# ---- comparing ---------------------------------------------------------------------------------


def test_only_differing_parameters_and_grouped_seeds(open_finished, finished) -> None:
    ids = finished[1][:3]
    page = open_finished(compare=",".join(ids))
    grouped = page.dataframe[0].value
    assert len(grouped) == 2
    assert "(n = 2)" in grouped["Clean test"].iloc[0]
    assert "±" in grouped["Clean test"].iloc[0]
    assert "Attack" in grouped.columns
    assert "Model" not in grouped.columns
    assert "Plan · epochs" not in grouped.columns
    tests = [runs.run(run_id).last for run_id in ids[:2]]
    assert grouped["Clean test"].iloc[0].startswith(f"{50 * sum(tests):.1f}")
    page.toggle(key="compare_group").set_value(False).run()
    assert len(page.dataframe[0].value) == 3
    assert set(page.dataframe[0].value["Seed"]) == {"0", "1"}


def swept(strength: float, seed: int, accuracy: float, images: int = 100, **more: object) -> str:
    """A finished run of the home with an accuracy that was not trained for."""
    defenses = {"defenses": [{"name": "coin", "strength": strength}]} if strength >= 0 else {}
    spec = tiny(seed=seed, attack_seed=seed, **defenses, **more)
    folder = RunFolder.create(
        runs.runs_root(), spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": 1.0}
    )
    folder.take_token()
    data = {**RESULT["data"], "test": images}
    row = {"epoch": 1, "loss": 1.0, "train_accuracy": 0.9, "test_accuracy": accuracy}
    write_json(folder.result_path, {**RESULT, "probe": None, "data": data, "last": accuracy, "best": accuracy})
    append_line(folder.history_path, row)
    return folder.run_id


def test_a_sweep_is_compared_as_accuracy_over_its_number(open_runs) -> None:
    open_runs()
    ids = [swept(a, seed, value + 0.02 * seed) for a, value in ((4.0, 0.5), (1.0, 0.7)) for seed in (0, 1)]
    ids += [swept(-1, seed, 0.2) for seed in (0, 1)] + [swept(-1, 0, 0.9, attack=None)]
    page = open_runs(compare=",".join(ids))
    assert not page.exception
    (found,) = charts(page)
    figure = json.loads(found["figure"])
    line = next(trace for trace in figure["data"] if "error_y" in trace)
    assert (line["x"], [round(y, 6) for y in line["y"]]) == ([1.0, 4.0], [71.0, 51.0]), "means over seeds, in order"
    # Two values 2 points apart: the t interval with one degree of freedom, 12.706 × 1.4142 / √2.
    assert line["error_y"]["array"] == pytest.approx([12.706, 12.706], abs=0.01)
    across = {t["name"]: t["y"] for t in figure["data"] if "error_y" not in t and t.get("showlegend") is not False}
    assert across == {"CUDA, no defence · 2 seeds": [20.0, 20.0], "clean, no defence": [90.0, 90.0]}
    assert line["name"] == "COIN"
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [2.0], "the published value"
    assert page.segmented_control[1].options[0] == "Accuracy over α"
    assert list(page.dataframe[0].value["95 % interval"])[0] == "38 to 64 %"
    page.segmented_control[1].set_value("Training loss").run()
    assert "over the epochs of 4 curves" in charts(page)[0]["alt"]


def test_ten_test_images_decide_nothing(open_runs) -> None:
    open_runs()
    ids = [swept(a, 0, value, images=10) for a, value in ((1.0, 0.8), (6.0, 0.9))]
    page = open_runs(compare=",".join(ids))
    assert "Only 10 test images:** one of them is 10 points" in shown(page)
    assert list(page.dataframe[0].value["95 % interval"]) == ["49 to 94 %", "60 to 98 %"]
    assert list(page.dataframe[0].value["Condition"]) == ["α = 1", "α = 6"], "only what differs"


def test_a_configuration_that_was_handed_over_has_the_only_main_button(open_runs) -> None:
    page = open_runs()
    assert button(page, "Start a quick run").proto.type == "primary"
    page.session_state[HANDED] = tiny(defenses=["coin"]).to_json()
    page.run()
    assert [b.label for b in page.main.button if b.proto.type == "primary"] == ["Start"]
    assert "Shapes · CUDA · COIN α = 2 · Small CNN" in shown(page)
    assert "- Defence: COIN α = 2" in shown(page)


def test_before_the_first_epoch_the_pictures_are_shown(open_runs) -> None:
    open_runs()
    run_id = runs.submit(tiny(defenses=["coin"]), launch=False)
    page = open_runs(run=run_id)
    (found,) = tiles(page)
    assert [row["label"] for row in found["rows"]] == ["clean", "poisoned", "defended"]
    assert charts(page) == [], "no empty axes"


def test_a_run_that_was_cancelled_early_says_where_it_begins() -> None:
    assert "anew" in resume_words(RunRecord(id="x", state="cancelled", epoch=0, epochs=3))
    assert "checkpoint" in resume_words(RunRecord(id="x", state="cancelled", epoch=1, epochs=3))


def test_the_clean_reference_that_ships_is_named(open_runs) -> None:
    open_runs()
    planned = Study.read(asset("studies", "fashion.json")).by_label["CUDA · none"].spec
    folder = RunFolder.create(
        runs.runs_root(), planned.to_json(), {"title": planned.title(), "key": planned.key(), "created": 1.0}
    )
    folder.take_token()
    write_json(folder.result_path, {**RESULT, "probe": None})
    clean = known(planned.with_values(attack=None).to_json())
    assert f"this recipe on clean images reaches {level(clean.accuracy)} %" in shown(open_runs(run=folder.run_id))


def test_runs_that_are_gone_are_named(open_finished, finished) -> None:
    page = open_finished(compare=f"{finished[1][0]},20200101-000000-000-abcd")
    assert "20200101-000000-000-abcd" in shown(page)
    assert "Choose two or more" in shown(page)


def test_the_same_seed_twice_is_no_second_sample() -> None:
    from ued_core.studies.conditions import conditions

    records = [runs.RunRecord(id=str(k), spec=tiny(seed=seed).to_json()) for k, seed in enumerate([0, 1, 0])]
    assert [[r.id for r in group] for group in conditions(records)] == [["0", "1"], ["2"]]


def computed(number: int, **environment: object) -> runs.RunRecord:
    used = {"device": "cpu", "precision": "float32", "threads": 2, "torch": "2.15.0", **environment}
    spec = tiny(seed=number).to_json()
    return runs.RunRecord(id=f"20261101-000000-000-{number:04d}", title="T", spec=spec, device="CPU", environment=used)


def test_seeds_of_another_arithmetic_are_not_averaged() -> None:
    from pages.runs.compare import grouped
    from ued_core.studies.conditions import conditions

    records = [computed(0), computed(1), computed(2, precision="bfloat16"), computed(3, torch="2.14.0")]
    assert [[r.id[-1] for r in group] for group in conditions(records)] == [["0", "1", "3"], ["2"]]
    assert [group.label for group in grouped(records, True)] == [
        "precision float32 · 3 seeds",
        "precision bfloat16",
    ]
    unknown = runs.RunRecord(id="x", spec=tiny(seed=7).to_json())
    assert len(conditions([computed(0), unknown])) == 2, "nobody knows what it computes with"


def test_what_computed_the_runs_stands_in_the_comparison_where_it_differs() -> None:
    from pages.state.run_words import other_surroundings, told_apart

    assert other_surroundings([[computed(0)], [computed(1)]]) == [{}, {}]
    found = other_surroundings(
        [[computed(0), computed(1, threads=8)], [computed(2, torch="2.14.0", precision="bfloat16")]]
    )
    assert found == [
        {"precision": "float32", "torch": "2.15.0", "threads": "2, 8"},
        {"precision": "bfloat16", "torch": "2.14.0", "threads": "2"},
    ]
    inside = other_surroundings([[computed(0), computed(1, threads=8)]])
    assert inside == [{"threads": "2, 8"}], "also among the seeds of one curve"
    assert told_apart([computed(0), computed(1, precision="bfloat16")]) == ["precision float32", "precision bfloat16"]
    assert told_apart([computed(0), computed(1, torch="2.14.0")]) == ["", ""], (
        "the table tells identities apart, not machines"
    )


def test_arithmetic_is_shown_on_a_run_and_in_the_comparison(open_runs, tmp_path: Path) -> None:
    from tests.runs.test_identity import finished as stored

    open_runs()
    first, second = stored(tiny()).run_id, stored(tiny(), precision="bfloat16", torch="1.9").run_id
    text = shown(open_runs(run=second))
    assert "bfloat16" in text.split("submitted")[1].splitlines()[0], "in the run's first line"
    assert "| Arithmetic | bfloat16, which auto took on this processor; another arithmetic is another result |" in text
    assert "torch 1.9" in text
    table = open_runs(compare=f"{first},{second}").dataframe[0].value
    assert list(table["Precision"]) == ["float32", "bfloat16"]
    assert list(table["Torch"]) == ["2.0", "1.9"]
    assert "Threads" not in table.columns
    assert list(open_runs().dataframe[0].value["Differs in"]) == ["precision bfloat16", "precision float32"]


def test_a_result_that_would_not_come_out_again_is_not_offered_as_known(open_runs) -> None:
    from tests.runs.test_identity import finished as stored

    open_runs()
    form = {"view": "new", **SMALL, "new_repetition_device": "cpu"}
    spec = RunSpec.from_json(json.loads(open_runs(**form).code[0].value))
    stored(spec, precision="bfloat16")
    assert "exactly these settings" not in shown(open_runs(**form))
    stored(spec)
    assert "exactly these settings" in shown(open_runs(**form))


# ---- the form ----------------------------------------------------------------------------------

SMALL = {"view": "new", "new_data": "shapes", "new_data_shapes_train_size": "200", "new_data_shapes_test_size": "100",
         "new_model_small_cnn_width": "4", "new_plan_shapes_adamw_epochs": "2"}  # fmt: skip


def test_the_form_starts_what_it_shows(open_runs) -> None:
    page = open_runs(
        **SMALL,
        new_poisoning_poison_rate="0.5",
        new_poisoning_poison_classes="2, 0-1",
        new_defences="coin",
        new_repetition_seeds="3",
        new_repetition_note="from the form",
    )
    assert "No time estimate yet" in shown(page)
    button(page, "Start 3 runs").click().run()
    made = runs.runs()
    assert sorted(record.spec["seed"] for record in made) == [0, 1, 2]
    spec = made[0].spec
    assert spec["dataset"]["train_size"] == 200
    assert spec["model"]["width"] == 4
    assert spec["plan"]["epochs"] == 2
    assert spec["attack"]["name"] == "cuda"
    assert spec["poison_rate"] == 0.5
    assert spec["poison_classes"] == [0, 1, 2]
    assert [d["name"] for d in spec["defenses"]] == ["coin"]
    assert spec["note"] == "from the form"
    for record in made:
        if not record.over:
            runs.cancel(record.id)


def test_the_default_shows_the_phenomenon(open_runs) -> None:
    page = open_runs(view="new")
    spec = json.loads(page.code[0].value)
    assert (spec["dataset"]["name"], spec["attack"]["name"], spec["defenses"]) == ("fashion", "cuda", [])
    assert RunSpec.from_json(spec).to_json() == spec


def test_a_data_sets_recommended_plan_is_the_start(open_runs) -> None:
    page = open_runs(view="new", new_data="digits")
    from ued_core.data import DATASETS

    recommended = DATASETS["digits"].recommended_plan
    assert recommended, "digits recommend a plan"
    plan = json.loads(page.code[0].value)["plan"]
    assert {name: plan[name] for name in recommended} == dict(recommended)


def test_estimate_and_known_result_come_from_finished_runs(open_finished, finished) -> None:
    text = shown(open_finished(**SMALL, new_repetition_device="cpu"))
    assert "images/s measured in" in text
    assert "exactly these settings" in text
    other = estimate(tiny().with_values(plan=tiny().plan.with_values(epochs=20)), runs.runs())
    same = estimate(tiny(), runs.runs())
    assert same is not None
    assert other is not None
    assert other.seconds - same.seconds == pytest.approx(18 * 200 / same.images_per_s)
    assert estimate(tiny(model="resnet18"), runs.runs()) is None
    assert estimate(tiny(device="cuda"), runs.runs()) is None, "measured on the processor only"
    assert estimate(tiny(plan="simclr"), runs.runs()) is None, "two views an image take longer than one"


def test_a_handed_over_spec_is_started_edited_or_discarded(open_runs) -> None:
    spec = tiny(defenses=[{"name": "coin"}], seed=7, note="handed").to_json()
    page = open_runs()
    page.session_state["handed_spec"] = spec
    page.session_state["handed_from"] = "Defence"
    page.run()
    assert "Handed over from Defence" in shown(page)
    button(page, "Edit in form").click().run()
    assert json.loads(page.code[0].value) == spec
    assert "Handed over" not in shown(page)
    page.session_state["handed_spec"] = spec
    page.run()
    button(page, "Discard").click().run()
    assert "Handed over" not in shown(page)
    page.session_state["handed_spec"] = spec
    page.run()
    button(page, "Start").click().run()
    (record,) = runs.runs()
    assert record.spec == spec
    runs.cancel(record.id)


def test_labels_and_images_of_the_hacker(open_runs) -> None:
    """They come from the form into the spec, from a spec into the form, and what makes no sense is said."""
    page = open_runs(
        new_hacker_labels="blocks", new_hacker_classes="2", new_hacker_train_on="clean", new_poisoning_poison_rate="0.4"
    )
    spec = json.loads(page.code[0].value)
    assert (spec["train_on"], spec["relabel"]) == ("clean", {"name": "blocks", "classes": 2})
    handed = tiny(poison_rate=0.3, train_on="clean", relabel={"name": "modulo", "classes": 3}).to_json()
    page.session_state["handed_spec"] = handed
    page.run()
    assert "trained on the clean ones alone" in shown(page)
    button(page, "Edit in form").click().run()
    assert json.loads(page.code[0].value) == handed
    page = open_runs(new_hacker_train_on="clean")
    assert "leaves no image clean" in page.error[0].value
    assert not any(button.key == "new_start" for button in page.button)


def test_a_bad_handed_over_spec_is_explained(open_runs) -> None:
    page = open_runs()
    page.session_state["handed_spec"] = {"dataset": "shaps"}
    page.run()
    assert "Did you mean 'shapes'" in page.error[0].value.replace("\\", "")


def test_pasted_json_is_checked_and_then_offered(open_runs) -> None:
    page = open_runs(view="new")
    page.text_area(key="spec_text").set_value('{"dataset": "shapes", "attack": "cuba"}')
    button(page, "Check the spec").click().run()
    assert "There is no attack 'cuba'" in page.error[0].value.replace("\\", "")
    page.text_area(key="spec_text").set_value(json.dumps(TINY))
    button(page, "Check the spec").click().run()
    assert "Handed over from your JSON" in shown(page)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no spec"),
        (b'{"dataset": "shapes",}', "line 1, column"),
        (b"\xff\xfe\x00", "not text in UTF-8, UTF-16 or UTF-32"),
        (b"[1]", "must be a JSON object"),
        (b"x" * 1_000_001, "few hundred"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_json_errors_say_where(content: bytes, words: str) -> None:
    with pytest.raises(UedError) as caught:
        read_spec(content)
    assert words in str(caught.value)
    assert isinstance(caught.value, SpecError)


def test_an_uploaded_spec_may_come_from_windows_and_must_not_hold_a_relative_path() -> None:
    text = json.dumps(TINY, indent=1)
    assert read_spec(codecs.BOM_UTF16_LE + text.replace("\n", "\r\n").encode("utf-16-le")) == read_spec(text.encode())
    with pytest.raises(UedError, match="'imgs', a relative path"):
        read_spec(b'{"dataset": {"name": "folder", "path": "imgs"}}')


# ---- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test", "attacked", "kind"),
    [
        (0.98, 0.21, True, "unlearnable"),
        (0.98, 0.39, True, "unlearnable"),
        (0.98, 0.50, True, "partly"),
        (0.98, 0.95, True, "learnable"),
        (0.75, 0.72, True, "learnable"),
        (0.30, 0.12, True, "unfitted"),
        (0.98, 0.95, False, "generalises"),
        (0.98, 0.30, False, "overfits"),
        (1.00, 0.02, True, "unlearnable"),
    ],
)
def test_the_verdict_follows_the_measurement(train: float, test: float, attacked: bool, kind: str) -> None:
    found = verdict(train, test, 10, attacked, 5_000_000)
    assert found.kind == kind
    assert f"{100 * train:.0f} % in training, {100 * test:.0f} % on 5,000,000 clean test images (" in found.sentence
    assert "only the filter" not in found.sentence
    if not attacked:
        assert "unlearnable" not in found.sentence


def test_ten_test_images_give_an_interval_and_no_verdict() -> None:
    found = verdict(0.98, 0.8, 2, True, 10)
    assert found.kind == "few"
    assert (
        "80 % on 10 clean test images (49 to 94 %): no verdict, because one image is 10 % of the accuracy"
        in found.sentence
    )
    assert "learnable" not in found.sentence
    assert verdict(0.98, 0.8, 2, True, 99).kind == "few"
    assert verdict(0.98, 0.95, 2, True, 100).kind == "learnable"


def test_a_verdict_that_another_draw_of_test_images_would_change_is_not_given() -> None:
    found = verdict(1.0, 0.40, 10, True, 200)
    assert found.kind == "border"
    assert "between *unlearnable* and *partly learnable*; 200 test images cannot tell which" in found.sentence
    assert verdict(1.0, 0.45, 10, True, 20_000).kind == "partly"
    assert accuracy_words(0.40, 200) in found.sentence


def test_shares_of_few_images_are_not_interpreted() -> None:
    rates = {"clean_accuracy": 0.2, "own_accuracy": 1.0, "wrong_true_rate": 0.1, "wrong_perturbation_rate": 0.8}
    measured = Probe(**rates, wrong_other_rate=0.1, clean_histogram=[0.5, 0.5], images=100)
    assert "follows the perturbation far more" in probe_words(measured)
    few = probe_words(measured.model_copy(update={"images": 10}))
    assert "follows the perturbation" not in few
    assert "from 49 to 94 %" in few
    assert "a few classes" not in histogram_words([0.9, 0.1, 0.0, 0.0], list("abcd"), 10)
    assert "a few classes" in histogram_words([0.9, 0.1, 0.0, 0.0], list("abcd"), 100)


def test_durations_read_well() -> None:
    assert [duration(s) for s in (0, 8.4, 60, 200, 3599, 3600, 7500)] == [
        "0 s",
        "8 s",
        "1 min",
        "3 min 20 s",
        "59 min",
        "1 h",
        "2 h 5 min",
    ]


def test_differing_parameters_are_named_by_their_path() -> None:
    first, second = tiny().to_json(), tiny(defenses=["coin"], note="x").to_json()
    found = differing([first, second])
    assert found[0]["defenses"] == "none"
    assert found[1]["defenses"] == "coin"
    assert "note" not in found[0]
    assert "seed" not in found[0]
    assert len(found[0]) == 1, "COIN's parameters go without saying where only one has COIN"
    third = tiny(defenses=[{"name": "coin", "strength": 1.0}]).to_json()
    assert [row["defenses · coin · strength"] for row in differing([first, second, third])] == ["–", "2", "1"]


# ---- one's own images --------------------------------------------------------------------------


def picture(colour: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (20, 16), colour).save(stream, "PNG")
    return stream.getvalue()


def test_uploaded_files_become_the_data_set_with_their_clean_test_part(open_runs, tmp_path: Path) -> None:
    """An npz that says it is poisoned is refused until clean test images are given."""
    from ued_core.attacks import Cuda
    from ued_core.data import write_npz

    digits = DATASETS.build("digits").load(Context())
    clean, test = digits.train.take(range(60)), digits.test.take(range(40))
    poisoned = Cuda().poison(clean, Context()).as_training_set()
    write_npz(tmp_path / "p.npz", poisoned, recipe={"attack": Cuda().to_json(), "clean_hash": clean.content_hash})
    write_npz(tmp_path / "t.npz", test)
    page = open_runs(view="new", new_data="npz")
    assert "Give your images below" in shown(page)
    page.file_uploader(key="new_data_npz_path_upload").set_value(("p.npz", (tmp_path / "p.npz").read_bytes(), "")).run()
    assert "would be no clean one" in page.error[0].value.replace("\\", "")
    assert not [b for b in page.button if b.label.startswith("Start")]
    page.file_uploader(key="new_data_npz_test_path_upload").set_value(
        ("t.npz", (tmp_path / "t.npz").read_bytes(), "")
    ).run()
    assert "60 training and 40 test images in 10 classes" in shown(page)
    spec = json.loads(page.code[0].value)["dataset"]
    assert spec["path"].startswith("import:")
    assert spec["test_path"].startswith("import:")
    assert [b for b in page.button if b.label.startswith("Start")]


def test_an_uploaded_zip_becomes_the_data_set_and_says_what_was_skipped(open_runs) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for name, colour in (("cat", (200, 10, 10)), ("dog", (10, 10, 200))):
            for index in range(5):
                target.writestr(f"{name}/{index}.png", picture((*colour[:2], colour[2] + index)))
        target.writestr("cat/broken.png", b"no picture")
    page = open_runs(view="new", new_data="folder")
    assert "Give your images below" in shown(page)
    assert not [b for b in page.button if b.label.startswith("Start")]
    page.file_uploader(key="new_data_folder_path_upload").set_value(
        [("animals.zip", archive.getvalue(), "application/zip")]
    ).run()
    text = shown(page)
    assert "8 training and 2 test images in 2 classes" in text
    assert "broken.png" in text
    assert json.loads(page.code[0].value)["dataset"]["path"] == page.text_input(key="new_data_folder_path").value
    page.file_uploader(key="new_data_folder_path_upload").set_value([("bad.zip", b"no zip", "application/zip")]).run()
    assert "not a zip archive" in page.error[0].value.replace("\\", "")
