"""What a run under staged training did, check by check: from the shipped rows, from a result, or from a run under
way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import mean
from typing import Any

from pydantic import BaseModel, ValidationError

from ued_core.results.measured import FOLDER, study_command
from ued_core.results.parts import EpochRow
from ued_core.results.row import ResultRow

FILE = FOLDER / "staged.json"
COMMAND = study_command(FILE.stem)
NAME = "staged"
PLAIN, WATCHED = "plain", "watched only"
"""The arms without any reaction: without measurements, and with them."""
HELD = "shallow layers frozen at the start"
"""The control that answers whether looking at the layers is needed at all."""
TAKEN_BACK = "rolled back"


@dataclass(frozen=True)
class Check:
    """One look at the layers.

    Attributes:
        epoch: accepted epochs before it; 0 is before training.
        acm: layer → activation-cluster measure.
        signal: growth of the trap's sign since the start; 1 is none.
        trapped: whether it exceeded the threshold.
        action: ``start``, ``accepted``, ``rolled back``, ``slowed``, ``reset`` or ``noted``; empty where only epochs
            are known.
        rates: layer → factor on its learning rate from then on; 0 is frozen.
    """

    epoch: float
    acm: Mapping[str, float]
    signal: float
    trapped: bool
    action: str
    rates: Mapping[str, float]


@dataclass(frozen=True)
class Trace:
    """All checks of one run.

    Attributes:
        layers: from the image to the features.
        checks: in the order in which they were made; steps that were taken back are among them.
        threshold: of the alarm.
        sign: which sign of the trap the signals measure, as :class:`StagedTraining` names it.
        history: the rows of the epochs.
        whole: whether all checks are here; of a run under way only the state at the end of each epoch is known.
    """

    layers: tuple[str, ...]
    checks: tuple[Check, ...]
    threshold: float
    sign: str
    history: tuple[EpochRow, ...]
    whole: bool = True

    @property
    def kept(self) -> tuple[Check, ...]:
        """The checks whose training was kept, and with them the course of the run."""
        return tuple(check for check in self.checks if check.action != TAKEN_BACK)

    @property
    def alarms(self) -> tuple[Check, ...]:
        """The checks that exceeded the threshold and were answered."""
        return tuple(check for check in self.checks if check.trapped and check.action not in ("noted", ""))

    @property
    def answered(self) -> int:
        """How many alarms were answered so far."""
        return len(self.alarms) if self.whole else int(self.history[-1].numbers.get("staged alarms", 0))

    @property
    def trapped_at(self) -> float | None:
        """Epoch of the first check above the run's own threshold, or the epoch that it lies in; None if there was
        none."""
        if self.whole:
            return self.first_above(self.threshold)
        return next(
            (row.epoch for row in self.history if row.numbers.get("staged alarms", 0) > 0),
            self.first_above(self.threshold),
        )

    def first_above(self, threshold: float) -> float | None:
        """Epoch of the first check whose signal exceeds a threshold; None if there was none."""
        return next(
            (check.epoch for check in self.checks if check.action != "start" and check.signal > threshold), None
        )

    @property
    def frozen(self) -> tuple[str, ...]:
        """Layers that no longer learned at the end."""
        return tuple(name for name in self.layers if self.checks and self.checks[-1].rates[name] == 0)

    def growth(self, layer: str) -> list[tuple[float, float]]:
        """Epoch and the layer's measure relative to the first check, for the checks that were kept."""
        first = self.checks[0].acm[layer]
        return [(check.epoch, check.acm[layer] / first) for check in self.kept]


def method_of(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The staged training in a run's spec, as JSON; None if there is none."""
    return next((d for d in spec.get("defenses") or () if d.get("name") == NAME), None)


class _Report(BaseModel):
    """What staged training says of itself in a result."""

    layers: list[str]
    checks: list[Check]

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> _Report | None:
        """A report; None when it is damaged: the history then tells as far as it goes."""
        try:
            report = cls.model_validate(value)
        except ValidationError:
            return None
        whole = all(set(check.acm) == set(check.rates) == set(report.layers) for check in report.checks)
        return report if whole else None


def trace_of(
    spec: Mapping[str, Any], history: Sequence[EpochRow], reports: Sequence[Mapping[str, Any]] = ()
) -> Trace | None:
    """The checks of a run, from its result, or as far as its history shows them.

    Args:
        spec: of the run, as JSON with every parameter.
        history: its rows so far.
        reports: ``training`` of its result; without it there is one check an epoch, and no start.

    Returns:
        None if the run has no staged training, or nothing of it has been written yet.
    """
    method = method_of(spec)
    if method is None:
        return None
    report = next((_Report.of(r) for r in reports if r.get("name") == NAME), None)
    if report is not None:
        return Trace(tuple(report.layers), tuple(report.checks), method["threshold"], method["signal"], tuple(history))
    rows = [row.numbers for row in history if "staged signal" in row.numbers]
    if not rows:
        return None
    layers = tuple(name.removeprefix("staged rate ") for name in rows[0] if name.startswith("staged rate "))
    needed = {f"staged {what} {name}" for what in ("rate", "acm") for name in layers}
    rows = [row for row in rows if needed <= row.keys()]
    checks = tuple(
        Check(
            row["epoch"],
            {name: row[f"staged acm {name}"] for name in layers},
            row["staged signal"],
            row["staged signal"] > method["threshold"],
            "",
            {name: row[f"staged rate {name}"] for name in layers},
        )
        for row in rows
    )
    return Trace(layers, checks, method["threshold"], method["signal"], tuple(history), whole=False)


def expectation(rows: Sequence[ResultRow], spec: Mapping[str, Any]) -> str:
    """What the stored runs let expect of the staged training in a spec, in words; empty if there is none in it.

    A run under staged training is plain training until its first alarm. So the stored runs that were only watched tell
    how often a threshold would have been exceeded, on which data; those with the very same settings tell what came of
    it.

    Args:
        rows: of the study.
        spec: of a run, as JSON with every parameter.
    """
    method = method_of(spec)
    if method is None:
        return ""
    if method["reaction"] in ("none", "fixed") or not method["most_alarms"]:
        return "Staged training as it is set answers no alarm."
    told = [_alarms_expected(rows, method), _came_of_it(rows, method)]
    return " ".join(words for words in told if words)


def _alarms_expected(rows: Sequence[ResultRow], method: Mapping[str, Any]) -> str:
    signal, threshold = method["signal"], method["threshold"]
    watched = [(row, trace_of(row.spec, row.history, row.training)) for row in rows if row.arm == WATCHED]
    same = sorted(
        ((row.spec["dataset"]["name"], row.spec["attack"] is not None, trace.first_above(threshold) is not None)
         for row, trace in watched if trace and trace.sign == signal),
    )  # fmt: skip
    if not same:
        return (
            f"No stored run has watched the signal {signal} of staged training, so it is not known whether an "
            "alarm will ring."
        )
    parts = []
    for (dataset, attacked), found in groupby(same, key=lambda run: run[:2]):
        ends = [crossed for *_, crossed in found]
        parts.append(f"{sum(ends)} of {len(ends)} on {'poisoned' if attacked else 'clean'} {dataset}")
    crossed = sum(run[2] for run in same)
    verdict = "" if crossed else " **Expect no alarm, and the very training that there is without this defence.**"
    return f"Stored runs of plain training whose signal {signal} exceeded {threshold:g}: {', '.join(parts)}.{verdict}"


def _came_of_it(rows: Sequence[ResultRow], method: Mapping[str, Any]) -> str:
    """Where the very same settings helped most and cost most, against plain training on the same seeds."""
    changes = []
    for row in rows:
        base = find(rows, row.scene, PLAIN, row.seed) or find(rows, row.scene, WATCHED, row.seed)
        if base is not None and method_of(row.spec) == dict(method) and len(row.spec["defenses"]) == 1:
            changes.append((row.scene, base.last, row.last))
    scenes = {name: [c for c in changes if c[0] == name] for name in dict.fromkeys(c[0] for c in changes)}
    gains = {name: mean(after - before for _, before, after in found) for name, found in scenes.items()}
    if not gains:
        return ""

    def at(name: str) -> str:
        return (
            f"{name} from {100 * mean(c[1] for c in scenes[name]):.0f} to "
            f"{100 * mean(c[2] for c in scenes[name]):.0f} %"
        )

    best, worst = max(gains, key=gains.__getitem__), min(gains, key=gains.__getitem__)
    ends = [f"most gained: {at(best)}"] * (gains[best] > 0) + [f"most lost: {at(worst)}"] * (gains[worst] < 0)
    count = f"{len(changes)} run{'s' * (len(changes) != 1)}"
    return f"Clean test accuracy with exactly these settings ({count}): {'; '.join(ends) or 'as without this defence'}."


def find(rows: Sequence[ResultRow], scene: str, arm: str, seed: int) -> ResultRow | None:
    """One stored run."""
    return next((row for row in rows if (row.scene, row.arm, row.seed) == (scene, arm, seed)), None)
