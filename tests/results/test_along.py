"""The accuracy along one parameter of a defence: which runs count, and which do not."""

from __future__ import annotations

from typing import Any

import pytest

from ued_core.results import known as stored
from ued_core.results.along import along
from ued_core.results.known import Told
from ued_core.runs.spec import RunSpec


def spec(strength: float | None, seed: int = 0, **more: Any) -> dict[str, Any]:
    defences = [] if strength is None else [{"name": "coin", "strength": strength}]
    made = {
        "dataset": {"name": "shapes", "seed": seed},
        "attack": "synper",
        "attack_seed": seed,
        "seed": seed,
        "defenses": defences,
        **more,
    }
    return RunSpec.from_json(made).to_json()


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_runs", dict)


def told(*runs: tuple[float | None, int, float]) -> list[Told]:
    return [Told(spec(strength, seed), last, "float32") for strength, seed, last in runs]


def test_values_and_seeds_are_gathered() -> None:
    found = along(spec(3.0), "strength", told((2.0, 0, 0.7), (1.0, 0, 0.5), (2.0, 1, 0.8), (None, 0, 0.2)))
    assert found is not None
    assert found.same
    assert {value: sorted(draws.values()) for value, draws in found.points.items()} == {1.0: [0.5], 2.0: [0.7, 0.8]}
    assert list(found.points) == [1.0, 2.0]
    assert list(found.none.values()) == [0.2]


def test_one_value_is_no_curve() -> None:
    assert along(spec(2.0), "strength", told((2.0, 0, 0.7), (2.0, 1, 0.8))) is None


def test_other_settings_of_the_defence_are_another_curve() -> None:
    other = [
        Told(spec(None) | {"defenses": [{**spec(value)["defenses"][0], "boundary": "scipy_wrap"}]}, 0.5)
        for value in (1.0, 2.0)
    ]
    assert along(spec(2.0), "strength", other) is None


def test_another_recipe_stands_in_and_is_named() -> None:
    longer = {"plan": {"name": "adamw", "epochs": 20}}
    runs = [Told(spec(value, **longer), 0.1 * value) for value in (1.0, 2.0, 3.0)]
    found = along(spec(2.0), "strength", [*runs, *told((1.0, 0, 0.9))])
    assert found is not None
    assert not found.same
    assert '"epochs": 20' in found.recipe.plan
    assert list(found.points) == [1.0, 2.0, 3.0]


def test_runs_with_a_share_of_poison_do_not_count() -> None:
    runs = [Told(spec(value) | {"poison_rate": 0.5}, 0.5) for value in (1.0, 2.0)]
    assert along(spec(2.0), "strength", runs) is None
