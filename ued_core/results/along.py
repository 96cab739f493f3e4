"""What stored runs say along one parameter of a defence: the accuracy over it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ued_core.results import known as stored
from ued_core.results.evidence import Draw
from ued_core.results.known import Recipe


@dataclass(frozen=True)
class Along:
    """Runs that differ in one parameter of a defence and in their seeds alone.

    Attributes:
        recipe: of all of them.
        same: whether that is the recipe that was asked about.
        points: value of the parameter → clean test accuracy after the last epoch by what each run drew, 0..1.
        none: the same without a defence.
    """

    recipe: Recipe
    same: bool
    points: Mapping[float, Mapping[Draw, float]]
    none: Mapping[Draw, float]


def along(spec: Mapping[str, Any], parameter: str, own: Iterable[stored.Told] = ()) -> Along | None:
    """The accuracy over one parameter of the spec's single defence, whatever the value that the spec has.

    Runs of the spec's own recipe count where there are any with at least two values; otherwise those of the recipe with
    most values.

    Args:
        spec: a run spec as JSON with every parameter; its seeds do not matter.
        parameter: a number of its defence.
        own: further finished runs, such as a reader's.

    Returns:
        None where fewer than two values were measured, or where the spec has not exactly one defence.
    """
    if len(spec["defenses"]) != 1 or not stored.is_plain(spec):
        return None
    runs = stored.with_own(own)
    recipe, attack, _ = stored.condition(spec)
    wanted = {name: value for name, value in spec["defenses"][0].items() if name != parameter}
    found: dict[Recipe, dict[float, Mapping[Draw, float]]] = {}
    for (trained, attacked, defences), draws in runs.items():
        if attacked != attack or trained.dataset != recipe.dataset:
            continue
        defence = json.loads(defences)
        if len(defence) == 1 and {n: v for n, v in defence[0].items() if n != parameter} == wanted:
            found.setdefault(trained, {})[float(defence[0][parameter])] = draws
    # Of this attack's measured recipes the asked one first, then the one that says most.
    several = {trained: points for trained, points in found.items() if len(points) > 1}
    if not several:
        return None
    best = recipe if recipe in several else max(several, key=lambda trained: len(several[trained]))
    return Along(best, best == recipe, dict(sorted(several[best].items())), runs.get((best, attack, "[]"), {}))
