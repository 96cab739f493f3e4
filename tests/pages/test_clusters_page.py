"""The Clusters page: what it says before and after crafting, a cluster picked anywhere, and links that ask for
nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import normalized_mutual_info_score
from streamlit.testing.v1 import AppTest

from pages.clusters.effects import strength_word
from pages.clusters.views import EVERY, fewer_clusters
from pages.state import background, crafting
from pages.state.background import Handle, WorkFailed
from tests.figures.test_perturbation import numbers
from tests.pages.components import charts, tiles
from tests.runs.test_uc_protocols import row
from ued_core.artefacts import CRAFTED
from ued_core.attacks import UnlearnableClusters
from ued_core.attacks.encoders import encoder_for
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.records import ImageSet
from ued_core.results.evidence import over
from ued_core.results.measured import Frozen

QUICK = {"clusters": 4, "steps": 2, "generator_width": 4, "generator_blocks": 1}
SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100", "key": "4", "layout_by": "pca"}
ASKED = {**SMALL, **{f"attack_uc_{name}": str(value) for name, value in QUICK.items()}}
MAP, PLOT = (
    "Do the clusters match the labels?",
    "Where does the encoder see clean and poisoned images, and where should they go?",
)
BARS = "Which share of a cluster's poisoned images is nearest to its anchor?"
CURVES = "Does the noise bring the images to the anchor, and away from where they were?"
PLANNED, MADE = [MAP, PLOT], [MAP, PLOT, BARS, CURVES]


@pytest.fixture(scope="module")
def data() -> ImageSet:
    """The training images that the pages show."""
    return load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train


@pytest.fixture(scope="module")
def crafted(data: ImageSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the crafted set."""
    from ued_core.attacks.checkpoint import craft_once

    home = tmp_path_factory.mktemp("crafted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UED_HOME", str(home))
        craft_once(UnlearnableClusters(**QUICK), data, Context(seed=4))
    return home


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The side process's work is done here and now; the names of what was asked for."""
    asked: list[str] = []

    def submit(key: str, function: Callable[..., Any], *args: Any, slot: str = "", after_s: float = 0.0) -> Handle:
        asked.append(function.__name__)
        handle = Handle(key, None, state="ready", value=function(*args))
        handle.done.set()
        return handle

    monkeypatch.setattr(background, "submit", submit)
    return asked


@pytest.fixture
def made(
    open_page: Callable[..., AppTest], crafted: Path, monkeypatch: pytest.MonkeyPatch, at_once: list[str]
) -> Callable[..., AppTest]:
    """Visits the page where the set is crafted."""
    monkeypatch.setenv("UED_HOME", str(crafted))
    return lambda **query: open_page("clusters", {**ASKED, **query})


def figure(page: AppTest, question: str) -> dict[str, Any]:
    (found,) = (chart for chart in charts(page) if chart["question"] == question)
    return json.loads(found["figure"])


def caption(page: AppTest, question: str) -> str:
    (found,) = (chart for chart in charts(page) if chart["question"] == question)
    return found["caption"]


def heard(page: AppTest) -> str:
    return " ".join(box.value for kind in (page.info, page.warning, page.error) for box in kind)


# ---------------------------------------------------------------- before crafting


def test_before_crafting_it_shows_clusters_and_plans(open_page, at_once, data, monkeypatch) -> None:
    monkeypatch.setattr(UnlearnableClusters, "craft", lambda *args: pytest.fail("the page crafts"))
    page = open_page("clusters", ASKED)
    assert not page.exception
    assert not page.error
    assert not page.warning
    assert page.title[0].value == "Unlearnable Clusters"
    assert [s.value[:1] for s in page.subheader][:4] == ["1", "2", "3", "4"]
    assert [c["question"] for c in charts(page) if c["question"] in MADE] == PLANNED
    assert "UC (proxy surrogate)" in " ".join(m.value for m in page.markdown)
    assert "No noise has been made yet" in caption(page, PLOT)
    assert "has to be crafted" in heard(page)
    assert len([b for b in page.button if b.label.startswith("Craft it")]) == 1
    (shown,) = tiles(page)
    assert shown["names"] == ["1 → 2", "2 → 3", "3 → 4", "4 → 1"]
    assert at_once == ["surrogate_features", "group_images", "cluster_picture"]


def test_agreement_is_the_attacks_own(open_page, at_once, data) -> None:
    page = open_page("clusters", ASKED)
    attack = UnlearnableClusters(**QUICK)
    assert f"**NMI {attack.agreement(data, Context(seed=4)):.2f}**" in caption(page, MAP)
    found = attack.groups(data, Context(seed=4)).assignment.numpy()
    counts = np.zeros((4, data.classes), int)
    np.add.at(counts, (found, data.labels.numpy()), 1)
    assert np.array_equal(numbers(figure(page, MAP)["data"][0]["text"]), counts)
    assert f"**{100 * counts.max(1).sum() / 200:.0f} %**" in caption(page, MAP)


def test_other_labels_change_the_table_and_not_the_clusters(open_page, at_once, data) -> None:
    page = open_page("clusters", {**ASKED, "labels": "blocks", "labels_classes": "2"})
    assert not page.exception
    cells = figure(page, MAP)["data"][0]
    found = UnlearnableClusters(**QUICK).groups(data, Context(seed=4)).assignment.numpy()
    halves = (data.labels.numpy() * 2) // data.classes
    expected = [[int(((found == c) & (halves == h)).sum()) for h in (0, 1)] for c in range(4)]
    assert numbers(cells["text"]).tolist() == expected
    assert f"**NMI {normalized_mutual_info_score(halves, found):.2f}**" in caption(page, MAP)
    del at_once[:]
    page.slider(key="labels_classes").set_value(3).run()
    assert numbers(figure(page, MAP)["data"][0]["text"]).shape == (4, 3)
    assert "group_images" not in at_once


def test_offset_moves_the_arrows_and_computes_no_clusters_again(open_page, at_once) -> None:
    page = open_page("clusters", ASKED)
    del at_once[:]
    page.slider(key="attack_uc_offset").set_value(3).run()
    assert tiles(page)[0]["names"] == ["1 → 4", "2 → 1", "3 → 2", "4 → 3"]
    assert "group_images" not in at_once
    centres = next(t for t in figure(page, PLOT)["data"] if t["name"].startswith("centre"))
    x = numbers(centres["x"])
    arrows = [t for t in figure(page, PLOT)["data"] if t["name"].startswith("planned")]
    assert [a["x"][1] for a in arrows] == pytest.approx(x[[3, 0, 1, 2]].tolist())


def test_button_starts_one_run_of_this_choice(open_page, at_once, monkeypatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(crafting.runs, "submit", lambda spec, **_: asked.append(spec))
    page = open_page("clusters", ASKED)
    next(b for b in page.button if b.label.startswith("Craft it")).click().run()
    assert not page.exception
    (spec,) = asked
    assert spec.attack == UnlearnableClusters(**QUICK)
    assert spec.attack_seed == 4
    assert spec.dataset.train_size == 200


# ---------------------------------------------------------------- afterwards


def test_after_crafting_everything_is_there(made) -> None:
    page = made()
    assert not page.exception
    assert not page.error
    assert "has to be crafted" not in heard(page)
    shown = [c for c in charts(page) if c["question"] in MADE]
    assert [c["question"] for c in shown] == MADE
    assert all(c["formula"] and c["caption"] and c["alt"] and len(c["figure"]) < 600_000 for c in shown)
    assert {t["name"] for t in figure(page, PLOT)["data"]} >= {"clean", "poisoned"}
    noise = tiles(page)[1]
    assert [line["label"] for line in noise["rows"]] == ["noise", "an image before", "after", "difference"]
    assert "127.5 + **" in noise["caption"]
    assert noise["rows"][0]["more"].startswith("× ")
    assert "**100 %** of them are exactly their clean version plus this noise" in noise["caption"]
    assert noise["rows"][1]["source"] != noise["rows"][2]["source"]


def test_curves_are_those_of_the_log(made, crafted) -> None:
    (card,) = crafted.glob("crafted/*/*/card.json")
    log = json.loads(card.read_text())["log"]
    drawn = [t for t in figure(made(), CURVES)["data"] if t["legendgroup"] == "clusters" and t["xaxis"] == "x"]
    assert [t["y"] for t in drawn] == [entry["curve"]["anchor_kl"] for entry in log["trace"]]


def test_older_log_is_told_and_drawn_as_bars(made, crafted) -> None:
    (path,) = crafted.glob("crafted/*/*/card.json")
    kept = path.read_text()
    card = json.loads(kept)
    for entry in card["log"]["trace"]:
        del entry["curve"], entry["clean_own_kl"]
    try:
        path.write_text(json.dumps(card))
        page = made()
    finally:
        path.write_text(kept)
    assert not page.exception
    assert "older version" in heard(page)
    assert {t["type"] for t in figure(page, CURVES)["data"]} == {"bar"}


def test_another_grouping_than_that_of_the_set_is_told(made, monkeypatch) -> None:
    """As if the set had been crafted on a device whose features differ."""
    from pages.clusters import views as cluster_views
    from ued_core.studies.cluster_room import Grouping, group_images

    def group_otherwise(*args: Any) -> Grouping:
        found = group_images(*args)
        return Grouping(np.roll(found.assignment, 1), found.centres, found.nearest, found.counts, found.nmi)

    monkeypatch.setattr(cluster_views, "group_images", group_otherwise)
    assert "was crafted with other clusters" in heard(made())


def test_reported_table_is_there_and_called_reported(open_page, at_once) -> None:
    page = open_page("clusters", {**ASKED, "reported_model": "efficientnet_b1"})
    assert not page.exception
    assert "**Reported, not measured here.**" in " ".join(m.value for m in page.markdown)
    cells = figure(page, "How much do models learn from images whose labels the protector did not know?")["data"][0]
    row, column = cells["y"].index("UC"), cells["x"].index("Cars")
    assert numbers(cells["z"])[row, column] == pytest.approx(13.92)


def test_stored_protocols_are_shown_with_seeds_and_command(open_page, at_once, monkeypatch, tmp_path) -> None:
    from pages.clusters import effects as cluster_results

    path = tmp_path / "uc-protocols.json"
    monkeypatch.setattr(cluster_results, "FILE", path)
    page = open_page("clusters", ASKED)
    assert "stored here yet" in " ".join(c.value for c in page.caption)
    rows = [
        row("relabelling", 0.3, attack={"name": "uc", "encoder": e}, relabel={"name": "blocks", "classes": n}, seed=s)
        for e in ("embedded", "labelled")
        for n in (2, 5)
        for s in (0, 1)
    ]
    mixed = row("mixing", 0.7, attack="uc", poison_rate=0.5, seed=2)
    mixed["history"] = [
        {"touched_accuracy": 0.4, "untouched_accuracy": 0.2},
        {"touched_accuracy": 0.9, "untouched_accuracy": 0.3},
    ]
    path.write_text(
        json.dumps([*rows, mixed, row("SimCLR", 0.6, plan="simclr"), row("SimCLR", 0.5, plan="simclr", attack="uc")])
    )
    page = open_page("clusters", ASKED)
    assert not page.exception
    assert not page.error
    told = " ".join(m.value for m in page.markdown)
    assert "Measured here: UC (proxy surrogate), UC (labelled surrogate)." in told
    assert "NMI of the embedded encoder's clusters" in told
    words = caption(page, "Does the poison hold when the images get other labels?")
    assert "seeds 0, 1." in words
    assert "ued study run uc-protocols" in words
    page = open_page("clusters", {**ASKED, "protocol": "1"})
    assert "seed 2." in caption(page, "What do the poisoned images add when only some are poisoned?")
    parts = figure(page, "Are the poisoned images learned before the clean ones?")["data"]
    assert [numbers(t["y"])[-1] for t in parts] == pytest.approx([90, 30])
    page = open_page("clusters", {**ASKED, "protocol": "2"})
    assert not page.exception
    assert "UC (proxy surrogate)" in caption(page, "Does it carry over to other ways of training?")


# ---------------------------------------------------------------- one cluster


def test_picked_cluster_is_marked_in_every_view(made) -> None:
    page = made(cluster="3")
    assert not page.exception
    assert [group["selected"] for group in tiles(page)] == [[2], [2]]
    assert figure(page, MAP)["layout"]["shapes"][0]["y0"] == 1.5
    clean = next(t for t in figure(page, PLOT)["data"] if t["name"] == "clean")
    assert ((numbers(clean["marker"]["opacity"]) > 0.5) == (numbers(clean["customdata"]) == 2)).all()
    assert figure(page, BARS)["data"][0]["marker"]["opacity"] == [0.35, 0.35, 1.0, 0.35]
    widths = [
        t["line"]["width"] for t in figure(page, CURVES)["data"] if t["legendgroup"] == "clusters" and t["xaxis"] == "x"
    ]
    assert widths.index(max(widths)) == 2
    page.selectbox(key="cluster").select(EVERY).run()
    assert [group["selected"] for group in tiles(page)] == [[], []]
    assert not figure(page, MAP)["layout"]["shapes"]


@pytest.mark.parametrize(
    ("chart", "point"),
    [
        ("cluster_map", {"point": [1, 0]}),
        ("cluster_plot", {"point": 5, "customdata": 1}),
        ("cluster_curves", {"point": 0, "customdata": 1}),
    ],
)
def test_click_picks_and_a_second_one_lets_go(made, monkeypatch, chart: str, point: dict[str, Any]) -> None:
    from pages.clusters import views as cluster_views

    clicks: list[dict[str, Any]] = []
    monkeypatch.setattr(cluster_views, "fresh_click", lambda *keys: clicks.pop() if clicks else None)
    page = made()
    for expected in ("2", None):
        clicks.append({**point, "chart": chart})
        page.run()
        assert not page.exception
        assert page.query_params.get("cluster") == expected
    clicks.append({"point": 0, "customdata": -1, "chart": "cluster_curves"})
    page.run()
    assert "cluster" not in page.query_params, "the mean is no cluster"


# ---------------------------------------------------------------- links and failures


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"cluster": "9"}, "Cluster to mark"),
        ({"attack_uc_clusters": "1"}, "Clusters"),
        ({"attack_uc_encoder": "oracle"}, "Encoder"),
        ({"labels": "modulo", "labels_classes": "11"}, "Classes after merging"),
    ],
)
def test_nonsense_in_a_link_is_answered(open_page, at_once, query: dict[str, str], word: str) -> None:
    page = open_page("clusters", {**ASKED, **query})
    assert not page.exception
    assert not page.error
    assert any(word in box.value and "default is used" in box.value for box in page.warning)


def test_offset_of_a_whole_turn_is_refused_in_words(open_page, at_once) -> None:
    page = open_page("clusters", {**ASKED, "attack_uc_offset": "8"})
    assert not page.exception
    assert "no multiple of the number of clusters" in page.error[0].value


def test_absent_encoder_is_told(open_page, at_once, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: "nowhere")
    page = open_page("clusters", {**ASKED, "attack_uc_encoder": "resnet50"})
    assert not page.exception
    assert "resnet50-0676ba61.pth" in page.error[0].value


def test_it_says_what_it_waits_for_and_what_failed(open_page, monkeypatch) -> None:
    state = ["waiting"]

    def submit(key: str, function: Callable[..., Any], *args: Any, slot: str = "", after_s: float = 0.0) -> Handle:
        handle = Handle(key, None, state=state[0])
        if state[0] == "failed":
            handle.error = WorkFailed("No luck.")
            handle.done.set()
        return handle

    monkeypatch.setattr(background, "submit", submit)
    page = open_page("clusters", ASKED)
    assert not page.exception
    assert "The encoder looks at 200 images" in page.info[0].value
    state[0] = "failed"
    page.run()
    assert "No luck" in page.warning[0].value


def test_proxy_is_named_and_nothing_else_is(open_page, at_once) -> None:
    page = open_page("clusters", {**ASKED, "attack_uc_encoder": "labelled"})
    words = " ".join(m.value for m in page.markdown)
    assert "UC (labelled surrogate)" in words
    assert "bound" not in words
    assert "control and not label-agnostic" in words
    assert "| UC (labelled surrogate) | 71.9 % (n = 3) | 20.2 % (n = 3) | not measured |" in words
    assert encoder_for("labelled", "shapes").proxy
    assert not CRAFTED.root().exists()


def test_it_says_where_the_poison_works_and_where_it_does_not(open_page, at_once) -> None:
    """On photographs the stand-in's noise is weak, on drawn shapes strong; both stand there with their runs."""
    page = open_page("clusters", {"data_fashion_train_size": "200", "data_fashion_test_size": "100"})
    assert not page.exception
    words = [m.value for m in page.markdown]
    (weak,) = [text for text in words if text.startswith("**It hardly works on Fashion:**")]
    assert "78 % of clean test images rightly (1 stored run), 84 % after training on clean ones" in weak
    (strong,) = [text for text in words if text.startswith("**It works on Shapes:**")]
    assert "35 % of clean test images rightly (3 stored runs), 97 %" in strong
    assert any("| UC (proxy surrogate) | 35.3 % (n = 3) | 98.8 % (n = 3) | 78.0 % (n = 1) |" in text for text in words)
    page.button(key="clusters_best").click().run()
    assert page.selectbox(key="data").value == "shapes"
    words = [m.value for m in page.markdown]
    assert [text for text in words if text.startswith("**It works on Shapes:**")]
    assert not [b for b in page.button if b.key == "clusters_best"], "it is shown"


@pytest.mark.parametrize(
    ("clean", "attacked", "word"),
    [
        (0.9, 0.5, "It works"),
        (0.9, 0.7, "It works in part"),
        (0.9, 0.85, "It hardly works"),
        (0.9, 0.95, "It hardly works"),
    ],
)
def test_the_word_for_how_well_it_works(clean: float, attacked: float, word: str) -> None:
    assert strength_word(Frozen("shapes", "UC", "embedded", over([clean]), over([attacked]))) == word


@pytest.mark.parametrize(
    ("sizes", "advice"),
    [
        ([1, 7, 3, 4, 6, 4, 5, 3, 4, 4], "Choose 2 clusters"),
        ([30, 5, 20, 9], "Choose 3 clusters"),
        ([25, 30], ""),
        ([3, 2], ""),
    ],
)
def test_fewer_clusters_are_advised_for_few_images(sizes: list[int], advice: str) -> None:
    told = fewer_clusters(np.array(sizes))
    assert advice in told
    assert bool(told) == bool(advice)
    if told:
        assert f"{len(sizes)} clusters of {min(sizes)} to {max(sizes)} images" in told


def test_clean_runs_alone_are_no_protocol_of_the_attack(open_page, at_once, monkeypatch, tmp_path) -> None:
    from pages.clusters import effects as cluster_results

    path = tmp_path / "uc_protocols.json"
    monkeypatch.setattr(cluster_results, "FILE", path)
    path.write_text(json.dumps([row("relabelling", 0.97)]))
    page = open_page("clusters", ASKED)
    assert not page.exception
    assert "stored here yet" in " ".join(c.value for c in page.caption)
    assert "Measured here" not in " ".join(m.value for m in page.markdown)
