"""Where study files lie: those that ship, those of the home, and those that somebody asked to run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from ued_core.assets import asset
from ued_core.errors import UedError, UnknownName
from ued_core.files import write_json
from ued_core.home import home
from ued_core.studies.study import Study

_ASKED = "asked"
_LOCK = ".lock"


def own_studies() -> Path:
    """The folder of the home's study files; it is not made here."""
    return home() / "studies"


def study_files() -> dict[str, Path]:
    """Name → file of the studies of this home and of those that ship; one of the home stands in place of one that
    ships under its name."""
    places = (asset("studies"), own_studies())
    return {path.stem: path for place in places for path in sorted(place.glob("*.json"))}


def find_study(text: str) -> Path:
    """The file that a user means.

    Args:
        text: a path, or the name of a study of this home or of one that ships.

    Raises:
        UnknownName: it is no file, and no study has such a name.
    """
    path = Path(text).expanduser()
    if path.is_file() or path.suffix == ".json" or len(path.parts) > 1:
        return path
    known = study_files()
    if text not in known:
        raise UnknownName("study", text, known or ["none"], "The path of a file is taken, too.")
    return known[text]


def ships(path: Path) -> bool:
    """Whether a file belongs to the program."""
    return path.absolute().parent == asset("studies").absolute()


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else submits, cancels or extends studies of this home meanwhile, so that no run is queued twice."""
    own_studies().mkdir(parents=True, exist_ok=True)
    with FileLock(own_studies() / _LOCK):
        yield


def asked() -> list[Path]:
    """The files whose runs were asked for and not cancelled since, in that order; some may be gone."""
    try:
        known = json.loads((own_studies() / _ASKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [Path(entry) for entry in known if isinstance(entry, str)] if isinstance(known, list) else []


def ask(path: Path) -> None:
    """Note that a study's runs are wanted; the list may be lost, and running the study makes it anew."""
    _write([known for known in asked() if known != path.absolute()] + [path.absolute()])


def give_up(path: Path) -> None:
    """Note that a study's runs are wanted no more."""
    _write([known for known in asked() if known != path.absolute()])


def others(path: Path) -> list[Study]:
    """The other studies whose runs are wanted, as far as their files can still be read."""
    found = []
    for known in asked():
        if known != path.absolute():
            try:
                found.append(Study.read(known))
            except UedError:
                # A file that is gone or broken wants nothing.
                continue
    return found


def _write(files: list[Path]) -> None:
    write_json(own_studies() / _ASKED, [str(path) for path in files])
