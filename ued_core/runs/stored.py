"""What the files of a run's folder may hold, as models; whatever is read passes through them.

A value that does not fit is never an error here: it is left out and named, so that one wrong
number takes nothing else away. Every model can be made without arguments; fields that were
written ever since are in ``always``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from ued_core.params import LARGEST_SEED

LATEST = 4_102_444_800.0
"""1 January 2100: no clock of a working machine says so."""
MOST_DAMAGE = 6
"""So many wrong values are named one by one."""
_LEVELS = 24
_LONG = 20_000


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and math.isfinite(value) and value.is_integer() else value


def _not_finite_is_unknown(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _written(value: Any) -> Any:
    # Names of files that are no UTF-8 come as halves of pairs of surrogates, which no page or table can take.
    return printable(value) if isinstance(value, str) else value


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Values of any kind: text that can be written, neither very long nor deep."""
    for entry, level in _parts(value):
        if (
            level > _LEVELS
            or (isinstance(entry, int) and abs(entry) >= 2**63)
            or (isinstance(entry, str | dict) and len(entry) > _LONG)
        ):
            raise PydanticCustomError("plain", "holds {shown}", {"shown": shown(entry)})
    return value


def _settled(value: Any) -> Any:
    """Parameters of methods: plain, and every number finite."""
    for entry, _ in _parts(_plain(value)):
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
Count = Annotated[int, BeforeValidator(_integral), Field(ge=0, le=10**12)]
Epoch = Annotated[int, BeforeValidator(_integral), Field(ge=0, le=10**7)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Line = Annotated[str, BeforeValidator(_written), Field(max_length=2_000)]
Prose = Annotated[str, BeforeValidator(_written), Field(max_length=1_000_000)]
Plain = Annotated[Any, BeforeValidator(_plain)]


class Stored(BaseModel):
    """A JSON object of a run's folder; unknown fields are left out."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)
    always: ClassVar[frozenset[str]] = frozenset()


class Request(Stored):
    """``request.json``: what the submitter says of the run.

    Attributes:
        title: readable name.
        key: name of the result.
        created: when it was submitted.
        by, by_name: the visitor of a served app who submitted it; empty for the owner.
    """

    always = frozenset({"title", "key", "created"})
    title: Line = ""
    key: Annotated[str, BeforeValidator(_written), Field(max_length=200)] = ""
    created: Moment | None = None
    by: Annotated[str, Field(max_length=64)] = ""
    by_name: Annotated[str, BeforeValidator(_written), Field(max_length=200)] = ""


class Attempt(Stored):
    """A line of ``attempts.jsonl``: one execution.

    Attributes:
        attempt: 1….
        time: when it began.
        host, pid, created, birth: its process (:class:`ued_core.runs.launcher.Handle`).
        slot, device: where it ran.
        threads: that it computed with.
    """

    always = frozenset({"attempt", "time", "pid", "created"})
    attempt: Count | None = None
    time: Moment | None = None
    host: Line | None = None
    # 0 and negative numbers mean groups of processes to the system.
    pid: Annotated[int, Field(gt=1, lt=2**32)] | None = None
    created: Moment | None = None
    birth: Line = ""
    slot: Line = "cpu:0"
    device: Line = ""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None


class Computing(Stored):
    """A line of ``environments.jsonl``: what one execution computes with."""

    always = frozenset({"device", "precision", "threads", "torch"})
    device: Line = ""
    precision: Line = ""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    torch: Line = ""


class Report(Stored):
    """A line of ``progress.jsonl``: the beginning of an attempt, or how far a step is."""

    always = frozenset({"time"})
    time: Moment | None = None
    attempt: Count | None = None
    done: Annotated[float, Field(ge=0, le=1e15)] | None = None
    total: Annotated[float, Field(ge=0, le=1e15)] | None = None
    text: Line = ""


class EpochRow(Stored):
    """A line of ``history.jsonl``; further columns are numbers. The loss of a training that diverged is not a
    number."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Amount | None, BeforeValidator(_not_finite_is_unknown)]]
    always = frozenset({"epoch"})
    epoch: Epoch | None = None
    loss: Annotated[Amount | None, BeforeValidator(_not_finite_is_unknown)] = None
    train_accuracy: Share | None = None
    test_accuracy: Share | None = None
    touched_accuracy: Share | None = None
    untouched_accuracy: Share | None = None
    seconds: Span | None = None
    images_per_s: Annotated[float, Field(ge=0, le=1e12)] | None = None


class Measured(BaseModel):
    """A part of a result that is there as a whole or not at all."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Plain] = Field(init=False)


class MeasuredEpoch(EpochRow):
    """A row of a result's history: that of an epoch that was measured."""

    epoch: Epoch = Field()
    test_accuracy: Share = Field()


class Data(Measured):
    """What was trained and tested on."""

    train: Annotated[int, Field(ge=1, lt=10**12)]
    test: Annotated[int, Field(ge=1, lt=10**12)]
    class_names: Annotated[list[Line], Field(min_length=1)]
    notes: list[Prose] = []
    clean_hash: Line
    trained_on_hash: Line


class Probe(Measured):
    """:class:`ued_core.analysis.shortcut.ShortcutProbe` as plain values."""

    clean_accuracy: Share
    own_accuracy: Share
    wrong_true_rate: Share
    wrong_perturbation_rate: Share
    wrong_other_rate: Share
    clean_histogram: list[Share]
    images: Annotated[int, Field(ge=1, lt=10**12)]


class Environment(Measured):
    """What the numbers may depend on besides the spec."""

    device: Line
    device_name: Line
    precision: Line
    threads: Annotated[int, Field(ge=1, le=4096)]
    torch: Line
    numpy: Line
    python: Line


class Crafting(Measured):
    """How crafting went."""

    seconds: Span
    note: Prose
    stopped_early: Line = ""
    surrogate: Prose | None = None


class Named(Measured):
    """A report of a defence; what else is in it is the defence's own affair."""

    name: Line


class Result(Stored):
    """``result.json``; see :func:`ued_core.runs.pipeline.execute`."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain]
    always = frozenset(
        {
            "epochs",
            "last",
            "best",
            "train_accuracy",
            "train_seconds",
            "poisoned_accuracy",
            "data",
            "environment",
            "seconds",
            "history",
        }
    )
    epochs: Epoch | None = None
    last: Share | None = None
    best: Share | None = None
    train_accuracy: Share | None = None
    train_seconds: Span | None = None
    poisoned_accuracy: Share | None = None
    touched_accuracy: Share | None = None
    untouched_accuracy: Share | None = None
    data: Data | None = None
    probe: Probe | None = None
    crafting: Crafting | None = None
    purification: list[Named] = []
    training: list[Named] = []
    treated: dict[str, Share] | None = None
    poison_seconds: Span = 0.0
    environment: Environment | None = None
    seconds: Span | None = None
    history: Annotated[list[MeasuredEpoch], Field(min_length=1)] | None = None
    attempts: Count | None = None

    @field_validator("probe")
    @classmethod
    def _of_these_classes(cls, probe: Probe | None, info: Any) -> Probe | None:
        data = info.data.get("data")
        if probe and data and len(probe.clean_histogram) != len(data.class_names):
            raise PydanticCustomError("classes", "has another number of classes than the data")
        return probe


class Failure(Stored):
    """``error.json``: why a run failed."""

    always = frozenset({"what"})
    what: Prose = "The run failed, but its error.json does not say why."
    do: Prose = ""
    kind: Line = ""
    traceback: Prose = ""
    time: Moment | None = None


class MethodSpec(BaseModel):
    """A method by its name; its parameters are judged by the method itself when they are used."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    name: Line


Parameters = Annotated[MethodSpec, BeforeValidator(_named), BeforeValidator(_settled)]


class PlanSpec(MethodSpec):
    """The plan, whose epochs tables show."""

    name: Line = ""
    epochs: Epoch = 0


class SpecFile(Stored):
    """``spec.json`` as far as tables and pages rely on it; :class:`ued_core.runs.spec.RunSpec` judges the rest."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(_settled)]]
    dataset: Parameters | None = None
    model: Parameters | None = None
    attack: Parameters | None = None
    relabel: Parameters | None = None
    plan: Annotated[PlanSpec, BeforeValidator(_named), BeforeValidator(_settled)] | None = None
    defenses: list[Parameters] | None = None
    poison_rate: Share = 1.0
    poison_classes: list[Count] | None = None
    attack_seed: Seed = 0
    train_on: Literal["all", "clean"] | None = None
    seed: Seed = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    note: Annotated[str, BeforeValidator(_written), Field(max_length=3_000)] = ""


class CraftedLog(Measured):
    """The part of a crafted set's card that a run shows."""

    stopped_early: Line = ""


class CraftedCard(Stored):
    """``crafted/*/card.json``."""

    log: CraftedLog | None = None


class WeightsCard(Measured):
    """The metadata of a file of weights: for which run, epoch, images (C, H, W) and how many classes."""

    spec: Line
    epoch: Epoch
    shape: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=3, max_length=3)]
    classes: Annotated[int, Field(ge=1, le=1_000_000)]


Kind = TypeVar("Kind", bound=Stored)


def fitted(kind: type[Kind], value: Any, place: str, damage: list[str] | None = None) -> Kind:
    """A value of a file as far as it fits its model.

    Args:
        kind: the model.
        value: what the file holds.
        place: where it stands, for people: ``line 3 of history.jsonl``.
        damage: takes one sentence for everything that did not fit.
    """
    told: list[str] = []
    if not isinstance(value, Mapping):
        told.append(f"{place} is {shown(value)}, but it must be a JSON object")
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


def _sentence(error: Any, place: str) -> str:
    field = printable(".".join(str(part) for part in error["loc"])[:200])
    if error["type"] == "missing":
        return f"field {field} of {place} is missing"
    if error["type"] in ("plain", "classes"):
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
