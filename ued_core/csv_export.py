"""Tables as CSV: the only way by which one leaves the program, so that no cell is a formula to a spreadsheet."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

# Spreadsheets of many countries divide lines at semicolons, so a cell may begin after one.
_FORMULA = re.compile(r"(^|[;\t\r\n])(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
_CONTROL = re.compile(r"^(?=[\t\r])")
_NUMBER = re.compile(r"[+\-\u2212]?(\d+\.?\d*|\.\d+)([eE][+\-]?\d+)?", re.ASCII)

DIGITS = 12


def harmless(value: Any) -> Any:
    """The cell with an apostrophe before what a spreadsheet would take for a formula; numbers, also written as text, as
    they are."""
    if not isinstance(value, str) or all(_NUMBER.fullmatch(part.strip()) for part in value.split(";")):
        return value
    return _CONTROL.sub("'", _FORMULA.sub(r"\1\2'", value))


def rounded(value: float) -> str:
    """A number with the digits that were meant: 52.480000000000004 as 52.48."""
    return repr(float(f"{value:.{DIGITS}g}"))


def csv_text(table: pd.DataFrame | Sequence[Mapping[str, Any]]) -> str:
    """A table with one line of names, its lines ended as RFC 4180 has it.

    Rows that are given as mappings may lack columns; columns without any value are then left out.
    """
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(list(table)).dropna(axis="columns", how="all")
    cells = frame.apply(lambda column: column if is_numeric_dtype(column) else column.map(harmless, na_action="ignore"))
    return cells.rename(columns=harmless).to_csv(index=False, lineterminator="\r\n", float_format=rounded)
