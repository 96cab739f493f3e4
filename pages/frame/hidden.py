"""What visitors of a server do not read: where on its disk something lies."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import Any, TypeVar, cast

from pages.frame.visitor import who
from ued_core.data.handles import is_handle
from ued_core.home import home
from ued_core.params import Parameter

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
HIDDEN = "‹path›"

_START = r"(?:~[\w.-]*/|~(?=['\"])|/(?=[\w.~])(?!\d)|[A-Za-z]:[\\/]|\\\\\w|file:/)"
_QUOTED = re.compile(rf"(['\"‘“])({_START}[^'\"’”\n]*)(['\"’”])")
# A name inside a path may hold spaces: what follows belongs to it as far as the next separator.
_BARE = re.compile(rf"(?<![\w./:~)\]}}-])(?:{_START})[^\s'\"`<>|,;]*(?:(?: [^\s/\\'\"`<>|,;~]+)+[/\\][^\s'\"`<>|,;]*)*")


def seen(value: T) -> T:
    """A text, or plain values of JSON, as this reader may see it: visitors get :data:`HIDDEN` in place of every path of
    the server."""
    # Most texts hold no path, and asking who reads costs more than looking.
    if isinstance(value, str) and not _may_hold_a_path(value):
        return value
    return value if who().owner else without_paths(value)


def seen_parameter(parameter: Parameter, value: Any) -> str:
    """The value of a method's parameter as text; visitors get :data:`HIDDEN` in place of a path, wherever it would end
    in a sentence."""
    if parameter.path and value and not is_handle(str(value)) and not who().owner:
        return HIDDEN
    return seen(str(value))


def without_paths(value: T) -> T:
    """The same with every path replaced, in texts at any depth; names of keys stay."""
    match value:
        case str():
            return cast(T, _text(value))
        case dict():
            return cast(T, {name: without_paths(part) for name, part in value.items()})
        case list() | tuple():
            return cast(T, type(value)(without_paths(part) for part in value))
        case Path():
            return cast(T, HIDDEN)
    return value


def _text(text: str) -> str:
    if not _may_hold_a_path(text):
        return text
    if _is_path(text):
        return HIDDEN
    text = _QUOTED.sub(rf"\1{HIDDEN}\3", text)
    for place in _places():
        # Names below a known folder may hold spaces; where they end nobody can tell, so the sentence ends with them.
        if place in text:
            text = re.sub(re.escape(place) + r"[^\s'\"]*", HIDDEN, text)
    return _BARE.sub(HIDDEN, text)


def _is_path(text: str) -> bool:
    """Whether a text is one path and nothing else, as values of a spec are; then its spaces belong to it, and so do its
    commas."""
    begins = _BARE.match(text.strip())
    return begins is not None and _BARE.search(text.strip(), begins.end()) is None


def _may_hold_a_path(text: str) -> bool:
    return "/" in text or "\\" in text or "~" in text


def _places() -> list[str]:
    """Folders that messages may name, the longest first."""
    known = {home(), home().resolve(), ROOT, Path.home(), Path(sys.prefix), Path(tempfile.gettempdir()), Path.cwd()}
    return sorted((str(place) for place in known if len(place.parts) > 1), key=len, reverse=True)
