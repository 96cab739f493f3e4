"""Zip archives of others: opened, listed like a folder, and unpacked member by member within bounds."""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path

from ued_core.data.names import OTHERS, is_junk, readable, refusal
from ued_core.data.walk import MAX_DEPTH, Found, Tree
from ued_core.errors import DataError, in_short

MAX_RATIO = 200
"""A member that unpacks to more than this many times its packed size is taken for a bomb."""
RATIO_FREE_BYTES = 1 << 20
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 1024

_BLOCK = 1 << 16
_DRIVE = re.compile(r"^[A-Za-z]:")
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_UTF8 = 0x800
_UNIX = 3


@dataclass(frozen=True)
class Listing:
    """The members of an archive.

    Attributes:
        tree: the files and folders as :func:`ued_core.data.walk.walk` would find them once unpacked.
        infos: the member of each of the tree's files, by its parts.
    """

    tree: Tree
    infos: dict[tuple[str, ...], zipfile.ZipInfo]


def opened(
    file: BufferedIOBase | Path, name: str, most: int, advice: str = "Write the archive again."
) -> zipfile.ZipFile:
    """The archive, opened; the number of its members is judged before they are listed.

    Args:
        file: an open seekable file, or a path.
        name: what messages call it.
        most: members.
        advice: what to do with what cannot be read.

    Raises:
        DataError: it is no zip, it is damaged, or it has more members.
    """
    try:
        count, size = _declared(file)
        if count > most:
            raise DataError(f"The archive {name!r} has {count:,} members; at most {most:,} are read.", advice)
        if size > 1024 * (count + 64):
            raise zipfile.BadZipFile("its list of members is longer than their number allows")
        archive = zipfile.ZipFile(file)
    except UnicodeDecodeError as error:
        raise DataError(f"A name in the archive {name!r} is marked as UTF-8, but it is not.", advice) from error
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, OSError) as error:
        raise DataError(f"{name!r} is not a zip archive, or it is damaged: {in_short(error)}.", advice) from error
    if len(archive.infolist()) > most:
        raise DataError(
            f"The archive {name!r} has {len(archive.infolist()):,} members; at most {most:,} are read.", advice
        )
    return archive


def listing(archive: zipfile.ZipFile, name: str, advice: str) -> Listing:
    """The members of an archive under the rules of :func:`ued_core.data.walk.walk`.

    Left out with a reason are bookkeeping, links and devices, names with control
    characters or longer than a file system allows, names that occur twice, and a file
    where others need a folder.

    Raises:
        DataError: a member points outside the archive, is encrypted, or is packed with a
            method other than deflate.
    """
    made = _Listing(name, advice)
    for info in archive.infolist():
        made.add(info)
    return made.done()


class _Listing:
    def __init__(self, name: str, advice: str) -> None:
        self.name, self.advice = name, advice
        self.infos: dict[tuple[str, ...], zipfile.ZipInfo] = {}
        self.folders: set[tuple[str, ...]] = set()
        self.left: dict[tuple[str, ...], str] = {}
        self.twice: list[tuple[str, ...]] = []

    def add(self, info: zipfile.ZipInfo) -> None:
        parts = self._inside(info)
        if not parts or self._judged(info, parts):
            return
        if info.is_dir():
            self._folders(parts)
        elif parts in self.infos:
            self.twice.append(parts)
        else:
            self.infos[parts] = info
            self._folders(parts[:-1])

    def done(self) -> Listing:
        for parts in self.left:
            self._folders(parts[:-1])
        for parts in [parts for parts in self.infos if parts in self.folders]:
            del self.infos[parts]
            self.left[parts] = "a file where others in the archive need a folder"
        files = [Found(parts, self.infos[parts].file_size) for parts in sorted(self.infos)]
        gone = [*self.left.items(), *((parts, "its name occurs twice") for parts in self.twice)]
        left = [(readable("/".join(parts)), reason) for parts, reason in sorted(gone)]
        return Listing(Tree(files, sorted(self.folders), left), self.infos)

    def _inside(self, info: zipfile.ZipInfo) -> tuple[str, ...]:
        path = _name(info).replace("\\", "/")
        parts = tuple(part for part in path.split("/") if part not in ("", "."))
        if path.startswith("/") or _DRIVE.match(path) or ".." in parts or not (parts or info.is_dir()):
            raise self._refused(info, "points outside the archive")
        return parts

    def _judged(self, info: zipfile.ZipInfo, parts: tuple[str, ...]) -> bool:
        """Whether the member, or a folder above it, is left out."""
        for depth, part in enumerate(parts, 1):
            if parts[:depth] in self.left:
                return True
            folder = depth < len(parts) or info.is_dir()
            reason = OTHERS if is_junk(part, folder) else refusal(part)
            if not reason and _bytes(part) > MAX_NAME_BYTES:
                reason = f"a name longer than {MAX_NAME_BYTES} bytes"
            if not reason and folder and depth > MAX_DEPTH:
                reason = f"more than {MAX_DEPTH} folders deep"
            if reason:
                self.left[parts[:depth]] = reason
                return True
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            self.left[parts] = "a link in the archive" if kind == stat.S_IFLNK else "a device in the archive"
        elif sum(map(_bytes, parts)) + len(parts) > MAX_PATH_BYTES:
            self.left[parts] = f"a path longer than {MAX_PATH_BYTES} bytes"
        elif info.flag_bits & 1:
            raise self._refused(info, "is encrypted")
        elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._refused(info, "is packed with a method other than deflate")
        return parts in self.left

    def _folders(self, parts: tuple[str, ...]) -> None:
        while parts and parts not in self.folders:
            self.folders.add(parts)
            parts = parts[:-1]

    def _refused(self, info: zipfile.ZipInfo, problem: str) -> DataError:
        return DataError(
            f"The member {readable(_name(info))!r} of {self.name!r} {problem}; nothing was imported.", self.advice
        )


def pieces(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
    """What a member unpacks to, in blocks; what really comes out is counted.

    Raises:
        DataError: it unpacks like a decompression bomb.
        zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError: it is damaged.
    """
    packed = max(info.compress_size, 1)
    done = 0
    with archive.open(info) as file:
        while block := file.read(_BLOCK):
            done += len(block)
            if done > RATIO_FREE_BYTES and done > MAX_RATIO * packed:
                raise DataError(
                    f"{readable(_name(info))!r} in {name!r} unpacks to more than {MAX_RATIO} times its packed size, "
                    "as decompression bombs do; nothing was imported.",
                    "Remove it from the archive.",
                )
            yield block


def _bytes(part: str) -> int:
    """The length of a name on the disk; of one that is certainly short, that of its letters."""
    return len(part) if len(part) * 4 <= MAX_NAME_BYTES else len(os.fsencode(part))


def _name(info: zipfile.ZipInfo) -> str:
    """The member's name; bytes that are not UTF-8 are kept as :func:`os.fsdecode` would.

    Without the mark for UTF-8 the standard says code page 437, but systems other than DOS
    write what their file names are made of, which is UTF-8 nearly everywhere.
    """
    if info.flag_bits & _UTF8:
        return info.filename
    raw = info.filename.encode("cp437", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "surrogateescape") if info.create_system == _UNIX else info.filename


def _declared(file: BufferedIOBase | Path) -> tuple[int, int]:
    """Number of members and bytes of their list, as the archive's end says; zeros when it has none."""
    if isinstance(file, Path):
        with open(file, "rb") as handle:
            return _declared(handle)
    file.seek(0, io.SEEK_END)
    file.seek(max(0, file.tell() - (1 << 16) - 22))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        return 0, 0
    count, size = struct.unpack_from("<HI", tail, at + 10)
    far = tail.rfind(_END_64, 0, at)
    if (count == 0xFFFF or size == 0xFFFFFFFF) and far >= 0 and len(tail) >= far + 48:
        count, size = struct.unpack_from("<QQ", tail, far + 32)
    return count, size
