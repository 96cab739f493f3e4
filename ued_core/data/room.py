"""Room for uploads on the disk: what was not used for longest goes first."""

from __future__ import annotations

from pathlib import Path

from ued_core.artefacts.limits import VARIABLE, Entry, entry, gigabytes, inside, limit, removed_now, touch
from ued_core.data.handles import imports_root
from ued_core.errors import DataError


def uploads() -> list[Entry]:
    """Everything uploaded: images and data files, what the page Released files was shown, and its examples."""
    root = imports_root()
    shelves = (root, root / "files", root / "files" / "together")
    return [entry(path) for shelf in shelves for path in inside(shelf) if path not in shelves]


def touch_upload(path: Path) -> None:
    """Note that something at or below an upload was used; nothing for other paths."""
    root = imports_root()
    if not path.is_relative_to(root) or path == root:
        return
    parts = path.relative_to(root).parts
    depth = 1 if parts[0] != "files" else 3 if parts[1:2] == ("together",) else 2
    touch(root.joinpath(*parts[:depth]))


def refuse_without_room(new: Path, most_needed: str) -> None:
    """Remove what was just uploaded when uploads take more than the limit all the same.

    Raises:
        DataError: so it is.
    """
    total = sum(one.bytes for one in uploads())
    if total <= limit():
        return
    removed_now(new)
    raise DataError(
        f"There is no room for this upload: {most_needed} take {gigabytes(total)} with it, and {gigabytes(limit())} "
        "are the limit.",
        f"Wait or upload less; the owner can raise {VARIABLE}.",
    )
