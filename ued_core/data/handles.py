"""What was uploaded, named without saying where on this machine it lies."""

from __future__ import annotations

import re
from pathlib import Path

from ued_core.data.names import readable
from ued_core.errors import DataError, NotAllowed
from ued_core.home import home
from ued_core.params import UPLOAD as PREFIX
from ued_core.params import Method
from ued_core.person import Person

_HANDLE = re.compile(PREFIX + "[0-9a-f]{16}")


_PLACE = re.compile(r"/imports/[0-9a-f]{16}(/|$)")
GONE = (
    "It was uploaded to another machine, or has been removed because other uploads needed the room. Upload it again, "
    "and name it anew in the spec."
)


def imports_root() -> Path:
    """The folder that holds what was uploaded; it need not exist yet."""
    return home() / "imports"


def handle_of(path: Path) -> str:
    """``import:`` and sixteen hex digits of the content, for something below :func:`imports_root`."""
    return f"{PREFIX}{path.name}"


def is_handle(text: str) -> bool:
    """Whether a text names something uploaded, not a path."""
    return _HANDLE.fullmatch(text.strip()) is not None


def located(text: str) -> Path:
    """The file or folder that a path parameter's text names, absolute, links resolved.

    Args:
        text: a path, ``~`` allowed, or what :func:`handle_of` gave.

    Raises:
        DataError: the text is no path, or what the handle names is not here any more.
    """
    text = text.strip()
    if not text.startswith(PREFIX):
        try:
            return Path(text).expanduser().resolve()
        except (ValueError, RuntimeError, OSError) as error:
            # A NUL inside it; "~nobody" where there is no such user; a link that leads to itself.
            raise DataError(f"{readable(text)[:300]!r} is no path: {error}.", "Check the path.") from error
    found = imports_root() / text.removeprefix(PREFIX)
    if not is_handle(text) or not found.exists():
        raise DataError(f"There is no upload {text!r} on this machine.", GONE)
    return found


def where_to_look(path: Path) -> str:
    """What to do where nothing lies at a path."""
    uploaded = _PLACE.search(path.as_posix()) is not None
    return (
        GONE if uploaded else "Check the path; a spec from another machine has to name where the files lie on this one."
    )


def check_paths(method: Method, by: Person) -> None:
    """Refuse a method that names a file or folder of this machine for somebody who is not its owner.

    Raises:
        NotAllowed: ``by`` is a visitor, and a path parameter holds something else than a handle.
    """
    if by.owner:
        return
    for name, text in method.chosen_paths().items():
        if not is_handle(text):
            raise NotAllowed(
                f"{method.title}: {name} names a file or folder of the server, which visitors may not use.",
                "Upload it instead, beside the choice of the data set.",
            )
