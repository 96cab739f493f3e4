"""A row of a shipped table: one run, what the table calls it, and the JSON of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from ued_core.errors import DataError
from ued_core.results.parts import Crafting, Data, Environment, EpochRow, Probe, PurificationReport
from ued_core.stored import Epoch, Share, Span, sentences

VERSION = 1
"""Of the rows that are written now. Rows from before there were versions have no such field and are of version 1."""


class ResultRow(BaseModel):
    """A stored run. Tables may add labels and numbers of their own; :meth:`value` finds those too.

    Attributes:
        version: of its JSON.
        key, spec: of the run, :class:`ued_core.runs.RunSpec` as JSON with every parameter.
        seed: of the row; the spec's where the table does not say it.
        dataset, plan, condition, attack, defence, question, name, scene, arm, protocol, setting, trained_on: what
            tables call it; empty where the table has no such label.
        epochs: trained; None where the table leaves it out, as below.
        last, best: clean test accuracy after the last epoch and its maximum, 0..1; nan where it is not known.
        train_accuracy: over the last epoch, as trained, 0..1; nan where it is not known.
        train_seconds, poisoned_accuracy, touched_accuracy, untouched_accuracy, probe, crafting, purification, treated,
            poison_seconds, data, environment, seconds: as in :class:`ued_core.runs.result.RunResult`.
        training: what defences tell of their training, with their ``name``.
        cpu_s: processor time of the execution.
        poison: how large the perturbation is and what it cost; None without one.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Any] = Field(init=False)
    _json: Mapping[str, Any] | None = PrivateAttr(default=None)

    version: Annotated[int, Field(ge=1, le=VERSION)] = VERSION
    key: Annotated[str, Field(min_length=1)]
    spec: dict[str, Any]
    seed: int
    dataset: str = ""
    plan: str = ""
    condition: str = ""
    attack: str = ""
    defence: str = ""
    question: str = ""
    name: str = ""
    scene: str = ""
    arm: str = ""
    protocol: str = ""
    setting: str = ""
    trained_on: str = ""
    epochs: Epoch | None = None
    last: Share = math.nan
    best: Share = math.nan
    train_accuracy: Share = math.nan
    train_seconds: Span | None = None
    poisoned_accuracy: Share | None = None
    touched_accuracy: Share | None = None
    untouched_accuracy: Share | None = None
    probe: Probe | None = None
    crafting: Crafting | None = None
    purification: list[PurificationReport] = []
    training: list[dict[str, Any]] = []
    treated: dict[str, Share] | None = None
    poison_seconds: Span | None = None
    data: Data | None = None
    environment: Environment | None = None
    seconds: Span | None = None
    cpu_s: Span | None = None
    poison: dict[str, float | None] | None = None
    # Read as it is: a page needs the epochs of few of a table's hundreds of rows.
    stored_epochs: list[dict[str, float | None]] = Field(default=[], alias="history")

    @cached_property
    def history(self) -> list[EpochRow]:
        """One row per epoch; empty where the table leaves them out."""
        return [EpochRow({n: v for n, v in row.items() if v is not None}) for row in self.stored_epochs]

    def value(self, name: str) -> Any:
        """What the row says under a name, be it of its own, of its poison, of its probe or of what the first trained
        defence made of the images; None where it does not."""
        own = self.to_json()
        purified = self.purification[0].numbers() if self.purification else {}
        for place in (own, own.get("poison") or {}, own.get("probe") or {}, purified):
            if name in place:
                return place[name]
        return None

    def number(self, name: str) -> float:
        """As :meth:`value`; nan for what is not known."""
        value = self.value(name)
        return math.nan if value is None else float(value)

    def to_json(self) -> dict[str, Any]:
        """Plain values: exactly what the row was made from, in its order."""
        return self.model_dump(exclude_unset=True, by_alias=True) if self._json is None else dict(self._json)

    @classmethod
    def from_json(cls, value: Mapping[str, Any], place: str = "The row") -> ResultRow:
        """Read what :meth:`to_json` wrote, or make a row of its values.

        Args:
            value: the JSON object.
            place: where it stands, for people.

        Raises:
            DataError: it is no row; the message names what is wrong.
        """
        spec = value.get("spec")
        seeded = value if "seed" in value or not isinstance(spec, Mapping) else {"seed": spec.get("seed"), **value}
        try:
            made = cls.model_validate(seeded)
        except ValidationError as error:
            raise DataError(f"{place} is no row of a table of runs: {'; '.join(sentences(error, 'it'))}.") from None
        made._json = dict(value)
        return made


def stored_rows(file: Path) -> list[ResultRow]:
    """The rows of a table, in their order; empty while there is none.

    Raises:
        DataError: the file is no table of runs.
    """
    if not file.exists():
        return []
    again = "Restore it, or delete it and fill it anew."
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is no table of runs: {error}.", again) from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise DataError(f"{file} is no table of runs: it must be a list of JSON objects.", again)
    return [ResultRow.from_json(row, f"Row {number} of {file}") for number, row in enumerate(rows, 1)]


def guessing(row: ResultRow) -> float:
    """The accuracy of guessing on the row's data, 0..1.

    Raises:
        DataError: the row does not say which classes there are.
    """
    if row.data is None:
        raise DataError(f"The row {row.key} does not say which classes its data has.", "Fill the table anew.")
    return 1 / len(row.data.class_names)


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The file of a table from the JSON of its rows: one row per line, so that a change shows which rows it is of."""
    return "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"
