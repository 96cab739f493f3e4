"""The page Results: stored runs and reported values, each with the way to where it comes from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.results import measured as measured_views
from pages.results.measured import GO_TO, attack_frame, protocol, reading, runs_csv
from pages.results.reported import reported_csv
from pages.results.starts import recovery_csv
from pages.state.selection import selection_address
from pages.widgets.controls import method_address
from tests.pages.components import charts
from tests.runs.examples import RESULT
from ued_core.attacks import ATTACKS
from ued_core.defenses import DEFENSES
from ued_core.figures.results import reported_cells
from ued_core.results import measured, recovery, starts
from ued_core.results.reported import reported
from ued_core.results.row import ResultRow
from ued_core.runs.spec import RunSpec


def run(
    method: dict[str, Any] | None, seed: int, last: float, defenses: list[Any] | None = None, **labels: str
) -> dict[str, Any]:
    dataset = {"name": "shapes", "seed": seed, "train_size": 200, "test_size": 20}
    spec = RunSpec.from_json({"dataset": dataset, "attack": method, "defenses": defenses or [], "seed": seed})
    poison = {"linf": 8.0, "l2": 1.5, "crafting_cpu_s": 2.0, "evaluations": 1000, "agreement": None}
    return {
        "dataset": "shapes",
        "seed": seed,
        "key": spec.key(),
        "spec": spec.to_json(),
        "poison": poison if method else None,
        "last": last,
        "best": min(1.0, last + 0.05),
        "train_accuracy": 0.99,
        "epochs": 10,
        "seconds": 20.0,
        "probe": None,
        **labels,
        "data": {**RESULT["data"], "train": 5000, "test": 1000, "class_names": [str(k) for k in range(10)]},
        "environment": {**RESULT["environment"], "torch": "2"},
    }


EM = {"name": "em", "epsilon": 16.0}
ATTACK_ROWS = [
    run(None, 0, 0.96, condition="clean"),
    run(None, 1, 0.94, condition="clean"),
    run(EM, 0, 0.20, condition="EM ε 16"),
    run(EM, 1, 0.30, condition="EM ε 16"),
    run({"name": "synper"}, 0, 0.93, condition="LSP"),
]
STORED_ATTACKS = [ResultRow.from_json(row) for row in ATTACK_ROWS]
DEFENCE_ROWS = [
    run(None, 0, 0.96, attack="clean", defence="none"),
    run(EM, 0, 0.20, attack="EM ε 16", defence="none"),
    run(EM, 0, 0.75, ["jpeg"], attack="EM ε 16", defence="JPEG 10"),
]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``tables(attacks, defences)`` puts rows in place of the shipped ones."""

    def put(attacks: list[Any], defences: list[Any], studied: list[Any] | None = None) -> None:
        study = tmp_path / "some-study.json"
        study.write_text(json.dumps(studied or []))
        monkeypatch.setattr(measured, "study_tables", lambda: {"some-study": study} if studied else {})
        for name, rows in (("ATTACKS_FILE", attacks), ("DEFENCES_FILE", defences)):
            file = tmp_path / f"{name}.json"
            if rows:
                file.write_text(json.dumps(rows))
            monkeypatch.setattr(measured, name, file)

    return put


def checked(page: AppTest) -> AppTest:
    assert not page.exception
    assert not page.error
    return page


def test_measured_part_shows_every_run_and_the_reference(open_page, tables) -> None:
    tables(ATTACK_ROWS, DEFENCE_ROWS)
    page = checked(open_page("results"))
    dots, heat = charts(page)
    assert "EM ε 16 25.0 ± 7.1 % (n = 2)" in dots["alt"]
    assert "Lowest mean: **EM ε 16** with 25 %. 1 of 2 attacked data sets leaves less than half" in dots["caption"]
    assert "More than 90 % of it is left by LSP." in dots["caption"]
    figure = json.loads(dots["figure"])
    drawn = next(t for t in figure["data"] if t["name"] == "attacked, one run")
    assert sorted(drawn["x"]) == [20, 30, 93]
    assert figure["layout"]["yaxis"]["categoryarray"] == ["clean", "EM ε 16", "LSP"]
    assert "EM ε 16 with JPEG 10 75.0 % (n = 1), +55.0 points on one seed over none" in heat["alt"]
    texts = json.loads(heat["figure"])["data"][1]["text"]
    assert texts == ["(96.0 n1)", "(20.0 n1)", "(+55.0? n1)"]
    assert "cannot be told" in heat["caption"]
    captions = " ".join(c.value for c in page.caption)
    assert "1 to 2 seeds each" in captions
    assert measured.ATTACKS_COMMAND in captions
    assert measured.DEFENCES_COMMAND in captions


def test_a_studys_runs_stand_in_both_parts_with_the_command_that_makes_them(open_page, tables) -> None:
    studied = [{**row, "condition": f"{row['attack']} · {row['defence']}"} for row in DEFENCE_ROWS]
    # A study that does not cross attacks with defences has no place in these tables.
    tables([], [], [*studied, run(EM, 5, 0.5, condition="a key")])
    page = checked(open_page("results"))
    dots, heat = charts(page)
    assert json.loads(dots["figure"])["layout"]["yaxis"]["categoryarray"] == ["clean", "EM ε 16"]
    assert "EM ε 16 with JPEG 10 75.0 % (n = 1)" in heat["alt"]
    captions = " ".join(c.value for c in page.caption)
    assert captions.count("Made by `ued study run some-study`") == 2
    assert "benchmarks" not in captions


def test_table_of_attacks() -> None:
    rows = STORED_ATTACKS
    frame = attack_frame(measured.by_effect(measured.conditions(rows, "shapes"))).set_index("name")
    assert list(frame.index) == ["clean", "EM ε 16", "LSP"]
    em = frame.loc["EM ε 16"]
    assert (em["last"], em["best"], em["gain"], em["seeds"]) == (
        pytest.approx(25),
        pytest.approx(30),
        pytest.approx(-70),
        2,
    )
    assert (em["linf"], em["evaluations"], em["see"], em["train"]) == (8, 1000, "Attack →", "Train →")
    # Seeds 0 and 1: −76 and −64 points, so t = 12.706 times 6 points either way; LSP has one seed.
    assert frame["interval"].tolist()[1:] == ["? [−100, 6] n2", "? n1"]
    assert frame["see"].isna().tolist() == [True, False, False]
    assert frame["gain"].isna().tolist() == [True, False, False]
    assert "agreement" not in frame, "no row has one"


def test_many_defences_go_downwards(open_page, tables) -> None:
    many = [run(EM, 0, 0.5, [{"name": "jpeg", "quality": q}], attack="EM", defence=f"JPEG {q}") for q in range(10, 24)]
    tables(ATTACK_ROWS, [*DEFENCE_ROWS, *many])
    heat = charts(checked(open_page("results")))[1]
    figure = json.loads(heat["figure"])
    assert figure["layout"]["yaxis"]["title"]["text"] == "defence"
    assert "Read along a column" in heat["caption"]


def test_two_tables_of_one_data_set_stand_below_each_other(open_page, tables) -> None:
    """A table of another size has a name of its own; it belongs to the data set of its specs."""
    tables(ATTACK_ROWS, [*DEFENCE_ROWS, {**DEFENCE_ROWS[1], "dataset": "shapes, 5,000 images", "last": 0.31}])
    page = checked(open_page("results"))
    assert page.button_group(key="results_data").options == ["Shapes"]
    _, first, second = charts(page)
    assert first["question"].startswith("Shapes: ")
    assert second["question"].startswith("Shapes, 5,000 images: ")
    assert "EM ε 16 with none 31.0 %" in second["alt"]
    assert second["filename"] == "defences_shapes_5_000_images"


def test_nothing_measured_yet_is_said_with_the_command(open_page, tables) -> None:
    tables([], [])
    page = checked(open_page("results"))
    assert charts(page) == []
    assert measured.ATTACKS_COMMAND in page.info[0].value
    tables(ATTACK_ROWS, [])
    page = checked(open_page("results"))
    assert len(charts(page)) == 1
    assert measured.DEFENCES_COMMAND in page.info[0].value


def test_table_follows_the_file(open_page, tables) -> None:
    tables(ATTACK_ROWS[:2], [])
    assert "LSP" not in charts(open_page("results"))[0]["alt"]
    tables(ATTACK_ROWS, [])
    assert "LSP 93.0 %" in charts(open_page("results"))[0]["alt"]


def test_row_opens_its_run_on_the_page_runs(open_page, tables) -> None:
    tables(ATTACK_ROWS, [])
    page = open_page("results")
    page.session_state[GO_TO] = ("runs", spec := RunSpec.from_json(ATTACK_ROWS[2]["spec"]))
    page.run()
    assert RunSpec.from_json(page.session_state["handed_spec"]) == spec
    assert page.session_state["handed_from"] == "the page Results"


def test_button_of_a_row_asks_for_that_row(monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [None, RunSpec.from_json(ATTACK_ROWS[0]["spec"]), RunSpec.from_json(ATTACK_ROWS[2]["spec"])]
    asked = {}
    for goal, row in (("attack", 2), ("attack", 1), ("runs", 1), ("runs", 0), ("attack", 9)):
        state: dict[str, Any] = {"b": {"row": row}}
        monkeypatch.setattr(measured_views.st, "session_state", state)
        measured_views.table_button("b", goal, specs)()
        asked[goal, row] = state.get(GO_TO)
    assert asked["attack", 2] == ("attack", specs[2])
    assert asked["runs", 1] == ("runs", specs[1])
    assert asked["attack", 1] is asked["runs", 0] is asked["attack", 9] is None


def test_address_of_a_row_shows_its_attack_whatever_was_chosen_before(open_page) -> None:
    wanted = ATTACKS.parse({"name": "cuda", "blur": 0.4})
    spec = RunSpec.from_json(
        {"dataset": {"name": "shapes", "train_size": 200, "test_size": 10}, "attack": wanted.to_json()}
    )
    page = open_page("attack", selection_address(spec.dataset, spec.attack, 5))
    assert page.session_state["attack"] == "cuda"
    assert page.session_state["attack_cuda_blur"] == 0.4
    assert page.session_state["data_shapes_train_size"] == 200
    assert page.session_state["key"] == 5


@pytest.mark.parametrize("catalogue", [ATTACKS, DEFENSES], ids=["attacks", "defences"])
def test_method_address_names_every_parameter(catalogue) -> None:
    for method in catalogue.values():
        address = method_address(method(), key="x")
        assert address["x"] == method.key
        assert len(address) == 1 + len(method.parameters())


def test_words_need_an_attack_and_its_reference() -> None:
    assert reading(measured.conditions(STORED_ATTACKS[:2], "shapes")) == ""
    assert reading(measured.conditions(STORED_ATTACKS[2:], "shapes")) == ""


def test_protocol_is_read_from_the_clean_run() -> None:
    text = protocol(measured.conditions(STORED_ATTACKS, "shapes"))
    assert "AdamW (epochs 10" in text
    assert "5,000 training and 1,000 test images" in text
    assert "float32, cpu" in text


def test_runs_as_csv_are_one_line_each() -> None:
    text = runs_csv(measured.conditions(STORED_ATTACKS, "shapes"))
    assert len(text.splitlines()) == 1 + len(ATTACK_ROWS)
    assert text.splitlines()[0].startswith("trained_on,dataset,seed,key,last,best,train_accuracy")
    assert "agreement" not in text, "a column that nobody has is left out"


# ---- reported ------------------------------------------------------------------------------


def test_reported_part_names_its_source_and_warns(open_page, tables) -> None:
    tables(ATTACK_ROWS, [])
    page = checked(open_page("results", {"part": "reported", "reported_data": "cifar10", "reported_source": "ISS"}))
    assert "never average" in page.warning[0].value
    heat, beside = charts(page)
    assert heat["question"] == "CIFAR-10, ResNet-18: clean test accuracy (%), reported by ISS"
    assert "arXiv 2301.13838" in heat["caption"]
    assert "OPS with none 36.5 %" in heat["alt"] or "OPS with none 36.6 %" in heat["alt"]
    assert "Squares: values from the named source" in beside["caption"]


def test_all_sources_of_a_data_set_stand_beside_each_other(open_page, tables) -> None:
    tables([], [])
    page = checked(open_page("results", {"part": "reported", "reported_data": "cifar10", "reported_source": "every"}))
    figure = json.loads(charts(page)[0]["figure"])
    assert {"APBench", "ISS", "BridgePure"} <= {trace["name"] for trace in figure["data"]}


def test_measured_runs_stand_above_reported_values(open_page, tables) -> None:
    tables(ATTACK_ROWS, [*DEFENCE_ROWS, run({"name": "em"}, 0, 0.9, ["jpeg"], attack="EM", defence="JPEG 10")])
    beside = charts(checked(open_page("results", {"part": "reported", "beside_attack": "em"})))[-1]
    lines = json.loads(beside["figure"])["layout"]["yaxis"]["categoryarray"]
    assert lines[0] == "Shapes · EM ε 16 · measured here"
    assert lines.count("Shapes · EM ε 16 · measured here") == 1, (
        "the undefended run stands in both tables and is shown once"
    )
    assert "CIFAR-10 · ResNet-18 · ISS" in lines
    beside = charts(
        checked(open_page("results", {"part": "reported", "beside_attack": "em", "beside_defence": "jpeg"}))
    )[-1]
    lines = json.loads(beside["figure"])["layout"]["yaxis"]["categoryarray"]
    assert lines[:2] == ["Shapes · EM ε 16 · JPEG 10 · measured here", "Shapes · EM · JPEG 10 · measured here"]


def test_what_only_papers_have_says_so(open_page, tables) -> None:
    tables(ATTACK_ROWS, [])
    page = checked(open_page("results", {"part": "reported", "beside_attack": "sep"}))
    assert "has not been measured here (not built)" in charts(page)[-1]["caption"]


def test_every_choice_of_data_and_source_has_a_table() -> None:
    rows = reported()
    for place in {(r.source.title, r.dataset.key, r.model.key) for r in rows}:
        own = [r for r in rows if (r.source.title, r.dataset.key, r.model.key) == place]
        assert np.isfinite(reported_cells(own).values).sum() == len(own)


def test_reported_csv_keeps_the_printed_names() -> None:
    lines = reported_csv(reported()).splitlines()
    assert len(lines) == 1 + len(reported())
    assert any("EMinN" in line and line.count("EM") >= 2 for line in lines)


# ---- pretrained start and recovery -------------------------------------------------------------


def test_starts_and_recovery_show_what_is_stored(
    open_page: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = [{"known": 10, "refitted": 0.6, "tuned": 0.5, "rate": 0.001, "alone": 0.3, "alone_one_epoch": 0.1}]
    stored = [run(EM, seed, 0.2, attack="EM", condition="linear probe · EM") for seed in (0, 1)]
    stored += [run(None, seed, 0.9 + seed / 50, attack="clean", condition="linear probe · clean") for seed in (0, 1)]
    recovered = [{**run(EM, seed, 0.2, attack="EM"), "as_trained": 0.2, "points": known} for seed in (0, 1)]
    for module, name, rows in ((starts, "starts", stored), (recovery, "known", recovered)):
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
        monkeypatch.setattr(module, "FILE", tmp_path / f"{name}.json")
    page = checked(open_page("results", {"part": "starts"}))
    first, second = charts(page)
    assert "linear probe · EM −71.0 [−84, −58] points" in first["alt"]
    assert "EM: as trained 20.0 ± 0.0 %; last layer refitted 60.0 ± 0.0 % with 10" in second["alt"]
    written = " ".join(element.value for element in page.markdown)
    assert "Linear probe: clean 91.0 ± 1.4 % (n = 2); EM −71.0" in written
    assert "EM: 20.0 ± 0.0 % as trained" in written
    assert [len(table.value) for table in page.dataframe] == [2, 1]
    captions = " ".join(c.value for c in page.caption)
    assert starts.COMMAND in captions
    assert recovery.COMMAND in captions


def test_starts_and_recovery_that_nobody_measured_say_how(
    open_page: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (starts, recovery):
        monkeypatch.setattr(module, "FILE", tmp_path / "absent.json")
    page = checked(open_page("results", {"part": "starts"}))
    assert [starts.COMMAND in page.info[0].value, recovery.COMMAND in page.info[1].value] == [True, True]
    assert charts(page) == []


def test_every_point_of_recovery_is_a_line_of_the_csv() -> None:
    points = [{"known": 10, "refitted": 0.6}, {"known": 50, "refitted": 0.7}]
    rows = [ResultRow.from_json({**run(EM, 3, 0.2, attack="EM"), "as_trained": 0.2, "points": points})]
    lines = recovery_csv(recovery.by_attack(rows)).splitlines()
    assert lines[0].startswith("trained_on,seed,run,as_trained,known,refitted")
    assert [line.split(",")[-2:] for line in lines[1:]] == [["10", "0.6"], ["50", "0.7"]]
