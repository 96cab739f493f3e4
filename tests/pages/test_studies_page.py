"""The page Studies: a matrix that fills, its curve, and what its buttons do; nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.frame import visitor
from tests.pages.components import charts
from tests.runs.examples import RESULT
from tests.studies.tiny_study import finish, tiny, write_study
from ued_core import runs
from ued_core.assets import asset
from ued_core.files import write_json
from ued_core.person import Person
from ued_core.results.shipped_runs import shipped_runs
from ued_core.runs import RunSpec
from ued_core.runs.folder import RunFolder
from ued_core.studies.shelf import own_studies
from ued_core.studies.study import Study
from ued_core.studies.submission import submit_missing
from ued_core.studies.sweep import ALONE, CLEAN, sweep

ALPHA = {"name": "α", "field": "defenses.0.strength", "range": {"from": 0, "to": 1, "step": 0.5}}


@pytest.fixture
def study(open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of the home; nobody starts a supervisor."""
    monkeypatch.setattr("ued_core.runs.client.ensure_supervisor", lambda: True)
    monkeypatch.setattr(runs, "ensure_supervisor", lambda: True)
    return write_study(own_studies() / "tiny.json", comparisons=[{"name": "gives back", "of": {"attack": "CUDA"}}])


def button(page: AppTest, key: str) -> object:
    return next((one for one in page.button if one.key == key), None)


def texts(page: AppTest) -> str:
    return " ".join(one.value for kind in (page.markdown, page.caption) for one in kind)


def test_the_studies_that_ship_are_there(open_page: Callable[..., AppTest]) -> None:
    page = open_page("studies")
    assert not page.exception
    assert not page.error
    assert page.selectbox(key="study").value == "fashion"
    # Rows of it ship, and more of them with every version.
    shipped = shipped_runs()
    study = Study.read(asset("studies", "fashion.json"))
    missing = sum(key not in shipped for key in study.planned)
    assert f"{len(study.conditions)} conditions, 5 seeds: " in texts(page)
    assert button(page, "study_run").label == f"Run what is missing ({missing})"
    assert button(page, "study_cancel") is None
    assert len(page.dataframe[-1].value) == len(study.conditions)


def test_a_matrix_fills_and_its_runs_are_found(open_page: Callable[..., AppTest], study: Path) -> None:
    page = open_page("studies", {"study": "tiny"})
    button(page, "study_run").click().run()
    assert not page.exception
    assert len(runs.runs()) == 8
    page.run()
    assert "4 conditions, 2 seeds: 8 waiting." in texts(page)
    assert button(page, "study_run").disabled
    planned = Study.read(study).by_label
    ids = {record.key: record.id for record in runs.runs()}
    for label, values in {"CUDA · none": (0.2, 0.3), "CUDA · COIN": (0.6, 0.72)}.items():
        for run, value in zip(planned[label].runs, values, strict=True):
            finish(ids[run.key], value)
    page.run()
    assert not page.exception
    assert "4 waiting" in texts(page)
    table = page.dataframe[-1].value.set_index("Condition")
    assert table.loc["CUDA · COIN", "Mean"] == pytest.approx(66.0)
    assert table.loc["CUDA · COIN", "Finished"] == "2/2"
    assert table.loc["clean · none", "Waiting"] == 2
    answers = page.dataframe[0].value
    assert answers["Gain"].tolist() == [pytest.approx(41.0)]
    assert answers["Pairs"].tolist() == [2]
    [matrix] = charts(page)
    assert "CUDA · COIN 66.0 ± 8.5 % (n = 2)" in matrix["alt"]
    assert '"2\\u002f2"' in matrix["figure"] or '"2/2"' in matrix["figure"]
    look = page.selectbox(key="study_condition")
    assert look.options[:2] == ["CUDA · none", "CUDA · COIN"], "the lowest first, and what is not known last"
    look.set_value("CUDA · COIN").run()
    assert "+41.0" in texts(page)
    assert button(page, "study_open_cell").label == "Open its runs (2)"
    assert button(page, "study_open_both").label == "Compare with CUDA · none"
    button(page, "study_cancel").click().run()
    assert not page.exception
    assert sorted(record.state for record in runs.runs()) == ["cancelled"] * 4 + ["finished"] * 4
    page.run()
    button(page, "study_retry").click().run()
    assert sorted(record.state for record in runs.runs()) == ["finished"] * 4 + ["queued"] * 4


def test_the_longest_axes_make_the_matrix(open_page: Callable[..., AppTest], study: Path) -> None:
    size = {"name": "images", "field": "dataset.train_size", "values": [200]}
    strengths = {**ALPHA, "range": {"from": 0, "to": 1, "step": 0.1}}
    attack, defence = tiny()["axes"]
    write_study(
        own_studies() / "three.json", name="three", axes=[size, attack, defence, strengths],
        without=[{"defence": "none"}], comparisons=[],
    )  # fmt: skip
    page = open_page("studies", {"study": "three"})
    assert not page.exception
    chosen = [page.selectbox(key=key) for key in ("study_rows", "study_columns") if page.selectbox(key=key)]
    assert [one.value for one in chosen] == ["attack", "α"], "numbers to the right, and not the axis with one value"


def test_seeds_are_added(open_page: Callable[..., AppTest], study: Path) -> None:
    page = open_page("studies", {"study": "tiny"})
    page.number_input(key="study_more").set_value(2).run()
    button(page, "study_extend").click().run()
    assert not page.exception
    assert Study.read(study).seeds == [0, 1, 2, 3]
    assert len(runs.runs()) == 16


def test_a_sweeps_curve_has_the_undefended_level_and_the_published_value(
    open_page: Callable[..., AppTest], study: Path
) -> None:
    asked = RunSpec.from_json(
        {"dataset": {"name": "shapes", "train_size": 100, "test_size": 50}, "attack": "cuda", "defenses": ["coin"]}
    )
    made = sweep(asked, "strength", [1.0, 2.0], [0, 1])
    write_json(own_studies() / f"{made['name']}.json", made)
    study_of = Study.from_json(made)
    for label, accuracy in (("1", 0.5), ("2", 0.7), (ALONE, 0.2), (CLEAN, 0.9)):
        for run in study_of.by_label[label].runs:
            request = {"title": run.spec.title(), "key": run.spec.key(), "created": 1.0}
            folder = RunFolder.create(runs.runs_root(), run.spec.to_json(), request)
            folder.take_token()
            write_json(folder.result_path, {**RESULT, "probe": None, "last": accuracy, "best": accuracy})
    page = open_page("studies", {"study": made["name"]})
    assert not page.exception
    (curve,) = charts(page)
    figure = json.loads(curve["figure"])
    told = {trace["name"]: [round(y, 6) for y in trace["y"]] for trace in figure["data"]}
    assert told == {"COIN": [50.0, 70.0], ALONE: [20.0, 20.0], CLEAN: [90.0, 90.0]}
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [2.0]
    assert "the published value, 2" in curve["caption"]


def test_a_curve_over_numbers(open_page: Callable[..., AppTest], study: Path) -> None:
    write_study(
        own_studies() / "curve.json", name="curve", axes=[*tiny()["axes"], ALPHA], without=[{"defence": "none"}],
        comparisons=[],
    )  # fmt: skip
    page = open_page("studies", {"study": "curve", "study_at_1": "COIN", "study_curve_at_1": "COIN"})
    assert not page.exception
    assert not page.error
    matrix, curve = charts(page)
    assert matrix["filename"] == "curve"
    assert curve["question"] == "What does α do?"
    assert "CUDA at 0.5: not known yet" in curve["alt"]


def test_how_much_the_key_is_follows_the_runs(open_page: Callable[..., AppTest], study: Path) -> None:
    attack, defence = tiny()["axes"]
    key_axis = {"name": "key", "field": "attack_seed", "range": {"from": 0, "to": 2, "step": 1}, "repeats": True}
    axes = [{**attack, "values": attack["values"][1:]}, defence, key_axis]
    write_study(study, axes=axes, seeded=["seed"], comparisons=[{"name": "gives back"}])
    page = open_page("studies", {"study": "tiny"})
    assert "as soon as every key has been trained with every seed" in texts(page)
    button(page, "study_run").click().run()
    ids = {record.key: record.id for record in runs.runs()}
    # Without a defence the key decides, after COIN the seed.
    noise = (0.0, 0.01, 0.0, 0.0, 0.02, 0.0)
    for label, seed_part, key_part in (("CUDA · none", 0.0, 0.2), ("CUDA · COIN", 0.2, 0.0)):
        for place, run in enumerate(Study.read(study).by_label[label].runs):
            key, seed = map(int, run.unit)
            finish(ids[run.key], 0.2 + key_part * key + seed_part * seed + noise[place])
    page.run()
    assert not page.exception
    assert "**CUDA · none**: the key matters; of the training seed it cannot be told." in texts(page)
    assert "**CUDA · COIN**: the training seed matters; of the key it cannot be told." in texts(page)
    shown = next(one.value for one in page.dataframe if "The key's" in one.value).set_index("Condition")
    assert shown.index.tolist() == ["CUDA · none", "CUDA · COIN", "CUDA · COIN over CUDA · none"]
    assert shown.loc["CUDA · none", "The key's"] == "100 % (p = 0.0014)"


def test_a_broken_file_is_named_and_the_others_are_shown(open_page: Callable[..., AppTest], study: Path) -> None:
    (own_studies() / "broken.json").write_text("{", encoding="utf-8")
    page = open_page("studies", {"study": "tiny"})
    assert not page.exception
    assert any("broken" in one.value for one in page.warning)
    assert "8 not started" in texts(page)


def test_a_visitor_has_their_share_and_changes_no_study(
    open_page: Callable[..., AppTest], study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit_missing(study)
    runs.cancel(runs.runs()[0].id)
    monkeypatch.setenv("UED_SERVED", "1")
    monkeypatch.setattr(visitor, "NOBODY", Person("ada", "Ada"))
    page = open_page("studies", {"study": "tiny"})
    assert not page.exception
    assert button(page, "study_extend") is None
    assert button(page, "study_cancel") is None, "the owner's runs are not theirs"
    write_study(own_studies() / "large.json", name="large", seeds=[5, 6])
    page = open_page("studies", {"study": "large"})
    button(page, "study_run").click().run()
    assert any("at most 2 waiting" in one.value for one in page.error)
    assert len(runs.runs()) == 8
