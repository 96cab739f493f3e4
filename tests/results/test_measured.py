"""The measured tables: whatever is there is read, and nothing is made up for what is not."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ued_core.attacks import UnlearnableClusters
from ued_core.attacks.encoders import encoder_for
from ued_core.errors import DataError
from ued_core.results import measured
from ued_core.results.row import ResultRow, stored_rows

PLAN, OTHER_PLAN = {"name": "adamw", "crop": 4}, {"name": "adamw", "crop": 0}


def row(name: str, seed: int, last: float, **more: Any) -> dict[str, Any]:
    attack = None if name.startswith("clean") else {"name": name.split(",")[0].lower()}
    plan = OTHER_PLAN if "no augmentation" in name else PLAN
    spec = {"attack": attack, "defenses": more.pop("defenses", []), "model": {"name": "small_cnn"}, "plan": plan}
    spec["dataset"] = {"name": "shapes", "seed": seed}
    poison = {"linf": 8.0, "evaluations": None, "agreement": None} if attack else None
    return {
        "dataset": "shapes", "condition": name, "seed": seed, "key": f"{name}{seed}", "spec": spec, "poison": poison,
        "last": last, "best": min(1.0, last + 0.1), "train_accuracy": 1.0, **more,
    }  # fmt: skip


def written(tmp_path: Path, rows: list[dict[str, Any]]) -> list[ResultRow]:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(rows))
    return stored_rows(file)


def test_absent_table_has_no_rows_and_a_broken_one_says_so(tmp_path: Path) -> None:
    assert stored_rows(tmp_path / "absent.json") == []
    for text in ("{", "[1]", "3"):
        (tmp_path / "broken.json").write_text(text)
        with pytest.raises(DataError, match=r"broken\.json"):
            stored_rows(tmp_path / "broken.json")


def test_means_and_sample_deviations_over_the_seeds_that_are_there(tmp_path: Path) -> None:
    rows = written(tmp_path, [row("clean", 0, 0.9), row("EM", 0, 0.2), row("EM", 1, 0.4), row("EM", 2, 0.3)])
    clean, em = measured.conditions(rows, "shapes")
    assert measured.summary(em, "last") == measured.Summary(pytest.approx(0.3), pytest.approx(0.1), 3)
    one = measured.summary(clean, "last")
    assert (one.mean, one.count) == (0.9, 1)
    assert math.isnan(one.spread)
    assert measured.summary(em, "linf").mean == 8.0, "the perturbation's numbers stand beside the others"
    assert measured.summary(em, "evaluations").count == 0, "crafted before: not timed, and not zero"
    assert measured.summary(clean, "linf").count == 0


def test_one_known_cost_is_not_lost_beside_an_unknown_one(tmp_path: Path) -> None:
    first, second = row("EM", 0, 0.2), row("EM", 1, 0.4)
    first["poison"] = {**first["poison"], "evaluations": 500}
    (em,) = measured.conditions(written(tmp_path, [first, second]), "shapes")
    assert measured.summary(em, "evaluations") == measured.Summary(500.0, pytest.approx(float("nan"), nan_ok=True), 1)


def test_reference_is_clean_data_with_the_same_training(tmp_path: Path) -> None:
    names = ("clean", "clean, no augmentation", "EM", "EM, no augmentation")
    rows = written(
        tmp_path, [row(n, 0, 0.5) for n in names] + [row("clean and COIN", 0, 0.8, defenses=[{"name": "coin"}])]
    )
    found = {c.name: c for c in measured.conditions(rows, "shapes")}
    every = list(found.values())
    assert measured.reference(found["EM"], every).name == "clean"
    assert measured.reference(found["EM, no augmentation"], every).name == "clean, no augmentation"
    assert measured.reference(found["EM"], [found["EM"], found["clean and COIN"]]) is None


def test_clean_comes_first_then_the_strongest(tmp_path: Path) -> None:
    rows = written(tmp_path, [row("EM", 0, 0.5), row("TAP", 0, 0.1), row("clean", 0, 0.9), row("LSP", 0, 0.3)])
    assert [c.name for c in measured.by_effect(measured.conditions(rows, "shapes"))] == ["clean", "TAP", "LSP", "EM"]


def test_grid_reads_clean_and_undefended_from_the_specs(tmp_path: Path) -> None:
    coin = [{"name": "coin"}]
    rows = [
        row("EM", 0, 0.6, attack="EM", defence="COIN", defenses=coin),
        row("EM", 1, 0.8, attack="EM", defence="COIN", defenses=coin),
        row("EM", 0, 0.2, attack="EM", defence="as it is"),
        row("clean", 0, 0.9, attack="nothing", defence="as it is"),
    ]
    grid = measured.grid(written(tmp_path, rows), "shapes")
    assert (grid.attacks, grid.defences) == (("nothing", "EM"), ("as it is", "COIN"))
    assert measured.summary(grid.cells["EM", "COIN"], "last").mean == pytest.approx(0.7)
    assert ("nothing", "COIN") not in grid.cells
    assert grid.cells["EM", "as it is"].name == "EM", "the undefended run is the attack alone"
    assert measured.grid([], "shapes").cells == {}


def test_a_table_of_unequal_seeds_is_paired_or_has_no_gain(tmp_path: Path) -> None:
    """Made up: the undefended runs reach 20, 90 and 90 %. JPEG has the first seed alone and adds 10 points there, where
    the means over different seeds say that it takes 37; grey has a seed that nothing else has."""
    jpeg, grey = [{"name": "jpeg"}], [{"name": "greyscale"}]
    rows = [row("EM", seed, last, attack="EM", defence="none") for seed, last in enumerate((0.2, 0.9, 0.9))]
    rows += [row("EM", 0, 0.3, attack="EM", defence="JPEG", defenses=jpeg)]
    rows += [row("EM", 7, 0.99, attack="EM", defence="grey", defenses=grey)]
    grid = measured.grid(written(tmp_path, rows), "shapes")
    found = grid.gain("EM", "JPEG")
    assert found is not None
    assert (found.gain.mean, found.gain.count, found.word) == (pytest.approx(0.1), 1, "cannot be told")
    assert grid.gain("EM", "grey") is None
    assert grid.gain("EM", "none") is None
    assert grid.gain("TAP", "JPEG") is None


def test_controls_follow_from_the_protocol(tmp_path: Path) -> None:
    coin = [{"name": "coin"}]
    rows = [row("clean", 0, 0.9), row("EM", 0, 0.2), row("clean, no augmentation", 0, 0.95)]
    rows += [row("EM", 0, 0.6, condition="EM + COIN", defenses=coin)]
    rows += [row("clean", 0, 0.8, condition="clean + COIN", defenses=coin)]
    rows += [row("TAP", 0, 0.8, condition="TAP + COIN", defenses=coin)]
    found = {c.name: c for c in measured.conditions(written(tmp_path, rows), "shapes")}
    every = list(found.values())
    names = {name: other and other.name for name, c in found.items() for other in [measured.control(c, every)]}
    assert names == {
        "clean": None,
        "EM": "clean",
        "clean, no augmentation": None,
        "EM + COIN": "EM",
        "clean + COIN": "clean",
        "TAP + COIN": None,
    }


def test_shipped_tables_can_be_read() -> None:
    for file in (measured.ATTACKS_FILE, measured.DEFENCES_FILE):
        rows = stored_rows(file)
        for row in rows:
            assert 0 <= row.last <= row.best <= 1
            assert row.spec["seed"] == row.seed
    for dataset in measured.data_sets(stored_rows(measured.ATTACKS_FILE)):
        for condition in measured.conditions(stored_rows(measured.ATTACKS_FILE), dataset):
            assert 1 <= measured.summary(condition, "last").count == len({r.seed for r in condition.rows})


def test_encoders_are_compared_in_numbers() -> None:
    """Which of them harms more is not said beforehand: the lowest comes first, whichever it is."""

    def of(title, dataset, last, seed=0, **attack):
        spec = {"seed": seed, "attack": attack or None, "defenses": [], "model": {}, "plan": {}}
        return ResultRow.from_json(row(title, seed, last, dataset=dataset, spec=spec))

    rows = [
        of("UC, proxy", "shapes", 0.4, name="uc", encoder="embedded"),
        of("UC, proxy", "shapes", 0.2, 1, name="uc", encoder="embedded"),
        of("UC, labelled", "shapes", 0.75, name="uc", encoder="labelled"),
        of("clean", "shapes", 0.9),
        of("EM", "shapes", 0.1, name="em"),
        of("UC, proxy", "digits", 0.95, name="uc", encoder="embedded"),
        of("UC, labelled", "digits", 0.25, name="uc", encoder="labelled"),
    ]
    found = measured.frozen_effects(rows)
    assert [(e.dataset, e.name, e.encoder, round(e.attacked.mean, 6), e.attacked.count) for e in found] == [
        ("shapes", "UC, proxy", "embedded", 0.3, 2),
        ("shapes", "UC, labelled", "labelled", 0.75, 1),
        ("digits", "UC, labelled", "labelled", 0.25, 1),
        ("digits", "UC, proxy", "embedded", 0.95, 1),
    ]
    assert [e.lost for e in found[:2]] == pytest.approx([0.6, 0.15]), "against the clean runs of the same set"
    assert found[2].clean is None
    assert math.isnan(found[2].lost)
    assert measured.frozen_effects([]) == []


def test_no_encoder_is_called_a_bound() -> None:
    """On the shipped shapes the labelled surrogate leaves more than the proxy, so it bounds nothing; no text may say
    that it does."""
    rows = stored_rows(measured.ATTACKS_FILE)
    left = {c.name: measured.summary(c, "last").mean for c in measured.conditions(rows, "shapes")}
    assert left["UC (labelled surrogate)"] > left["UC (proxy surrogate)"]
    told = (
        UnlearnableClusters.__doc__
        + "".join(p.help for p in UnlearnableClusters.parameters())
        + encoder_for("labelled", "shapes").note
    )
    assert "upper bound" not in told


def test_the_runs_of_one_defence_by_rate_target(tmp_path: Path) -> None:
    at = [{"name": "dvae", "rate_1": 3.0}], [{"name": "dvae", "rate_1": 0.3}], [{"name": "jpeg"}]
    rows = [row("EM", seed, 0.5, defenses=stack) for seed in (0, 1) for stack in at]
    found = measured.by_rate(written(tmp_path, [*rows, row("EM", 0, 0.2)]))
    assert list(found) == [0.3, 3.0]
    assert [(r.seed, r.spec["defenses"]) for r in found[0.3].rows] == [(0, at[1]), (1, at[1])]
