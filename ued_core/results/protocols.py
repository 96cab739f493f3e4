"""Experiments of several runs along an axis: how many labels, how many poisoned images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow

Axis = Literal["classes", "poison_rate", "none"]


@dataclass(frozen=True)
class Line:
    """Runs that differ along a protocol's axis, and in their seeds.

    Attributes:
        name: what they have in common.
        attacked: whether any of them trains on poisoned images.
        points: place on the axis, rising, and the runs there.
    """

    name: str
    attacked: bool
    points: tuple[tuple[float, Condition], ...]


@dataclass(frozen=True)
class Protocol:
    """One protocol on one data set.

    Attributes:
        name, dataset: of both.
        axis: what varies from run to run: number of classes after merging, share of poisoned images, or nothing that is
            a number.
        lines: with an axis, what is drawn along it; without one, each has a single point at 0.
        rows: all of its runs.
    """

    name: str
    dataset: str
    axis: Axis
    lines: tuple[Line, ...]
    rows: tuple[ResultRow, ...]

    @property
    def seeds(self) -> list[int]:
        """Of its runs, rising."""
        return sorted({row.seed for row in self.rows})

    @property
    def conditions(self) -> list[Condition]:
        """The runs of every line's first point, under the line's name."""
        return [Condition(line.name, line.points[0][1].rows) for line in self.lines]


def part_curves(rows: list[ResultRow]) -> dict[str, np.ndarray]:
    """Training accuracy of the poisoned and of the clean images of mixed sets, epoch by epoch, means over runs.

    Args:
        rows: runs with as many epochs each; those without both numbers are left out.

    Returns:
        ``poisoned`` and ``clean`` → float64 (epochs,), 0..1; empty when no run has them.
    """
    own = [row.history for row in rows if row.history and row.history[0].untouched_accuracy is not None]
    own = [history for history in own if len(history) == len(own[0])]
    if not own:
        return {}
    names = {"poisoned": "touched_accuracy", "clean": "untouched_accuracy"}
    return {
        part: np.mean([[epoch.numbers[name] for epoch in history] for history in own], axis=0)
        for part, name in names.items()
    }
