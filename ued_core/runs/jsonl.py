"""Small files that are written by one process while others read them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; empty when it is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_lines(path: Path, tail_bytes: int | None = None) -> list[dict[str, Any]]:
    """The JSON objects of a file of lines; torn and damaged lines are left out."""
    rows = []
    for line in read_tail(path, tail_bytes).splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
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
    """Add one JSON line by a single write; a torn last line is closed first."""
    data = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"
    with open(path, "ab+") as file:
        if file.tell() and not _ends_line(file):
            data = b"\n" + data
        os.write(file.fileno(), data)


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def modified(path: Path) -> float | None:
    """When a file was last written, seconds since 1970; None when it is missing."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None
