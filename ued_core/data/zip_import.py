"""Unpacking an uploaded zip of images: safely, and whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import zipfile
import zlib
from collections import Counter
from pathlib import Path

from ued_core.context import Context
from ued_core.data.archive import Listing, listing, opened, pieces
from ued_core.data.handles import imports_root
from ued_core.data.image_file import MAX_FILE_BYTES, file_too_large, header_size, readable_formats
from ued_core.data.layout import ORIGIN, Layout, find_layout, is_recipe, poison_of, refuse_few_classes
from ued_core.data.names import readable
from ued_core.data.report import Report, Unusable
from ued_core.data.walk import Found, open_plain, unreadable
from ued_core.errors import DataError
from ued_core.files import folder_atomic, write_json

MAX_TOTAL_BYTES = 1 << 30
MAX_FILES = 150_000
MAX_TOTAL_PIXELS = 5_000_000_000
"""Decoding takes about ten seconds a gigapixel."""

_RULES = 2
"""Raised when the same archive gives another folder, so that what was imported before is not taken for it."""
_RECIPE_BYTES = 16 << 20
_HOPELESS = 1000
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
_CANNOT_BE_NAMED = (
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.EINVAL,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENOENT,
)


def import_zip(source: bytes | Path | io.BufferedIOBase, name: str, ctx: Context) -> Path:
    """Unpack an image archive into the program's home.

    Only images that a data set can use are unpacked, into a folder named after the
    archive's content; an archive that was imported before is not unpacked again. The result
    loads as the archive's own folder would: the same rules decide what is a part, a class or
    another program's file. What was skipped is kept with the images and is among the notes
    of :class:`ued_core.data.folder.Folder`.

    Args:
        source: the archive: its bytes, its path, or an open seekable binary file.
        name: what the user calls it; used in messages and as the data set's name.
        ctx: told the bytes unpacked and in total.

    Returns:
        A folder for ``Folder(path=...)``.

    Raises:
        DataError: not a zip; members that point outside or are encrypted; a bomb; more work than
            is done for one archive (members, classes, bytes, pixels); no images, or one class
            only. Nothing is left behind.
        Cancelled: the user stopped the work. Nothing is left behind.
    """
    name = readable(name)
    if isinstance(source, Path):
        try:
            file = open_plain(source)
        except OSError as error:
            raise unreadable(source, error, "archive") from error
        with file:
            return _import(file, name, ctx)
    return _import(io.BytesIO(source) if isinstance(source, bytes) else source, name, ctx)


def _import(file: io.BufferedIOBase, name: str, ctx: Context) -> Path:
    file.seek(0)
    content = hashlib.file_digest(file, "sha256").hexdigest()
    target = imports_root() / hashlib.sha256(f"{_RULES} {content}".encode()).hexdigest()[:16]
    if target.is_dir():
        return target
    report = Report()
    with opened(file, name, MAX_FILES, _advice()) as archive:
        listed = listing(archive, name, _advice())
        layout = find_layout(listed.tree, _shown(name), report)
        poison = _poison(archive, listed, name)
        _refuse_bytes(layout, name)
        return _Unpacking(archive, listed, name, report, ctx).into(target, layout, poison)


class _Unpacking:
    """One archive on its way into a folder.

    Attributes:
        sound: of each class of the layout, the training images whose header is that of an image.
        done: bytes unpacked.
        pixels: of all images so far, by their headers.
    """

    def __init__(self, archive: zipfile.ZipFile, listed: Listing, name: str, report: Report, ctx: Context) -> None:
        self.archive, self.listed, self.name, self.report, self.ctx = archive, listed, name, report, ctx
        self.sound: Counter[int] = Counter()
        self.done = self.pixels = 0

    def into(self, target: Path, layout: Layout, poison: str) -> Path:
        """Unpack the files of a layout beside ``target``, then move them there."""
        total = max(1, sum(file.size for file, _ in (*layout.train, *layout.test)))
        try:
            # Another process may have imported the same content meanwhile.
            with folder_atomic(target, stays=Path.is_dir) as fresh:
                for number, (file, label) in enumerate((*layout.train, *layout.test)):
                    if number % 64 == 0:
                        self.ctx.report(self.done, total, f"Unpacking {self.name}")
                    if number == _HOPELESS and not self.sound:
                        raise DataError(f"None of the first {number:,} files of {self.name!r} is an image.", _advice())
                    if self._one(fresh, file) and number < len(layout.train):
                        self.sound[label] += 1
                refuse_few_classes(layout.class_names, sorted(self.sound), self.report)
                origin = {"name": Path(self.name).stem or self.name, "notes": self.report.lines(), "poison": poison}
                write_json(fresh / ORIGIN, origin)
        except OSError as error:
            raise DataError(
                f"The archive {self.name!r} could not be unpacked here: {error.strerror or error}.", _what_to_do(error)
            ) from error
        return target

    def _one(self, folder: Path, file: Found) -> bool:
        """Unpack one file; whether its header is that of an image.

        One that is no image is kept like any other, so that the folder is read as it would be outside an archive.
        """
        try:
            content = self._content(file)
        except _DAMAGED:
            self.report.skip(file.shown, "damaged in the archive")
            return False
        except Unusable as reason:
            self.report.skip(file.shown, str(reason))
            return False
        path = folder.joinpath(*file.parts)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "xb") as out:
                out.write(content)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _CANNOT_BE_NAMED:
                raise
            self.report.skip(file.shown, "this system cannot hold a file of that name beside the others")
            return False
        return self._is_image(content)

    def _is_image(self, content: bytes) -> bool:
        try:
            width, height = header_size(io.BytesIO(content))
        except Unusable:
            return False
        self.pixels += width * height
        if self.pixels > MAX_TOTAL_PIXELS:
            raise DataError(
                f"The images in {self.name!r} have more than {MAX_TOTAL_PIXELS / 1e9:g} gigapixels unpacked.",
                "Make them smaller beforehand, or use fewer.",
            )
        return True

    def _content(self, file: Found) -> bytes:
        parts, size = [], 0
        for piece in pieces(self.archive, self.listed.infos[file.parts], self.name):
            self.done += len(piece)
            size += len(piece)
            if size > MAX_FILE_BYTES:
                raise file_too_large()
            if self.done > MAX_TOTAL_BYTES:
                raise _too_large(self.name)
            parts.append(piece)
            self.ctx.check()
        return b"".join(parts)


def _refuse_bytes(layout: Layout, name: str) -> None:
    if sum(file.size for file, _ in (*layout.train, *layout.test)) > MAX_TOTAL_BYTES:
        raise _too_large(name)


def _poison(archive: zipfile.ZipFile, listed: Listing, name: str) -> str:
    """The poison that the archive's own recipe names; empty without one that can be read."""
    for file in listed.tree.files:
        if is_recipe(file) and file.size <= _RECIPE_BYTES:
            try:
                return poison_of(b"".join(pieces(archive, listed.infos[file.parts], name)))
            except _DAMAGED:
                return ""
    return ""


def _what_to_do(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk, then try again."
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "Let this program write to its folder (UED_HOME says where it is)."
    return "Check the disk."


def _advice() -> str:
    return f"Zip a folder that has one subfolder of {readable_formats()} images per class."


def _shown(name: str) -> str:
    return f"The archive {name!r}"


def _too_large(name: str) -> DataError:
    return DataError(
        f"The images in {name!r} unpack to more than {MAX_TOTAL_BYTES >> 20} MiB.",
        "Use fewer or smaller images, or give their folder instead of an archive.",
    )
