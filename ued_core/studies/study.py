"""A study: a declared grid of runs in a JSON file.

Conditions are the combinations of its axes, and extra ones that stand outside of the grid. Each is a set of runs, one
per seed, and which comparisons are asked of them is written down before they are trained. What a study has reached is
never stored: it follows from the file and the runs (:mod:`ued_core.studies.progress`).
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ued_core.data.walk import open_plain
from ued_core.errors import SpecError, UedError, UnknownName, in_short, quoted
from ued_core.params import LARGEST_SEED
from ued_core.runs.spec import RunSpec, read_json
from ued_core.studies.spec_values import SEEDS, method_of, with_value

MOST_RUNS = 20_000
MOST_PLACES = 200_000
"""Combinations of the axes before any is left out; all of them are looked at."""
_MOST_BYTES = 4 << 20
MOST_NAMED = 12
BETWEEN = " · "
NO_CONTROL = "It may name another one as 'against'."


def written(value: Any) -> str:
    """A value of an axis as its label says it, where the file gives none."""
    if isinstance(value, float):
        return f"{value:.10g}"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _labelled(given: Any) -> Any:
    """A value without a label of its own as ``{"label", "value"}``."""
    if isinstance(given, Mapping) and ("label" in given or set(given) - {"name"}):
        return given
    return {"label": written(given["name"] if isinstance(given, Mapping) else given), "value": given}


def _labels(given: Any) -> Any:
    several = given if isinstance(given, list | tuple) else [given]
    return [written(each) if isinstance(each, int | float) else each for each in several]


Label = Annotated[str, Field(min_length=1, max_length=120)]
Where = dict[Label, Annotated[list[Label], BeforeValidator(_labels), Field(min_length=1)]]
"""Some places of the grid: axis → the labels that fit; axes that are left out fit with any label."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Range(_Part):
    """Numbers at equal distances.

    Attributes:
        first: the smallest; ``from`` in the file.
        last: none is larger; ``to`` in the file.
        step: their distance, above 0.
    """

    first: float = Field(alias="from")
    last: float = Field(alias="to")
    step: float = Field(gt=0)

    def values(self) -> list[int | float]:
        """The numbers; whole ones where all three limits are whole."""
        if (self.last - self.first) / self.step >= MOST_PLACES:
            raise SpecError(
                f"The range from {self.first:g} to {self.last:g} with step {self.step:g} has more than "
                f"{MOST_PLACES:,} numbers.",
                "Take a larger step.",
            )
        count = math.floor((self.last - self.first) / self.step + 1e-9) + 1
        found = [round(self.first + place * self.step, 10) for place in range(count)]
        whole = all(limit.is_integer() for limit in (self.first, self.last, self.step))
        return [int(value) for value in found] if whole else list(found)


class Choice(_Part):
    """One value of an axis.

    Attributes:
        label: its name in the study.
        value: of the axis's field, as a run spec writes it; without a field, a number that is its place on a curve.
        set: further fields by dotted name.
    """

    label: Label
    value: Any = None
    set: dict[Label, Any] = {}

    def settings(self, field: str) -> dict[str, Any]:
        """Dotted name → value."""
        return ({field: self.value} if field and "value" in self.model_fields_set else {}) | self.set


class Axis(_Part):
    """One direction of the grid.

    Attributes:
        name: unique; that of the field where it is left out.
        field: of a run spec, by dotted name: ``attack``, ``defenses.0.strength``, ``plan.epochs``. Empty where every
            value sets its own.
        values: labelled values, or plain ones.
        range: numbers in place of values.
        repeats: its values repeat a condition, as seeds do, and make no conditions of their own. It may set seeds only.
    """

    name: str = Field("", max_length=120)
    field: str = Field("", max_length=120)
    values: list[Annotated[Choice, BeforeValidator(_labelled)]] = []
    range: Range | None = None
    repeats: bool = False

    @property
    def title(self) -> str:
        """Its name."""
        return self.name or self.field

    @cached_property
    def choices(self) -> tuple[Choice, ...]:
        """Its values, those of a range too."""
        if self.range is None:
            return tuple(self.values)
        return tuple(Choice(label=written(value), value=value) for value in self.range.values())

    @cached_property
    def by_label(self) -> Mapping[str, Choice]:
        """Each value under its label."""
        return {choice.label: choice for choice in self.choices}

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """Its values as numbers, label by label; None where one is none."""
        values = [choice.value for choice in self.choices]
        known = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        return tuple(known) if len(known) == len(values) else None

    @cached_property
    def fields(self) -> frozenset[str]:
        """The dotted names that it sets."""
        return frozenset(name for choice in self.choices for name in choice.settings(self.field))

    def words(self, label: str) -> str:
        """A label as a part of a condition's: numbers alone do not say what they are of."""
        return f"{self.title} {label}" if self.range is not None else label

    def check(self) -> None:
        """Refuse an axis that makes no sense.

        Raises:
            SpecError: no name, no values, two values of one label, or a value without a field.
        """
        if not self.title:
            raise SpecError("An axis of the study has neither a 'name' nor a 'field'.", "Name it.")
        if (self.range is None) == (not self.values):
            both = "both 'values' and a 'range'" if self.values else "neither 'values' nor a 'range'"
            raise SpecError(f"The axis {self.title!r} has {both}.", "Give it one of them.")
        if not self.choices:
            assert self.range is not None
            raise SpecError(
                f"The axis {self.title!r} is empty: its range begins at {self.range.first:g} and ends at "
                f"{self.range.last:g}.",
                "Begin below its end.",
            )
        twice = _twice(choice.label for choice in self.choices)
        if twice is not None:
            raise SpecError(f"The axis {self.title!r} has two values {twice!r}.", "Give each a label of its own.")
        bare = next((choice for choice in self.choices if not choice.settings(self.field)), None)
        if bare is not None:
            raise SpecError(
                f"The value {bare.label!r} of the axis {self.title!r} sets nothing.",
                "Name the axis's 'field' and the 'value', or fields under 'set'.",
            )


class Extra(_Part):
    """A condition outside of the grid.

    Attributes:
        label: its name in the study.
        set: what differs from the study's base, by dotted name.
    """

    label: Label
    set: dict[Label, Any] = {}


class Asked(_Part):
    """A comparison that is declared before the runs.

    Attributes:
        name: what it asks.
        of: the conditions, as labels or as places of the grid; all where it is left out.
        against: the control: the label of a condition, or the axes in which it differs, ``{"defence": "none"}``. The
            same condition without defences where it is left out.
        clean: the condition that recovery is measured by, in the same way. The same one without attack and defences
            where it is left out, if the study has it.
    """

    name: Label
    of: list[Label] | Where = Field({}, union_mode="left_to_right")
    against: Label | dict[Label, Annotated[Label, BeforeValidator(lambda v: _labels(v)[0])]] | None = None
    clean: Label | dict[Label, Annotated[Label, BeforeValidator(lambda v: _labels(v)[0])]] | None = None


class Planned(NamedTuple):
    """One run of a condition.

    Attributes:
        unit: labels of the repeating axes, then the seed; unique in its condition.
        spec: what it does.
        key: name of its result.
    """

    unit: tuple[str, ...]
    spec: RunSpec
    key: str


@dataclass(frozen=True, eq=False)
class Condition:
    """What is trained once per seed.

    Attributes:
        label: unique in the study: its places on the axes.
        places: axis → label; empty for one outside of the grid.
        runs: one per unit, all with another unit. Without an attack its key decides nothing, so some may be the same
            run.
    """

    label: str
    places: Mapping[str, str]
    runs: tuple[Planned, ...]

    @property
    def spec(self) -> RunSpec:
        """The first run's."""
        return self.runs[0].spec


class Compared(NamedTuple):
    """One condition of a comparison.

    Attributes:
        question: name of the comparison.
        condition: what is judged.
        control: what it is compared with.
        clean: what recovery is measured by; None where the study has none, or where nothing was lost to begin with.
    """

    question: str
    condition: Condition
    control: Condition
    clean: Condition | None


class Study(_Part):
    """A declared grid of runs.

    Attributes:
        name: short; names files.
        title: for people.
        note: why, and how it is to be read.
        base: fields that all runs share, as a run spec writes them.
        axes: the directions of the grid.
        only: places of the grid that stay; all where it is empty.
        without: places of the grid that are left out.
        extra: conditions outside of the grid.
        seeds: one run of each condition per seed.
        seeded: the fields that a seed sets, of ``dataset.seed``, ``attack_seed`` and ``seed``. Where it is left out:
            all that the data set has and that no axis sets.
        comparisons: what is asked.

    Raises:
        SpecError, UnknownName: from :meth:`read` and :meth:`from_json`, for whatever makes no sense; a study that was
            read can be trained.
    """

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)
    title: str = Field("", max_length=200)
    note: str = Field("", max_length=4_000)
    base: dict[str, Any]
    axes: list[Axis] = []
    only: list[Where] = []
    without: list[Where] = []
    extra: list[Extra] = []
    seeds: list[Annotated[int, Field(ge=0, le=LARGEST_SEED)]] = Field(min_length=1)
    seeded: list[Label] | None = None
    comparisons: list[Asked] = []

    @classmethod
    def from_json(cls, value: Any, place: str = "The study") -> Study:
        """Read and check a study; a path in it stays as it is written.

        Args:
            value: the JSON object.
            place: where it stands, as the beginning of a sentence.

        Raises:
            SpecError, UnknownName: what is wrong and what to do.
        """
        if not isinstance(value, Mapping):
            raise SpecError(f"{place} must be a JSON object, but this is {type(value).__name__}.")
        try:
            made = cls.model_validate(value)
        except ValidationError as error:
            raise _explained(error, place) from None
        made._check()
        return made

    @classmethod
    def read(cls, path: Path) -> Study:
        """Read a study's file; a relative path in it starts in the file's own folder.

        Raises:
            SpecError, UnknownName: the file is missing or not JSON, besides what :meth:`from_json` raises.
        """
        made = cls.from_json(read_json(study_bytes(path), f"The study {path}"), f"The study {path}")
        base = path.absolute().parent
        if any(method.chosen_paths() for condition in made.conditions for method in condition.spec.methods()):
            made.__dict__["conditions"] = tuple(
                Condition(c.label, c.places, tuple(_planned(run.unit, run.spec.located(base)) for run in c.runs))
                for c in made.conditions
            )
        return made

    @staticmethod
    def heading(path: Path) -> str:
        """The title of a study's file, or else its name; nothing else of it is read into a study.

        Raises:
            SpecError: the file is missing or no JSON object.
        """
        value = read_json(study_bytes(path), f"The study {path}")
        if not isinstance(value, Mapping):
            raise SpecError(f"The study {path} must be a JSON object, but this is {type(value).__name__}.")
        return str(value.get("title") or path.stem)

    @cached_property
    def by_axis(self) -> Mapping[str, Axis]:
        """Each axis under its name."""
        return {axis.title: axis for axis in self.axes}

    @property
    def grid_axes(self) -> tuple[Axis, ...]:
        """The axes whose values make conditions."""
        return tuple(axis for axis in self.axes if not axis.repeats)

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """All conditions: those of the grid in the order of its axes, the last one fastest, then the extra ones."""
        found = [self._condition(places) for places in self._places()]
        return (*found, *(self._outside(extra) for extra in self.extra))

    @cached_property
    def by_label(self) -> Mapping[str, Condition]:
        """Each condition under its label."""
        return {condition.label: condition for condition in self.conditions}

    @cached_property
    def planned(self) -> Mapping[str, Planned]:
        """Every run that is wanted, under its key, unit by unit: the first seed of all conditions, then the second.

        Conditions that lead to the same run share it.
        """
        longest = max(len(condition.runs) for condition in self.conditions)
        runs = (c.runs[place] for place in range(longest) for c in self.conditions if place < len(c.runs))
        found: dict[str, Planned] = {}
        for run in runs:
            found.setdefault(run.key, run)
        return found

    def matching(self, where: Mapping[str, Sequence[str]]) -> tuple[Condition, ...]:
        """The conditions of the grid at some places.

        Args:
            where: axis → labels.
        """
        return tuple(c for c in self.conditions if c.places and _fits(c.places, where))

    @cached_property
    def compared(self) -> tuple[Compared, ...]:
        """Every comparison that is asked, condition by condition.

        Raises:
            SpecError, UnknownName: a comparison names what the study has not.
        """
        return tuple(pair for asked in self.comparisons for pair in self._pairs(asked))

    # ---- checks

    def _check(self) -> None:
        for axis in self.axes:
            axis.check()
        if (twice := _twice(axis.title for axis in self.axes)) is not None:
            raise SpecError(f"The study has two axes {twice!r}.", "Give each a name of its own.")
        if (seed := _twice(self.seeds)) is not None:
            raise SpecError(f"The study has the seed {seed} twice.", "Keep one of them.")
        for name in ("only", "without"):
            for where in getattr(self, name):
                self._check_where(where)
        self._check_seeded()
        places = sum(1 for _ in self._places())
        repeats = len(self.seeds) * math.prod(len(axis.choices) for axis in self.axes if axis.repeats)
        wanted = (places + len(self.extra)) * repeats
        if wanted > MOST_RUNS:
            raise SpecError(
                f"The study has {places + len(self.extra):,} conditions with {repeats:,} runs each, {wanted:,} in all; "
                f"at most {MOST_RUNS:,} are accepted.",
                "Take fewer values or seeds, or leave combinations out.",
            )
        if not wanted:
            raise SpecError("The study has no condition: its filters leave nothing.", "Loosen 'only' and 'without'.")
        if (label := _twice(condition.label for condition in self.conditions)) is not None:
            raise SpecError(f"Two conditions of the study are called {label!r}.", "Change a label.")
        _ = self.compared

    def _check_where(self, where: Mapping[str, Sequence[str]]) -> None:
        for name, labels in where.items():
            axis = self._axis(name)
            for label in labels:
                if label not in axis.by_label:
                    raise UnknownName(f"value of the axis {name!r}", label, _closest(label, axis.by_label))

    def _axis(self, name: str) -> Axis:
        if name not in self.by_axis:
            raise UnknownName("axis of the study", name, self.by_axis or ["none: it has no axes"])
        return self.by_axis[name]

    def _check_seeded(self) -> None:
        if self.seeded is not None and not self.seeded and len(self.seeds) > 1:
            raise SpecError("The study has several seeds, but 'seeded' names no field.", 'Name one, such as "seed".')
        set_here = {name for axis in self.axes for name in axis.fields}
        unpaired = {name for axis in self.axes if axis.repeats for name in axis.fields} | set(self.seeded or ())
        if wrong := sorted(unpaired - set(SEEDS)):
            raise SpecError(
                f"{wrong[0]!r} is set by seeds, or by an axis that repeats conditions, but it is no seed.",
                f"They may set {', '.join(SEEDS)}.",
            )
        free = [field for field in SEEDS if field not in set_here]
        for field in free if self.seeded is None else self.seeded:
            if field in set_here or any(field in extra.set for extra in self.extra):
                raise SpecError(f"{field!r} is set both by the seeds and by conditions.", "Leave it to one of them.")
            if self.seeded is None and _given(self.base, field):
                raise SpecError(
                    f"The base of the study says what {field!r} is, and the seeds would set it.",
                    "Remove it there, or say in 'seeded' which fields the seeds set.",
                )

    def _seed_fields(self, spec: Mapping[str, Any]) -> tuple[str, ...]:
        if self.seeded is not None:
            return tuple(self.seeded)
        set_here = {name for axis in self.axes for name in axis.fields}
        return tuple(field for field in SEEDS if field not in set_here and _takes(spec, field))

    # ---- the grid

    def _places(self) -> Iterator[dict[str, str]]:
        axes = self.grid_axes
        combinations = math.prod(len(axis.choices) for axis in axes)
        if combinations > MOST_PLACES:
            raise SpecError(
                f"The axes have {combinations:,} combinations; at most {MOST_PLACES:,} are accepted, of which filters "
                "may leave some.",
                "Take fewer values, or make several studies.",
            )
        for labels in product(*(axis.by_label for axis in axes)) if axes else ():
            places = dict(zip((axis.title for axis in axes), labels, strict=True))
            stays = not self.only or any(_fits(places, where) for where in self.only)
            if stays and not any(_fits(places, where) for where in self.without):
                yield places

    def _condition(self, places: Mapping[str, str]) -> Condition:
        label = BETWEEN.join(self.by_axis[name].words(place) for name, place in places.items())
        values: dict[str, Any] = {}
        for name, place in places.items():
            values |= self.by_axis[name].by_label[place].settings(self.by_axis[name].field)
        return Condition(label, places, self._runs(label, values))

    def _outside(self, extra: Extra) -> Condition:
        return Condition(extra.label, {}, self._runs(extra.label, extra.set))

    def _runs(self, label: str, values: Mapping[str, Any]) -> tuple[Planned, ...]:
        repeating = [axis for axis in self.axes if axis.repeats]
        note = f"{self.name}: {label}"[: RunSpec.parameter("note").longest]
        try:
            base: dict[str, Any] = {"note": note, **self.base}
            # Shorter names first: a method is set before its parameters.
            for name in sorted(values, key=lambda name: name.count(".")):
                base = with_value(base, name, values[name])
            found = []
            places = list(product(*(axis.choices for axis in repeating)))
            for choices, seed in product(places, self.seeds):
                spec = base
                for axis, choice in zip(repeating, choices, strict=True):
                    for name, value in choice.settings(axis.field).items():
                        spec = with_value(spec, name, value)
                for name in self._seed_fields(base):
                    spec = with_value(spec, name, seed)
                unit = (*(choice.label for choice in choices), str(seed))
                found.append(_planned(unit, RunSpec.from_json(spec)))
        except UedError as error:
            raise SpecError(f"The condition {label!r} of the study makes no run: {error.what}", error.do) from None
        return tuple(found)

    # ---- comparisons

    def _pairs(self, asked: Asked) -> Iterator[Compared]:
        if isinstance(asked.of, list):
            chosen: tuple[Condition, ...] = tuple(self._named(label) for label in asked.of)
        else:
            self._check_where(asked.of)
            chosen = self.matching(asked.of) if asked.of else self.conditions
        pairs = 0
        for condition in chosen:
            control = self._control(asked, condition)
            if control is condition:
                continue
            clean = self._clean(asked, condition)
            pairs += 1
            yield Compared(asked.name, condition, control, None if clean in (condition, control) else clean)
        if not pairs:
            raise SpecError(
                f"The comparison {asked.name!r} has no condition besides its own control.", "Name others under 'of'."
            )

    def _named(self, label: str) -> Condition:
        if label not in self.by_label:
            raise UnknownName("condition of the study", label, _closest(label, self.by_label))
        return self.by_label[label]

    def _control(self, asked: Asked, condition: Condition) -> Condition:
        if asked.against is not None:
            return self._moved(asked, condition, asked.against)
        control = self._with_spec(condition.spec.with_values(defenses=()))
        if control is None:
            raise SpecError(
                f"The comparison {asked.name!r} has no control for {condition.label!r}: the study has not the same "
                "condition without defences.",
                NO_CONTROL,
            )
        return control

    def _clean(self, asked: Asked, condition: Condition) -> Condition | None:
        if asked.clean is not None:
            return self._moved(asked, condition, asked.clean)
        return self._with_spec(condition.spec.with_values(attack=None, defenses=(), train_on="all"))

    def _moved(self, asked: Asked, condition: Condition, where: str | Mapping[str, str]) -> Condition:
        """The condition that a label names, or that stands elsewhere on some axes."""
        if isinstance(where, str):
            return self._named(where)
        self._check_where({name: [label] for name, label in where.items()})
        for name in where:
            if self.by_axis[name].repeats:
                raise SpecError(f"The comparison {asked.name!r} names {name!r}, whose values make no conditions.")
        if not condition.places:
            raise SpecError(
                f"The comparison {asked.name!r} has no control for {condition.label!r}, which is on no axis.",
                "Name the control's label.",
            )
        places = {**condition.places, **where}
        there = self._by_places.get(tuple(places.values()))
        if there is None:
            raise SpecError(
                f"The comparison {asked.name!r} has no control for {condition.label!r}: filters leave out "
                f"{BETWEEN.join(places.values())!r}.",
                NO_CONTROL,
            )
        return there

    @cached_property
    def _by_places(self) -> Mapping[tuple[str, ...], Condition]:
        return {tuple(c.places.values()): c for c in self.conditions if c.places}

    @cached_property
    def _by_first_key(self) -> Mapping[str, Condition]:
        found: dict[str, Condition] = {}
        for condition in self.conditions:
            found.setdefault(condition.runs[0].key, condition)
        return found

    def _with_spec(self, spec: RunSpec) -> Condition | None:
        return self._by_first_key.get(spec.key())


def study_bytes(path: Path) -> bytes:
    """What a study's file holds.

    Raises:
        SpecError: it cannot be read, or is too large for one.
    """
    try:
        with open_plain(path) as file:
            content = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SpecError(f"The study {path} cannot be read: {in_short(error)}.", "Check the path.") from error
    if len(content) > _MOST_BYTES:
        raise SpecError(f"The study {path} has more than {_MOST_BYTES >> 20} MiB.", "Check the path.")
    return content


def _planned(unit: tuple[str, ...], spec: RunSpec) -> Planned:
    return Planned(unit, spec, spec.key())


def _fits(places: Mapping[str, str], where: Mapping[str, Sequence[str]]) -> bool:
    return all(places.get(name) in labels for name, labels in where.items())


def _twice(values: Iterable[Any]) -> Any:
    seen = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None


def _closest(name: str, known: Iterable[str]) -> list[str]:
    """The known names, or those of thousands that are most like a wrong one."""
    names = list(known)
    return names if len(names) <= MOST_NAMED else difflib.get_close_matches(name, names, n=MOST_NAMED, cutoff=0.0)


def _takes(spec: Mapping[str, Any], field: str) -> bool:
    """Whether a run spec has the field; a parameter of a method that it names, in particular."""
    if "." not in field:
        return True
    method = method_of(spec, field)
    return method is not None and any(known.name == field.rpartition(".")[2] for known in method.parameters())


def _given(base: Mapping[str, Any], field: str) -> bool:
    first, _, rest = field.partition(".")
    value = base.get(first)
    return first in base if not rest else isinstance(value, Mapping) and rest in value


def _explained(error: ValidationError, place: str) -> SpecError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("list[", "dict[", "function-")))
    if first["type"] == "missing":
        return SpecError(f"{place} has no {where!r}.", "Add it.")
    if first["type"] == "extra_forbidden":
        known = sorted(Study.model_fields) if len(first["loc"]) == 1 else []
        return SpecError(
            f"{place} may have no {where!r}.", f"It may have {', '.join(known)}." if known else "Remove it."
        )
    message = first["msg"][:1].lower() + first["msg"][1:]
    return SpecError(f"{place}: {where} is {quoted(first['input'])}, but it is wrong: {message}.", "Correct it.")
