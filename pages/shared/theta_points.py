"""Trained models as points against Θ: finished runs of this home, and the shipped results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pages.shared.cache import cached
from pages.shared.run_words import method_words, seed_of, short_id
from pages.shared.selection import Selection
from ued_core import runs
from ued_core.analysis.phenomenon import shipped
from ued_core.attacks import ATTACKS
from ued_core.defenses import DEFENSES, Coin
from ued_core.errors import UedError
from ued_core.figures.consistency import MeasuredPoint
from ued_core.models import MODELS
from ued_core.theory.jitter import limit_jittered
from ued_core.training import PLANS

Row = tuple[Mapping[str, Any], float, str, str]


@cached(max_entries=256)
def _metrics(kernels: np.ndarray, strength: float, side: int, boundary: str) -> tuple[float, float]:
    full = limit_jittered(kernels, strength, 0.0, (side, side), boundary)
    return full.imi, full.imc


def _rows() -> Iterator[Row]:
    """Spec, clean test accuracy after the last epoch, origin, name of everything that has been measured."""
    for record in runs.snapshot().records:
        if record.state == "finished" and record.last is not None:
            arithmetic = f", {record.precision}" if record.key != record.spec_key else ""
            yield record.spec, record.last, f"your runs{arithmetic}", f"run {short_id(record.id)}"
    try:
        stored = shipped()
    except UedError:
        stored = []
    for row in stored:
        yield row["spec"], float(row["last"]), "shipped", "shipped"


def _strength(spec: Mapping[str, Any]) -> tuple[float, str] | None:
    """COIN's α and boundary; α = 0 without any defence; None when something else defends too.

    Raises:
        UedError: a defence cannot be read.
    """
    defenses = [DEFENSES.parse(value) for value in spec.get("defenses") or ()]
    if not defenses:
        return 0.0, "periodic"
    [*others, last] = defenses
    return (last.strength, last.boundary) if isinstance(last, Coin) and not others else None


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
        try:
            placed = _strength(spec)
            own, model, plan = ATTACKS.parse(attack), MODELS.parse(spec.get("model")), PLANS.parse(spec.get("plan"))
            kernels = own.kernels(choice.train.classes, spec.get("attack_seed", 0))
        except UedError:
            # A run of an older version, whose parameters this one does not have.
            continue
        if kernels is None or placed is None:
            continue
        imi, imc = _metrics(kernels, placed[0], side, placed[1])
        group = f"{method_words(own)}, {model.title}, {plan.title} ({origin})"
        label = f"{name}, seed {seed_of(spec)}, key {spec.get('attack_seed', 0)}, {plan.epochs} epochs"
        found.append(MeasuredPoint(placed[0], accuracy, imi, imc, group, label))
    return tuple(found)
