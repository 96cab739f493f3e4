"""The Defence page: the slider moves tiles, Θ and the hand-over together."""

import re

import numpy as np
import pytest

from pages.defence import cost as cost_views
from pages.detection import evidence as detection_views
from pages.state import handover, stack
from pages.state.stack import QUICK
from tests.pages.components import charts, hills, tiles
from tests.studies.test_estimate import recorded
from ued_core.attacks.convolution import draw_kernels
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.errors import Cancelled
from ued_core.runs.spec import RunSpec
from ued_core.theory import theta

SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


def numbers(page):
    text = re.sub(
        r" × 10\^\{−(\d+)\}", r"e-\1", next(c["caption"] for c in charts(page) if c["caption"].startswith("At α"))
    )
    return [float(x) for x in re.findall(r"= ([0-9.e+-]+)", text)][:3]


def defended(page):
    return tiles(page)[0]["rows"][2]["source"]


def test_content(open_page):
    page = open_page("defence", SMALL)
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Defence"
    assert [c["question"] for c in charts(page)] == [
        "Θ: is there still a pattern to learn?",
        "What a clean network sees",
        "",
    ]
    assert [r["label"] for r in tiles(page)[0]["rows"]] == ["clean", "poisoned", "defended"]
    expected = theta(draw_kernels(10, 3, 0.3, "full", 0), 2.0, 20, np.random.default_rng(0))
    strength, imi, imc = numbers(page)
    assert strength == 2.0
    assert abs(imi / expected.imi - 1) < 1e-3
    assert abs(imc - expected.imc) < 1e-3


def test_slider_moves_theta_and_tiles(open_page):
    page = open_page("defence", SMALL)
    before, picture = numbers(page), defended(page)
    page.slider(key="defence_coin_strength").set_value(0.5).run()
    after = numbers(page)
    assert after[0] == 0.5
    assert after[1] < before[1]
    assert after[2] < before[2]
    assert defended(page) != picture
    page.slider(key="defence_coin_strength").set_value(0.0).run()
    assert numbers(page)[1] == 0.0


@pytest.fixture
def cost_at_once(monkeypatch):
    """What is measured beside the server is measured at once."""

    def submit(key, function, *args, slot="", after_s=0.0):
        handle = cost_views.background.Handle(key, None)
        if slot.startswith("cost"):
            handle.state, handle.value = "ready", function(*args)
        return handle

    monkeypatch.setattr(cost_views.background, "submit", submit)


def cost(page):
    """The time of an epoch, and what is folded below it."""
    starts = ("**An epoch of", "The network's work")
    return " ".join(m.value for m in page.main.markdown if m.value.startswith(starts))


def test_cost_of_an_epoch_stands_on_the_page(open_page, cost_at_once):
    page = open_page("defence", SMALL)
    assert not page.exception
    assert re.search(r"An epoch of 200 images takes about [0-9.]+ m?s on this machine when it is idle", cost(page))
    assert "The network's work: **as in a plain epoch** · augmenting the batches: **" in cost(page)
    assert cost(page).endswith("once before training: **nothing**")
    assert any("no run of this model on this data set has finished here yet" in c.value for c in page.caption)
    page = open_page(
        "defence", {**SMALL, "defence": "ueraser", "defence_ueraser_variant": "max", "further": "jpeg,staged"}
    )
    assert "**5 ×** that of a plain epoch" in cost(page)
    assert "of the time, 5 draws per step" in cost(page)
    assert re.search(r"once before training: \*\*about [0-9.]+ m?s\*\*$", cost(page))
    assert any("Every check of staged training" in c.value for c in page.caption)


def test_a_finished_run_tells_the_time_of_an_epoch(open_page, cost_at_once):
    """200 images at 100 a second: two seconds per epoch, twenty-two with ten steps of crafting before each."""
    page = open_page("defence", {**SMALL, "defence": "adversarial_training"})
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = RunSpec.from_json(page.session_state["handed_spec"])
    recorded(spec.with_values(defenses=()))
    page = open_page("defence", {**SMALL, "defence": "adversarial_training"})
    assert "takes about 22 s on this machine" in cost(page)
    assert "**11 ×** that of a plain epoch · augmenting the batches: **nothing** · once" in cost(page)
    assert any("scaled to a step as long as 11 plain ones" in c.value for c in page.caption)
    recorded(spec, history=[{"epoch": 1, "test_accuracy": 0.5, "images_per_s": 50.0}])
    page = open_page("defence", {**SMALL, "defence": "adversarial_training"})
    assert "takes about 4.0 s on this machine" in cost(page), "measured with these defences"


def test_stack_is_handed_over(open_page):
    page = open_page("defence", {**SMALL, "defence_coin_strength": "1.25"})
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = page.session_state["handed_spec"]
    assert [(d["name"], d["strength"]) for d in spec["defenses"]] == [("coin", 1.25)]


def test_digits_use_their_own_reference_model(open_page):
    page = open_page("defence", {"data": "digits"})
    assert not page.exception
    assert "clean digits" in charts(page)[1]["caption"]


def test_every_defence_works_on_the_page(open_page):
    page = open_page("defence", SMALL)
    seen = {defended(page)}
    for name, entry in QUICK.items():
        if entry.needs_whole_set:
            quick = {f"defence_{name}_{key}": str(value) for key, value in entry.quick_values().items()}
            page = open_page("defence", {**SMALL, "defence": name, **quick})
        else:
            page.selectbox(key="defence").set_value(name).run()
        assert not page.exception, name
        assert not page.error, name
        assert page.query_params.get("defence", "coin") == name
        said = any(m.value.startswith(f"**{entry.title}.** {entry.summary()}") for m in page.main.markdown)
        assert said == (name != "coin"), "the page begins with COIN, and says of any other what it does"
        shown = tiles(page)[0]
        assert shown["rows"][2]["more"] == entry.title
        assert ("number 0" in shown["caption"]) == ("augment" in entry.acts)
        main = entry.parameters()[:1]
        # The first parameter stands on the page itself, not in the sidebar.
        keys = {w.key for kind in ("slider", "selectbox", "toggle", "number_input") for w in getattr(page.main, kind)}
        assert {f"defence_{name}_{p.name}" for p in main} <= keys
        theta_words = [i.value for i in page.info if i.value.startswith("Θ is defined")]
        assert len(theta_words) == (name != "coin")
        if entry.acts == {"training"}:
            assert "act on the training itself" in shown["caption"]
            assert defended(page) == shown["rows"][1]["source"]
        elif name == "gated_coin":
            assert defended(page) in seen, (
                "CUDA darkens the frame of every image, so all of them get what COIN gives them"
            )
        elif name != "coin" and "training" not in entry.acts:
            assert defended(page) not in seen, name
        seen.add(defended(page))


def test_a_defence_that_learns_too_long_is_shown_after_a_run(open_page, monkeypatch):
    """What a run learned is what the page shows; until then it says so."""
    chosen = {
        **SMALL,
        "defence": "sda_an",
        "defence_sda_an_epochs": "1",
        "defence_sda_an_width": "8",
        "defence_sda_an_steps": "1",
    }
    monkeypatch.setattr(stack, "PATIENCE_S", 0.0)
    page = open_page("defence", chosen)
    assert not page.error
    assert "first learns from all 200 images" in page.info[0].value
    assert [row["label"] for row in tiles(page)[0]["rows"]] == ["clean", "poisoned"]
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = RunSpec.from_json(page.session_state["handed_spec"])
    data = load_split(spec.dataset, Context()).train
    poisoned = spec.attack.poison(data, Context(seed=spec.attack_seed)).as_training_set()
    spec.defenses[0].purify(poisoned, Context(seed=5))
    page = open_page("defence", chosen)
    assert not page.error
    assert defended(page)


def test_a_trained_purifier_is_shown_as_far_as_it_is(open_page):
    """Nothing before its first saved state, then that state, then the purified set; never a training inside the
    page."""
    small = {"epochs": "2", "width": "4", "batch_size": "100"}
    chosen = {
        **SMALL,
        "defence": "dvae",
        "further": "jpeg",
        **{f"defence_dvae_{name}": value for name, value in small.items()},
    }
    page = open_page("defence", chosen)
    assert "D-VAE first learns from all 200 images" in page.info[0].value
    assert [row["label"] for row in tiles(page)[0]["rows"]] == ["clean", "poisoned"]
    assert not [e for e in page.expander if "curves of Θ" in e.label]
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = RunSpec.from_json(page.session_state["handed_spec"])
    poisoned = spec.attack.poison(
        load_split(spec.dataset, Context()).train, Context(seed=spec.attack_seed)
    ).as_training_set()
    seen = []
    with pytest.raises(Cancelled):
        spec.defenses[0].purify(
            poisoned, Context(on_report=lambda *said: seen.append(said), stop=lambda: len(seen) > 5)
        )
    page = open_page("defence", chosen)
    assert not page.error
    # On a slow machine the state between two epochs is saved, too.
    assert re.search(r"D-VAE: (after stage 1 of 2|stage 2 of 2, after 1 of 2 epochs)\.", tiles(page)[0]["caption"])
    before = defended(page)
    spec.defenses[0].purify(poisoned, Context())
    page = open_page("defence", {**chosen, "measure": "true"})
    assert "D-VAE: purified." in tiles(page)[0]["caption"]
    assert defended(page) != before
    assert any("measured on its own page" in info.value for info in page.info)


def test_several_defences_act_one_after_another(open_page):
    page = open_page(
        "defence", {**SMALL, "defence": "greyscale", "further": "bit_depth,jpeg", "further_jpeg_quality": "30"}
    )
    assert not page.exception
    assert tiles(page)[0]["rows"][2]["more"] == "Greyscale + Bit depth + JPEG"
    both = defended(page)
    next(b for b in page.button if b.label.startswith("Train with this")).click().run()
    spec = page.session_state["handed_spec"]
    assert [d["name"] for d in spec["defenses"]] == ["greyscale", "bit_depth", "jpeg"]
    assert spec["defenses"][2]["quality"] == 30
    page = open_page(
        "defence", {**SMALL, "defence": "greyscale", "further": "jpeg,bit_depth", "further_jpeg_quality": "30"}
    )
    assert defended(page) != both, "the order matters"
    page.multiselect(key="further").set_value(["bit_depth"]).run()
    assert page.query_params["further"] == "bit_depth"
    page.multiselect(key="further").set_value([]).run()
    assert "further" not in page.query_params
    assert tiles(page)[0]["rows"][2]["more"] == "Greyscale"


def test_the_first_defence_is_not_offered_again(open_page):
    page = open_page("defence", {**SMALL, "further": "jpeg,cutout"})
    assert tiles(page)[0]["rows"][2]["more"] == "COIN + JPEG + Cutout"
    assert [i.value for i in page.info if i.value.startswith("Θ is defined")]
    page.selectbox(key="defence").set_value("jpeg").run()
    assert not page.exception
    assert tiles(page)[0]["rows"][2]["more"] == "JPEG + Cutout"
    assert page.query_params["further"] == "cutout"


@pytest.mark.parametrize("asked", ["jpeg,nonsense", "nonsense"])
def test_unknown_further_defence_in_a_link_is_answered(open_page, asked):
    page = open_page("defence", {**SMALL, "further": asked})
    assert not page.exception
    assert any("nonsense" in w.value for w in page.warning)
    assert tiles(page)[0]["rows"][2]["more"] == "COIN"


def test_the_stack_goes_with_the_reader_to_features(open_page):
    page = open_page("defence", {**SMALL, "further": "greyscale"})
    page.switch_page("../features/page.py").run()
    assert not page.exception
    assert page.multiselect(key="further").value == ["greyscale"]


def test_detection_opens_with_the_same_stack(open_page, monkeypatch):
    """Data, key, images, epoch and every parameter of every defence are in the address that the button goes to."""
    gone = []
    monkeypatch.setattr(
        handover.st, "switch_page", lambda page, query_params=None: gone.append((page, dict(query_params)))
    )
    stacked = {"defence": "greyscale", "further": "jpeg,bit_depth", "further_jpeg_quality": "30"}
    chosen = {**SMALL, **stacked, "key": "3", "pick": "4", "draw": "5"}
    page = open_page("defence", chosen)
    page.button(key="examine_this").click().run()
    ((target, address),) = gone
    assert target.endswith("detection/page.py")
    monkeypatch.setattr(
        detection_views.background, "submit", lambda key, *_, **__: detection_views.background.Handle(key, None)
    )
    page = open_page("detection", address)
    assert not page.exception
    assert not page.warning
    assert page.number_input(key="key").value == 3
    assert page.selectbox(key="defence").value == "greyscale"
    assert page.multiselect(key="further").value == ["jpeg", "bit_depth"]
    assert page.slider(key="further_jpeg_quality").value == 30
    for name, value in {"pick": "4", "draw": "5", "data_shapes_train_size": "200"}.items():
        assert page.query_params[name] in (value, [value])


def test_detection_is_not_offered_for_a_defence_that_trains(open_page):
    page = open_page("defence", {**SMALL, "further": "dvae"})
    button = next((b for b in page.button if b.key == "examine_this"), None)
    assert button is None or button.disabled
    page.switch_page("../detection/page.py").run()
    assert not page.exception
    assert page.multiselect(key="further").value == []


def test_the_difference_is_shown_with_what_is_measured(open_page):
    page = open_page("defence", {**SMALL, "measure": "true"})
    assert [r["label"] for r in tiles(page)[0]["rows"]] == ["clean", "poisoned", "defended", "defended − clean"]


def test_defended_tiles_follow_the_slider_in_the_browser(open_page):
    page = open_page("defence", SMALL)
    live = tiles(page)[0]["live"]
    assert (live["row"], live["source"], live["slider"]) == (2, 1, "defence_coin_strength")
    assert live["value"] == 2.0
    assert live["operation"]["name"] == "displace"
    page.slider(key="defence_coin_strength").set_value(0.5).run()
    assert tiles(page)[0]["live"]["value"] == 0.5
    assert tiles(open_page("defence", {**SMALL, "further": "jpeg"}))[0]["live"] is None, "two defences take the server"
    assert tiles(open_page("defence", {**SMALL, "defence": "jpeg"}))[0]["live"] is None
    assert tiles(open_page("defence", {**SMALL, "defence": "gaussian_blur"}))[0]["live"]["operation"]["name"] == "blur"


def test_the_slider_carries_what_was_measured(open_page):
    found = hills(open_page("defence", {"data": "fashion"}))[0]
    at = [value for value, _ in found["points"]]
    assert at == sorted(at)
    assert at[0] == 0.0, "without COIN"
    assert 6.0 in at
    assert all(len(levels) >= 3 for _, levels in found["points"])
    best = max(found["points"], key=lambda point: sum(point[1]) / len(point[1]))[0]
    assert 1.0 < best < 4.0, "the accuracy falls again, while both metrics of Θ rise"
    other = hills(open_page("defence", {**SMALL, "attack": "one_pixel", "defence_coin_boundary": "scipy_wrap"}))[0]
    assert other["points"] == []
    assert "nobody has trained" in other["missing"]
