"""Unpacking an uploaded zip of images: safely, and whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from ued_core.context import Context
from ued_core.data.folder import ORIGIN, find_images
from ued_core.data.image_file import Report, Unusable, check_header, is_image_name
from ued_core.errors import DataError
from ued_core.files import write_json
from ued_core.home import home

MAX_TOTAL_BYTES = 1 << 30
MAX_FILES = 100_000
MAX_RATIO = 200
RATIO_FREE_BYTES = 1 << 20

_BLOCK = 1 << 16
_DRIVE = re.compile(r"^[A-Za-z]:")
_ADVICE = "Zip a folder that has one subfolder of PNG, JPEG or WebP images a class."


class _Member(NamedTuple):
    info: zipfile.ZipInfo
    parts: tuple[str, ...]


def import_zip(source: bytes | Path | BinaryIO, name: str, ctx: Context) -> Path:
    """Unpack an image archive into the program's home.

    Only images are unpacked, into a folder named after the archive's content; an archive
    that was imported before is not unpacked again. Folders that wrap everything are left
    out. What was skipped is kept with the images and is among the notes of
    :class:`ued_core.data.folder.Folder`.

    Args:
        source: the archive: its bytes, its path, or an open seekable binary file.
        name: what the user calls it; used in messages and as the data set's name.
        ctx: told the bytes unpacked and in total.

    Returns:
        A folder for ``Folder(path=...)``.

    Raises:
        DataError: not a zip, unsafe or encrypted members, a bomb, no images in class
            folders, or one class only. Nothing is left behind.
        Cancelled: the user stopped the work. Nothing is left behind.
    """
    if isinstance(source, Path):
        try:
            with open(source, "rb") as file:
                return _import(file, name, ctx)
        except OSError as error:
            raise DataError(f"The archive {name!r} cannot be read: {error}.", "Check the path.") from error
    return _import(io.BytesIO(source) if isinstance(source, bytes) else source, name, ctx)


def _import(file: BinaryIO, name: str, ctx: Context) -> Path:
    file.seek(0)
    imports = home() / "imports"
    target = imports / hashlib.file_digest(file, "sha256").hexdigest()[:16]
    if target.is_dir():
        return target
    file.seek(0)
    imports.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=imports, prefix=".import-"))
    try:
        report = Report()
        with _opened(file, name) as archive:
            _unpack(archive, fresh, name, report, ctx)
        find_images(fresh, Report())
        write_json(fresh / ORIGIN, {"name": Path(name).stem or name, "notes": report.lines()})
        _settle(fresh, target)
    except OSError as error:
        raise DataError(f"The archive {name!r} could not be unpacked here: {error}.", "Check the disk.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _settle(fresh: Path, target: Path) -> None:
    try:
        os.rename(fresh, target)
    except OSError:
        # Another process has just imported the same content.
        if not target.is_dir():
            raise


def _opened(file: BinaryIO, name: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{name!r} is not a zip archive, or it is damaged: {error}.", _ADVICE) from error


def _unpack(archive: zipfile.ZipFile, folder: Path, name: str, report: Report, ctx: Context) -> None:
    members = _image_members(archive, name, report)
    total = sum(member.info.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise _too_large(name)
    done = 0
    for member in members:
        ctx.report(done, max(total, 1), f"Unpacking {name}")
        path = folder.joinpath(*member.parts)
        shown = "/".join(member.parts)
        if path.exists():
            report.skip(shown, "its name occurs twice")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            done += _extract(archive, member, path, MAX_TOTAL_BYTES - done, name, ctx)
            check_header(path)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
            path.unlink(missing_ok=True)
            report.skip(shown, "damaged in the archive")
        except Unusable as reason:
            path.unlink()
            report.skip(shown, str(reason))
    _drop_empty(folder)


def _extract(
    archive: zipfile.ZipFile, member: _Member, path: Path, room: int, name: str, ctx: Context
) -> int:
    """Unpack one member, counting what really comes out; returns the bytes written."""
    packed = max(member.info.compress_size, 1)
    done = 0
    with archive.open(member.info) as packed_file, open(path, "xb") as out:
        while block := packed_file.read(_BLOCK):
            done += len(block)
            if done > room:
                raise _too_large(name)
            if done > RATIO_FREE_BYTES and done > MAX_RATIO * packed:
                raise DataError(
                    f"{'/'.join(member.parts)!r} in {name!r} unpacks to more than {MAX_RATIO} times its packed size, "
                    "as decompression bombs do.",
                    "Remove it from the archive.",
                )
            out.write(block)
            ctx.check()
    return done


def _too_large(name: str) -> DataError:
    return DataError(
        f"The images in {name!r} unpack to more than {MAX_TOTAL_BYTES >> 20} MiB.",
        "Use fewer or smaller images, or give their folder instead of an archive.",
    )


def _image_members(archive: zipfile.ZipFile, name: str, report: Report) -> list[_Member]:
    """The images in class folders, without folders that wrap everything.

    Raises:
        DataError: a member is unsafe, there are too many, or none is an image in a folder.
    """
    entries = archive.infolist()
    if not entries:
        raise DataError(f"The archive {name!r} is empty.", _ADVICE)
    if len(entries) > MAX_FILES:
        raise DataError(f"The archive {name!r} has {len(entries):,} members; at most {MAX_FILES:,} are read.", _ADVICE)
    members = [_Member(info, _safe_parts(info, name)) for info in entries]
    images = []
    for member in members:
        if member.info.is_dir():
            continue
        shown = "/".join(member.parts)
        if "__MACOSX" in member.parts or member.parts[-1] == ".DS_Store":
            report.skip(shown, "macOS bookkeeping")
        elif any(part.startswith(".") for part in member.parts):
            report.skip(shown, "hidden")
        elif not is_image_name(shown):
            report.skip(shown, "not a PNG, JPEG or WebP file")
        else:
            images.append(member)
    if not images:
        raise DataError(f"The archive {name!r} has no PNG, JPEG or WebP images.", _ADVICE)
    return _inside_classes(images, name, report)


def _inside_classes(images: list[_Member], name: str, report: Report) -> list[_Member]:
    while len({member.parts[0] for member in images}) == 1 and all(len(member.parts) > 2 for member in images):
        images = [_Member(member.info, member.parts[1:]) for member in images]
    for member in images:
        if len(member.parts) == 1:
            report.skip(member.parts[0], "outside any class folder")
    classed = [member for member in images if len(member.parts) > 1]
    if not classed:
        raise DataError(f"The images in {name!r} are not in class folders.", _ADVICE)
    return classed


def _safe_parts(info: zipfile.ZipInfo, name: str) -> tuple[str, ...]:
    """The member's path as parts that stay inside the target folder.

    Raises:
        DataError: absolute, climbing out, a link or device, encrypted, or oddly packed or named.
    """
    path = info.filename.replace("\\", "/")
    parts = PurePosixPath(path).parts
    kind = stat.S_IFMT(info.external_attr >> 16)
    if path.startswith("/") or _DRIVE.match(path) or ".." in parts or not (parts or info.is_dir()):
        problem = "points outside the archive"
    elif not path.isprintable():
        problem = "has unprintable characters in its name"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is a link or a device, not a file"
    elif info.flag_bits & 1:
        problem = "is encrypted"
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        problem = "is packed with a method other than deflate"
    else:
        return parts
    raise DataError(f"The member {info.filename!r} of {name!r} {problem}; nothing was imported.", _ADVICE)


def _drop_empty(folder: Path) -> None:
    for current, _, _ in os.walk(folder, topdown=False):
        if Path(current) != folder and not any(Path(current).iterdir()):
            os.rmdir(current)
