"""What a run is: every choice that decides its result, and its name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, ValidationError
from pydantic.fields import FieldInfo

from ued_core.attacks import ATTACKS, Attack
from ued_core.catalogue import Catalogue
from ued_core.class_numbers import check_classes
from ued_core.data import DATASETS
from ued_core.data.base import Dataset
from ued_core.data.relabel import RELABELLINGS, Relabelling
from ued_core.data.walk import open_plain
from ued_core.defenses import DEFENSES, Defense, DefenseStack
from ued_core.errors import SpecError, in_short, quoted
from ued_core.files import text_of
from ued_core.models import MODELS, Model
from ued_core.params import LARGEST_SEED, Declaring, Method, Parameter, declared, fingerprint, param
from ued_core.runs.devices import Device
from ued_core.training import PLANS, Plan

# Raised whenever code changes what every spec computes, so that old results keep their own names; a method has its
# ``revision``.
RESULTS_VERSION = 1
_MOST_BYTES = 4 << 20
TrainOn = Literal["all", "clean"]
PLAN = "adamw"
MOST_QUICK = 20_000
"""Images times epochs of a quick run."""
"""The plan of a spec that names none."""


@dataclass(frozen=True)
class Part:
    """Marks a field that holds a configured method, several of them in their order, or None.

    Attributes:
        catalogue: where the method is listed.
        start: the method of a spec that names none; empty where that is None, or where one must be named.
        several: the field is a tuple of methods.
        later: as in :func:`ued_core.params.param`.
    """

    catalogue: Catalogue[Any]
    start: str = ""
    several: bool = False
    later: bool = False


@dataclass(frozen=True)
class Role:
    """Marks a field that is not always a part of what decides the result."""

    name: Literal["of the attack", "decides nothing"]


OF_THE_ATTACK = Role("of the attack")
"""Decides nothing in a run without an attack."""
DECIDES_NOTHING = Role("decides nothing")
"""Where a run is computed, and what is said of it."""


def _chosen(numbers: Any) -> Any:
    return None if numbers is None else check_classes(numbers)


def _stacked(defenses: Any) -> Any:
    all_are = isinstance(defenses, Sequence) and all(isinstance(each, Defense) for each in defenses)
    return DefenseStack(defenses) if all_are else defenses


class RunSpec(Declaring):
    """One training run, complete.

    The fields are declared here alone and in the order of the JSON: the keys that it may have, what is left out of it,
    the checks, the controls of the run form and the options of the command line follow from the declarations.

    Attributes:
        dataset: what is trained and tested on.
        attack: poisons the training part, or None.
        poison_rate: share of the training images that are poisoned, 0..1.
        poison_classes: numbers of the classes that are poisoned, or None for all.
        train_on: ``all`` images, or those alone that the attack leaves ``clean``: the control for a poison rate below
            1.
        relabel: the labels that the trainer gives training and test images, or None for those of the data set; the
            attack never sees them.
        attack_seed: the attack's private key.
        defenses: the stack that the run trains under; any sequence of defences is taken for one.
        model: what is trained.
        plan: how.
        seed: weights, order of the images, augmentation and defence draws.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``; not part of the identity.
        note: free text; not part of the identity.

    Raises:
        SpecError: a value breaks its declaration, or the combination makes no sense.
        ParameterError: a poisoned class is no class number.
    """

    model_config = ConfigDict(strict=True)

    dataset: Annotated[Dataset, Part(DATASETS)] = Field(description="What is trained and tested on.")
    attack: Annotated[Attack | None, Part(ATTACKS)] = Field(None, description="Poisons the training images.")
    poison_rate: Annotated[float, OF_THE_ATTACK] = param(
        1.0, "Share of the training images that are poisoned; test images stay clean.", ge=0.0, le=1.0, step=0.05
    )
    poison_classes: Annotated[tuple[int, ...] | None, OF_THE_ATTACK, BeforeValidator(_chosen)] = param(
        None,
        "Numbers of the classes that are poisoned, for example 0, 3, 5-7; the data set's first class is 0. Empty: all "
        "classes.",
        label="poisoned classes",
        later=True,
    )
    train_on: TrainOn = param(
        "all",
        "all images, or only those that a poison rate below 1 leaves clean: the control for mixing both.",
        label="train on",
        later=True,
    )
    relabel: Annotated[Relabelling | None, Part(RELABELLINGS, later=True)] = Field(
        None, description="Labels that the attack never sees, for training and test."
    )
    attack_seed: Annotated[int, OF_THE_ATTACK] = param(
        0,
        "The attacker's secret: another key, another perturbation of each class.",
        label="private key",
        ge=0,
        le=LARGEST_SEED,
    )
    defenses: Annotated[DefenseStack, InstanceOf(), BeforeValidator(_stacked), Part(DEFENSES, several=True)] = Field(
        DefenseStack(), description="They change the training images, in this order."
    )
    model: Annotated[Model, Part(MODELS, start="small_cnn")] = Field(description="What is trained.")
    plan: Annotated[Plan, Part(PLANS, start=PLAN)] = Field(description="How it is trained.")
    seed: int = param(0, "Draws weights, order of the images, augmentation and defences.", ge=0, le=LARGEST_SEED)
    device: Annotated[Device, DECIDES_NOTHING] = param(
        "auto", "auto takes a GPU that CUDA reaches when there is one. mps is Apple's, taken only where it is named."
    )
    note: Annotated[str, DECIDES_NOTHING] = param("", "Your own words, shown in the table.", max_length=500)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error) from None

    def model_post_init(self, _context: object) -> None:
        if self.train_on == "clean" and self.attack is None:
            raise SpecError(
                "train_on is 'clean', but no attack is named that would leave images clean.",
                "Name one, or write 'all'.",
            )
        if not (self.plan.labelled or self.model.body_learns):
            raise SpecError(
                f"The plan {self.plan.title} learns features without labels, but the body of {self.model.title} stays "
                "as it is.",
                "Choose another plan, or let the whole network learn.",
            )
        if self.train_on == "clean" and self.poison_rate == 1 and self.poison_classes is None:
            raise SpecError(
                "train_on is 'clean', but a poison rate of 1 leaves no image clean.",
                "Lower the rate, or poison some classes alone.",
            )

    @classmethod
    def parameter(cls, name: str) -> Parameter:
        """The declaration of one field that is a number, a choice or a text.

        Raises:
            KeyError: there is no such field.
        """
        return {known.name: known for known in cls.parameters()}[name]

    @classmethod
    @cache
    def parts(cls) -> Mapping[str, Part]:
        """The fields that hold configured methods, in order."""
        return {name: part for name, field in cls.model_fields.items() if (part := _part(field))}

    def methods(self) -> tuple[Method, ...]:
        """Every configured method of the run."""
        return tuple(method for name in self.parts() for method in _several(getattr(self, name)))

    def with_values(self, **values: Any) -> Self:
        """A copy with some fields changed, checked like a new one."""
        return type(self)(**{**vars(self), **values})

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` reads them back."""
        return self._plain(frozenset())

    def identity(self) -> dict[str, Any]:
        """The part that decides the result. Without an attack, its rate, classes and key decide nothing."""
        return self._plain(frozenset({DECIDES_NOTHING}))

    def _plain(self, without: frozenset[Role]) -> dict[str, Any]:
        found = {}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if without.intersection(_roles(field)):
                continue
            if self.attack is None and OF_THE_ATTACK in _roles(field):
                value = field.default
            if value == field.default and _is_later(field):
                # Runs from before there was the field keep their keys.
                continue
            found[name] = _as_json(value)
        return found

    def key(self) -> str:
        """Twelve hex digits: two runs with the same key have the same result."""
        revised = [[m.key, m.revision()] for m in self.methods() if m.revision()]
        return fingerprint({"version": RESULTS_VERSION, **self.identity(), **({"revised": revised} if revised else {})})

    def title(self) -> str:
        """A readable name, e.g. ``Shapes · CUDA · COIN α = 2 · Small CNN``: of attack and defences with what is not at
        its default, and with the strength of each defence."""
        parts = [self.dataset.label(), self.attack.named() if self.attack else self.dataset.without_attack]
        parts += [f"{self.relabel.classes} classes"] if self.relabel else []
        parts += ["its clean images alone"] if self.train_on == "clean" else []
        return " · ".join([*parts, *(d.named(lead=True) for d in self.defenses), self.model.title])

    @property
    def quick(self) -> bool:
        """Whether it takes some seconds of one core: a small network, few images, nothing crafted or learned first."""
        images = getattr(self.dataset, "train_size", None)
        slow = [d for d in self.defenses if d.needs_whole_set or d.trains_networks or "training" in d.acts]
        crafted = self.attack is not None and self.attack.needs_whole_set
        if images is None or slow or crafted or not self.model.light:
            return False
        return images * self.plan.epochs <= MOST_QUICK

    def located(self, base: Path | None) -> RunSpec:
        """The same with every path absolute (:meth:`ued_core.params.Method.located`), whichever method declares it.

        Raises:
            ParameterError: a relative path, and ``base`` is None.
        """
        found: dict[str, Any] = {}
        for name, part in self.parts().items():
            there = tuple(method.located(base) for method in _several(getattr(self, name)))
            found[name] = there if part.several else next(iter(there), None)
        return self.with_values(**found)

    @classmethod
    def from_json(cls, value: Any) -> RunSpec:
        """Read a spec; methods may be bare names, and everything has a default but the data set. Paths stay as they are
        written.

        Raises:
            SpecError, UnknownName, ParameterError: what is wrong and what to do.
        """
        if not isinstance(value, Mapping):
            raise SpecError(f"A run spec must be a JSON object, but this is {type(value).__name__}.")
        unknown = sorted(set(value) - set(cls.model_fields))
        if unknown:
            raise SpecError(
                f"A run spec has no {', '.join(map(repr, unknown))}.",
                f"It may have {', '.join(sorted(cls.model_fields))}.",
            )
        if "dataset" not in value:
            raise SpecError("The run spec names no data set.", 'Add "dataset": "fashion", for example.')
        found: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            given, part = value.get(name), _part(field)
            if name == "plan" and isinstance(given, str | Mapping | None):
                asked = given if isinstance(given, Mapping) else {"name": PLAN if given is None else given}
                suits = {**found["dataset"].recommended_plan, **found["model"].recommended_plan}
                given = {**suits, **asked}
            if part is not None:
                found[name] = _parsed(name, field, part, given)
            elif name in value and not (given is None and _is_later(field)):
                found[name] = given
        return cls(**found)

    @classmethod
    def read(cls, path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> RunSpec:
        """Read a spec that a user wrote into a file; a relative path in it starts in the file's own folder.

        Args:
            path: the file.
            changes: fields in place of those of the file, as :meth:`from_json` reads them.

        Raises:
            SpecError: the file is missing, no text or not JSON, besides what :meth:`from_json` raises.
        """
        value = cls._read(path)
        changed = {**value, **changes} if isinstance(value, Mapping) else value
        return cls.from_json(changed).located(path.absolute().parent)

    @classmethod
    def read_submitted(cls, path: Path) -> RunSpec:
        """Read the spec of a run's folder, whose paths became absolute when it was submitted.

        Raises:
            SpecError: as :meth:`read`.
            ParameterError: a relative path, in a run from before they were made absolute.
        """
        return cls.from_json(cls._read(path)).located(None)

    @classmethod
    def _read(cls, path: Path) -> Any:
        try:
            with open_plain(path) as file:
                content = file.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            raise SpecError(f"The spec file {path} cannot be read: {in_short(error)}.", "Check the path.") from error
        if len(content) > _MOST_BYTES:
            raise SpecError(f"The spec file {path} has more than {_MOST_BYTES >> 20} MiB.", "Check the path.")
        return read_json(content, f"The spec file {path}")


def _part(field: FieldInfo) -> Part | None:
    return next((known for known in field.metadata if isinstance(known, Part)), None)


def _roles(field: FieldInfo) -> list[Role]:
    return [known for known in field.metadata if isinstance(known, Role)]


def _is_later(field: FieldInfo) -> bool:
    known = _part(field) or declared(field)
    return known is not None and known.later


def _several(value: Method | DefenseStack | None) -> tuple[Method, ...]:
    return tuple(value) if isinstance(value, DefenseStack) else () if value is None else (value,)


def _as_json(value: Any) -> Any:
    if isinstance(value, Method | DefenseStack):
        return value.to_json()
    return list(value) if isinstance(value, tuple) else value


def _parsed(name: str, field: FieldInfo, part: Part, given: Any) -> Any:
    if part.several:
        given = () if given is None else given
        if not isinstance(given, list | tuple):
            raise SpecError(f"{name!r} is {given!r}, but it must be a list, in the order in which they act.")
        return tuple(part.catalogue.parse(entry) for entry in given)
    if given is None and part.start:
        given = part.start
    return None if given is None and field.default is None else part.catalogue.parse(given)


def _explained(error: ValidationError) -> SpecError:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    fields, given = RunSpec.model_fields, first["input"]
    if name not in fields or first["type"] == "missing":
        return SpecError(f"RunSpec({name}=…): {first['msg']}.", f"It takes {', '.join(fields)}.")
    if part := _part(fields[name]):
        return SpecError(f"{name} is {quoted(given)}, but it must be a configured {part.catalogue.kind}.")
    rule = RunSpec.parameter(name).rule
    remedy = "Shorten it." if first["type"] == "string_too_long" else ""
    return SpecError(f"{name} is {quoted(given)}, but it must be {rule}.", remedy)


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise SpecError(f"{name} has {twice!r} twice, and nothing says which is meant.", "Keep one of them.")
    return found


def read_json(content: bytes, name: str) -> Any:
    """The value of a user's JSON text (:func:`ued_core.files.text_of`).

    Args:
        content: the text's bytes.
        name: what the text is, as the beginning of a sentence.

    Raises:
        SpecError: it is no text, or no JSON.
    """
    try:
        text = text_of(content)
    except UnicodeError as error:
        what = f"{name} is not text in UTF-8, UTF-16 or UTF-32: {in_short(error)}."
        raise SpecError(what, "Open it in an editor and save it as UTF-8.") from error
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, name))
    except json.JSONDecodeError as error:
        where = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise SpecError(f"{name} is not JSON: {where}.", "Correct it there, or write it anew.") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{name} is not JSON: {in_short(error)}.", "Correct it, or write it anew.") from error
