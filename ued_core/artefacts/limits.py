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

from ued_core.errors import ParameterError
from ued_core.files import remove_at_once
from ued_core.home import home

VARIABLE = "UED_CACHE_GB"
DEFAULT_GB = 20.0
"""Limit of the uploads, and of the loaded data sets, each; in 10⁹ bytes."""
MOST_BYTES = 8_000_000_000
"""Limit of every other kind of artefact, each."""
RECENT_S = 3600.0
"""Uploads used within this time stay: somebody may be about to start a run on them. What a crash left behind is removed
after it."""
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


def limit_words() -> str:
    """:func:`limit` for people, with the variable that sets it: ``"20 GB (UED_CACHE_GB)"``."""
    return f"{gigabytes(limit())} ({VARIABLE})"


def entry(path: Path) -> Entry:
    """What a file or folder takes."""
    return Entry(path, size_of(path), _time(path))


def inside(folder: Path) -> list[Path]:
    """What lies in a folder and counts, sorted; empty where there is no such folder.

    What is being written begins with a dot and does not count; what a crash left of it is as old as the crash, and
    counts.
    """
    try:
        found = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in found if not path.name.startswith(".") or time.time() - _time(path) > RECENT_S]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links count nothing."""
    if not path.is_dir() or path.is_symlink():
        return _size(path)
    return sum(_size(Path(place) / name) for place, _, names in os.walk(path) for name in names)


def touch(path: Path) -> None:
    """Note that something was used."""
    with suppress(OSError):
        os.utime(path)


def make_room(
    kept: Iterable[Entry],
    most: int,
    spare: Collection[Path] = (),
    recent_s: float = 0.0,
    most_entries: float = math.inf,
) -> list[Entry]:
    """Remove what was not used for longest until the rest is within the limit.

    Args:
        kept: everything that counts.
        most: bytes that they may take together.
        spare: paths that stay, whatever they take.
        recent_s: what was used within so many seconds stays too.
        most_entries: how many there may be.

    Returns:
        What was removed, which the log below the home names as well.
    """
    kept, now = sorted(kept, key=lambda one: one.used), time.time()
    total, removed = sum(one.bytes for one in kept), list[Entry]()
    for one in kept:
        if total <= most and len(kept) - len(removed) <= most_entries:
            break
        if one.path in spare or now - one.used < recent_s or not removed_now(one.path):
            continue
        total -= one.bytes
        removed.append(one)
    if removed:
        _log(removed)
    return removed


def removed_words(removed: Collection[Entry], what: str, may: str, root: Path | None = None) -> str:
    """What was removed, as a sentence; empty when nothing was.

    Args:
        removed: from :func:`make_room`.
        what: what the entries are, in the plural.
        may: what they may take, in words.
        root: a folder that holds all of them, whose name is left out of theirs; None where their last names suffice.
    """
    if not removed:
        return ""
    shown = [str(one.path.relative_to(root)) if root else one.path.name for one in list(removed)[:3]]
    names = ", ".join(shown) + (", …" if len(removed) > 3 else "")
    size = gigabytes(sum(one.bytes for one in removed))
    why = f"{what} may take {may}"
    return f"{why}, so {len(removed)} that were not used for longest were removed: {names} ({size})."


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"


def log_path() -> Path:
    """The file that names what was removed, one JSON line each."""
    return home() / "removed.jsonl"


def removed_now(path: Path) -> bool:
    """Remove a file or folder; whether that could be done."""
    try:
        remove_at_once(path)
    except OSError:
        return False
    return True


def _log(removed: Collection[Entry]) -> None:
    rows = [{"time": time.time(), "path": str(one.path), "bytes": one.bytes, "used": one.used} for one in removed]
    with suppress(OSError):
        before = log_path().read_text(encoding="utf-8").splitlines()[-LOG_LINES:] if log_path().exists() else []
        log_path().write_text("\n".join([*before, *map(json.dumps, rows)]) + "\n", encoding="utf-8")


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
