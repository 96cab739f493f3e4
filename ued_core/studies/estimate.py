"""What a run will cost, said before it starts: crafting from a timed step, training from what finished runs here
took."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import harmonic_mean, median
from typing import TYPE_CHECKING, Any

from ued_core.errors import UedError
from ued_core.runs.folder import RunFolder, runs_root
from ued_core.runs.record import RunRecord
from ued_core.runs.result import RunResult

if TYPE_CHECKING:
    from ued_core.attacks.whole_set import WholeSetAttack
    from ued_core.defenses import DefenseStack
    from ued_core.records import ImageSet
    from ued_core.runs.spec import RunSpec

MOST_RUNS = 5


def duration(seconds: float) -> str:
    """A time span as people say it: ``8 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole < 600 and whole % 60 else "")
    return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 >= 60 else "")


# ---------------------------------------------------------------- crafting


@dataclass(frozen=True)
class CraftingCost:
    """What comes before the first epoch of an attack that works on the whole set.

    Attributes:
        title: of the attack.
        evaluations: how many times an image passes through a model, at most.
        seconds: on this machine's processor, at most, roughly; 0 when nothing is left to do.
        ready: the set was crafted before and is read.
    """

    title: str
    evaluations: int
    seconds: float
    ready: bool

    def sentence(self) -> str:
        """For people."""
        if self.ready:
            return f"{self.title} is already crafted for these images, parameters and key: it is read from the disk."
        return (
            f"{self.title} is crafted first: at most {self.evaluations:,} gradient evaluations, at most about "
            f"{duration(self.seconds)} "
            "on this machine's processor, from one timed step. What is cancelled goes on later where it was, and a "
            "crafted set is kept for every run with the same images, parameters and key."
        )


def crafting_cost(
    attack: WholeSetAttack,
    train: ImageSet,
    seed: int,
    seconds_for: Callable[[WholeSetAttack, ImageSet], float] | None = None,
) -> CraftingCost:
    """What crafting would cost now; takes the time of a few gradient steps.

    Args:
        attack: one with ``needs_whole_set``.
        train: the clean training images.
        seed: the private key.
        seconds_for: remembers the timing where it is asked for often; the attack's own when left out.

    Raises:
        Unavailable: something that the attack needs is not here.
    """
    ready = attack.is_crafted(train, seed)
    seconds = 0.0 if ready else attack.seconds_for(train) if seconds_for is None else seconds_for(attack, train)
    return CraftingCost(attack.title, attack.gradient_evaluations(len(train)), seconds, ready)


def in_all(crafting: CraftingCost | None, training: Estimate | None, runs: int = 1) -> str:
    """The sum for people, empty unless both parts are known and both take time.

    Args:
        crafting, training: of one run.
        runs: how many that differ in their seed only; the set is crafted once for all.
    """
    if crafting is None or crafting.ready or training is None:
        return ""
    return f"In all at most about {duration(crafting.seconds + runs * training.seconds)}."


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Estimate:
    """What to expect of one run besides crafting.

    Attributes:
        seconds: from its start in the queue's first place to its result, crafting left out.
        images_per_s: median of the training speeds of finished runs, each over its whole training; of runs with other
            defences scaled by what both declare (:meth:`ued_core.defenses.DefenseStack.step_cost`).
        count: how many finished runs it rests on.
        same_defences: whether those runs had the same defences.
        passes: what a step of the run to come takes, in units of a plain step, as declared.
    """

    seconds: float
    images_per_s: float
    count: int
    same_defences: bool
    passes: float = 1.0

    def sentence(self, runs: int) -> str:
        """For people.

        Args:
            runs: how many such runs are about to be started, one after another.
        """
        whole = f"About {duration(self.seconds)}" + (
            f" each, {duration(runs * self.seconds)} for {'both' if runs == 2 else f'all {runs}'}" if runs > 1 else ""
        )
        return f"{whole} on an idle machine, {self.source()}. Waiting in the queue comes on top."

    def source(self) -> str:
        """Where the speed comes from, for people."""
        counted = f"{self.count} finished run{'s' * (self.count > 1)} of this model on this data set here"
        if self.same_defences:
            return f"from {self.images_per_s:,.0f} images/s measured in {counted}"
        step = "a plain step" if self.passes == 1 else f"a step as long as {self.passes:.3g} plain ones"
        return (
            f"from {counted} with other defences or none, scaled to {step}, as defences declare it: "
            f"{self.images_per_s:,.0f} images/s, the augmentation of batches left out"
        )


UNKNOWN = "No time estimate yet: no run of this model on this data set has finished on this machine."
"""Said where there is no :class:`Estimate`."""


@dataclass(frozen=True)
class _Measured:
    speed: float
    overhead: float
    images: int
    spec: dict[str, Any]


def estimate(spec: RunSpec, records: Sequence[RunRecord]) -> Estimate | None:
    """The expected duration; None when no finished run says anything about it.

    Finished runs count when model and data set are the same, and both follow the ordinary loop or neither does. Those
    with the same defences come first, then those whose defences leave batches and training alone, then all others. The
    speed of others is scaled by what a step takes under their defences and under those of the run to come, as declared.

    Args:
        spec: the run to come.
        records: all runs, newest first.
    """
    if not records:
        return None
    wanted = spec.to_json()
    labelled = spec.plan.labelled

    def alike() -> Iterator[RunRecord]:
        # Of thousands of runs, no more are looked at than are needed.
        return (
            r
            for r in records
            if r.state == "finished"
            and r.spec.get("model") == wanted["model"]
            and _name(r.spec.get("dataset")) == wanted["dataset"]["name"]
            and _is_labelled(r.spec) == labelled
        )

    same = (r for r in alike() if r.spec.get("defenses") == wanted["defenses"])
    # A set that was purified before training is trained on at the speed of any other.
    untouched = (r for r in alike() if (stack := _stack(r.spec)) is not None and not stack.acts - {"purify"})
    passes = spec.defenses.step_cost().passes
    for pool, exact in ((same, True), (untouched, False), (alike(), False)):
        found = [
            m for r in islice(pool, MOST_RUNS) if (m := _measure(r, spec.device, None if exact else passes)) is not None
        ]
        images = next((m.images for m in found if m.spec.get("dataset") == wanted["dataset"]), None)
        # A data set of another size: the size is known when it is a parameter of the set.
        images = images or wanted["dataset"].get("train_size")
        if found and images:
            speed = median(m.speed for m in found)
            seconds = spec.plan.epochs * images / speed + median(m.overhead for m in found)
            return Estimate(seconds, speed, len(found), exact, passes)
    return None


def _measure(record: RunRecord, device: str, passes: float | None) -> _Measured | None:
    """What a finished run tells; its speed is scaled to a step of so many passes, unless there is None."""
    result = _result(RunFolder(runs_root() / record.id))
    speeds = [row.images_per_s for row in result.history if row.images_per_s] if result else []
    if not result or not speeds or (device not in ("auto", result.environment.device)) or record.attempt != 1:
        return None
    taken = (record.ended or 0.0) - (record.started or 0.0)
    # What was crafted then says nothing about a run that crafts something else, or reads it.
    crafted = result.poison_seconds if result.crafting else 0.0
    overhead = max(0.0, taken - result.train_seconds - crafted)
    # Of the whole training: epochs differ in length where a defence acts in some of them only.
    speed = harmonic_mean(speeds)
    if passes is not None:
        stack = _stack(record.spec)
        if stack is None:
            return None
        speed *= stack.step_cost().passes / passes
    return _Measured(speed, overhead, result.data.train, record.spec)


def _result(folder: RunFolder) -> RunResult | None:
    try:
        return _read(folder.path, folder.result_path.stat().st_mtime_ns)
    except OSError:
        return None


@functools.lru_cache(maxsize=64)
def _read(folder: Path, written: int) -> RunResult | None:
    """A result as it was written at that time; pages ask at every move of a slider."""
    return RunFolder(folder).result()


def _stack(spec: dict[str, Any]) -> DefenseStack | None:
    """A run's defences, or None when they cannot be read any more."""
    from ued_core.defenses import DEFENSES, DefenseStack

    try:
        return DefenseStack.from_json(spec.get("defenses") or (), DEFENSES)
    except UedError:
        return None


def _is_labelled(spec: dict[str, Any]) -> bool:
    """Whether a run's plan trains with labels; others have another speed."""
    return _labelled(json.dumps(spec.get("plan"), sort_keys=True))


@functools.lru_cache(maxsize=1024)
def _labelled(plan: str) -> bool:
    """Of a plan as JSON: pages ask it of every run there is."""
    from ued_core.training import PLANS

    try:
        return PLANS.parse(json.loads(plan)).labelled
    except UedError:
        return True


def _name(method: Any) -> str | None:
    return method.get("name") if isinstance(method, dict) else method
