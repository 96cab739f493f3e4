"""The record: one entry per condition, with its runs, what follows from them, and what papers report for the same.

An entry is made from rows (:func:`entries`) or read from a file that somebody contributes (:meth:`Record.read`). What
follows from runs is computed in one place, so a file may leave it out; where it says it, it must agree.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from ued_core.analysis.confidence import Interval
from ued_core.errors import DataError
from ued_core.models import MODELS
from ued_core.params import fingerprint
from ued_core.results.evidence import (
    FEW,
    Comparison,
    Draw,
    Summary,
    Word,
    aligned,
    corrected,
    draw_of,
    gain,
    judge,
    recovery,
    sampling_error,
    summed,
)
from ued_core.results.parts import Environment
from ued_core.results.phenomenon import Condition
from ued_core.results.reported import ReportedRow, reported
from ued_core.results.row import ResultRow
from ued_core.stored import Line, Plain, Prose, Seed, Share, sentences

VERSION = 1
UNSTEADY = 0.1
"""So much better a best epoch than the last one says that training ends unsteadily."""
_ROUNDED = 5e-4
"""So far a number of a file may be from what its runs give: people round to a tenth of a point."""
_OF_THE_ATTACK = ("poison_rate", "poison_classes", "train_on")

Bounds = Annotated[
    tuple[float, float], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]
Real = Annotated[float, Field(ge=-1e6, le=1e6)]


def _named(value: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise PydanticCustomError("plain", "holds no method: an object with its name")
    return value


Parameters = Annotated[dict[str, Plain], BeforeValidator(_named)]
"""A method as JSON: its name and parameters."""


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Run(_Part):
    """One run of an entry.

    Attributes:
        key: of the run; equal keys mean equal results.
        seed: weights, order and augmentation.
        attack_seed: the attack's private key; None without an attack.
        data_seed: of the data set; None where it has none.
        arithmetic: ``float32`` or ``bfloat16``; empty where it is not known.
        accuracy, best: on clean test images after the last epoch, and of any epoch, 0..1.
        clean_hash, trained_on_hash: of the images as loaded, and as trained on.
    """

    key: Annotated[Line, Field(min_length=1)]
    seed: Seed
    attack_seed: Seed | None = None
    data_seed: Seed | None = None
    arithmetic: Line = ""
    accuracy: Share
    best: Share | None = None
    clean_hash: Line = ""
    trained_on_hash: Line = ""

    @property
    def draw(self) -> Draw:
        """What it is paired by."""
        return Draw(self.seed, self.attack_seed, self.data_seed, self.arithmetic)


class Card(_Part):
    """The protocol that all runs of an entry share.

    Attributes:
        dataset, model, plan: name and parameters; the data set without its seed.
        attack: name and parameters; None without one.
        defenses: in the order in which they act.
        further: what else decides the result: share and classes that are poisoned, labels, and so on.
        train, test, classes: how many images and classes; None where a row does not say it.
        devices, torch: what the runs were computed with.
    """

    dataset: Parameters
    model: Parameters
    plan: Parameters
    attack: Parameters | None = None
    defenses: list[Parameters] = []
    further: dict[str, Plain] = {}
    train: Annotated[int, Field(ge=1)] | None = None
    test: Annotated[int, Field(ge=1)] | None = None
    classes: Annotated[int, Field(ge=1)] | None = None
    devices: list[Line] = []
    torch: list[Line] = []

    def undefended(self) -> dict[str, Any]:
        """What decides the result besides seeds and defences."""
        return {name: getattr(self, name) for name in ("dataset", "model", "plan", "attack", "further")}

    def training(self) -> dict[str, Any]:
        """What decides the result on clean data without a defence."""
        further = {name: value for name, value in self.further.items() if name not in _OF_THE_ATTACK}
        return {**{name: getattr(self, name) for name in ("dataset", "model", "plan")}, "further": further}


def _pair(interval: Interval | None) -> tuple[float, float] | None:
    return None if interval is None else (interval.low, interval.high)


class Estimate(_Part):
    """A number over seeds, 0..1.

    Attributes:
        n: how many runs, or pairs of runs.
        mean, spread: the spread is the sample standard deviation; None below two.
        interval: 95 % t interval of the mean; None where it cannot be known.
        next_run: where one run, or pair, with a further seed lies with 95 %.
    """

    n: int
    mean: Real
    spread: Real | None = None
    interval: Bounds | None = None
    next_run: Bounds | None = None

    @classmethod
    def of(cls, found: Summary, **more: Any) -> Self:
        """From a summary over at least one run."""
        spread = None if math.isnan(found.spread) else found.spread
        sure = {"interval": _pair(found.interval), "next_run": _pair(found.next_run)}
        return cls(n=found.count, mean=found.mean, spread=spread, **sure, **more)


class Gain(Estimate):
    """How much higher an entry is than its control, on the same draws.

    Attributes:
        control: the other entry's condition.
        p: of the paired t test; ``adjusted`` after Holm's correction over ``among`` declared comparisons.
        verdict: better, worse, or cannot be told; ``few`` where that rests on few seeds.
    """

    control: Line
    p: Share | None = None
    adjusted: Share | None = None
    among: int = 1
    verdict: Word
    few: bool


class Back(_Part):
    """Share of the loss that came back: (defended − poisoned) / (clean − poisoned), with its Fieller interval."""

    share: Real
    interval: Bounds
    n: int


class Shares(_Part):
    """Of runs of every key under every seed: which share of the variance is the key's, the seed's, and neither's."""

    keys: int
    seeds: int
    key: Share | None = None
    seed: Share | None = None
    rest: Share | None = None


class Reported(_Part):
    """A value that a source reports for this attack and defence on this data; never averaged with ours.

    Attributes:
        accuracy: 0..1.
        source, where: who reports it, and in which paper, page or file.
        printed: attack, defence, data and network as the source spells them.
        differs: how its protocol is known to differ from the entry's.
    """

    accuracy: Share
    source: Line
    where: Line
    printed: Line
    differs: list[Prose] = []


class Measured(_Part):
    """What was measured of one condition; all else of an entry follows from it.

    Attributes:
        condition: its name; unique among what was made together.
        origin: what made it: a command, a study, or who contributed it.
        note: what a reader should know of it, in the words of who made it.
        card: the protocol.
        runs: each drew something else.
        controls: names of the conditions that it was declared to be compared with, before the runs.
    """

    condition: Annotated[Line, Field(min_length=1)]
    origin: Line = ""
    note: Prose = ""
    card: Card
    runs: Annotated[list[Run], Field(min_length=1)]
    controls: list[Line] = []

    def draws(self) -> dict[Draw, float]:
        """Accuracy by what the runs drew."""
        return {run.draw: run.accuracy for run in self.runs}

    def names(self) -> dict[str, set[str]]:
        """Keys of its data, attack and defences, ``none`` where there is none."""
        attack = {self.card.attack["name"]} if self.card.attack else {"none"}
        defences = {defence["name"] for defence in self.card.defenses} or {"none"}
        return {"data": {self.card.dataset["name"]}, "attack": attack, "defense": defences}

    @property
    def id(self) -> str:
        """Twelve hex digits of its runs: equal ids are the same measurement."""
        return fingerprint(sorted(run.key for run in self.runs))


class Entry(Measured):
    """One condition of the record.

    Attributes:
        accuracy: on clean test images after the last epoch.
        test_error: standard error that the accuracy has from the number of test images alone; None where that is not
            known.
        split: of a crossed design.
        gain: over the same attack without a defence; None without a defence, or without such runs on the same draws.
        recovery: None where there is no attack, no defence, or no clear loss.
        comparisons: with the controls, corrected for the number of all that were declared together.
        reported: what papers say of the same data, attack and defence.
        differs: how the protocols of the reported values differ from this one.
        unreliable: why the numbers should be read with care, each as ``reason: sentence``; empty for no known reason.
    """

    accuracy: Estimate
    test_error: Share | None = None
    split: Shares | None = None
    gain: Gain | None = None
    recovery: Back | None = None
    comparisons: list[Gain] = []
    reported: list[Reported] = []
    differs: list[Prose] = []
    unreliable: list[Prose] = []


NUMBERS = ("accuracy", "test_error", "split", "gain", "recovery", "comparisons")
"""Fields of an entry that a file may leave out; where it has them, they must be those of its runs."""
WORDS = ("reported", "differs", "unreliable")
"""Fields that are made anew whenever a file is read."""


# ---- from rows to entries ----------------------------------------------------------------------


def entries(
    conditions: Sequence[Condition], comparisons: Sequence[tuple[str, str]] = (), origin: str = ""
) -> list[Entry]:
    """The entries of conditions that were measured together, in their order; those without runs are left out.

    Args:
        conditions: each with rows that differ in seeds alone.
        comparisons: pairs of names, a condition and its control, all that were declared before the runs. One whose
            runs are missing counts in the correction all the same.
        origin: what made them, such as a command.

    Raises:
        DataError: rows of one condition have different specs or draw the same, or two conditions have one name.
    """
    measured = [
        measured_of(c, [control for name, control in comparisons if name == c.name], origin)
        for c in conditions
        if any(math.isfinite(row.last) for row in c.rows)
    ]
    return derived(measured, len(comparisons))


def measured_of(condition: Condition, controls: Sequence[str] = (), origin: str = "") -> Measured:
    """What the rows of a condition say.

    Raises:
        DataError: the rows have different specs.
    """
    rows = [row for row in condition.rows if math.isfinite(row.last)]
    cards = {fingerprint(card.undefended() | {"defenses": card.defenses}): card for card in map(card_of, rows)}
    if len(cards) > 1:
        raise DataError(
            f"The {len(rows)} runs of {condition.name!r} have {len(cards)} different protocols.",
            "Runs of one condition may differ in seeds alone; give the others a name of their own.",
        )
    return Measured(
        condition=condition.name, origin=origin, controls=list(controls), runs=[_run(row) for row in rows],
        card=next(iter(cards.values())).model_copy(update={
            "devices": _distinct(rows, lambda e: e.device_name), "torch": _distinct(rows, lambda e: e.torch),
        }),
    )  # fmt: skip


def _distinct(rows: Sequence[ResultRow], of: Callable[[Environment], str]) -> list[str]:
    return list(dict.fromkeys(of(row.environment) for row in rows if row.environment))


def card_of(row: ResultRow) -> Card:
    """The protocol of one run, without what it was computed with."""
    spec, data = row.spec, row.data
    known = {"dataset", "model", "plan", "attack", "defenses", "seed", "attack_seed", "device", "note"}
    return Card(
        dataset={name: value for name, value in spec["dataset"].items() if name != "seed"},
        model=spec["model"], plan=spec["plan"], attack=spec["attack"], defenses=list(spec["defenses"]),
        further={name: value for name, value in spec.items() if name not in known},
        train=data.train if data else None, test=data.test if data else None,
        classes=len(data.class_names) if data else None,
    )  # fmt: skip


def _run(row: ResultRow) -> Run:
    draw, data = draw_of(row), row.data
    return Run(
        key=row.key, seed=draw.seed, attack_seed=draw.key, data_seed=draw.images, arithmetic=draw.arithmetic,
        accuracy=row.last, best=row.best if math.isfinite(row.best) else None,
        clean_hash=data.clean_hash if data else "", trained_on_hash=data.trained_on_hash if data else "",
    )  # fmt: skip


def derived(measured: Sequence[Measured], declared: int | None = None) -> list[Entry]:
    """The entries of what was measured together, with all that follows from the runs.

    Args:
        measured: conditions that stand beside each other; they are each other's controls.
        declared: how many comparisons were declared, where more were than ``controls`` name.

    Raises:
        DataError: two conditions have one name, two runs of a condition drew the same, or a control is missing.
    """
    twice = [name for name, count in Counter(m.condition for m in measured).items() if count > 1]
    if twice:
        raise DataError(f"Two entries are called {twice[0]!r}.", "Give each condition a name of its own.")
    for one in measured:
        if len(one.draws()) < len(one.runs):
            raise DataError(
                f"Two runs of {one.condition!r} have the same seeds and arithmetic, so one of them counts twice.",
                "Leave one out, or say which seeds they had.",
            )
    by_name = {one.condition: one for one in measured}
    asked = [(one, control) for one in measured for control in one.controls]
    judged = [judge(_gain(one, by_name[c])) if c in by_name else judge(summed({})) for one, c in asked]
    # What was declared and has no runs yet takes its place in the correction.
    judged += [judge(summed({}))] * ((declared or 0) - len(judged))
    comparisons = dict(zip([(one.condition, c) for one, c in asked], corrected(judged), strict=False))
    return [_entry(one, measured, comparisons) for one in measured]


def _gain(first: Measured, second: Measured) -> Summary:
    return gain(*aligned(first.draws(), second.draws()))


def _entry(one: Measured, measured: Sequence[Measured], comparisons: Mapping[tuple[str, str], Comparison]) -> Entry:
    card, found = one.card, summed(one.draws())
    defended = [m for m in measured if card.defenses and not m.card.defenses]
    none = next((m for m in defended if m.card.undefended() == card.undefended()), None)
    clean = next((m for m in defended if not m.card.attack and m.card.training() == card.training()), None)
    over_none = judge(_gain(one, none)) if none else None
    back = None
    if none and clean and card.attack:
        found_back = recovery(*aligned(one.draws(), none.draws(), clean.draws()))
        if found_back:
            low, high = found_back.interval
            back = Back(share=found_back.share, interval=(low, high), n=found_back.count)
    papers = _beside(card)
    split = found.split
    return Entry(
        **{name: getattr(one, name) for name in Measured.model_fields},
        accuracy=Estimate.of(found),
        test_error=sampling_error(found.mean, card.test) if card.test else None,
        split=Shares(keys=split.keys, seeds=split.seeds, **_known(key=split.key, seed=split.seed, rest=split.rest))
        if split else None,
        gain=_told(over_none, none.condition) if over_none and none else None,
        recovery=back,
        comparisons=[told for c in one.controls if (told := _told(comparisons[one.condition, c], c))],
        reported=papers,
        differs=list(dict.fromkeys(words for paper in papers for words in paper.differs)),
        unreliable=_doubts(one, found, over_none),
    )  # fmt: skip


def _known(**values: float) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _told(comparison: Comparison, control: str) -> Gain | None:
    """None where no draw is shared."""
    if not comparison.gain.count:
        return None
    sure = _known(p=comparison.p, adjusted=comparison.adjusted)
    return Gain.of(
        comparison.gain, control=control, among=comparison.among, verdict=comparison.word, few=comparison.few, **sure
    )


def _doubts(one: Measured, found: Summary, over_none: Comparison | None) -> list[str]:
    """Why an entry should be read with care."""
    told = []
    keys, seeds = ({value for run in one.runs if (value := of(run)) is not None} for of in (_key_of, _seed_of))
    if found.count < FEW:
        told.append(f"Few seeds: {found.count}, where {FEW} are the least that verdicts should rest on.")
    arithmetic = sorted({run.arithmetic for run in one.runs if run.arithmetic})
    if len(arithmetic) > 1:
        told.append(f"Mixed arithmetic: runs of {' and '.join(arithmetic)} are averaged.")
    if found.split is None and len(one.runs) > max(len(keys), len(seeds), 1):
        told.append("Shared draws: some runs have one key or seed in common, so the interval is too narrow.")
    best = [run.best - run.accuracy for run in one.runs if run.best is not None]
    if best and sum(best) / len(best) > UNSTEADY:
        told.append(f"Unsteady: the best epochs are {100 * sum(best) / len(best):.0f} points above the last.")
    if one.card.defenses and (over_none is None or not over_none.gain.count):
        told.append("Not paired: no run without the defence has the same draws, so the gain is not known.")
    return told


def _key_of(run: Run) -> int | None:
    return run.attack_seed


def _seed_of(run: Run) -> int | None:
    return run.seed


# ---- beside papers -----------------------------------------------------------------------------


@cache
def _reported() -> tuple[ReportedRow, ...]:
    return reported()


def _beside(card: Card) -> list[Reported]:
    """What papers report for the same data, attack and defence, whatever their network."""
    if len(card.defenses) > 1:
        return []
    attack = card.attack["name"] if card.attack else "clean"
    defence = card.defenses[0]["name"] if card.defenses else "none"
    asked = (card.dataset["name"], attack, defence)
    same = [row for row in _reported() if (row.dataset.key, row.attack.key, row.defense.key) == asked]
    return [
        Reported(
            accuracy=row.test_accuracy, source=row.source.title, where=row.source.where,
            printed=" · ".join(row.spelled[column] for column in ("attack", "defense", "dataset", "model")),
            differs=_differences(card, row),
        )
        for row in same
    ]  # fmt: skip


def _differences(card: Card, row: ReportedRow) -> list[str]:
    title, told = row.source.title, []
    name = card.model["name"]
    if row.model.key != name:
        told.append(
            f"{title} trained {row.model.label}, and this entry {MODELS[name].title if name in MODELS else name}."
        )
    for form in (row.attack, row.defense):
        if form.variant:
            told.append(f"{title} reports the form {form.label}.")
    if (rate := card.further.get("poison_rate", 1.0)) != 1.0 and card.attack:
        told.append(f"Here {100 * rate:g} % of the images are poisoned; the source names no share.")
    # No table of a paper says all of it, so nothing here is ever called the same protocol without this.
    told.append(f"Schedule, budget and crafting code of {title} may differ; what is known of them: {row.source.note}")
    return told


# ---- files -------------------------------------------------------------------------------------


class Record(_Part):
    """A file of the record.

    Attributes:
        version: of the format.
        entries: conditions that were measured together.
    """

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    entries: list[Entry]

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`read` takes them back."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, value: Any, place: str, checked: bool = True) -> Record:
        """Read a file; whatever follows from the runs is computed anew.

        Args:
            value: the JSON value.
            place: what it is, for people, as the beginning of a sentence.
            checked: compare what the file says of :data:`NUMBERS` with what its runs give.

        Raises:
            DataError: it is no record, or a number is not that of its runs; the message names the entry and both.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("entries"), list):
            raise DataError(f"{place} is no record: it must be an object with a list of entries.", _AGAIN)
        version, more = value.get("version"), sorted(set(value) - {"version", "entries"})
        if version != VERSION or isinstance(version, bool):
            raise DataError(f"{place} has the version {version!r}, but this program reads {VERSION}.", _AGAIN)
        if more or not value["entries"]:
            what = f"an unknown field {more[0]!r}" if more else "no entries"
            raise DataError(f"{place} has {what}.", _AGAIN)
        given = value["entries"]
        measured = [_read_measured(entry, f"entry {number} of {place}") for number, entry in enumerate(given, 1)]
        names = {one.condition for one in measured}
        for one in measured:
            absent = [control for control in one.controls if control not in names]
            if absent:
                raise DataError(
                    f"{place} compares {one.condition!r} with {absent[0]!r}, which is not in it.",
                    "Put the control's runs into the same file.",
                )
        made = derived(measured)
        for entry, raw in zip(made, given, strict=True):
            if checked:
                _agree(entry, raw, place)
        return cls(entries=made)


_AGAIN = "See the form with: ued record schema."


def schema() -> dict[str, Any]:
    """The JSON Schema of a file; what is computed from the runs may be left out."""
    found = Record.model_json_schema()
    entry = found["$defs"]["Entry"]
    entry["required"] = [name for name in entry["required"] if name not in (*NUMBERS, *WORDS)]
    return found


def _read_measured(value: Any, place: str) -> Measured:
    if not isinstance(value, Mapping):
        raise DataError(f"{place[:1].upper()}{place[1:]} is no JSON object.", _AGAIN)
    own = {name: entry for name, entry in value.items() if name not in (*NUMBERS, *WORDS)}
    try:
        return Measured.model_validate(own)
    except ValidationError as error:
        raise DataError(f"{place} cannot be read: {'; '.join(sentences(error, 'it')[:3])}.", _AGAIN) from None


def _agree(entry: Entry, given: Mapping[str, Any], place: str) -> None:
    """Compare the numbers of a file with those of its runs."""
    own = entry.model_dump(mode="json")
    for name in NUMBERS:
        if name in given and given[name] is not None:
            wrong = _disagreement(given[name], own[name], name)
            if wrong:
                raise DataError(
                    f"{place}: {wrong[0]} of {entry.condition!r} is {wrong[1]!r}, but its runs give {wrong[2]!r}.",
                    "Correct it, or leave it out: it is computed from the runs.",
                )


def _disagreement(given: Any, own: Any, name: str) -> tuple[str, Any, Any] | None:
    """The first place in which two values differ by more than rounding: its name and both."""
    if isinstance(given, Mapping) and isinstance(own, Mapping):
        parts = [(f"{name}.{key}", value, own.get(key)) for key, value in given.items()]
    elif isinstance(given, list) and isinstance(own, list) and len(given) == len(own):
        parts = [(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(given, own, strict=True))]
    else:
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (given, own))
        near = (
            abs(given - own) <= (10 * _ROUNDED if name.endswith(("p", "adjusted")) else _ROUNDED)
            if numbers
            else given == own
        )
        return None if near else (name, given, own)
    return next((wrong for key, first, second in parts if (wrong := _disagreement(first, second, key))), None)
