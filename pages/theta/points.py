"""Trained models as points against Θ: finished runs of this home, and the shipped results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from pages.frame.cache import cached
from pages.state.choice import Selection
from pages.state.run_words import method_words, seed_words, short_id
from ued_core import runs
from ued_core.attacks import ATTACKS
from ued_core.border import Boundary
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.errors import UedError
from ued_core.figures.consistency import MeasuredPoint
from ued_core.models import MODELS
from ued_core.results.phenomenon import shipped
from ued_core.theory.jitter import limit_jittered
from ued_core.training import PLANS

Row = tuple[Mapping[str, Any], float, str, str]


@cached(max_entries=256)
def _metrics(kernels: np.ndarray, strength: float, side: int, boundary: Boundary) -> tuple[float, float]:
    full = limit_jittered(kernels, strength, 0.0, (side, side), boundary)
    return full.imi, full.imc


def _rows() -> Iterator[Row]:
    """Spec, clean test accuracy after the last epoch, origin, name of everything that has been measured."""
    for record in runs.snapshot().records:
        if record.state == "finished" and record.last is not None:
            arithmetic = f", {record.precision}" if record.key != record.spec_key else ""
            yield record.spec, record.last, f"trained here{arithmetic}", f"run {short_id(record.id)}"
    try:
        stored = shipped()
    except UedError:
        stored = []
    for row in stored:
        yield row.spec, row.last, "shipped", "shipped"


class _Point(NamedTuple):
    """Where a model stands against Θ, and what it is called."""

    strength: float
    imi: float
    imc: float
    words: str
    epochs: int


@lru_cache(maxsize=4096)
def _point(parts: str, classes: int, side: int) -> _Point | None:
    """Of attack, key, defences, model and plan as JSON; None for what has no place. Seeds share it, and thousands of
    runs do."""
    attack, seed, defenses, model_json, plan_json = json.loads(parts)
    try:
        moved = DefenseStack.from_json(defenses or (), DEFENSES).displacements()
        own, model, plan = ATTACKS.parse(attack), MODELS.parse(model_json), PLANS.parse(plan_json)
        kernels = own.kernels(classes, seed or 0)
    except UedError:
        # A run of an older version, whose parameters this one does not have.
        return None
    if kernels is None or moved is None:
        return None
    imi, imc = _metrics(kernels, moved.strength, side, moved.boundary)
    return _Point(moved.strength, imi, imc, f"{method_words(own)}, {model.title}, {plan.title}", plan.epochs)


def measured_points(choice: Selection) -> tuple[MeasuredPoint, ...]:
    """Models trained on the chosen data set, fully poisoned by the chosen attack, under COIN alone or nothing.

    The attack's parameters and key may differ from the chosen ones: each model's Θ is that of its own kernels.
    """
    side = min(choice.train.shape[1], 64)
    found = []
    for spec, accuracy, origin, name in _rows():
        attack = spec.get("attack") or {}
        if (spec.get("dataset") or {}).get("name") != choice.dataset.key or attack.get("name") != choice.attack.key:
            continue
        if spec.get("poison_rate", 1.0) != 1.0 or spec.get("poison_classes") is not None:
            continue
        wanted = json.dumps([spec.get(part) for part in ("attack", "attack_seed", "defenses", "model", "plan")])
        if (point := _point(wanted, choice.train.classes, side)) is not None:
            label = f"{name}, seed {seed_words(spec)}, key {spec.get('attack_seed', 0)}, {point.epochs} epochs"
            found.append(
                MeasuredPoint(point.strength, accuracy, point.imi, point.imc, f"{point.words} ({origin})", label)
            )
    return tuple(found)
