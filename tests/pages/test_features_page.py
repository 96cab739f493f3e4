"""The Features page: the plot, what is marked in it, another network, and the film over its epochs."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.features import views as feature_views
from pages.features.film import learning_strip
from pages.features.views import DEFENDED_WHY, OTHER_WHY, quality_words, run_why
from pages.state import background
from pages.widgets.epoch_player import packed
from tests.pages.components import charts, tiles
from ued_core.analysis.feature_quality import FeatureQuality
from ued_core.analysis.reference import reference_network
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.errors import DataError
from ued_core.figures.layouts import PointColours
from ued_core.results.parts import EpochRow
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.jsonl import append_line
from ued_core.runs.listing import Snapshot
from ued_core.runs.pipeline import execute
from ued_core.studies.feature_room import quality_at
from ued_core.studies.onlookers import CLEAN_WHY, POISONED_WHY, victim_words
from ued_core.training import predict

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100", "per_class": "5", "layout_by": "pca"}
TINY = {
    "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 3},
    "device": "cpu",
}
PATIENCE_S = 90


@pytest.fixture
def features(open_page: Callable[..., AppTest]) -> Callable[..., AppTest]:
    """Visits the page with a small data set; no UMAP, so that nothing is stored in anybody's home."""
    return lambda **query: open_page("features", {**SMALL, **query})


@pytest.fixture(scope="module", autouse=True)
def side_process() -> Iterator[None]:
    """It ends with the tests that needed it."""
    yield
    background.stop()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run with all its epochs; the side process ends, so that the next one looks for runs in this home."""
    background.stop()
    home, spec = tmp_path_factory.mktemp("home"), RunSpec.from_json(TINY)
    folder = RunFolder.create(
        home / "runs", spec.to_json(), {"title": spec.title(), "key": spec.key(), "created": time.time()}
    )
    folder.take_token()
    on_epoch = lambda row: append_line(folder.history_path, row)  # noqa: E731
    result = execute(spec, Context(), weights=folder.weights, epoch_folder=folder.epoch_folder, on_epoch=on_epoch)
    folder.write_result(result.model_copy(update={"attempts": 1}))
    return folder


@pytest.fixture
def run(open_page: Callable[..., AppTest], trained: RunFolder, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """The finished run, for a page that looks for runs in its home."""
    monkeypatch.setenv("UED_HOME", str(trained.path.parents[1]))
    return trained


def until(page: AppTest, done: Callable[[AppTest], Any]) -> AppTest:
    """Look again and again, as the page does by itself in a browser."""
    deadline = time.monotonic() + PATIENCE_S
    while not done(page):
        assert not page.exception, page.exception
        assert not page.error, [e.value for e in page.error]
        assert time.monotonic() < deadline, [c["caption"] for c in charts(page)]
        time.sleep(0.2)
        page.run()
    return page


def settled(page: AppTest) -> bool:
    return bool(charts(page)) and charts(page)[0]["caption"].startswith("**PCA, recomputed**")


def traces(page: AppTest) -> dict[str, Any]:
    """By name; of points and their mark in the legend, the points."""
    return {trace["name"]: trace for trace in reversed(json.loads(charts(page)[0]["figure"])["data"])}


def film(page: AppTest) -> list[dict[str, Any]]:
    return [
        json.loads(c.proto.json) for c in page.get("bidi_component") if c.proto.component_name == "ued_epoch_player"
    ]


def numbers(trace: dict[str, Any], name: str) -> list[float]:
    value = trace[name]
    return (
        value if isinstance(value, list) else np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"]).tolist()
    )


def test_an_empty_home_shows_the_reference_model_and_says_how_to_get_a_film(features: Callable[..., AppTest]) -> None:
    page = until(features(), settled)
    assert page.title[0].value == "Features"
    drawn = traces(page)
    assert {"clean", "poisoned", "defended"} <= drawn.keys()
    assert len(numbers(drawn["clean"], "customdata")) == 50
    assert "97.1 % clean test accuracy" in charts(page)[0]["caption"]
    assert "silhouette" in charts(page)[0]["caption"]
    assert any("A run keeps its network after every epoch" in m.value for m in page.markdown)
    assert [link.label for link in page.get("page_link")] == ["Start a run"] or "Start a run" in str(
        page.get("page_link")
    )
    assert not tiles(page)
    assert not film(page)
    network = page.selectbox(key="network")
    assert network.options[0] == "Reference: small CNN trained on clean images"
    assert all(option.startswith("Encoder: ") for option in network.options[1:]), "there is no run yet"


def test_the_network_that_learned_the_poison_looks_first(open_page: Callable[..., AppTest]) -> None:
    small = {"data": "fashion", "data_fashion_train_size": "200", "data_fashion_test_size": "100"}
    page = open_page("features", {**small, "layout_by": "pca", "per_class": "5"})
    assert not page.exception
    network = page.selectbox(key="network")
    assert network.value == "fashion-cuda"
    assert network.options[0].startswith("CUDA: ")
    assert "network" not in page.query_params
    assert any(text.value == f"**Who looks?** {POISONED_WHY}" for text in page.markdown)
    page.selectbox(key="attack").set_value("synper").run()
    assert page.selectbox(key="network").value == "fashion-synper", "nobody chose one: it follows the poison"
    page.number_input(key="key").set_value(1).run()
    assert page.selectbox(key="network").value == "reference"
    assert any(text.value == f"**Who looks?** {CLEAN_WHY}" for text in page.markdown)
    page.selectbox(key="network").set_value("fashion-em").run()
    assert any(text.value == f"**Who looks?** {OTHER_WHY}" for text in page.markdown)
    page.number_input(key="key").set_value(0).run()
    assert page.selectbox(key="network").value == "fashion-em", "a choice of the reader's stays"


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"attack": None}, CLEAN_WHY),
        ({"attack": {"name": "cuda"}, "attack_seed": 0}, POISONED_WHY),
        ({"attack": {"name": "cuda"}, "attack_seed": 0, "defenses": [{"name": "coin"}]}, DEFENDED_WHY),
        ({"attack": {"name": "cuda"}, "attack_seed": 4}, OTHER_WHY),
        ({"attack": {"name": "synper"}, "attack_seed": 0}, OTHER_WHY),
    ],
)
def test_what_the_network_of_a_run_can_show(spec: dict[str, Any], why: str) -> None:
    choice: Any = SimpleNamespace(attack=ATTACKS.build("cuda"), seed=0)
    record: Any = SimpleNamespace(spec=spec)
    assert run_why(record, choice) == why


def test_a_network_trained_on_poisoned_images_can_look(open_page: Callable[..., AppTest]) -> None:
    page = open_page("features", {"attack": "cuda", "network": "fashion-cuda", "layout_by": "pca", "per_class": "5"})
    until(page, settled)
    caption = charts(page)[0]["caption"]
    assert victim_words("fashion-cuda") in caption
    assert "a small CNN trained on fashion poisoned by CUDA, key 0 (" in caption
    network = page.selectbox(key="network")
    offered = [option for option in network.options if "trained on poisoned images" in option]
    assert [option.split(":")[0] for option in offered] == ["CUDA", "EM", "LSP", "Unlearnable Clusters"]
    assert offered[0].endswith("(35 % on clean ones)")
    assert "35.4 % clean test accuracy; 36.1 % in the stored run 27d41aa01e0a of the same spec" in caption


def test_a_link_restores_marked_images_with_tiles_and_table(features: Callable[..., AppTest]) -> None:
    page = until(features(rows="3,17,44", colour="correctness", joined="true"), settled)
    assert page.query_params["rows"] == "3,17,44"
    (group,) = tiles(page)
    assert [row["label"] for row in group["rows"]] == [
        "clean",
        "poisoned",
        "defended",
        "poisoned − clean",
        "defended − clean",
    ]
    assert [row["count"] for row in group["rows"]] == [3] * 5
    assert [name.split()[-1] for name in group["names"]] == ["3", "17", "44"]
    assert group["clickable"] is True
    table = page.dataframe[0].value
    assert table["row"].tolist() == [3, 17, 44]
    train = DATASETS.build("shapes", train_size=200, test_size=100).load(Context()).train
    images = train.take(np.array([3, 17, 44]))
    names = train.class_names
    assert table["class"].tolist() == [names[label] for label in images.labels.tolist()]
    answers = predict(reference_network("shapes"), images.images, Context()).tolist()
    assert table["clean: answer"].tolist() == [names[answer] for answer in answers]
    assert all(0 < value <= 100 for value in table["poisoned: confidence (%)"])
    drawn = traces(page)
    assert sorted(numbers(drawn["marked"], "customdata")) == [3] * 3 + [17] * 3 + [44] * 3
    assert "copies of one image" in drawn
    assert {"right", "wrong"} <= drawn.keys()


def test_bad_rows_are_answered_and_other_data_forgets_the_marks(features: Callable[..., AppTest]) -> None:
    page = features(rows="3,900")
    assert "900" in page.warning[0].value
    until(page, settled)
    assert page.dataframe[0].value["row"].tolist() == [3]
    page.slider(key="data_shapes_texture").set_value(0.0).run()
    assert "rows" not in page.query_params
    until(page, settled)
    assert not page.dataframe


def test_layers_and_layouts(features: Callable[..., AppTest]) -> None:
    page = until(features(data_shapes_train_size="300"), settled)
    assert page.selectbox(key="layer").options == ["block 1", "block 2", "block 3", "penultimate"]
    before = numbers(traces(page)["clean"], "x")
    page.selectbox(key="layer").set_value("block 1").run()
    until(page, lambda p: settled(p) and "layer block 1 (24 numbers" in charts(p)[0]["caption"])
    assert numbers(traces(page)["clean"], "x") != before
    assert page.query_params["layer"] == "block 1"
    page.slider(key="per_class").set_value(21)
    page.button_group(key="layout_by").set_value("tsne").run()
    assert any("t-SNE takes up to 600 points" in info.value for info in page.info)


def test_a_run_is_looked_into_at_every_epoch(run: RunFolder, features: Callable[..., AppTest]) -> None:
    page = features(network=run.run_id, layer="block 2", rows="3,17")
    until(page, lambda p: settled(p) and film(p))
    assert "after 3 of 3 epochs" in charts(page)[0]["caption"]
    last = numbers(traces(page)["clean"], "x")
    (played,) = film(page)
    assert played["epochs"] == [0, 1, 2, 3]
    assert played["size"] % 3 == 0
    assert len(base64.b64decode(played["points"])) == 4 * played["size"] * 2 * 2
    assert len(played["marked"]) == 2
    learning, measure = played["strips"]
    rows = run.history()
    assert learning["lines"][1]["y"] == pytest.approx([100 * row.test_accuracy for row in rows])
    assert measure["lines"][0]["x"] == [0, 1, 2, 3]
    assert [line["name"] for line in measure["lines"]] == ["clean", "poisoned", "defended"]
    slider = page.slider(key=f"epoch_{run.run_id[-4:]}")
    assert (slider.min, slider.max, slider.value) == (0, 3, 3)
    slider.set_value(0).run()
    until(page, lambda p: settled(p) and "after 0 of 3 epochs" in charts(p)[0]["caption"])
    assert numbers(traces(page)["clean"], "x") != last
    page.button_group(key="measure").set_value("purity").run()
    assert film(page)[0]["strips"][1]["title"] == "Neighbours of the own class (no unit)"


def test_the_last_layer_of_a_run_is_refitted_on_demand(run: RunFolder, features: Callable[..., AppTest]) -> None:
    page = until(features(network=run.run_id, film="false"), settled)
    assert not page.metric
    page.button(key="quality").click().run()
    until(page, lambda p: p.metric)
    found = quality_at(run.run_id, 3)
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown == {
        "As trained": f"{100 * run.history()[-1].test_accuracy:.1f} %",
        "Last layer refitted": f"{100 * found.refitted:.1f} %",
        "Refitted, never trained": f"{100 * found.untrained:.1f} %",
    }
    page.slider(key=f"epoch_{run.run_id[-4:]}").set_value(1).run()
    assert not page.metric, "another network's numbers would be shown"


def test_an_epoch_that_was_deleted_is_an_error_in_words(run: RunFolder, features: Callable[..., AppTest]) -> None:
    damaged = RunFolder(run.path.with_name(f"{run.run_id[:-4]}ffff"))
    shutil.copytree(run.path, damaged.path)
    (damaged.epoch_folder / "epoch_003.safetensors").write_bytes(b"broken")
    page = features(network=damaged.run_id, film="false")
    deadline = time.monotonic() + PATIENCE_S
    while not page.warning and time.monotonic() < deadline:
        time.sleep(0.2)
        page.run()
    assert "The weights of epoch 3 of the run" in page.warning[0].value.replace("\\", "")


def test_a_link_to_a_run_that_is_gone_is_answered(features: Callable[..., AppTest]) -> None:
    page = features(network="20260101-000000-000-0000")
    assert "Network" in page.warning[0].value
    assert page.selectbox(key="network").value == "reference"


def test_a_film_is_two_bytes_a_coordinate() -> None:
    points = np.array([[[0, 0], [10, 4]], [[5, 2], [10, 0]]], np.float32)
    colours = PointColours(np.array([[0, 1], [1, 1]], np.uint8), ("red", "blue"), ())
    found = packed(points, colours)
    whole = np.frombuffer(base64.b64decode(found["points"]), "<i2") * found["unit"]
    moved = points - (points.max(axis=(0, 1)) + points.min(axis=(0, 1))) / 2
    assert np.abs(whole - moved.ravel()).max() <= found["unit"]
    places = np.frombuffer(base64.b64decode(found["points"]), "<i2").reshape(2, 2, 2)
    # The middle of the whole film, (5, 2), is the origin; the farthest coordinate fills the range.
    assert np.abs(places / 32767 * 5 - (points - [5, 2])).max() < 1e-3
    assert base64.b64decode(found["colours"]) == bytes([0, 1, 1, 1])
    assert found["size"] == 2
    with pytest.raises(DataError, match="not finite"):
        packed(np.full((1, 2, 2), np.nan), PointColours(np.zeros(2, np.uint8), ("red",), ()))
    with pytest.raises(DataError, match="colours"):
        packed(points, PointColours(np.zeros(3, np.uint8), ("red",), ()))


def test_the_learning_strip_is_in_per_cent() -> None:
    strip = learning_strip([EpochRow({"epoch": 1, "train_accuracy": 0.5, "test_accuracy": 0.25})])
    assert [(line.name, line.y) for line in strip.lines] == [("training", (50.0,)), ("clean test", (25.0,))]
    assert (strip.low, strip.high) == (0.0, 100.0)


def test_runs_with_labels_of_their_own_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their answers are other classes than those that the plot names."""
    data = {"name": "shapes"}
    relabelled = {"dataset": data, "relabel": {"name": "modulo", "classes": 5}}
    specs = {"plain": {"dataset": data}, "relabelled": relabelled, "elsewhere": {"dataset": {"name": "digits"}}}
    records = [SimpleNamespace(id=name, spec=spec) for name, spec in specs.items()]
    monkeypatch.setattr(
        feature_views, "runs", SimpleNamespace(snapshot=lambda: Snapshot("1", tuple(records)), folder=lambda name: name)
    )
    monkeypatch.setattr(feature_views, "stored_epochs", lambda folder: (0, 1))
    choice = SimpleNamespace(dataset=DATASETS.build("shapes"))
    assert [record.id for record in feature_views.runs_of(choice)] == ["plain"]


@pytest.mark.parametrize(
    ("refitted", "untrained", "tested", "says"),
    [
        (0.9, 0.4, 99, "no verdict from 99 test images"),
        (0.9, 0.4, 100, "sees more than one that was never trained"),
        (0.9, 0.85, 100, "100 test images cannot tell"),
        (0.9, 0.85, 5000, "sees more than one that was never trained"),
        (0.9, 0.89, 5000, "worth no more than random ones"),
    ],
)
def test_what_a_refit_says_follows_its_numbers_and_their_interval(
    refitted: float, untrained: float, tested: int, says: str
) -> None:
    assert says in quality_words(FeatureQuality(0.5, refitted, untrained, 500, 96, tested))
