"""The errors that users see.

    UedError
      ParameterError   a parameter's value breaks its declaration
      UnknownName      a name that is in no catalogue
      DataError        images, labels, archives or folders that cannot be used
      SpecError        a description of a run or of a study that makes no sense
      RunError         a run that cannot be found, cancelled, resumed or read
      NotAllowed       something that only the owner of this server may do
      Unavailable      a file, download or device that is not here
    Cancelled          not an error: the user stopped the work

Every message says what, the value, the rule and what to do. The page guard, the command
line and the worker catch UedError; anything else is a bug and is shown as one.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable


class UedError(Exception):
    """A mistake that the user can mend.

    Args:
        what: what is wrong, with the value, as one sentence.
        do: what to do about it, as one sentence; may be empty.
    """

    def __init__(self, what: str, do: str = "") -> None:
        self.what = what
        self.do = do
        super().__init__(f"{what} {do}".strip())


def in_short(error: BaseException, most: int = 160) -> str:
    """What a library says of a failure, fit for a message: its first line without the last full stop, cut where it goes
    on and on.

    Libraries quote what they could not read, sometimes thousands of bytes of it.
    """
    text = (str(error).splitlines() or [""])[0].strip().rstrip(".") or type(error).__name__
    return text if len(text) <= most else text[:most].rstrip() + " …"


def quoted(value: object, most: int = 200) -> str:
    """A value that a user gave, as Python writes it, cut where it goes on and on."""
    text = repr(value)
    return text if len(text) <= most else text[:most] + " …"


def told_by_system(error: OSError) -> UedError | None:
    """What the system says of a file or folder, as the user's error; None when it speaks of no file, which is a bug.

    Args:
        error: as it was raised. The disk and the permissions are the user's, and so are the paths that a user chose.
    """
    named = error.filename if isinstance(error.filename, str | bytes | os.PathLike) else None
    if named is None and error.errno not in _OF_THE_DISK:
        return None
    where = f"{os.fsdecode(named)!r}: " if named is not None else ""
    reason = error.strerror or type(error).__name__
    return Unavailable(
        f"The system refuses {where}{reason[:1].lower()}{reason[1:]}.",
        _REMEDIES.get(error.errno or 0, "Check the path."),
    )


_OF_THE_DISK = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EROFS, errno.EFBIG)
_ROOM = "Make room on the disk, or set UED_HOME to a folder on another one."
_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG), _ROOM),
    errno.EROFS: "Set UED_HOME to a folder that can be written.",
    errno.EACCES: "Change its permissions, or choose another place.",
    errno.EPERM: "Change its permissions, or choose another place.",
    errno.EIO: "The disk cannot read it; check the disk.",
    errno.EMFILE: "Too many files are open; try again, or raise the limit of the system.",
    errno.ENFILE: "Too many files are open; try again, or raise the limit of the system.",
}


class ParameterError(UedError):
    """A parameter's value breaks its declaration."""


class DataError(UedError):
    """Images, labels, archives or folders that cannot be used."""


class SpecError(UedError):
    """A description of a run or of a study that makes no sense."""


class RunError(UedError):
    """A run that cannot be found, cancelled, resumed or read."""


class NotAllowed(UedError):
    """Something that only the owner of this server, or of the run, may do."""


class Unavailable(UedError):
    """A file, download or device that is not here."""


class UnknownName(UedError):
    """A name that is in no catalogue; the message offers the closest ones.

    Args:
        kind: the word for one entry.
        name: what was asked for.
        known: all names there are.
        note: a sentence more, such as why a name that one might expect is missing.
    """

    def __init__(self, kind: str, name: object, known: Iterable[str], note: str = "") -> None:
        known = list(known)
        close = difflib.get_close_matches(str(name), known, n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(repr(c) for c in close)}? " if close else ""
        super().__init__(f"There is no {kind} {name!r}.", f"{hint}Known: {', '.join(known)}. {note}".rstrip())


class Cancelled(Exception):
    """The user stopped the work; nothing is wrong."""
