"""The one walk through folders of others: bounded, cancellable, and nothing is opened that is not a plain file."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from dataclasses import dataclass, field
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from ued_core.context import Context
from ued_core.data.handles import where_to_look
from ued_core.data.names import OTHERS, is_junk, readable, refusal
from ued_core.errors import DataError

MAX_ENTRIES = 500_000
MAX_SECONDS = 30.0
MAX_DEPTH = 32

_KINDS = (
    (stat.S_ISFIFO, "a FIFO (named pipe)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_WORDS = {
    errno.ENOENT: ("does not exist", "Check the path."),
    errno.ENOTDIR: ("leads through a file", "Check the path."),
    errno.EACCES: ("may not be read", "Change its permissions, or choose another one."),
    errno.EPERM: ("may not be read", "Change its permissions, or choose another one."),
    errno.ENAMETOOLONG: ("is longer than the file system allows", "Check the path."),
    errno.ELOOP: ("is a link that leads back to itself", "Give the path of what it should lead to."),
    errno.EIO: ("cannot be read: the disk reports an error", "Copy it to another disk."),
    errno.ENOTCONN: ("lies on a disk that is not connected", "Connect it."),
    errno.ESTALE: ("lies on a network disk that has gone", "Connect it again."),
}


class Found(NamedTuple):
    """One plain file below the root.

    Attributes:
        parts: names of the folders below the root, then its own; as the system has them (see :func:`readable`).
        size: bytes.
        stamp: what changes when the file does: times of writing and of change, in nanoseconds.
    """

    parts: tuple[str, ...]
    size: int = 0
    stamp: tuple[int, int] = (0, 0)

    @property
    def shown(self) -> str:
        """Its path below the root, fit for a message."""
        return readable("/".join(self.parts))


@dataclass(frozen=True)
class Tree:
    """What lies below a folder or in an archive, without the files of other programs.

    Attributes:
        files: plain files, ordered by their path.
        folders: the parts of every folder, those without files too.
        left_out: path (fit for a message) and reason of everything else; a folder that is left out stands once.
    """

    files: list[Found] = field(default_factory=list)
    folders: list[tuple[str, ...]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def state(self) -> str:
        """A hash that changes with the name, size or times of anything that was found or left out."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{'/'.join(file.parts)}\0{file.size}\0{file.stamp}\n".encode("utf-8", "surrogatepass"))
        for line in (
            *("/".join(parts) for parts in self.folders),
            *(f"{name}\0{reason}" for name, reason in self.left_out),
        ):
            digest.update(f"{line}\n".encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def chosen_folder(path: str | Path, what: str = "folder") -> Path:
    """The absolute path of a folder that the user named.

    Args:
        path: as it was given; ``~`` is the user's home.
        what: what messages call it.

    Raises:
        DataError: it is none, may not be read, or belongs to the operating system; whatever the system says of it.
    """
    try:
        root = Path(path).expanduser()
        status = os.stat(root)
        root = root.resolve()
        shown = readable(str(root))
        if not stat.S_ISDIR(status.st_mode):
            raise DataError(
                f"{shown!r} is {kind_of_mode(status.st_mode)}, not a folder.", f"Give the path of the {what}."
            )
        if status.st_dev in system_devices():
            raise DataError(
                f"{shown!r} belongs to the operating system; there are no images in it.",
                f"Give the path of the {what}.",
            )
        with os.scandir(root) as entries:
            next(entries, None)
        return root
    except (ValueError, RuntimeError) as error:
        # A NUL inside the path; "~nobody" where there is no such user.
        raise DataError(f"{readable(str(path))!r} is no path of a folder: {error}.", "Check the path.") from error
    except OSError as error:
        raise unreadable(path, error, what) from error


def chosen_source(path: Path) -> Path:
    """A plain file or a folder that the user named; anything else is neither waited for nor read.

    Raises:
        DataError: it is none, or it may not be looked at; whatever the system says of it.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise unreadable(path, error, "file or folder") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(
            f"{readable(str(path))!r} is {kind_of_mode(mode)}, neither a plain file nor a folder.",
            "Give the path of one.",
        )
    return path


def unreadable(path: str | Path, error: OSError, what: str = "file") -> DataError:
    """What the system said of a path that the user chose, as the user's error."""
    shown = readable(str(Path(path).expanduser() if not str(path).startswith("~") else path))
    said, do = _WORDS.get(
        error.errno or 0, (f"cannot be read: {error.strerror or error}", "Check the path and the disk.")
    )
    if error.errno == errno.ENOENT:
        kind = what if " or " in what else what.split()[-1]
        return DataError(f"There is no {kind} {shown!r}.", where_to_look(Path(path)))
    return DataError(f"The {what} {shown[:300]!r} {said}.", do)


def reason_of(error: OSError) -> str:
    """The same of one file among many, as the end of a sentence: ``may not be read``."""
    return _WORDS[error.errno][0] if error.errno in _WORDS else f"cannot be read ({error.strerror or error})"


def kind_of_mode(mode: int) -> str:
    """What a file's mode says that it is: ``a file``, ``a folder``, ``a FIFO (named pipe)``, …"""
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISDIR(mode):
        return "a folder"
    return next((words for is_kind, words in _KINDS if is_kind(mode)), "neither a file nor a folder")


def open_plain(path: str | Path) -> BufferedReader:
    """A plain file, opened for reading; anything else is neither waited for nor read.

    Raises:
        OSError: it cannot be opened, or it is a FIFO, a device, a socket or a folder (``strerror`` says so).
    """
    # Without O_NONBLOCK, opening a FIFO waits for a writer; the check stands before the opening too, because
    # opening a device can have effects.
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode):
        handle = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(handle, "rb")
        os.close(handle)
    raise OSError(errno.EINVAL, f"it is {kind_of_mode(mode)}, not a plain file")


def walk(root: Path, ctx: Context | None = None, *, most: int = MAX_ENTRIES, seconds: float = MAX_SECONDS) -> Tree:
    """Everything below a folder, in the order of the names.

    Links are followed, to files and to folders; one that leads nowhere or to a folder above
    it is left out with its reason, as are FIFOs, devices, sockets, folders that may not be
    read, and names with control characters. Files and folders that are hidden or that other
    programs keep there (:func:`ued_core.data.names.is_junk`) are left out at any depth and
    not looked into. No file is opened.

    Args:
        root: the folder, from :func:`chosen_folder`.
        ctx: told of the progress; asked for cancellation.
        most: files and folders that are looked at.
        seconds: how long.

    Raises:
        DataError: the root cannot be read, or a bound was reached.
        Cancelled: the user stopped the work.
    """
    return _Walk(root, ctx or Context(), most, seconds).tree()


class _Walk:
    def __init__(self, root: Path, ctx: Context, most: int, seconds: float) -> None:
        self.root, self.ctx, self.most, self.seconds = root, ctx, most, seconds
        self.seen = 0
        self.until = time.monotonic() + seconds
        self.found = Tree()

    def tree(self) -> Tree:
        try:
            status = os.stat(self.root)
            entries = self._entries(os.fspath(self.root))
        except OSError as error:
            raise unreadable(self.root, error, "folder") from error
        self._folder(entries, (), (_identity(status),))
        return self.found

    def _folder(
        self, entries: list[os.DirEntry[str]], parts: tuple[str, ...], above: tuple[tuple[int, int], ...]
    ) -> None:
        for entry in entries:
            below = (*parts, entry.name)
            try:
                status = entry.stat()
                folder = stat.S_ISDIR(status.st_mode)
            except OSError as error:
                # A link that leads nowhere is bookkeeping all the same when its name says so.
                self._leave(below, OTHERS if is_junk(entry.name, False) else _lost(entry, error))
                continue
            if is_junk(entry.name, folder):
                self._leave(below, OTHERS)
            elif reason := refusal(entry.name):
                self._leave(below, reason)
            elif stat.S_ISREG(status.st_mode):
                self.found.files.append(Found(below, status.st_size, (status.st_mtime_ns, status.st_ctime_ns)))
            elif not folder:
                self._leave(below, f"{kind_of_mode(status.st_mode)}, not a plain file")
            else:
                self._below(entry, below, above)

    def _below(self, entry: os.DirEntry[str], parts: tuple[str, ...], above: tuple[tuple[int, int], ...]) -> None:
        try:
            # Not the entry's own: on Windows that one names no file.
            status = os.stat(entry.path)
            identity = _identity(status)
            if identity in above:
                return self._leave(parts, "a link that leads back to a folder above it")
            if status.st_dev in system_devices():
                return self._leave(parts, "it belongs to the operating system")
            if len(parts) > MAX_DEPTH:
                return self._leave(parts, f"more than {MAX_DEPTH} folders deep")
            entries = self._entries(entry.path)
        except OSError as error:
            return self._leave(parts, reason_of(error))
        self.found.folders.append(parts)
        return self._folder(entries, parts, (*above, identity))

    def _entries(self, path: str) -> list[os.DirEntry[str]]:
        listed = []
        with os.scandir(path) as entries:
            for entry in entries:
                self._count()
                listed.append(entry)
        return sorted(listed, key=lambda entry: entry.name)

    def _count(self) -> None:
        self.seen += 1
        if self.seen > self.most:
            raise self._bound(f"more than {self.most:,} files and folders")
        if self.seen % 256 == 0:
            self.ctx.report(0, 1, f"Looking through the folder: {self.seen:,} files and folders")
            if time.monotonic() > self.until:
                raise self._bound(f"so much below it that looking through it takes longer than {self.seconds:.0f} s")

    def _bound(self, what: str) -> DataError:
        return DataError(
            f"The folder {readable(str(self.root))!r} has {what}.",
            "Choose the folder that holds the class folders alone.",
        )

    def _leave(self, parts: tuple[str, ...], reason: str) -> None:
        self.found.left_out.append((readable("/".join(parts)), reason))


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _lost(entry: os.DirEntry[str], error: OSError) -> str:
    if entry.is_symlink() and error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "a link that leads nowhere"
    return reason_of(error)


@cache
def system_devices() -> frozenset[int]:
    """Devices of the file systems that hold no files but what the operating system says of itself."""
    found = set()
    for path in ("/proc", "/sys"):
        try:
            if os.path.ismount(path):
                found.add(os.stat(path).st_dev)
        except OSError:
            continue
    return frozenset(found)
