"""What a run under staged training did, check by check: from the shipped rows, from a result, or from a run under way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ued_core.assets import asset

Row = dict[str, Any]
FILE = asset("results", "staged.json")
COMMAND = "python -m benchmarks.staged"
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
        action: ``start``, ``accepted``, ``rolled back``, ``slowed``, ``reset`` or ``noted``; empty where only epochs are known.
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
    history: tuple[Mapping[str, float], ...]
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
        return len(self.alarms) if self.whole else int(self.history[-1].get("staged alarms", 0))

    @property
    def trapped_at(self) -> float | None:
        """Epoch of the first check above the run's own threshold, or the epoch that it lies in; None if there was none."""
        if self.whole:
            return self.first_above(self.threshold)
        return next((row["epoch"] for row in self.history if row.get("staged alarms", 0) > 0), self.first_above(self.threshold))

    def first_above(self, threshold: float) -> float | None:
        """Epoch of the first check whose signal exceeds a threshold; None if there was none."""
        return next((check.epoch for check in self.checks if check.action != "start" and check.signal > threshold), None)

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


def trace_of(spec: Mapping[str, Any], history: Sequence[Mapping[str, float]], reports: Sequence[Mapping[str, Any]] = ()) -> Trace | None:
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
    report = next((r for r in reports if r.get("name") == NAME), None)
    if report is not None:
        found = [Check(c["epoch"], c["acm"], c["signal"], c["trapped"], c["action"], c["rates"]) for c in report["checks"]]
        return Trace(tuple(report["layers"]), tuple(found), method["threshold"], method["signal"], tuple(history))
    rows = [row for row in history if "staged signal" in row]
    if not rows:
        return None
    layers = tuple(name.removeprefix("staged rate ") for name in rows[0] if name.startswith("staged rate "))
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


def find(rows: Sequence[Row], scene: str, arm: str, seed: int) -> Row | None:
    """One stored run."""
    return next((row for row in rows if (row["scene"], row["arm"], row["seed"]) == (scene, arm, seed)), None)
