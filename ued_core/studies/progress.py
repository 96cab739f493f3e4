"""How far a study is and what it says so far: a pure reader of the study, the runs and the shipped rows.

Nothing about a study is stored besides its file, so this is right at any moment, whoever trained a run and for whom.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, median
from typing import Literal, NamedTuple

from ued_core.results import evidence
from ued_core.results.evidence import Comparison, Draw, Recovery, Summary, aligned
from ued_core.results.shipped_runs import ShippedRun
from ued_core.runs.devices import Slot, suits
from ued_core.runs.listing import Snapshot
from ued_core.runs.record import RunRecord, State
from ued_core.studies.estimate import estimate
from ued_core.studies.study import Compared, Condition, Planned, Study

TrialState = State | Literal["missing"]
AHEAD: tuple[TrialState, ...] = ("running", "queued", "interrupted", "missing")
"""What is still to be computed, without the runs that failed or that somebody stopped."""
GIVEN_UP: tuple[TrialState, ...] = ("failed", "cancelled")


class Cost(NamedTuple):
    """What runs take.

    Attributes:
        cpu_s: processor time in seconds.
        wall_s: by the clock, one after another.
    """

    cpu_s: float
    wall_s: float


@dataclass(frozen=True)
class Trial:
    """One planned run and what is known of it.

    Attributes:
        planned: the run.
        state: as of a run, or ``missing``.
        record: the run of this home; None where there is none.
        shipped: the shipped row that stands for it; None where the run of this home does, or neither is there.
    """

    planned: Planned
    state: TrialState
    record: RunRecord | None = None
    shipped: ShippedRun | None = None

    @property
    def last(self) -> float:
        """Clean test accuracy after the last epoch, 0..1; nan of a run that has not finished."""
        if self.shipped is not None:
            return self.shipped.last
        if self.record is None or self.record.last is None or self.state != "finished":
            return math.nan
        return self.record.last

    @property
    def precision(self) -> str:
        """The arithmetic of the result; float32 where nobody says it."""
        said = self.shipped.precision if self.shipped else self.record.precision if self.record else ""
        return said or "float32"

    @property
    def draw(self) -> Draw:
        """What it is paired by."""
        spec = self.planned.spec
        key = None if spec.attack is None else spec.attack_seed
        return Draw(spec.seed, key, getattr(spec.dataset, "seed", None), self.precision)

    def cost(self) -> Cost | None:
        """What the finished run took; None of others, and where it is not known."""
        if self.shipped is not None:
            seconds, cpu = self.shipped.seconds, self.shipped.cpu_s
        elif self.record is not None and self.state == "finished":
            seconds, cpu = _taken(self.record), self.record.cpu_s
        else:
            return None
        if seconds is None:
            return None
        return Cost(seconds if cpu is None else cpu, seconds)


@dataclass(frozen=True, eq=False)
class Cell:
    """A condition and its runs.

    Attributes:
        condition: what is trained.
        trials: one per run of the condition, in its order.
    """

    condition: Condition
    trials: tuple[Trial, ...]

    @cached_property
    def distinct(self) -> tuple[Trial, ...]:
        """The runs, each once."""
        return tuple({trial.planned.key: trial for trial in self.trials}.values())

    @cached_property
    def counts(self) -> Mapping[TrialState, int]:
        """How many runs are in each state; states without any are left out."""
        return Counter(trial.state for trial in self.distinct)

    @cached_property
    def accuracy(self) -> Summary:
        """Clean test accuracy after the last epoch over the finished runs, 0..1."""
        return evidence.summed(self.draws)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs of this home."""
        return tuple(trial.record.id for trial in self.distinct if trial.record is not None)

    @property
    def shipped(self) -> int:
        """How many of the finished runs are shipped rows."""
        return sum(trial.shipped is not None for trial in self.distinct)

    @cached_property
    def draws(self) -> Mapping[Draw, float]:
        """Accuracy by what was drawn, of what has finished."""
        return {trial.draw: trial.last for trial in self.distinct if not math.isnan(trial.last)}


class Judged(NamedTuple):
    """A declared comparison and what can be said of it so far.

    Attributes:
        compared: the conditions.
        comparison: the paired gain, corrected for the number of comparisons of the study.
        recovery: None where the study has no clean condition for it, or it means nothing.
    """

    compared: Compared
    comparison: Comparison
    recovery: Recovery | None


@dataclass(frozen=True, eq=False)
class StudyProgress:
    """A study at one moment.

    Attributes:
        study: what is wanted.
        trials: key → run; every run once.
        records: all runs of this home, newest first, for estimates.
    """

    study: Study
    trials: Mapping[str, Trial]
    records: Sequence[RunRecord]

    @cached_property
    def cells(self) -> Mapping[str, Cell]:
        """Each condition under its label, in the study's order."""
        return {
            condition.label: Cell(
                condition,
                tuple(
                    # Conditions that share a run have it under their own unit.
                    trial if (trial := self.trials[run.key]).planned is run else _as_planned(trial, run)
                    for run in condition.runs
                ),
            )
            for condition in self.study.conditions
        }

    @cached_property
    def by_places(self) -> Mapping[tuple[str, ...], Cell]:
        """The cells of the grid under their labels on its axes, in the order of the axes."""
        return {tuple(cell.condition.places.values()): cell for cell in self.cells.values() if cell.condition.places}

    @cached_property
    def answers(self) -> Mapping[str, tuple[Judged, ...]]:
        """The comparisons of each condition under its label."""
        found: dict[str, list[Judged]] = {}
        for one in self.judged:
            found.setdefault(one.compared.condition.label, []).append(one)
        return {label: tuple(several) for label, several in found.items()}

    @cached_property
    def counts(self) -> Mapping[TrialState, int]:
        """How many runs are in each state; states without any are left out."""
        return Counter(trial.state for trial in self.trials.values())

    @property
    def complete(self) -> bool:
        """Whether every run has finished."""
        return self.counts.get("finished", 0) == len(self.trials)

    @property
    def going(self) -> bool:
        """Whether runs are executed or wait for it."""
        return bool(self.counts.get("running") or self.counts.get("queued"))

    @property
    def shipped(self) -> int:
        """How many of the finished runs are shipped rows."""
        return sum(trial.shipped is not None for trial in self.trials.values())

    @cached_property
    def spent(self) -> Cost:
        """What the finished runs of this home took; those of shipped rows are left out."""
        costs = [c for t in self.trials.values() if t.shipped is None and (c := t.cost()) is not None]
        return Cost(sum(c.cpu_s for c in costs), sum(c.wall_s for c in costs))

    @cached_property
    def left(self) -> Cost | None:
        """What the runs ahead will take, in the states of :data:`AHEAD`; None while nothing says it.

        A condition takes what its finished runs took. One without any takes the median of the study's conditions, or,
        before the first of them, what finished runs of that model and data set took here.
        """
        ahead: dict[str, list[Trial]] = {}
        known: dict[str, Cost] = {}
        seen: set[str] = set()
        for label, cell in self.cells.items():
            costs = [cost for trial in cell.distinct if (cost := trial.cost()) is not None]
            if costs:
                known[label] = Cost(mean(c.cpu_s for c in costs), mean(c.wall_s for c in costs))
            ahead[label] = [t for t in cell.distinct if t.state in AHEAD and t.planned.key not in seen]
            seen |= {trial.planned.key for trial in ahead[label]}
        usual = (
            Cost(median(c.cpu_s for c in known.values()), median(c.wall_s for c in known.values())) if known else None
        )
        parts = []
        for label, trials in ahead.items():
            if trials:
                each = known.get(label) or usual or _estimated(trials[0], self.records)
                if each is None:
                    return None
                parts += [Cost(each.cpu_s * rest, each.wall_s * rest) for rest in map(_rest, trials)]
        return Cost(sum(part.cpu_s for part in parts), sum(part.wall_s for part in parts))

    @cached_property
    def judged(self) -> tuple[Judged, ...]:
        """Every declared comparison, in the study's order."""
        single = [evidence.compare(*self._aligned(c.condition, c.control)) for c in self.study.compared]
        return tuple(
            Judged(compared, comparison, self._recovery(compared))
            for compared, comparison in zip(self.study.compared, evidence.corrected(single), strict=True)
        )

    def _aligned(self, *conditions: Condition) -> list[dict[Draw, float]]:
        return aligned(*(self.cells[condition.label].draws for condition in conditions))

    def _recovery(self, compared: Compared) -> Recovery | None:
        if compared.clean is None:
            return None
        return evidence.recovery(*self._aligned(compared.condition, compared.control, compared.clean))


def progress_of(study: Study, snapshot: Snapshot, shipped: Mapping[str, ShippedRun]) -> StudyProgress:
    """The study as the runs and rows say.

    Args:
        study: what is wanted.
        snapshot: the runs of this home.
        shipped: key → shipped row.
    """
    by_key = snapshot.by_key
    trials = {key: _trial(run, by_key.get(key, ()), shipped.get(key)) for key, run in study.planned.items()}
    return StudyProgress(study, trials, snapshot.records)


def _trial(planned: Planned, records: Sequence[RunRecord], shipped: ShippedRun | None) -> Trial:
    """A finished run of this home comes first, then a shipped row, then the run that is the nearest to an end."""
    finished = [r for r in records if r.state == "finished" and r.last is not None and not r.outdated]
    if finished:
        exact = [r for r in finished if r.precision in ("", "float32")]
        return Trial(planned, "finished", (exact or finished)[0])
    if shipped is not None:
        return Trial(planned, "finished", None, shipped)
    for state in ("running", "queued"):
        if going := [r for r in records if r.state == state]:
            return Trial(planned, going[0].state, going[0])
    over = [r for r in records if r.state != "finished"]
    return Trial(planned, over[0].state, over[0]) if over else Trial(planned, "missing")


def _as_planned(trial: Trial, run: Planned) -> Trial:
    return Trial(run, trial.state, trial.record, trial.shipped)


def _taken(record: RunRecord) -> float | None:
    if record.started is None or record.ended is None:
        return None
    return max(0.0, record.ended - record.started)


def _rest(trial: Trial) -> float:
    """Which share of a run is ahead; that of one that is executed as its epochs say."""
    record = trial.record
    if record is None or not record.epochs or trial.state not in ("running", "interrupted"):
        return 1.0
    return max(0.0, 1 - record.epoch / record.epochs)


def _estimated(trial: Trial, records: Sequence[RunRecord]) -> Cost | None:
    found = estimate(trial.planned.spec, records)
    return None if found is None else Cost(found.seconds, found.seconds)


def seconds_left(progress: StudyProgress, places: Sequence[Slot]) -> float | None:
    """By the clock, where nothing else is computed here; None while it is not known.

    Args:
        progress: of the study.
        places: where runs are executed.
    """
    ahead = next((trial for trial in progress.trials.values() if trial.state in AHEAD), None)
    if ahead is None:
        return 0.0
    any_gpu = any(slot.gpu for slot in places)
    fitting = sum(suits(slot, ahead.planned.spec.device, any_gpu) for slot in places)
    return None if progress.left is None else progress.left.wall_s / max(1, fitting)
