"""The files of a folder or a zip, listed once within bounds, each read when it is asked for."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ued_core.context import Context
from ued_core.data.archive import listing, opened, pieces
from ued_core.data.names import readable
from ued_core.data.poison_files.containers import MAX_BYTES, MAX_FILES
from ued_core.data.report import Report
from ued_core.data.walk import Found, Tree, chosen_folder, open_plain, unreadable, walk
from ued_core.errors import DataError, in_short

MAX_SECONDS = 15.0
_ADVICE = "Write the archive again."


@dataclass(frozen=True)
class Member:
    """One file: its parts below the root as the system has them, and how its bytes are read."""

    parts: tuple[str, ...]
    read: Callable[[], bytes]

    @property
    def name(self) -> str:
        """Its own name, fit for a message."""
        return readable(self.parts[-1])

    @property
    def shown(self) -> str:
        """Its path below the root, fit for a message."""
        return readable("/".join(self.parts))


@dataclass(frozen=True)
class Members:
    """What lies in a folder or a zip.

    Attributes:
        name: of the folder or zip, fit for a message.
        files: plain files, by their path, without those of other programs.
        left_out: path and reason of everything else.
    """

    name: str
    files: tuple[Member, ...]
    left_out: tuple[tuple[str, str], ...]

    def ending(self, *endings: str) -> list[Member]:
        """The files with one of these endings, in any case of the letters."""
        return [file for file in self.files if file.parts[-1].lower().endswith(endings)]

    def notes(self, *more: tuple[str, str]) -> tuple[str, ...]:
        """What was left out in words, one line a reason; ``more`` is said with it."""
        report = Report()
        for name, reason in (*self.left_out, *more):
            report.skip(name, reason)
        return report.lines()


def members(path: Path, ctx: Context | None = None) -> Members:
    """List a folder or a zip; nothing is read yet.

    Reading a member counts what really comes out of an archive, so that a bomb ends early.

    Args:
        path: folder or zip.
        ctx: told of the progress, asked for cancellation.

    Raises:
        DataError: unsafe or encrypted members, too many, too large, or it may not be read.
        Cancelled: the user stopped the work.
    """
    path = Path(path)
    tree, reader = _folder(path, ctx) if path.is_dir() else _zip(path)
    name = readable(path.name)
    if sum(file.size for file in tree.files) > MAX_BYTES:
        raise DataError(f"{name!r} takes more than {MAX_BYTES >> 30} GiB unpacked.", "Split it.")
    return Members(name, tuple(Member(file.parts, reader(file)) for file in tree.files), tuple(tree.left_out))


def unwrapped(files: Sequence[Member]) -> tuple[list[Member], tuple[str, ...]]:
    """The files without the folders that wrap everything, and those folders."""
    kept, above = list(files), []
    while (
        kept
        and all(len(file.parts) > 1 for file in kept)
        and len({file.parts[0] for file in kept}) == 1
        and _wraps(kept)
    ):
        above.append(kept[0].parts[0])
        kept = [Member(file.parts[1:], file.read) for file in kept]
    return kept, tuple(above)


def _wraps(kept: Sequence[Member]) -> bool:
    """Whether the one outermost folder says nothing: it holds folders, or it is APBench's ``data``."""
    return all(len(file.parts) > 2 for file in kept) or kept[0].parts[0] == "data"


def _folder(path: Path, ctx: Context | None) -> tuple[Tree, Callable[[Found], Callable[[], bytes]]]:
    root = chosen_folder(path)
    tree = walk(root, ctx, most=MAX_FILES, seconds=MAX_SECONDS)

    def reader(found: Found) -> Callable[[], bytes]:
        def read() -> bytes:
            own = root.joinpath(*found.parts)
            try:
                with open_plain(own) as file:
                    # What has grown since it was listed is not read to its end.
                    return file.read(found.size + 1)
            except OSError as error:
                raise unreadable(own, error) from error

        return read

    return tree, reader


def _zip(path: Path) -> tuple[Tree, Callable[[Found], Callable[[], bytes]]]:
    name = readable(path.name)
    archive = opened(path, name, MAX_FILES, _ADVICE)
    listed = listing(archive, name, _ADVICE)

    def reader(found: Found) -> Callable[[], bytes]:
        def read() -> bytes:
            try:
                return b"".join(pieces(archive, listed.infos[found.parts], name))
            except (
                zipfile.BadZipFile,
                zlib.error,
                EOFError,
                NotImplementedError,
                RuntimeError,
                ValueError,
                OSError,
            ) as error:
                raise DataError(f"{found.shown!r} in {name!r} is damaged: {in_short(error)}.", _ADVICE) from error

        return read

    return listed.tree, reader
