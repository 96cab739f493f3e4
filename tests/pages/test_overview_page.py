"""The Overview: three pictures, and words that follow the stored numbers."""

import pytest

from pages.overview.glance import reading
from tests.pages.components import hills, tiles
from tests.runs.examples import RESULT
from ued_core.results.phenomenon import Condition, conditions, shipped
from ued_core.results.row import ResultRow


def test_content(open_page):
    page = open_page("")
    assert not page.exception
    assert not page.error
    assert page.title[0].value == "Pictures that teach a model nothing"
    assert [s.value for s in page.subheader] == ["1 · The poison", "2 · The trap", "3 · The cure", "Train it here"]
    text = " ".join(m.value for m in [*page.markdown, *page.caption])
    found = {c.name: c for c in conditions(shipped(), "fashion", "adamw")}
    attacked = found["CUDA"]
    run = min(attacked.rows, key=lambda row: abs(row.last - attacked.mean("last")))
    assert f"**{100 * run.train_accuracy:.0f} %** in training" in text
    assert f"{100 * attacked.mean('last'):.0f} ± {100 * attacked.spread('last'):.0f} %" in text
    assert f"**{100 * run.last:.0f} %** on clean pictures" in text


def test_the_third_picture_follows_its_slider(open_page):
    page = open_page("")
    before = tiles(page)[1]["rows"][1]["source"]
    assert tiles(page)[1]["live"]["slider"] == "defence_coin_strength"
    assert hills(page)[0]["points"], "what was measured lies on the slider"
    page.slider(key="defence_coin_strength").set_value(4.0).run()
    assert tiles(page)[1]["rows"][1]["source"] != before


def condition(name, last, true=None, followed=None):
    rates = {"wrong_true_rate": true, "wrong_perturbation_rate": followed, "clean_histogram": [0.7, 0.2, 0.1]}
    probe = None if true is None else {**RESULT["probe"], **rates}
    return Condition(name, (ResultRow.from_json({"key": name, "spec": {}, "seed": 0, "last": last, "probe": probe}),))


def changed(row, **values):
    return ResultRow.from_json({**row.to_json(), **values})


def some(poisoned, coin, true, followed):
    return [
        condition("clean", 0.96),
        condition("CUDA", poisoned, true, followed),
        condition("CUDA + COIN", coin),
        condition("one common kernel", 0.85),
        condition("clean + COIN", 0.9),
    ]


@pytest.mark.parametrize(
    ("found", "says", "not_says"),
    [
        (
            some(0.2, 0.8, 0.5, 0.2),
            ["The poison works here", "96 %", "20 %", "explains a part of it (14 %",
             "ends at 80 %: whether it is better cannot be told (+60.0 points on one seed)",
             "it cannot be told whether it costs anything (−6.0 points on one seed)", "both, the shape and the filter",
             "70 %"],
            "does not work",
        ),
        (some(0.95, 0.94, 0.9, 0.05), ["does not work here", "With COIN training ends at 94 %",
                                         "cannot be told"], "recovers"),
        (some(0.7, 0.9, 0.9, 0.05), ["works in part", "70 %"], "does not work"),
        (some(0.1, 0.8, 0.05, 0.9), ["mostly the filter"], "mostly the shape"),
        (some(0.2, 0.8, 0.9, 0.05), ["mostly the shape", "never filtered: it is right about 20 % "
                                                         "of those"], "without one"),
        (some(0.95, 0.94, 0.97, 0.01), ["reads the shape, with a filter and without one (95 %"], "never filtered"),
    ],
)  # fmt: skip
def test_words_follow_the_numbers(found, says, not_says):
    text = reading(found, "shapes")
    for part in says:
        assert part in text
    assert not_says not in text


def test_reason_names_measured_numbers_only_where_the_poison_fails():
    text = reading(some(0.95, 0.94, 0.9, 0.05), "digits")
    assert "half the Nyquist" in text
    assert "benchmarks.filter_readout" in text
    assert "Nyquist" not in reading(some(0.2, 0.8, 0.5, 0.2), "digits")


def test_spread_between_keys_is_told():
    found = some(0.5, 0.9, 0.9, 0.05)
    rows = tuple(changed(found[1].rows[0], last=last) for last in (0.2, 0.8))
    found[1] = Condition("CUDA", rows)
    assert "end between 20 % and 80 %" in reading(found, "shapes")
    assert "depends on the key" not in reading(some(0.2, 0.8, 0.9, 0.05), "shapes")


def test_nothing_is_said_of_the_probe_that_rests_on_too_few_images():
    found = some(0.2, 0.8, 0.9, 0.05)
    row = found[1].rows[0]
    found[1] = Condition("CUDA", (changed(row, probe={**row.value("probe"), "images": 99}),))
    assert "another class's filter" not in reading(found, "shapes")
    found[1] = Condition("CUDA", (changed(row, probe={**row.value("probe"), "images": 100}),))
    assert "another class's filter" in reading(found, "shapes")


def test_costs_are_paired_by_seed_and_named_only_where_they_can_be_told():
    found = {c.name: c for c in some(0.2, 0.8, 0.9, 0.05)}

    def over_seeds(name, *values):
        row = found[name].rows[0]
        found[name] = Condition(name, tuple(changed(row, seed=seed, last=value) for seed, value in enumerate(values)))

    over_seeds("clean", 0.9, 0.7)
    over_seeds("clean + COIN", 0.89, 0.6895)
    text = reading(list(found.values()), "shapes")
    assert "it costs 1.0 [0.7, 1.3] points" in text
    over_seeds("clean + COIN", 0.6, 0.9)
    text = reading(list(found.values()), "shapes")
    assert "it cannot be told whether it costs anything (−5.0 [−100, 100] points)" in text


def test_recovery_is_said_where_the_seeds_can_tell():
    found = {c.name: c for c in some(0.2, 0.8, 0.9, 0.05)}
    for name, values in {"CUDA": (0.2, 0.3, 0.25), "CUDA + COIN": (0.8, 0.87, 0.84)}.items():
        row = found[name].rows[0]
        found[name] = Condition(name, tuple(changed(row, seed=s, last=value) for s, value in enumerate(values)))
    # Gains of 60, 57 and 59 points: half the interval is t = 4.303 times 1.53 / √3.
    text = reading(list(found.values()), "shapes")
    assert "**With COIN accuracy recovers to 84 %** (+58.7 [55, 62] points on the same 3 seeds)" in text


def test_no_stored_scene_is_refuted_by_its_own_words():
    rows = shipped()
    for dataset, plan in {(row.dataset, row.plan) for row in rows}:
        by = {c.name: c for c in conditions(rows, dataset, plan)}
        text = reading(list(by.values()), dataset)
        never_filtered = by["CUDA"].mean("last")
        assert ("cope with images that were never filtered" in text) == (
            by["CUDA"].mean("wrong_true_rate") - never_filtered > 0.2
            and by["CUDA"].mean("wrong_perturbation_rate") <= 0.15
        )
        assert "costs 1 points" not in text
        print(dataset, plan, text, sep="\n")
