"""Chosen runs as conditions: what differs in nothing but its draws is one, and conditions may differ in one number."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ued_core.params import Parameter, fingerprint
from ued_core.runs.record import RunRecord
from ued_core.runs.spec import RunSpec

MOST_LEVELS = 4
"""Conditions without the number that still stand beside those that have it."""
_DRAWN = ("seed", "attack_seed")

Place = tuple[Hashable, ...]
"""Of a value in a spec: ``("defenses", 0, "strength")``."""


class Drawn(NamedTuple):
    """The seeds of a run: of training, of the attack's key and of the images; None where there is none."""

    seed: Any
    key: Any
    images: Any


def _comparable(value: Any) -> Any:
    """A seed as it is; whatever else a damaged file may hold there, as text."""
    return value if value is None or isinstance(value, int) else repr(value)


def drawn(spec: Mapping[str, Any]) -> Drawn:
    """What a run drew, as its spec says in plain values."""
    images = spec.get("dataset")
    return Drawn(
        _comparable(spec.get("seed")),
        _comparable(spec.get("attack_seed") if spec.get("attack") else None),
        _comparable(images.get("seed") if isinstance(images, Mapping) else None),
    )


def conditions(records: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """The runs in groups that differ in their draws only, computed in the same arithmetic.

    The attack's key and the seed of the images are draws as well where every run has a training seed of its own, as in
    a study. Where a training seed comes twice they make conditions of their own, because somebody varied them; the very
    same draws twice are never a second sample.

    Returns:
        The groups, in the order of their first runs.
    """
    together: dict[str, list[RunRecord]] = {}
    for record in records:
        together.setdefault(_name(record, pooled=True), []).append(record)
    found: dict[str, list[RunRecord]] = {}
    for name, members in together.items():
        draws = {drawn(record.spec) for record in members}
        pooled = len({draw.seed for draw in draws}) == len(draws)
        for record in members:
            own, copy = name if pooled else _name(record, pooled=False), 0
            while any(drawn(o.spec).seed == drawn(record.spec).seed for o in found.get(f"{own}/{copy}", [])):
                copy += 1
            found.setdefault(f"{own}/{copy}", []).append(record)
    places = {record.id: place for place, record in enumerate(records)}
    return sorted(found.values(), key=lambda members: places[members[0].id])


def _name(record: RunRecord, pooled: bool) -> str:
    spec = {k: v for k, v in record.spec.items() if k not in ("seed", "note", "device")}
    if pooled:
        spec = {k: v for k, v in spec.items() if k not in _DRAWN}
        if isinstance(images := spec.get("dataset"), Mapping):
            spec["dataset"] = {k: v for k, v in images.items() if k != "seed"}
    # A run that was trained on a half-crafted set, or in another arithmetic, is another experiment.
    return fingerprint(spec | {"early": record.stopped_early, "precision": record.precision})


@dataclass(frozen=True)
class Varied:
    """The one number in which conditions differ.

    Attributes:
        parameter: its declaration.
        of: the title of the method that has it; empty for one of the run itself.
        place: where it stands in a spec.
        values: condition → its value.
        lines: conditions that are alike but for the number, in its order; at least two each.
        levels: the conditions that lack it, or stand alone.
    """

    parameter: Parameter
    of: str
    place: Place
    values: Mapping[int, float]
    lines: tuple[tuple[int, ...], ...]
    levels: tuple[int, ...]


def one_number(specs: Sequence[RunSpec | None]) -> Varied | None:
    """The number along which conditions form lines; the one with most conditions on lines where several do.

    Args:
        specs: one per condition; None where a spec is not understood.

    Returns:
        None where no number makes a line, or more than :data:`MOST_LEVELS` conditions would stand beside the lines.
    """
    if any(spec is None for spec in specs):
        return None
    tables = [_table(spec) for spec in specs if spec is not None]
    names = list(dict.fromkeys(place for table in tables for place in table))
    found = [varied for place in names if (varied := _along(tables, place)) is not None]
    return max(found, key=lambda varied: -len(varied.levels), default=None)


def _along(tables: Sequence[Mapping[Place, _Entry]], place: Place) -> Varied | None:
    known = {k: table[place] for k, table in enumerate(tables) if place in table and table[place].number is not None}
    if len({entry.number for entry in known.values()}) < 2:
        return None
    alike: dict[str, dict[float, int]] = {}
    for k, entry in known.items():
        rest = fingerprint([[list(map(str, p)), str(e.value)] for p, e in tables[k].items() if p != place])
        assert entry.number is not None
        # The same condition in another arithmetic is none of this line.
        alike.setdefault(rest, {}).setdefault(entry.number, k)
    lines = tuple(tuple(own[value] for value in sorted(own)) for own in alike.values() if len(own) > 1)
    on_lines = {k for line in lines for k in line}
    levels = tuple(k for k in range(len(tables)) if k not in on_lines)
    if not lines or len(levels) > MOST_LEVELS:
        return None
    entry = known[lines[0][0]]
    assert entry.parameter is not None
    return Varied(entry.parameter, entry.of, place, {k: e.number for k, e in known.items() if e.number is not None},
                  lines, levels)  # fmt: skip


class _Entry(NamedTuple):
    """A value of a spec, with its declaration where it is a parameter."""

    value: Any
    parameter: Parameter | None = None
    of: str = ""

    @property
    def number(self) -> float | None:
        if self.parameter is None or self.parameter.kind not in ("int", "float"):
            return None
        return None if self.value is None else float(self.value)


def _table(spec: RunSpec) -> dict[Place, _Entry]:
    """Everything but the draws, by its place."""
    found: dict[Place, _Entry] = {}
    for known in RunSpec.parameters():
        if known.name not in ("device", "note", *_DRAWN):
            found[known.name,] = _Entry(getattr(spec, known.name), known)
    for name, part in RunSpec.parts().items():
        value = getattr(spec, name)
        for number, method in enumerate(value if part.several else [value] if value is not None else []):
            found[name, number] = _Entry(method.key)
            for known in method.parameters():
                if (name, known.name) != ("dataset", "seed"):
                    found[name, number, known.name] = _Entry(getattr(method, known.name), known, method.title)
    return found
