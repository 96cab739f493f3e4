"""What JSON files hold, as models; whatever is read passes through them.

A value that does not fit is never an error here: it is left out and named, so that one wrong
number takes nothing else away. Every model can be made without arguments; fields that were
written ever since are in ``always``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ued_core.params import LARGEST_SEED

LATEST = 4_102_444_800.0
"""1 January 2100: no clock of a working machine says so."""
MOST_DAMAGE = 6
"""So many wrong values are named one by one."""
_LEVELS = 24
_LONG = 20_000


def integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and math.isfinite(value) and value.is_integer() else value


def finite_or_unknown(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def writable(value: Any) -> Any:
    # Names of files that are no UTF-8 come as halves of pairs of surrogates, which no page or table can take.
    return printable(value) if isinstance(value, str) else value


def plain(value: Any) -> Any:
    """Values of any kind: text that can be written, neither very long nor deep."""
    for entry, level in _parts(value):
        if (
            level > _LEVELS
            or (isinstance(entry, int) and abs(entry) >= 2**63)
            or (isinstance(entry, str | dict) and len(entry) > _LONG)
        ):
            raise PydanticCustomError("plain", "holds {shown}", {"shown": shown(entry)})
    return value


def settled(value: Any) -> Any:
    """Parameters of methods: plain, and every number finite."""
    for entry, _ in _parts(plain(value)):
        if isinstance(entry, float) and not math.isfinite(entry):
            raise PydanticCustomError("plain", "holds {shown}", {"shown": shown(entry)})
    return value


def _parts(value: Any) -> Iterator[tuple[Any, int]]:
    """The value, and all in it down to the first level that is too deep."""
    todo: list[tuple[Any, int]] = [(value, 0)]
    while todo:
        entry, level = todo.pop()
        yield entry, level
        if isinstance(entry, dict | list) and level <= _LEVELS:
            todo += [(part, level + 1) for part in ([*entry, *entry.values()] if isinstance(entry, dict) else entry)]


Moment = Annotated[float, Field(ge=0, lt=LATEST)]
"""Seconds since 1970, before 2100."""
Span = Annotated[float, Field(ge=0, le=1e10)]
"""Seconds that something took."""
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=-1e300, le=1e300)]
Count = Annotated[int, BeforeValidator(integral), Field(ge=0, le=10**12)]
Epoch = Annotated[int, BeforeValidator(integral), Field(ge=0, le=10**7)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Line = Annotated[str, BeforeValidator(writable), Field(max_length=2_000)]
Prose = Annotated[str, BeforeValidator(writable), Field(max_length=1_000_000)]
Plain = Annotated[Any, BeforeValidator(plain)]


class Stored(BaseModel):
    """A JSON object of a run's folder; unknown fields are left out."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)
    always: ClassVar[frozenset[str]] = frozenset()


class Part(BaseModel):
    """A JSON object that is there as a whole or not at all; further fields may be anything plain."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Plain] = Field(init=False)

    def to_json(self) -> dict[str, Any]:
        """Plain values: what it was made from."""
        return self.model_dump(exclude_unset=True)


Kind = TypeVar("Kind", bound=Stored)
Whole = TypeVar("Whole", bound=BaseModel)


def fitted(kind: type[Kind], value: Any, place: str, damage: list[str] | None = None) -> Kind:
    """A value of a file as far as it fits its model.

    Args:
        kind: the model; can be made without arguments.
        value: what the file holds.
        place: where it stands, for people: ``line 3 of history.jsonl``.
        damage: takes one sentence for everything that did not fit.
    """
    told: list[str] = []
    if not isinstance(value, Mapping):
        told.append(_no_object(value, place))
        value = {}
    else:
        told += [f"field {name} of {place} is missing" for name in sorted(kind.always - value.keys())]
        told += [
            f"field {name} of {place} is null" for name in sorted(kind.always & value.keys()) if value[name] is None
        ]
        value = {name: entry for name, entry in value.items() if not (entry is None and name in kind.always)}
    made = kind()
    for _ in range(3):
        try:
            made = kind.model_validate(value)
            break
        except ValidationError as error:
            wrong = error.errors(include_url=False)
            told += [_sentence(entry, place) for entry in wrong]
            value = {
                name: entry
                for name, entry in value.items()
                if name not in {str(e["loc"][0]) for e in wrong if e["loc"]}
            }
    if damage is not None:
        damage += told
    return made


def whole(kind: type[Whole], value: Any, place: str, damage: list[str] | None = None) -> Whole | None:
    """A value of a file, provided that all of it fits its model; otherwise None.

    Args:
        kind: the model.
        value, place, damage: as for :func:`fitted`.
    """
    told: list[str] = []
    made = None
    if isinstance(value, Mapping):
        try:
            made = kind.model_validate(value)
        except ValidationError as error:
            told = sentences(error, place)
    else:
        told = [_no_object(value, place)]
    if damage is not None:
        damage += told
    return made


def sentences(error: ValidationError, place: str) -> list[str]:
    """What did not fit, one sentence per value.

    Args:
        error: of a model.
        place: what was to fit it, for people.
    """
    return [_sentence(entry, place) for entry in error.errors(include_url=False)]


def _no_object(value: Any, place: str) -> str:
    return f"{place} is {shown(value)}, but it must be a JSON object"


def _sentence(error: Any, place: str) -> str:
    field = printable(".".join(str(part) for part in error["loc"])[:200])
    if error["type"] == "missing":
        return f"field {field} of {place} is missing"
    if error["type"] in ("plain", "classes", "empty"):
        return f"field {field} of {place} {error['msg']}"
    return f"field {field} of {place} is {shown(error['input'])}"


def shown(value: Any) -> str:
    """A wrong value, short enough for a sentence."""
    if isinstance(value, Mapping | list | tuple):
        kind = "object" if isinstance(value, Mapping) else "list"
        return f"{'a' if kind == 'list' else 'an'} {kind}" if value else f"an empty {kind}"
    if isinstance(value, int) and abs(value) >= 10**18:
        return "a huge number"
    text = printable(json.dumps(value[:60] if isinstance(value, str) else value, ensure_ascii=False, default=repr))
    return text if len(text) <= 44 else text[:40] + " …"


def printable(text: str) -> str:
    """The text with everything escaped that is no character."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def in_brief(damage: Iterable[str]) -> tuple[str, ...]:
    """The sentences once each, the first few of them one by one."""
    told = list(dict.fromkeys(damage))
    more = len(told) - MOST_DAMAGE
    return tuple(told if more <= 1 else [*told[:MOST_DAMAGE], f"{more} more values"])


def known(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what is not known."""
    return {
        name: value
        for name, value in row.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
