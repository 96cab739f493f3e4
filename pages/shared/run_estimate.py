"""How long a run will take, from what finished runs on this machine took; nothing else is claimed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from pages.shared.run_words import duration
from ued_core.runs import RunFolder, RunRecord, RunSpec, runs_root

MOST_RUNS = 5


@dataclass(frozen=True)
class Estimate:
    """What to expect of one run.

    Attributes:
        seconds: from its start in the queue's first place to its result.
        images_per_s: median of the measured training speeds.
        count: how many finished runs it rests on.
        same_defences: whether those runs had the same defences.
    """

    seconds: float
    images_per_s: float
    count: int
    same_defences: bool

    def sentence(self, runs: int) -> str:
        """For people.

        Args:
            runs: how many such runs are about to be started, one after another.
        """
        whole = f"About {duration(self.seconds)}" + (
            f" each, {duration(runs * self.seconds)} for all {runs}" if runs > 1 else ""
        )
        measured = f"{self.images_per_s:,.0f} images/s measured in {self.count} finished run{'s' * (self.count > 1)}"
        other = "" if self.same_defences else " (with other defences, which changes the speed)"
        return (
            f"{whole}, from {measured} of this model on this data set here{other}. Waiting in the queue comes on top."
        )


@dataclass(frozen=True)
class _Measured:
    speed: float
    overhead: float
    images: int
    spec: dict[str, Any]


def estimate(spec: RunSpec, records: Sequence[RunRecord]) -> Estimate | None:
    """The expected duration; None when no finished run says anything about it.

    Finished runs count when model and data set are the same; those with the same defences come first.

    Args:
        spec: the run to come.
        records: all runs, newest first.
    """
    wanted = spec.to_json()
    alike = [r for r in records if r.state == "finished" and r.spec.get("model") == wanted["model"]
             and _name(r.spec.get("dataset")) == wanted["dataset"]["name"]]  # fmt: skip
    same = [r for r in alike if r.spec.get("defenses") == wanted["defenses"]]
    for pool, exact in ((same, True), (alike, False)):
        found = [m for r in pool[:MOST_RUNS] if (m := _measure(r, spec.device)) is not None]
        images = next((m.images for m in found if m.spec.get("dataset") == wanted["dataset"]), None)
        # A data set of another size: the size is known when it is a parameter of the set.
        images = images or wanted["dataset"].get("train_size")
        if found and images:
            speed = median(m.speed for m in found)
            seconds = spec.plan.epochs * images / speed + median(m.overhead for m in found)
            return Estimate(seconds, speed, len(found), exact)
    return None


def _measure(record: RunRecord, device: str) -> _Measured | None:
    result = RunFolder(runs_root() / record.id).result() or {}
    used = (result.get("environment") or {}).get("device")
    rows = result.get("history") or []
    speeds = [row["images_per_s"] for row in rows if row.get("images_per_s")]
    if not speeds or (device != "auto" and device != used) or record.attempt != 1:
        return None
    taken = (record.ended or 0.0) - (record.started or 0.0)
    overhead = max(0.0, taken - result.get("train_seconds", 0.0))
    return _Measured(median(speeds), overhead, (result.get("data") or {}).get("train", 0), record.spec)


def _name(method: Any) -> str | None:
    return method.get("name") if isinstance(method, dict) else method
