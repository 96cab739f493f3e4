"""Values of a run spec by dotted name: ``seed``, ``attack.epsilon``, ``defenses.0.strength``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ued_core.errors import SpecError, UnknownName
from ued_core.params import Method
from ued_core.runs.spec import RunSpec

SEEDS = ("dataset.seed", "attack_seed", "seed")
"""The fields that a seed sets where nobody says which: all that is drawn."""


def with_value(spec: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The JSON of a run spec with one value changed; what it shares with the given one is not copied.

    Args:
        spec: as :meth:`RunSpec.from_json` reads it; methods may be bare names.
        name: a field; behind a point a parameter of its method; of a stack, the place of the defence, 0…, comes
            between.
        value: as JSON.

    Raises:
        SpecError, UnknownName: there is no such place in this spec. Whether a parameter takes the value is judged when
            the spec is read.
    """
    field, *rest = name.split(".")
    if field not in RunSpec.model_fields:
        raise UnknownName("field of a run spec", field, RunSpec.model_fields)
    if not rest:
        return {**spec, field: value}
    part = RunSpec.parts().get(field)
    if part is None:
        raise SpecError(f"{name!r} names a part of {field!r}, which has no parts.", f"Write {field!r}.")
    if len(rest) != 1 + part.several:
        example = f"{field}.0.PARAMETER" if part.several else f"{field}.PARAMETER"
        raise SpecError(f"{name!r} is no place of a run spec.", f"Write {example!r}.")
    if not part.several:
        return {**spec, field: _changed(spec.get(field, part.start or None), name, rest[0], value)}
    stack, place = list(spec.get(field) or ()), rest[0]
    if not (place.isdecimal() and int(place) < len(stack)):
        count = f"{len(stack)} defence{'s' * (len(stack) != 1)}" if stack else "no defences"
        raise SpecError(f"{name!r} is no place of a run with {count}.", "Leave the combination out with 'without'.")
    stack[int(place)] = _changed(stack[int(place)], name, rest[1], value)
    return {**spec, field: stack}


def _changed(method: Any, name: str, parameter: str, value: Any) -> Any:
    if method is None:
        raise SpecError(
            f"{name!r} is a parameter of a method, but the run has none there.",
            "Leave the combination out with 'without'.",
        )
    # What is neither a name nor an object is judged when the spec is read.
    return {**({"name": method} if isinstance(method, str) else method), parameter: value}


def method_of(spec: Mapping[str, Any], name: str) -> type[Method] | None:
    """The class of the method whose parameter a name is; None where the spec has no method there.

    Args:
        spec: as for :func:`with_value`.
        name: of one method's parameter, not of a stack's.

    Raises:
        UnknownName: no such method.
    """
    field = name.partition(".")[0]
    part = RunSpec.parts()[field]
    method = spec.get(field, part.start)
    key = method.get("name", part.start) if isinstance(method, Mapping) else method
    return part.catalogue[key] if key else None
