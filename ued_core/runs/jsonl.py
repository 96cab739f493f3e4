"""Small files that are written by one process while others read them."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ued_core.stored import LATEST


def read_value(path: Path) -> Any:
    """The JSON value of a file; None when it is missing, unreadable or nested beyond any use."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def read_lines(path: Path, tail_bytes: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file of lines with their numbers, 1…; torn lines and those that hold no object are left
    out."""
    rows = []
    for number, line in enumerate(read_tail(path, tail_bytes).split("\n"), start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append((number, row))
    return rows


def read_tail(path: Path, limit: int | None) -> str:
    """The end of a text file; a first line that the limit cuts is left out."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = 0 if limit is None else max(0, size - limit)
            file.seek(start)
            data = file.read()
    except OSError:
        return ""
    if start:
        data = data.partition(b"\n")[2]
    return data.decode("utf-8", errors="replace")


def append_line(path: Path, row: Mapping[str, Any]) -> None:
    """Add one JSON line by a single write; a torn last line is closed first.

    Raises:
        OSError: there is no room for the whole line (none of it is left then), or no such folder.
    """
    data = line_of(row).encode("utf-8", "backslashreplace")
    with open(path, "ab+") as file:
        before = file.tell()
        if before and not _ends_line(file):
            data = b"\n" + data
        # A disk that fills up takes a part of the bytes without a word.
        if os.write(file.fileno(), data) < len(data):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def line_of(row: Mapping[str, Any]) -> str:
    """A row as one line of JSON."""
    return json.dumps(finite(row), ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Plain values without NaN and infinities, which JSON does not have: they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: finite(entry) for name, entry in value.items()}
    return [finite(entry) for entry in value] if isinstance(value, list | tuple) else value


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def modified(path: Path) -> float | None:
    """When a file was last written, seconds since 1970; None when it is missing or says a time that no clock says."""
    try:
        moment = path.stat().st_mtime
    except OSError:
        return None
    return moment if 0 <= moment < LATEST else None
