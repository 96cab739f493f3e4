"""The shipped results of the central experiment: rows in, means and spreads out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ued_core.assets import asset
from ued_core.errors import Unavailable
from ued_core.results.row import ResultRow, stored_rows

FILE = asset("results", "phenomenon.json")
READOUT_FILE = FILE.with_name("filter_readout.json")
COMMAND = "ued study run phenomenon"
READOUT_COMMAND = "python -m benchmarks.filter_readout"


@dataclass(frozen=True)
class Condition:
    """One condition over its seeds.

    Attributes:
        name: what was trained on.
        rows: the runs, one per seed.
    """

    name: str
    rows: tuple[ResultRow, ...]

    def values(self, number: str) -> np.ndarray:
        """One number of every run (:meth:`ResultRow.number`); float64 (n,)."""
        return np.array([row.number(number) for row in self.rows], dtype=np.float64)

    def mean(self, number: str) -> float:
        """Mean over the seeds; nan without rows."""
        values = self.values(number)
        return float(values.mean()) if len(values) else float("nan")

    def spread(self, number: str) -> float:
        """Sample standard deviation over the seeds; nan below two runs."""
        values = self.values(number)
        return float(values.std(ddof=1)) if len(values) > 1 else float("nan")

    def histogram(self) -> np.ndarray | None:
        """Share of the clean test images that each class gets, sorted downwards and averaged over seeds; float64
        (c,)."""
        probes = [row.probe for row in self.rows if row.probe]
        if not probes:
            return None
        return np.mean([np.sort(p.clean_histogram)[::-1] for p in probes], axis=0)


def shipped() -> list[ResultRow]:
    """Every stored run.

    Raises:
        Unavailable: the file is not there.
    """
    if not FILE.exists():
        raise Unavailable("The shipped results are missing.", f"Make them: {COMMAND}")
    return stored_rows(FILE)


def conditions(rows: Sequence[ResultRow], dataset: str, plan: str) -> list[Condition]:
    """The conditions of one data set and plan, in stored order."""
    own = [r for r in rows if r.dataset == dataset and r.plan == plan]
    names = list(dict.fromkeys(r.condition for r in own))
    return [Condition(name, tuple(r for r in own if r.condition == name)) for name in names]


def filter_readout() -> dict[str, dict[str, float]]:
    """How visible a filter is in each data set, means over the stored seeds.

    Returns:
        Data set → ``readout`` (accuracy of a linear model that reads the kernel off the
        log-power spectrum, whatever the class) and ``high_power`` (share of the images' power
        above half the Nyquist frequency), both 0..1.

    Raises:
        Unavailable: the file is not there.
    """
    if not READOUT_FILE.exists():
        raise Unavailable("The shipped filter read-out is missing.", f"Make it: {READOUT_COMMAND}")
    rows = json.loads(READOUT_FILE.read_text(encoding="utf-8"))
    names = dict.fromkeys(r["dataset"] for r in rows)
    return {
        n: {k: float(np.mean([r[k] for r in rows if r["dataset"] == n])) for k in ("readout", "high_power")}
        for n in names
    }
