"""The runs of all shipped tables by key: a run that ships need not be trained again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ued_core.assets import asset
from ued_core.results.row import ResultRow


class ShippedRun(NamedTuple):
    """What a table says of one run, in brief; the row itself is read from the table when it is needed.

    Attributes:
        table: the file's name.
        last: clean test accuracy after the last epoch, 0..1.
        precision: ``float32`` or ``bfloat16``; empty where the row does not say it.
        seconds, cpu_s: what it took, wall clock and processor; None where the row does not say it.
    """

    table: str
    last: float
    precision: str
    seconds: float | None
    cpu_s: float | None


def shipped_runs(folder: Path | None = None) -> Mapping[str, ShippedRun]:
    """Every run of every table, under its key; read again when a file has changed.

    Args:
        folder: of the tables; that of the program when left out.
    """
    folder = asset("results") if folder is None else folder
    files = sorted(folder.glob("*.json"))
    return _read(tuple((file, file.stat().st_mtime_ns) for file in files))


def shipped_row(key: str, run: ShippedRun, folder: Path | None = None) -> ResultRow | None:
    """The whole row of a run; None where the table has lost it since.

    Raises:
        DataError: it is no row any more.
    """
    file = (asset("results") if folder is None else folder) / run.table
    value = _by_key(file, file.stat().st_mtime_ns).get(key)
    return None if value is None else ResultRow.from_json(value, f"A row of {run.table}")


@lru_cache(maxsize=1)
def _by_key(file: Path, changed: int) -> Mapping[str, dict[str, Any]]:
    """The rows of one table; whoever asks for one of a study's runs asks for the others next."""
    return {value["key"]: value for value in _rows(file)[::-1]}


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[Path, int], ...]) -> Mapping[str, ShippedRun]:
    found: dict[str, ShippedRun] = {}
    for file, _ in files:
        for value in _rows(file):
            found.setdefault(value["key"], _brief(file.name, value))
    return MappingProxyType(found)


def _rows(file: Path) -> list[dict[str, Any]]:
    """The rows that are runs; other tables hold other measurements."""
    rows = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(rows, list):
        return []
    runs = [row for row in rows if isinstance(row, dict) and isinstance(row.get("key"), str) and "spec" in row]
    return [row for row in runs if isinstance(row.get("last"), float) and math.isfinite(row["last"])]


def _brief(table: str, value: Mapping[str, Any]) -> ShippedRun:
    environment = value.get("environment") or {}
    return ShippedRun(table, value["last"], environment.get("precision", ""), value.get("seconds"), value.get("cpu_s"))
