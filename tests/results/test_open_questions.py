"""Open questions: series are read from specs, and what is said follows from the rows."""

from typing import Any

import pytest

from ued_core.results import measured, phenomenon
from ued_core.results import open_questions as series
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, stored_rows
from ued_core.studies.shelf import study_files
from ued_core.studies.study import Study

CUDA = {"name": "cuda", "blur": 0.3, "kernel_size": 3, "padding": "zero", "assignment": "class"}
PLAN = {"name": "adamw"}


def coin(strength: float) -> list[dict[str, Any]]:
    return [{"name": "coin", "strength": strength, "boundary": "periodic"}]


def row(name: str, seed: int, last: float, attack: Any = None, defenses: Any = (), **more: Any) -> ResultRow:
    """One stored run; ``side``, ``dataset`` and ``rate`` go into its spec."""
    side = {"side": more["side"]} if more.get("side", 32) != 32 else {}
    spec = {
        "dataset": {"name": more.get("dataset", "shapes"), "seed": seed, **side},
        "attack": attack,
        "defenses": list(defenses),
        "poison_rate": more.get("rate", 1.0),
        "train_on": more.get("train_on", "all"),
        "model": {"name": "small_cnn"},
        "plan": PLAN,
        "seed": seed,
    }
    labels = {"condition": name, "seed": seed, "key": f"{name}{seed}"}
    numbers = {"last": last, "best": min(1.0, last + 0.01), "train_accuracy": 0.99}
    return ResultRow.from_json({**labels, "spec": spec, "probe": None, **numbers})


def conditions(*rows: ResultRow) -> list[Condition]:
    return series.found(rows)


def test_rows_become_conditions_in_stored_order() -> None:
    first, second = series.found([row("elastic", 0, 0.5), row("COIN", 0, 0.6), row("elastic", 1, 0.7)])
    assert (first.name, second.name) == ("elastic", "COIN")
    assert measured.summary(first, "last") == measured.Summary(pytest.approx(0.6), pytest.approx(0.2 / 2**0.5), 2)
    assert series.found([]) == []


def test_setting_is_read_from_the_spec_and_not_from_the_name() -> None:
    attack = {**CUDA, "kernel_size": 7, "padding": "reflect", "selection": "against COIN"}
    (one,) = conditions(row("α = 9, p_b = 9, 99 px", 0, 0.5, attack, coin(1.5), rate=0.8, side=64))
    own = series.setting(one)
    assert (own.strength, own.blur, own.kernel_size, own.side, own.poison_rate) == (1.5, 0.3, 7, 64, 0.8)
    assert (own.padding, own.selection, own.defences, own.dataset, own.plan) == (
        "reflect",
        "against COIN",
        ("coin",),
        "shapes",
        "adamw",
    )


def test_setting_of_what_a_spec_leaves_out() -> None:
    plain, attacked, gated = conditions(
        row("x", 0, 0.9),
        row("y", 0, 0.2, CUDA),
        row("z", 0, 0.2, CUDA, [{"name": "gated_coin", "strength": 2.0}]),
    )
    own = series.setting(plain)
    assert (own.side, own.strength, own.poison_rate, own.blur, own.selection) == (32, 0.0, 0.0, None, None)
    assert (series.setting(attacked).selection, series.setting(attacked).poison_rate) == ("drawn", 1.0)
    assert series.setting(gated).strength is None, "COIN on some images is not a point of a curve over α"


def test_cost_has_a_line_a_data_set_in_the_order_of_alpha() -> None:
    lines = series.cost_lines(
        conditions(
            row("s2", 0, 0.8, defenses=coin(2.0)),
            row("s0", 0, 0.9),
            row("d1", 0, 0.7, defenses=coin(1.0), dataset="digits"),
            row("attacked", 0, 0.1, CUDA),
        )
    )
    assert [(line.name, [s for s, _ in line.points]) for line in lines] == [("Shapes", [0.0, 2.0]), ("Digits", [1.0])]
    assert lines[0].at(2.0).name == "s2"
    assert lines[1].at(0.0) is None


def test_clean_reference_is_the_same_recipe_from_any_table_once() -> None:
    attacked = conditions(row("none", 0, 0.2, CUDA))[0]
    known = [
        row("64 px", 0, 0.91, side=64),
        row("none", 0, 0.95),
        row("none", 1, 0.93),
        row("32 px", 0, 0.95),
        row("digits", 0, 0.99, dataset="digits"),
        row("COIN", 0, 0.5, defenses=coin(2.0)),
    ]
    clean = series.clean_like(attacked, known)
    assert [(r.seed, r.last) for r in clean.rows] == [(0, 0.95), (1, 0.93)]
    assert series.clean_like(attacked, [row("none", 0, 0.95, dataset="digits")]) is None


def test_rivals_stand_in_order_undefended_first() -> None:
    named = [
        ("elastic", [{"name": "elastic"}]),
        ("parts", [{"name": "coin_shifts"}]),
        ("COIN", coin(2.0)),
        ("none", []),
    ]
    rows = [row(name, 0, 0.5, CUDA, defenses) for name, defenses in named]
    group = series.rivals(conditions(*rows), [row("none", 0, 0.9)])
    assert [c.name for c in group.conditions] == ["no defence", "COIN", "parts", "elastic"]
    assert measured.summary(group.clean, "last").mean == 0.9
    assert series.rivals([], []) is None


def test_mixtures_are_grouped_by_share() -> None:
    gated = [{"name": "gated_coin", "strength": 2.0}]
    rows = [row(f"{rate}{d}", 0, 0.5, CUDA, d, rate=rate) for rate in (0.8, 0.5) for d in ([], coin(2.0), gated)]
    groups = series.mixtures(conditions(*rows[:-1]), [])
    assert [g.name for g in groups] == ["50 % of the images poisoned", "80 % of the images poisoned"]
    assert [c.name for c in groups[1].conditions] == ["no defence", "COIN on all", "COIN on the flagged"]
    assert [c.name for c in groups[0].conditions] == ["no defence", "COIN on all"], "what is missing is left out"


def test_the_clean_part_of_a_mixture_is_not_taken_for_the_undefended_one() -> None:
    rows = [row(name, 0, last, CUDA, rate=0.5) for name, last in (("control", 0.9), ("none", 0.6))]
    rows[0].spec["train_on"] = "clean"
    (group,) = series.mixtures(conditions(*rows), [])
    assert [c.name for c in group.conditions] == ["the clean images alone", "no defence"]
    none = group.find(lambda s: not s.defences and not s.left_clean)
    assert measured.summary(none, "last").mean == 0.6


def test_attackers_are_paired_by_their_attack() -> None:
    wide = {**CUDA, "kernel_size": 7, "selection": "against COIN"}
    rows = [
        row("a", 0, 0.4, wide, coin(2.0)), row("b", 0, 0.2, CUDA), row("c", 0, 0.7, CUDA, coin(2.0)),
        row("d", 0, 0.2, {**CUDA, "padding": "reflect"}), row("e", 0, 0.9, CUDA, coin(5.0)),
    ]  # fmt: skip
    pairs = series.attackers(conditions(*rows))
    assert [p.name for p in pairs] == ["as published", "7×7 kernels chosen against COIN", "reflection at the border"]
    assert (pairs[0].without.name, pairs[0].defended.name) == ("b", "c"), "the usual strength, not another one"
    assert (pairs[1].without, pairs[2].defended) == (None, None)


def test_noise_that_expects_coin_is_an_attacker_beside_its_own_published_form() -> None:
    adapted = {"name": "em", "expected_coin": 2.0}
    rows = [
        row("a", 0, 0.3, adapted, coin(2.0)), row("b", 0, 0.2, adapted), row("c", 0, 0.4, {"name": "em"}, coin(2.0)),
        row("d", 0, 0.7, CUDA, coin(2.0)), row("e", 0, 0.6, {**CUDA, "kernel_size": 7}, coin(2.0)),
    ]  # fmt: skip
    pairs = series.attackers(conditions(*rows))
    assert [(p.name, p.published) for p in pairs] == [
        ("EM as published", "EM as published"),
        ("as published", "as published"),
        ("EM that expects COIN at α = 2 px", "EM as published"),
        ("7×7 kernels", "as published"),
    ]
    assert (pairs[2].without.name, pairs[2].defended.name) == ("b", "a")


def test_resolution_has_a_line_a_side_each_with_its_own_clean_runs() -> None:
    rows = [row(f"{side}", 0, 0.2, CUDA, side=side) for side in (96, 32)] + [row("clean", 0, 0.9, side=96)]
    lines = series.resolution_lines(conditions(*rows), rows)
    assert [line.name for line in lines] == ["32×32 px", "96×96 px"]
    assert lines[0].clean is None
    assert measured.summary(lines[1].clean, "last").mean == 0.9


def test_optimum_has_lines_by_blur_and_by_kernel() -> None:
    rows = [row(f"{blur}", 0, 0.2, {**CUDA, "blur": blur}) for blur in (0.6, 0.3, 0.1)]
    rows += [row(f"k{size}", 0, 0.2, {**CUDA, "kernel_size": size}) for size in (7, 5)]
    by_blur, by_size = series.optimum_lines(conditions(*rows), [])
    assert [line.name for line in by_blur] == ["p_b = 0.1", "p_b = 0.3", "p_b = 0.6"]
    assert [line.name for line in by_size] == ["k = 3", "k = 5", "k = 7"]
    assert series.optimum_lines([], []) == ([], [])
    assert [line.name for line in series.optimum_lines(conditions(*rows[:3]), [])[0]] == [
        "p_b = 0.1",
        "p_b = 0.3",
        "p_b = 0.6",
    ]


def test_seeds_are_grouped_by_data_and_plan() -> None:
    rows = [
        ResultRow.from_json({**row(c, s, 0.5).to_json(), "dataset": "shapes", "plan": p, "condition": c})
        for p in ("adamw", "sgd")
        for c in "ab"
        for s in (0, 1)
    ]
    groups = series.seed_groups(rows, {"sgd": "SGD"})
    assert [(g.name, len(g.conditions)) for g in groups] == [("Shapes, adamw", 2), ("Shapes, SGD", 2)]
    assert [len(c.rows) for c in groups[0].conditions] == [2, 2]


def test_every_question_says_what_fills_it() -> None:
    assert list(series.QUESTIONS) == list("bcdefgh")
    assert len({q.title for q in series.QUESTIONS.values()}) == 7
    assert series.QUESTIONS["c"].file == phenomenon.FILE
    files = study_files()
    asked = [q.on(ground) for q in series.QUESTIONS.values() for ground in q.grounds or (series.DRAWN,)]
    assert len({q.study for q in asked}) == len(asked) == 7 + 5
    for question in asked:
        assert question.command == f"ued study run {question.study}"
        assert Study.read(files[question.study]).name == question.file.stem


@pytest.mark.parametrize("key", series.QUESTIONS)
def test_stored_rows_can_be_read(key: str) -> None:
    found = series.found(stored_rows(series.QUESTIONS[key].file))
    assert found
    for condition in found:
        settings = {series.setting(Condition("", (r,))) for r in condition.rows}
        assert len(settings) == 1 or key == "c", "the seeds of a condition differ in nothing else"
