"""What the shipped runs say of a choice of data, attack and defence, before anybody trains it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ued_core.assets import asset
from ued_core.results import evidence
from ued_core.results.evidence import Comparison, Draw, Summary

_OTHERWISE: Mapping[str, Any] = MappingProxyType(
    {"poison_rate": 1.0, "poison_classes": None, "train_on": "all", "relabel": None}
)
"""Fields of a spec beside data, attack, defences and recipe, and what they are in a plain run."""


class Recipe(NamedTuple):
    """How a condition was trained, as JSON texts.

    Attributes:
        dataset: without the seed that draws its images.
        model, plan: with every parameter.
    """

    dataset: str
    model: str
    plan: str


@dataclass(frozen=True)
class Known:
    """Stored runs of one condition and of those that it is compared with, trained in the same way.

    Attributes:
        recipe: of all of them.
        draws: clean test accuracy after the last epoch by what each run drew, 0..1.
        accuracy: the same over its runs.
        clean: of runs without attack and defence; with ``count`` 0 where there are none.
        loss: of clean accuracy by the attack alone, paired; None without an attack, or where nothing can be paired.
        gain: of the defences over the attack alone (on clean images: over none), paired; None without defences, or
            where nothing can be paired.
    """

    recipe: Recipe
    draws: Mapping[Draw, float]
    accuracy: Summary
    clean: Summary
    loss: Comparison | None
    gain: Comparison | None

    @property
    def works(self) -> bool:
        """Whether the attack lowers the accuracy, beyond what the spread over seeds explains."""
        return self.loss is not None and self.loss.word == "better"


Condition = tuple[Recipe, str, str]
"""Recipe, attack, defences."""


class Told(NamedTuple):
    """One finished run, as far as it is compared.

    Attributes:
        spec: as JSON with every parameter.
        last: clean test accuracy after the last epoch, 0..1.
        precision: of its arithmetic.
    """

    spec: Mapping[str, Any]
    last: float
    precision: str = ""


def known(spec: Mapping[str, Any]) -> Known | None:
    """What is stored of a spec, whatever its seeds; of another recipe where its own was not run.

    Where there are runs in which one seed draws everything, those of further keys or images are left out.

    Args:
        spec: a run spec as JSON with every parameter.

    Returns:
        None where no stored run has this data, attack and defences.
    """
    if not is_plain(spec):
        return None
    own, attack, defences = condition(spec)
    runs = _runs()
    recipes = [r for r, a, d in runs if (r.dataset, a, d) == (own.dataset, attack, defences)]
    if not recipes:
        return None
    best = own if own in recipes else max(recipes, key=lambda recipe: len(runs[recipe, attack, defences]))
    return _told(best, attack, defences)


def with_defences(spec: Mapping[str, Any]) -> dict[str, Known]:
    """What every stored stack of defences reaches on a spec's data and attack, the highest accuracy first.

    Args:
        spec: a run spec as JSON with every parameter; its defences do not matter.

    Returns:
        The stack as a JSON text → its runs, those without a defence among them, all of one recipe.
    """
    alone = known({**spec, "defenses": []})
    if alone is None:
        return {}
    attack = _text(spec["attack"])
    found = {d: _told(alone.recipe, attack, d) for r, a, d in _runs() if (r, a) == (alone.recipe, attack)}
    return dict(sorted(found.items(), key=lambda entry: -entry[1].accuracy.mean))


def attacks_alone(spec: Mapping[str, Any]) -> dict[str, Known]:
    """What every stored attack without a defence leaves on a spec's data, trained as the spec says, the largest loss
    first.

    Args:
        spec: a run spec as JSON with every parameter; its attack and defences do not matter.

    Returns:
        The attack as a JSON text → its runs; those that no clean run can be paired with come last.
    """
    own, _, _ = condition(spec)
    found = {a: _told(own, a, d) for r, a, d in _runs() if r == own and a != "null" and d == "[]"}
    return dict(sorted(found.items(), key=lambda entry: -entry[1].loss.gain.mean if entry[1].loss else 1.0))


def where_it_works(attack: Mapping[str, Any]) -> list[Known]:
    """The data on which an attack alone lowers the accuracy in stored runs, the largest loss first; per data set the
    recipe with most runs.

    Args:
        attack: as JSON with every parameter.
    """
    own, runs = _text(attack), _runs()
    found: dict[str, Known] = {}
    for recipe, attacked, defences in sorted(runs, key=lambda condition: -len(runs[condition])):
        name = json.loads(recipe.dataset)["name"]
        if attacked == own and defences == "[]" and name not in found:
            found[name] = _told(recipe, attacked, defences)
    return sorted((k for k in found.values() if k.works), key=lambda k: -k.loss.gain.mean if k.loss else 0.0)


def _told(recipe: Recipe, attack: str, defences: str) -> Known:
    runs = _runs()
    clean, alone = runs.get((recipe, "null", "[]"), {}), runs.get((recipe, attack, "[]"), {})
    own = runs[recipe, attack, defences]
    return Known(
        recipe,
        own,
        evidence.over(own.values()),
        evidence.over(clean.values()),
        _paired(clean, alone) if attack != "null" else None,
        _paired(own, alone) if defences != "[]" else None,
    )


def _paired(first: Mapping[Draw, float], second: Mapping[Draw, float]) -> Comparison | None:
    one, other = evidence.aligned(first, second)
    return evidence.compare(one, other) if one else None


def is_plain(spec: Mapping[str, Any]) -> bool:
    """Whether every image is poisoned and the labels are the set's own, as in stored runs."""
    return all(spec.get(name, usual) == usual for name, usual in _OTHERWISE.items())


def condition(spec: Mapping[str, Any]) -> Condition:
    """What runs must share to be seeds of one another."""
    dataset = {name: value for name, value in spec["dataset"].items() if name != "seed"}
    recipe = Recipe(_text(dataset), _text(spec["model"]), _text(spec["plan"]))
    return recipe, _text(spec["attack"]), _text(spec["defenses"])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def with_own(own: Iterable[Told]) -> Mapping[Condition, Mapping[Draw, float]]:
    """Accuracy of every shipped run by condition and draw, and of further runs whose draws are not among them."""
    runs = _runs()
    mine = _gathered(own)
    return {**runs, **{c: _independent({**draws, **runs.get(c, {})}) for c, draws in mine.items()}} if mine else runs


def _runs() -> Mapping[Condition, Mapping[Draw, float]]:
    """Accuracy of every shipped run by condition and draw; read again when a table has changed."""
    return _read(tuple((file, file.stat().st_mtime_ns) for file in sorted(asset("results").glob("*.json"))))


@lru_cache(maxsize=2)
def _read(files: Sequence[tuple[Path, int]]) -> Mapping[Condition, Mapping[Draw, float]]:
    found = _gathered(told for file, _ in files for told in _rows(file))
    return MappingProxyType({condition: _independent(draws) for condition, draws in found.items()})


def _rows(file: Path) -> Iterator[Told]:
    rows = json.loads(file.read_text(encoding="utf-8"))
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict) and isinstance(row.get("spec"), dict) and isinstance(row.get("last"), float):
            yield Told(row["spec"], row["last"], (row.get("environment") or {}).get("precision", ""))


def _gathered(runs: Iterable[Told]) -> dict[Condition, dict[Draw, float]]:
    found: dict[Condition, dict[Draw, float]] = {}
    for spec, last, precision in runs:
        if is_plain(spec):
            attack_seed = spec["attack_seed"] if spec["attack"] else None
            draw = Draw(spec["seed"], attack_seed, spec["dataset"].get("seed"), precision)
            # A run that stands in several tables counts as the first of them has it, as everywhere: another machine may
            # have trained it again, and pairs must not mix two machines.
            found.setdefault(condition(spec), {}).setdefault(draw, last)
    return found


def _independent(draws: Mapping[Draw, float]) -> Mapping[Draw, float]:
    """The runs in which one seed draws everything, or all where there are none: runs that share a key or images are no
    sample of independent ones."""
    alone = {d: value for d, value in draws.items() if {d.key, d.images} <= {d.seed, None}}
    return alone or draws
