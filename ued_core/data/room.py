"""Room on the disk: what can be made or uploaded again has a limit, and what was not used for longest goes first."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ued_core.data.handles import imports_root
from ued_core.errors import DataError, ParameterError
from ued_core.files import remove_at_once
from ued_core.home import home

VARIABLE = "UED_CACHE_GB"
DEFAULT_GB = 20.0
"""Limit of the uploads, and of the loaded data sets, each; in 10⁹ bytes."""
RECENT_S = 3600.0
"""Uploads used within this time stay: somebody may be about to start a run on them."""
LOG_LINES = 200


class Entry(NamedTuple):
    """Something that is kept or removed as a whole.

    Attributes:
        path: a file or folder.
        bytes: what it takes.
        used: when it was made or last used, seconds since 1970.
    """

    path: Path
    bytes: int
    used: float


def limit() -> int:
    """Bytes that uploads may take, and loaded data sets.

    Raises:
        ParameterError: ``UED_CACHE_GB`` is no positive number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    try:
        gigabytes = float(text) if text else DEFAULT_GB
    except ValueError:
        gigabytes = math.nan
    if not (0 < gigabytes < math.inf):
        raise ParameterError(
            f"{VARIABLE} is {text!r}, but it must be a number above 0: so many gigabytes.", "Set it, or leave it out."
        )
    return round(gigabytes * 1e9)


def cache_root() -> Path:
    """The folder of the loaded data sets; it need not exist."""
    return home() / "cache" / "data"


def uploads() -> list[Entry]:
    """Everything uploaded: images and data files, what the page Files was shown, and its examples."""
    root = imports_root()
    shelves = (root, root / "files", root / "files" / "together")
    return [entry(path) for shelf in shelves for path in _children(shelf) if path not in shelves]


def loaded() -> list[Entry]:
    """The loaded data sets that are kept."""
    return [entry(path) for path in _children(cache_root())]


def entry(path: Path) -> Entry:
    """What a file or folder takes."""
    return Entry(path, size_of(path), _time(path))


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count nothing."""
    if not path.is_dir() or path.is_symlink():
        return _size(path)
    return sum(_size(Path(place) / name) for place, _, names in os.walk(path) for name in names)


def touch(path: Path) -> None:
    """Note that something was used."""
    with suppress(OSError):
        os.utime(path)


def touch_upload(path: Path) -> None:
    """Note that something at or below an upload was used; nothing for other paths."""
    root = imports_root()
    if not path.is_relative_to(root) or path == root:
        return
    parts = path.relative_to(root).parts
    depth = 1 if parts[0] != "files" else 3 if parts[1:2] == ("together",) else 2
    touch(root.joinpath(*parts[:depth]))


def make_room(kept: Iterable[Entry], spare: Collection[Path] = (), recent_s: float = 0.0) -> list[Entry]:
    """Remove what was not used for longest until the rest is within the limit.

    Args:
        kept: :func:`uploads` or :func:`loaded`.
        spare: paths that stay, whatever they take.
        recent_s: what was used within so many seconds stays too.

    Returns:
        What was removed, which the log below the home names as well.
    """
    kept, most, now = sorted(kept, key=lambda one: one.used), limit(), time.time()
    total, removed = sum(one.bytes for one in kept), []
    for one in kept:
        if total <= most:
            break
        if one.path in spare or now - one.used < recent_s or not _remove(one.path):
            continue
        total -= one.bytes
        removed.append(one)
    if removed:
        _log(removed)
    return removed


def removed_words(removed: Collection[Entry], what: str) -> str:
    """What was removed, as a sentence; empty when nothing was.

    Args:
        removed: from :func:`make_room`.
        what: what the entries are, in the plural.
    """
    if not removed:
        return ""
    names = ", ".join(one.path.name for one in list(removed)[:3]) + (", …" if len(removed) > 3 else "")
    size = gigabytes(sum(one.bytes for one in removed))
    why = f"{what} may take {gigabytes(limit())} ({VARIABLE})"
    return f"{why}, so {len(removed)} that were not used for longest were removed: {names} ({size})."


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def refuse_without_room(new: Path, most_needed: str) -> None:
    """Remove what was just uploaded when uploads take more than the limit all the same.

    Raises:
        DataError: so it is.
    """
    total = sum(one.bytes for one in uploads())
    if total <= limit():
        return
    _remove(new)
    raise DataError(
        f"There is no room for this upload: {most_needed} take {gigabytes(total)} with it, and {gigabytes(limit())} "
        "are the limit.",
        f"Wait or upload less; the owner can raise {VARIABLE}.",
    )


def log_path() -> Path:
    """The file that names what was removed, one JSON line each."""
    return home() / "removed.jsonl"


def _log(removed: Collection[Entry]) -> None:
    rows = [{"time": time.time(), "path": str(one.path), "bytes": one.bytes, "used": one.used} for one in removed]
    with suppress(OSError):
        before = log_path().read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if log_path().exists() else []
        log_path().write_text("\n".join([*before, *map(json.dumps, rows)]) + "\n", encoding="utf-8")


def _remove(path: Path) -> bool:
    """Whether it could be removed."""
    try:
        remove_at_once(path)
    except OSError:
        return False
    return True


def _children(folder: Path) -> list[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    # What is being written begins with a dot; what a crash left of it is as old as the crash.
    return [path for path in found if not path.name.startswith(".") or time.time() - _time(path) > RECENT_S]


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _time(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0
