"""Unpacking a verified archive of a published set: progress, cancellation, nothing half-written."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from ued_core.context import Context
from ued_core.errors import Unavailable, in_short, told_by_system
from ued_core.files import NEW, PIECE, folder_atomic

_OFTEN = 64


def unpack(archive: Path, inside: str, target: Path, ctx: Context) -> None:
    """Take one folder or file out of a tar archive or a zip; an older one in its place is replaced.

    Args:
        archive: the file, packed in any way that :mod:`tarfile` reads, or a zip; its checksum was verified.
        inside: path of the wanted folder or file in it.
        target: where that goes; the folder above it is made.
        ctx: progress and cancellation.

    Raises:
        Unavailable: the archive cannot be unpacked here, does not hold what is wanted, or the disk is full.
        Cancelled: the user stopped the work.
    """
    advice = f"Delete {archive} and try again."
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=NEW) as aside:
            (_unzip if zipfile.is_zipfile(archive) else _untar)(archive, Path(aside), ctx)
            wanted = Path(aside, inside)
            if wanted.is_dir():
                with folder_atomic(target, stays=lambda older: False) as fresh:
                    fresh.rmdir()
                    os.rename(wanted, fresh)
            elif wanted.is_file():
                os.replace(wanted, target)
            else:
                raise Unavailable(f"{archive.name} does not hold {inside}.", advice)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if isinstance(error, OSError) and error.errno and (told := told_by_system(error)):
            raise told from error
        raise Unavailable(f"{archive.name} could not be unpacked: {in_short(error)}.", advice) from error


def md5_of(path: Path, ctx: Context) -> str:
    """MD5 of a file in hexadecimal, read piece by piece with progress and cancellation.

    Raises:
        OSError: it cannot be read.
        Cancelled: the user stopped the work.
    """
    digest, total = hashlib.md5(usedforsecurity=False), path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(PIECE):
            digest.update(block)
            ctx.report(file.tell(), total, f"Checking {path.name}")
    return digest.hexdigest()


def _untar(archive: Path, folder: Path, ctx: Context) -> None:
    total = archive.stat().st_size
    with archive.open("rb") as raw, tarfile.open(fileobj=raw) as packed:
        for number, member in enumerate(packed):
            if number % _OFTEN == 0:
                ctx.report(raw.tell(), total, f"Unpacking {archive.name}")
            packed.extract(member, folder, filter="data")


def _unzip(archive: Path, folder: Path, ctx: Context) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        for number, member in enumerate(members):
            if number % _OFTEN == 0:
                ctx.report(number, len(members), f"Unpacking {archive.name}")
            packed.extract(member, folder)
