"""Where entries of the record come from: the shipped tables, and files that people contribute, kept under the home."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from ued_core.errors import DataError
from ued_core.files import write_json
from ued_core.home import home
from ued_core.results import phenomenon
from ued_core.results.measured import FOLDER, study_command, study_tables
from ued_core.results.record import Entry, Record, entries
from ued_core.results.row import stored_rows

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def shipped() -> list[Entry]:
    """The entries of the shipped studies' tables; what stands in several of them once.

    Raises:
        DataError: a table is damaged.
    """
    studies = study_tables()
    made: list[Entry] = []
    # Of a run that stands in several tables, the central one has the plainest name.
    for name in sorted(studies, key=lambda name: (studies[name] != phenomenon.FILE, name)):
        made += _named(studies[name], study_command(name))
    return _once(made)


def _named(file: Path, origin: str) -> list[Entry]:
    """The entries of a table whose rows name their condition; those of one data set and plan belong together."""
    rows, made = stored_rows(file), []
    for dataset, plan in dict.fromkeys((row.dataset, row.plan) for row in rows):
        made += entries(phenomenon.conditions(rows, dataset, plan), origin=origin)
    return made


def every(damage: list[str]) -> list[Entry]:
    """The shipped entries and then the contributed ones, whose origin names their file; equal runs once.

    Args:
        damage: takes a sentence for every file that cannot be read.
    """
    own = [
        entry.model_copy(update={"origin": f"contributed: {name}" + (f" ({entry.origin})" if entry.origin else "")})
        for name, record in contributed(damage).items()
        for entry in record.entries
    ]
    return _once([*shipped(), *own])


def _once(found: Sequence[Entry]) -> list[Entry]:
    """Of entries with the same runs the first."""
    return list({entry.id: entry for entry in found[::-1]}.values())[::-1]


def folder() -> Path:
    """Where contributed files are kept; it may not be there."""
    return home() / "record"


def files_state() -> str:
    """Names and times of all files that :func:`every` reads: what was read stays right while it is the same."""
    files = [*FOLDER.glob("*.json"), *folder().glob("*.json")]
    return json.dumps(sorted([str(file), file.stat().st_mtime_ns] for file in files))


def contributed(damage: list[str]) -> dict[str, Record]:
    """The files that were added, by name; of one that cannot be read, a sentence is put into ``damage``."""
    found = {}
    for path in sorted(folder().glob("*.json")):
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
            found[path.stem] = Record.read(value, f"The file {path}", checked=False)
        except (OSError, ValueError, DataError) as error:
            damage.append(f"The contributed file {path} is left out: {error}")
    return found


def add(record: Record, name: str, replace: bool = False) -> bool:
    """Keep a contributed record under the home.

    Args:
        record: read and checked.
        name: of its file, without an ending.
        replace: whether another record of that name gives way.

    Returns:
        Whether it is new; False where the same was there already.

    Raises:
        DataError: the name is no plain one, another record has it, or all of its runs are in the record already.
    """
    if not _NAME.fullmatch(name):
        raise DataError(
            f"The name {name!r} cannot be kept: it must be 1 to 64 letters, digits, dots, dashes and underscores.",
            "Give another with --name.",
        )
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / ".lock"):
        there = contributed([])
        if there.get(name) == record:
            return False
        path = folder() / f"{name}.json"
        if path.exists() and not replace:
            raise DataError(
                f"A contributed record is called {name!r} already, and it says something else.",
                "Give another name with --name, or replace it with --replace.",
            )
        known = {entry.id for entry in shipped()}
        known |= {entry.id for other, kept in there.items() if other != name for entry in kept.entries}
        # Controls may be known; a file without anything new would only count runs twice.
        if all(entry.id in known for entry in record.entries):
            raise DataError(
                f"All runs of {name!r} stand in the record already.", "See them with: ued record show --format json."
            )
        write_json(path, record.to_json())
    return True
