"""File names of others: as text that can be shown, which of them are bookkeeping, and which are refused."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

CANNOT_STAND = "\N{REPLACEMENT CHARACTER}"
"""What stands for bytes of a name that are not UTF-8."""

OTHERS = "hidden, or kept by other programs"
"""The reason under which bookkeeping is counted."""

_SURROGATE = re.compile(r"[\ud800-\udfff]+")
# They move the cursor, break the line or turn the direction of what follows; all other characters are harmless.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_JUNK_FOLDERS = frozenset(
    ["__macosx", "@eadir", "$recycle.bin", "recycler", "#recycle", "@recycle", "#snapshot", "@recently-snapshot"]
    + ["system volume information", "lost+found", "__pycache__"]
)
_JUNK_FILES = frozenset(
    ["thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "icon\r", "icon\uf00d", "ntuser.dat"]
)


def readable(name: str | bytes) -> str:
    """A name as text that can be shown, printed and written as UTF-8.

    Bytes that are not UTF-8 (which Python keeps as lone surrogates) become U+FFFD; control
    characters and those that turn the direction of writing become ``[U+001B]``. Other names
    are returned as they are.
    """
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if _SURROGATE.search(name):
        name = _SURROGATE.sub(lambda found: _replaced(found[0]), name)
    if not name.isprintable():
        name = _UNSEEN.sub(lambda found: f"[U+{ord(found[0]):04X}]", name)
    return name


def shown_names(names: Iterable[str]) -> tuple[str, ...]:
    """Class names fit to be shown, no two equal."""
    made: dict[str, None] = {}
    for name in names:
        base, number = readable(name), 1
        name = base
        while name in made:
            number += 1
            name = f"{base} ({number})"
        made[name] = None
    return tuple(made)


def control_character(name: str) -> str:
    """The first control character of a name as ``U+001B``; empty where there is none.

    These alone (Unicode's class Cc) are refused in names: no-break spaces, ideographic
    spaces, joiners, private characters and everything else is text.
    """
    found = _CONTROL.search(name)
    return f"U+{ord(found[0]):04X}" if found else ""


def refusal(name: str) -> str:
    """Why a file or folder of this name is left out, whatever it holds; empty where nothing is wrong.

    The same rule for folders and archives. Bookkeeping (:func:`is_junk`) is another matter.
    """
    character = control_character(name)
    return f"the control character {character} in its name" if character else ""


def is_junk(name: str, folder: bool) -> bool:
    """Whether the name is one under which systems and programs keep their own things: hidden files, thumbnails,
    wastebaskets.

    Args:
        name: of one file or folder, without its path.
        folder: whether it is that of a folder.
    """
    return name.startswith(".") or name.casefold() in (_JUNK_FOLDERS if folder else _JUNK_FILES)


def as_text(value: Any) -> Any:
    """A JSON value whose texts are all :func:`readable`."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {as_text(key): as_text(item) for key, item in value.items()}
    return [as_text(item) for item in value] if isinstance(value, list | tuple) else value


def _replaced(surrogates: str) -> str:
    try:
        return surrogates.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return CANNOT_STAND * len(surrogates)
