"""Stored protocols: the axis follows from the specs, ends belong to every line, nothing is averaged over what
differs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.figures.test_perturbation import numbers, valid
from tests.runs.examples import RESULT
from ued_core.errors import DataError
from ued_core.figures import clusters as figures
from ued_core.figures.theme import ROLE_COLOURS
from ued_core.results.protocols import Protocol, part_curves
from ued_core.results.row import ResultRow
from ued_core.results.uc_protocols import attack_words, stored_protocols
from ued_core.runs.spec import RunSpec


def row(protocol: str, last: float, *, classes: int = 10, seed: int = 0, **spec: Any) -> dict[str, Any]:
    read = RunSpec.from_json({"dataset": "shapes", "seed": seed, **spec})
    names = [str(i) for i in range(spec["relabel"]["classes"] if "relabel" in spec else classes)]
    numbers = {"last": last, "best": last + 0.01, "train_accuracy": 1.0}
    data = {**RESULT["data"], "class_names": names}
    return {"protocol": protocol, "key": read.key(), "spec": read.to_json(), **numbers, "data": data}


def stored(tmp_path: Path, *rows: dict[str, Any]) -> list[Protocol]:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return stored_protocols(path)


def places(protocol: Protocol) -> dict[str, list[tuple[float, float]]]:
    return {
        line.name: [(place, round(condition.mean("last"), 6)) for place, condition in line.points]
        for line in protocol.lines
    }


def test_nothing_stored_is_nothing(tmp_path: Path) -> None:
    assert stored_protocols(tmp_path / "absent.json") == []


def test_other_labels_are_an_axis_and_the_data_sets_own_belong_to_every_rule(tmp_path: Path) -> None:
    merged = [
        row("relabelling", 0.5 + n / 100 + s / 1000, attack=attack, relabel={"name": rule, "classes": n}, seed=s)
        for attack in (None, "uc") for rule in ("modulo", "blocks") for n in (2, 5) for s in (0, 1)
    ]  # fmt: skip
    (found,) = stored(tmp_path, row("relabelling", 0.9), row("relabelling", 0.2, attack="uc"), *merged)
    assert (found.axis, found.dataset, found.seeds) == ("classes", "shapes", [0, 1])
    drawn = places(found)
    rules = ("classes by remainder", "neighbouring classes")
    assert sorted(drawn) == sorted(
        f"{attack}, {rule}" for attack in ("clean", "UC (proxy surrogate)") for rule in rules
    )
    assert drawn["clean, neighbouring classes"] == [(2, 0.5205), (5, 0.5505), (10, 0.9)]
    assert drawn["UC (proxy surrogate), classes by remainder"][-1] == (10, 0.2)
    assert {line.name: line.attacked for line in found.lines}["clean, classes by remainder"] is False
    lines = [t for t in valid(figures.protocol_lines(found)).data if t.mode == "lines"]
    looks = {t.name: (t.line.color, t.line.dash) for t in lines}
    assert len(set(looks.values())) == 4
    assert looks["clean, classes by remainder"][0] == looks["clean, neighbouring classes"][0] == ROLE_COLOURS["clean"]


def test_mixing_has_its_control_and_starts_without_poison(tmp_path: Path) -> None:
    mixed = [
        row("mixing", 0.9 - rate / 10 - (kind == "clean") / 100, attack="uc", poison_rate=rate, train_on=kind)
        for rate in (0.5, 0.2) for kind in ("all", "clean")
    ]  # fmt: skip
    (found,) = stored(tmp_path, row("mixing", 0.95), *mixed)
    assert found.axis == "poison_rate"
    assert places(found) == {
        "UC (proxy surrogate)": [(0.0, 0.95), (0.2, 0.88), (0.5, 0.85)],
        "the clean images alone": [(0.0, 0.95), (0.2, 0.87), (0.5, 0.84)],
    }
    assert [line.attacked for line in found.lines] == [True, False]


def test_what_has_no_axis_is_told_apart_by_network_and_plan(tmp_path: Path) -> None:
    rows = [
        row("transfer", 0.5, attack=attack, model=model)
        for attack in (None, "uc")
        for model in ("small_cnn", "resnet18")
    ]
    rows += [row("simclr", 0.4, attack=attack, plan="simclr") for attack in (None, "uc")]
    transfer, simclr = stored(tmp_path, *rows)
    assert [p.axis for p in (transfer, simclr)] == ["none", "none"]
    assert len({condition.name for condition in transfer.conditions}) == 4
    assert [condition.name for condition in simclr.conditions] == ["clean", "UC (proxy surrogate)"], (
        "what all have in common is not said"
    )
    assert attack_words(row("x", 0, attack={"name": "uc", "encoder": "clip"})["spec"]) == "UC-CLIP"
    assert attack_words(row("x", 0, attack="cuda")["spec"]) == "CUDA"


def test_missing_numbers_are_nan_and_not_zero(tmp_path: Path) -> None:
    lacking = row("simclr", 0.4)
    del lacking["best"]
    (found,) = stored(tmp_path, lacking)
    assert math.isnan(found.rows[0].best)


# ---------------------------------------------------------------- figures


def test_lines_go_through_the_means_and_show_every_run(tmp_path: Path) -> None:
    merged = [row("relabelling", 0.5 + n / 100 + s / 10, attack="uc", relabel={"name": "blocks", "classes": n}, seed=s)
              for n in (2, 5) for s in (0, 1)]  # fmt: skip
    (found,) = stored(tmp_path, *merged)
    figure = valid(figures.protocol_lines(found, chance=True))
    mean, runs, guessing = figure.data
    assert list(mean.x) == [2, 5]
    assert list(mean.y) == pytest.approx([57, 60])
    assert list(runs.x) == [2, 2, 5, 5]
    assert list(runs.y) == pytest.approx([52, 62, 55, 65])
    assert list(guessing.y) == [50, 20]
    assert "number of labels" in figure.layout.xaxis.title.text
    assert len(figures.protocol_lines(found).data) == 2
    (without,) = stored(tmp_path, row("simclr", 0.4))
    with pytest.raises(DataError, match="no axis"):
        figures.protocol_lines(without)


def test_parts_of_a_mixed_set_are_means_over_runs() -> None:
    def run(*pairs: tuple[float, float]) -> ResultRow:
        epochs = [{"touched_accuracy": a, "untouched_accuracy": b} for a, b in pairs]
        return ResultRow(key="0a", spec={}, seed=0, history=epochs)

    without = ResultRow(key="0a", spec={}, seed=0, history=[{"epoch": 1.0}])
    curves = part_curves([run((0.2, 0.1), (0.8, 0.3)), run((0.4, 0.3), (1.0, 0.5)), without])
    assert curves["poisoned"] == pytest.approx([0.3, 0.9])
    assert curves["clean"] == pytest.approx([0.2, 0.4])
    assert part_curves([without, ResultRow(key="0a", spec={}, seed=0)]) == {}
    figure = valid(figures.part_figure(curves))
    assert [t.name for t in figure.data] == ["poisoned images", "clean images"]
    assert np.allclose(numbers(figure.data[1].y), [20, 40])
