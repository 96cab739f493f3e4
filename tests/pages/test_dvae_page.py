"""The page D-VAE: what is shown for which networks, and the way from a button to a purified set."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from pages.dvae import sets, training
from pages.dvae.training import LOOK_EVERY_S
from pages.dvae.views import PER_CLASS, epochs_words, ground_words, recovery_words, trained_for
from pages.state.choice import Selection
from pages.state.run_words import percent
from tests.pages.components import charts, tiles
from tests.results.test_measured import row
from ued_core import runs
from ued_core.analysis.purification import Ground, Recovery, surviving
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.purified import Workshop, work_of
from ued_core.records import DataSplit, ImageSet, balanced_rows, to_float
from ued_core.runs import RunRecord, RunSpec, Snapshot

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100", "attack": "class_noise"}
QUICK = {"width": 4, "epochs": 1, "batch_size": 100}
CONTROLS = {f"dvae_{name}": str(value) for name, value in QUICK.items()}


def published(poison_rate: float = 1.0) -> ImageSet:
    return ATTACKS.build("class_noise").poison(train(), Context(seed=0), poison_rate).as_training_set()


def train() -> ImageSet:
    return DATASETS.build("shapes", train_size=200, test_size=100).load(Context()).train


def markup(page: AppTest) -> str:
    return "\n".join(m.value for m in page.markdown)


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Specs that the page submits; nothing is started."""
    found: list[Any] = []
    monkeypatch.setattr(runs, "submit", lambda spec, *_, **__: found.append(spec) or "id")
    return found


def test_nothing_is_trained_yet(open_page: Callable[..., AppTest], submitted: list[Any]) -> None:
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert not page.error
    assert "No D-VAE is there for" in page.info[0].value
    assert tiles(page) == []
    page.button(key="dvae_start").click().run()
    (spec,) = submitted
    assert spec.attack.key == "class_noise"
    assert [d.to_json() for d in spec.defenses] == [Dvae(**QUICK).to_json()]
    assert not page.exception


def test_what_ships_is_one_press_away(open_page: Callable[..., AppTest]) -> None:
    """A link from the page to itself would change nothing: the controls keep what they hold."""
    page = open_page("dvae", {"data": "digits", "poison_rate": "0.5"})
    assert "No D-VAE is there for Digits with LSP" in page.info[0].value
    next(b for b in page.button if b.label == "Digits with Region noise →").click().run()
    assert not page.exception
    assert page.selectbox(key="attack").value == "region"
    assert page.select_slider(key="poison_rate").value == "1"
    assert not [i for i in page.info if "No D-VAE is there" in i.value]
    assert page.select_slider(key="rate").options == ["0.3", "0.6", "1", "2", "4"]


def test_rate_targets_that_were_trained_here(open_page: Callable[..., AppTest]) -> None:
    data = published()
    for rate in (0.5, 2.0, 6.0):
        Dvae(variant="subtraction", rate_1=rate, **QUICK).purify(data, Context())
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert not page.error
    slider = page.select_slider(key="rate")
    assert slider.options == ["0.5", "2", "6"]
    assert slider.value == "2"
    rate_tiles, class_tiles, stage_tiles = tiles(page)
    assert [row["label"] for row in rate_tiles["rows"]] == [
        "clean",
        "poisoned",
        "x̂",
        "p̂, found",
        "true one",
        "poisoned − p̂",
    ]
    assert len(rate_tiles["names"]) == len(class_tiles["names"]) == 10
    assert [row["label"] for row in stage_tiles["rows"]] == ["clean", "poisoned", "stage 1"]
    chart = charts(page)[0]
    drawn = json.loads(chart["figure"]) if isinstance(chart["figure"], str) else chart["figure"]
    assert len(drawn["data"]) == 6
    assert "At target 2:" in chart["caption"]
    before = rate_tiles["rows"][2]["source"]
    slider.set_value("6").run()
    assert not page.exception
    assert page.query_params["rate"] in ("6", ["6"])
    assert tiles(page)[0]["rows"][2]["source"] != before
    assert tiles(page)[0]["rows"][1]["source"] == rate_tiles["rows"][1]["source"]
    assert "At target 6:" in charts(page)[0]["caption"]


def test_both_stages_and_a_finished_set(open_page: Callable[..., AppTest]) -> None:
    data = published()
    made = Dvae(**QUICK).kept(data)
    assert made is None
    Dvae(**QUICK).purify(data, Context())
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert "the only one for which a network is there" in markup(page)
    assert [row["label"] for row in tiles(page)[2]["rows"]] == ["clean", "poisoned", "stage 1", "stage 2"]
    assert "Stage 1 kept" in tiles(page)[2]["caption"].replace("\\", "")
    assert [c["question"] for c in charts(page)] == [
        "What does a looser limit let through?",
        "How did the stages learn?",
    ]
    assert "exactly these parameters is on the disk" in page.success[0].value
    assert not [b for b in page.button if b.key == "dvae_start"]
    assert [b.label for b in page.button if b.key == "dvae_start_first"] == [
        "Train a draft of stage 1 alone (x − p̂): start a run"
    ]
    assert "About **0 s** for a draft of stage 1 alone" in markup(page), "stage 1 of the set of both stages is taken"
    rate_tiles = tiles(page)[0]
    assert [row["label"] for row in rate_tiles["rows"]][5:] == ["poisoned − p̂", "after stage 2"]
    kept = Dvae(**QUICK).kept(data)
    # Of a set that was purified, the stages on the disk are measured.
    rows = balanced_rows(data.labels, PER_CLASS, 0)
    clean, given = to_float(train().images[rows]), to_float(data.images[rows])
    left = [surviving(clean, to_float(images[rows]), given - clean) for images in (data.images, *kept.stages)]
    assert f"| as published | {percent(left[0])} |" in markup(page)
    assert f"| after stage 1 | {percent(left[1])} |" in markup(page)
    assert f"| after stage 2 | {percent(left[2])} |" in markup(page)


def test_pictures_of_a_training_that_is_under_way(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, defense = published(), Dvae(**QUICK)
    folder = defense.folder(data.content_hash)
    rows = np.arange(3)
    pictures = {"rows": rows, "given": data.images[:3].numpy(), "image": data.images[:3].numpy(),
                "perturbation": np.zeros((3, 3, 32, 32), np.float32)}  # fmt: skip
    trace = [{"epoch": 1, "rate": 1.5, "psnr": 20.0}]
    log = {"stages": [{"stage": 1, "target": 1.0, "planned_epochs": 4, "trace": trace}]}
    Workshop(work_of(folder)).show(log, pictures)
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert "epoch 1 of 4" in tiles(page)[-1]["caption"]
    assert [row["label"] for row in tiles(page)[-1]["rows"]] == ["given", "x̂", "p̂, found"]
    assert charts(page)[-1]["question"] == "How is it learning?"
    assert [c.value for c in page.caption if c.value.startswith("No run is working on this now")]
    assert not [b for b in page.button if b.key == "dvae_enough"]
    dataset = {"name": "shapes", "train_size": 200, "test_size": 100}
    spec = RunSpec.from_json({"dataset": dataset, "attack": "class_noise", "defenses": [defense.to_json()]}).to_json()
    now = Snapshot("1", (RunRecord("20260101-000000-abcdef", state="running", spec=spec, text="epoch 2"),))
    monkeypatch.setattr(runs, "snapshot", lambda: now)
    page.run()
    assert not page.exception
    page.button(key="dvae_enough").click().run()
    assert not page.exception
    assert (work_of(folder) / "enough").exists()
    assert LOOK_EVERY_S > 0


def test_a_run_says_what_purifying_takes(open_page: Callable[..., AppTest]) -> None:
    page = open_page("runs")
    dataset = {"name": "shapes", "train_size": 200, "test_size": 100}
    page.session_state["handed_spec"] = {
        "dataset": dataset,
        "attack": "class_noise",
        "defenses": [Dvae(**QUICK).to_json()],
    }
    page.session_state["handed_from"] = "D-VAE"
    page.run()
    assert not page.exception
    told = [i.value for i in page.info if "trains its own networks" in i.value]
    assert len(told) == 1
    assert "of this machine's processor" in told[0]


def test_stage_1_is_started_alone(open_page: Callable[..., AppTest], submitted: list[Any]) -> None:
    page = open_page("dvae", {**SMALL, **CONTROLS, "dvae_rate_2": "2.0"})
    page.button(key="dvae_start_first").click().run()
    assert not page.exception
    (spec,) = submitted
    assert [d.to_json() for d in spec.defenses] == [Dvae(variant="subtraction", **QUICK).to_json()]
    page = open_page("dvae", {**SMALL, **CONTROLS, "dvae_variant": "reconstruction"})
    assert not [b for b in page.button if b.key == "dvae_start_first"], "one stage has no first one"


def test_a_partly_poisoned_set(
    open_page: Callable[..., AppTest], submitted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Control, address, networks, what is shown, the run that is started and those that are compared: all follow the
    share."""
    half = {**SMALL, **CONTROLS, "poison_rate": "0.5"}
    data = published(0.5)
    Dvae(variant="subtraction", **QUICK).purify(published(), Context())
    page = open_page("dvae", half)
    assert not page.exception
    assert "50 % of the images poisoned" in page.info[0].value.replace("\\", "")
    page.button(key="dvae_start").click().run()
    assert submitted[0].poison_rate == 0.5
    Dvae(variant="subtraction", **QUICK).purify(data, Context())
    spec = submitted[0].to_json()
    records = [
        RunRecord("20260101-000000-aaaa", state="finished", spec=spec, last=0.75),
        RunRecord("20260101-000000-bbbb", state="finished", spec={**spec, "poison_rate": 1.0}, last=0.25),
        RunRecord("20260101-000000-cccc", state="finished", spec={**spec, "train_on": "clean"}, last=0.35),
    ]
    monkeypatch.setattr(runs, "snapshot", lambda: Snapshot("1", tuple(records)))
    page = open_page("dvae", half)
    assert not page.exception
    assert not page.error
    poisoned, untouched, classes, stages = tiles(page)
    assert [row["label"] for row in untouched["rows"]] == ["left clean", "x̂", "p̂, found", "spared", "clean − p̂"]
    assert [row["label"] for row in poisoned["rows"]][1] == "poisoned"
    assert "50 % of the images poisoned" in poisoned["caption"]
    assert [row["label"] for row in classes["rows"]] == ["class alone", "p̂", "p̂, left clean", "true one"]
    assert "all of them poisoned" in charts(page)[0]["caption"]
    told = markup(page)
    changed = int((data.images != published(0.0).images).flatten(1).any(1).sum())
    assert f"| poisoned | {changed} |" in told
    assert f"| left clean | {200 - changed} | the same |" in told
    assert "perturbation in p̂" in told
    assert "75.0 %" in told
    assert "25.0 %" not in told
    assert "35.0 %" not in told
    assert page.query_params["poison_rate"] in ("0.5", ["0.5"])


def test_what_ships_belongs_to_sets_that_are_poisoned_throughout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    small = published(0.0)
    whole = Selection(DATASETS.build("shapes"), ATTACKS.build("cuda"), 0, 0, DataSplit(small, small))
    (shipped,) = trained_for(whole, small)
    assert shipped.label.startswith("shipped")
    assert trained_for(replace(whole, poison_rate=0.8), small) == []


def test_networks_that_were_told_shuffled_labels_are_a_control(open_page: Callable[..., AppTest]) -> None:
    data = published()
    for labels in ("shuffled", "true"):
        Dvae(variant="subtraction", labels=labels, **QUICK).purify(data, Context())
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    networks = page.selectbox(key="networks")
    assert ["shuffled" in option for option in networks.options] == [False, True]
    before = tiles(page)[0]["rows"][3]["source"]
    page = open_page("dvae", {**SMALL, **CONTROLS, "networks": "1"})
    assert not page.exception
    assert tiles(page)[0]["rows"][3]["source"] != before


@pytest.mark.parametrize(
    ("poisoned", "clean", "said"),
    [
        (0.04, 0.0, "hardly found"),
        (0.097, 0.095, "does not see"),
        (0.9, 0.1, "mostly sees"),
        (0.9, 0.5, "in part"),
        (0.9, 0.85, "does not see"),
    ],
)
def test_words_for_what_is_told_apart(poisoned: float, clean: float, said: str) -> None:
    assert said in recovery_words(Recovery(10, poisoned, 1.0, 30.0, 35.0), Recovery(10, clean, 1.0, np.inf, 35.0))


def test_a_filter_is_told_with_its_numbers_and_noise_is_one_press_away(open_page: Callable[..., AppTest]) -> None:
    page = open_page("dvae", {"attack": "cuda"})
    assert not page.exception
    (told,) = (i.value for i in page.info if "filters the images, and D-VAE is made for noise" in i.value)
    assert "Here D-VAE fails" in told
    chart = next(c for c in charts(page) if c["question"] == "What does a looser limit let through?")
    for words in re.findall(r"\d+\.\d dB", told):
        assert words.split()[0] in chart["caption"], "the numbers of the chart below"
    next(b for b in page.button if b.label == "Fashion with LSP →").click().run()
    assert not page.exception
    assert page.selectbox(key="attack").value == "synper"
    assert not [i for i in page.info if "is made for noise" in i.value], "LSP is noise"


def test_it_opens_with_noise_and_both_stages(open_page: Callable[..., AppTest], submitted: list[Any]) -> None:
    """Nobody chose an attack: the page begins with one for which both stages ship, and trains nothing for it."""
    page = open_page("dvae", {})
    assert not page.exception
    assert not page.error
    assert page.selectbox(key="attack").value == "synper"
    assert "attack" not in page.query_params
    labels = [row["label"] for row in tiles(page)[0]["rows"]]
    assert labels[5:] == ["poisoned − p̂", "after stage 2"]
    text = markup(page)
    left = [float(share) for share in re.findall(r"\| (?:as published|after stage \d) \| ([\d.]+) % \|", text)]
    assert 100 == left[0] > left[1] > left[2], "each stage leaves less"
    assert left[2] < 20
    assert "Stage 1 makes the ground darker" in text, "the ground of this set is not black, and p̂ holds a part of it"
    page.select_slider(key="rate").set_value("4").run()
    assert not page.exception
    assert [row["label"] for row in tiles(page)[0]["rows"]][-1] == "poisoned − p̂"
    assert [c.value for c in page.caption if "Stage 2 ships for a rate target of 1." in c.value]
    next(b for b in page.button if b.label == "Digits with Region noise →").click().run()
    assert not page.exception
    assert page.select_slider(key="rate").value == "0.3"
    assert "Stage 1 makes the ground brighter" in markup(page), "p̂ takes more off the black ground than is there"
    assert "more than there was" in markup(page)
    assert not [b for b in page.button if b.label == "Digits with Region noise →"], "it is shown"
    next(b for b in page.button if b.label == "Fashion with CUDA →").click().run()
    assert page.selectbox(key="attack").value == "cuda"
    assert page.query_params["attack"] in ("cuda", ["cuda"])


def test_an_attack_that_was_chosen_elsewhere_is_shown(open_page: Callable[..., AppTest]) -> None:
    """Also the one that other pages begin with; and going through such a page chooses nothing."""
    page = open_page("attack")
    assert page.selectbox(key="attack").value == "cuda"
    page.switch_page("../dvae/page.py").run()
    assert page.selectbox(key="attack").value == "synper"
    page.switch_page("../attack/page.py").run()
    assert page.selectbox(key="attack").value == "cuda"
    for attack in ("region", "cuda"):
        page.selectbox(key="attack").set_value(attack).run()
    page.switch_page("../dvae/page.py").run()
    assert not page.exception
    assert page.selectbox(key="attack").value == "cuda"
    assert [i for i in page.info if "Here D-VAE fails" in i.value]


def test_words_for_the_ground() -> None:
    """They name the numbers of what they say, and stay away where there is no ground or it is left alone."""
    black = Ground(level=0, share=0.62, estimate=-8.54, image=2.2, hidden=0.71, published=3.0, subtracted=10.2)
    words = ground_words(black, 1.63)
    for told in (
        "brighter",
        "62 %",
        "black",
        "−8.5/255",
        "71 %",
        "3.0/255",
        "10.2/255",
        "163 %",
        "more than there was",
    ):
        assert told in words
    assert "more than there was" not in ground_words(black, 0.9)
    grey = Ground(level=16, share=0.62, estimate=10.04, image=5.6, hidden=0.0, published=16.0, subtracted=6.1)
    words = ground_words(grey, 0.66)
    for told in ("darker", "62 %", "16/255", "10.0/255", "5.6/255", "16.0/255", "6.1/255", "lacks it"):
        assert told in words
    assert "below 0" not in words
    assert "has that twice" in ground_words(replace(grey, estimate=-5.0, subtracted=21.0), 0.66)
    assert ground_words(replace(black, share=0.05), 1.63) == ""
    assert ground_words(replace(black, subtracted=3.9), 1.63) == ""
    assert ground_words(replace(grey, published=22.9, subtracted=19.7), 0.99) == "", "it came nearer to its level"


def test_a_draft_is_offered_and_says_that_it_is_one(open_page: Callable[..., AppTest], submitted: list[Any]) -> None:
    longer = {**CONTROLS, "dvae_epochs": "13"}
    page = open_page("dvae", {**SMALL, **longer})
    assert not page.exception
    assert "for a draft of both stages" in markup(page)
    assert "This is processor time, about what an otherwise idle machine takes" in markup(page)
    assert [c.value for c in page.caption if "fewer steps, a blurrier reconstruction" in c.value]
    page.button(key="dvae_start_draft").click().run()
    assert [d.to_json() for d in submitted[0].defenses] == [Dvae(**{**QUICK, "epochs": 12}).to_json()]
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not [b for b in page.button if b.key == "dvae_start_draft"], "one epoch is a draft already"
    assert "About" in markup(page)
    assert epochs_words(Dvae(epochs=12)) == "12 epochs, a draft"
    assert epochs_words(Dvae(epochs=1)) == "1 epoch, a draft"
    assert epochs_words(Dvae(epochs=13)) == "13 epochs"


def test_networks_of_bfloat16_are_named_and_come_after_those_of_float32(
    open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = published()
    for precision in ("bfloat16", "float32"):
        Dvae(variant="subtraction", precision=precision, **QUICK).purify(data, Context())
    monkeypatch.setattr(training, "fast_bfloat16", lambda device: False)
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert ["bfloat16" in option for option in page.selectbox(key="networks").options] == [False, True]
    assert not page.warning
    page = open_page("dvae", {**SMALL, **CONTROLS, "dvae_precision": "bfloat16"})
    assert "does not multiply it in hardware" in page.warning[0].value


def test_what_the_studies_measured(
    open_page: Callable[..., AppTest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two stages after LSP on three seeds, +20, +21 and +22 points; nothing of clean images with it has been run."""
    two = Dvae(width=8, batch_size=10, epochs=3)
    data = {"train": 50, "test": 9, "class_names": ["a", "b"], "clean_hash": "0", "trained_on_hash": "1"}
    made = []
    for seed in range(3):
        lsp = {"dataset": "fashion, 50 images", "attack": "LSP", "data": data}
        report = {"name": "dvae", "psnr_clean": 20.5, "separation": {"images": 50, "surviving": 0.25, "found": -0.125}}
        made += [
            row("clean", seed, 0.8, **{**lsp, "attack": "clean"}, defence="none"),
            row("LSP", seed, 0.4, **lsp, defence="none"),
            row("LSP", seed, 0.6 + seed / 100, **lsp, defence="both", defenses=[two.to_json()], purification=[report]),
        ]
    files = {name: tmp_path / f"{name}.json" for name in ("dvae", "dvae-rates")}
    for file in files.values():
        file.write_text(json.dumps(made))
    monkeypatch.setattr(sets, "study_tables", lambda: files)
    page = open_page("dvae", {**SMALL, **CONTROLS})
    assert not page.exception
    assert "One stage or two? Measured on fashion, 50 images" in [s.value for s in page.subheader]
    text = markup(page)
    assert "| both | not run yet | +21.0 [19, 23] n3 |" in text
    assert "| 1 | 61.0 ± 1.0 n3 | 20.5 ± 0.0 | 25.0 ± 0.0 | −0.12 ± 0.00 | not run yet |" in text
    captions = "\n".join(c.value for c in page.caption)
    assert "50 images, width 8 and 15 steps per stage" in captions
    assert "ued study run dvae" in captions
    monkeypatch.setattr(sets, "study_tables", dict)
    assert "Measured on" not in str([s.value for s in open_page("dvae", {**SMALL, **CONTROLS}).subheader])
