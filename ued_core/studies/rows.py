"""The finished runs of a study as rows of a table, and as entries of the record."""

from __future__ import annotations

from typing import Any

from ued_core import runs
from ued_core.results.phenomenon import Condition as Measured
from ued_core.results.record import Record, entries
from ued_core.results.row import VERSION, ResultRow
from ued_core.results.shipped_runs import shipped_row
from ued_core.studies.progress import Cell, StudyProgress, Trial

_LABELS = tuple(name for name, field in ResultRow.model_fields.items() if field.annotation is str and name != "key")
"""Axes of these names are labels of a row."""


def rows_of(progress: StudyProgress) -> list[ResultRow]:
    """One row per finished run and condition, in the study's order.

    Raises:
        DataError: a result or a shipped row is damaged.
    """
    return [row for cell in progress.cells.values() for row in _rows(cell)]


def record_of(progress: StudyProgress) -> Record:
    """The entries of the conditions that have finished runs, with the comparisons that the study declares.

    Raises:
        DataError: a result or a shipped row is damaged, or nothing has finished.
    """
    conditions = [Measured(label, tuple(_rows(cell))) for label, cell in progress.cells.items()]
    pairs = [(compared.condition.label, compared.control.label) for compared in progress.study.compared]
    return Record(entries=entries(conditions, pairs, f"study {progress.study.name}"))


def _rows(cell: Cell) -> list[ResultRow]:
    return [row for trial in cell.distinct if (row := _row(cell, trial)) is not None]


def _row(cell: Cell, trial: Trial) -> ResultRow | None:
    """None of a run that has not finished, or whose result is not wholly right."""
    spec = trial.planned.spec
    if trial.shipped is not None:
        shipped = shipped_row(trial.planned.key, trial.shipped)
        # What another table calls the run is no name of it here.
        named = {"key", "spec", "version", *_LABELS}
        measured = None if shipped is None else {n: v for n, v in shipped.to_json().items() if n not in named}
        key = trial.planned.key
    elif trial.state == "finished" and trial.record is not None:
        result = runs.folder(trial.record.id).result()
        measured, key = (None if result is None else result.to_json()), trial.record.key
    else:
        return None
    if measured is None:
        return None
    places: dict[str, Any] = {name: label for name, label in cell.condition.places.items() if name in _LABELS}
    labels = {"dataset": spec.dataset.key, "condition": cell.condition.label, **places, "seed": spec.seed}
    described = {"key": key, "spec": {**spec.to_json(), "note": ""}, "version": VERSION}
    return ResultRow.from_json({**labels, **measured, **labels, **described}, f"The run {key}")
