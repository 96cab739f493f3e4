"""Keeping what a reader uploads, under a name that says nothing of this machine."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from io import SEEK_END, BufferedIOBase
from pathlib import Path

from ued_core.context import Context
from ued_core.data.handles import handle_of, imports_root
from ued_core.data.image_file import is_image_name
from ued_core.data.layout import ORIGIN
from ued_core.data.zip_import import import_zip
from ued_core.errors import DataError
from ued_core.files import folder_atomic, write_json

MOST_FILES = 64
MOST_IMAGE_BYTES = 1 << 30
"""Of images that are uploaded one by one: as much as an archive may unpack to."""
_LONGEST = 100
# Letters of every language stay: a picture without a class folder gives its name to its class.
_ODD = re.compile(r"[^\w.()-]+")


def keep_files(files: Sequence[tuple[str, BufferedIOBase]], ctx: Context) -> str:
    """Keep files that belong together; a single zip of images is unpacked.

    Args:
        files: their names and open seekable contents, at least one.
        ctx: told of the unpacking.

    Returns:
        The handle of a folder with these files, or of the unpacked images. The same files always have the same one.

    Raises:
        DataError: too many files or bytes, two of one name, an archive that :func:`import_zip` refuses, or no room.
        Cancelled: the user stopped the work.
    """
    if len(files) == 1 and files[0][0].lower().endswith(".zip"):
        return handle_of(import_zip(files[0][1], files[0][0], ctx))
    if len(files) > MOST_FILES:
        raise DataError(
            f"{len(files)} files were uploaded; at most {MOST_FILES} are kept together.", "Upload images as a zip."
        )
    total = sum(content.seek(0, SEEK_END) for name, content in files if is_image_name(name))
    if total > MOST_IMAGE_BYTES:
        raise DataError(
            f"The images have {total / 2**20:,.0f} MiB together; at most {MOST_IMAGE_BYTES >> 20:,} MiB are kept.",
            "Upload fewer or smaller ones.",
        )
    named = {_harmless(name): content for name, content in files}
    if len(named) < len(files):
        raise DataError("Two of the uploaded files have the same name.", "Rename one.")
    digest = hashlib.sha256()
    for name, content in sorted(named.items()):
        content.seek(0)
        digest.update(f"{name}\0".encode() + hashlib.file_digest(content, "sha256").digest())
    target = imports_root() / digest.hexdigest()[:16]
    if not target.is_dir():
        _write(named, target)
    return handle_of(target)


def _harmless(name: str) -> str:
    name = _ODD.sub("_", Path(name.replace("\\", "/")).name).strip(".") or "file"
    kept = Path(name)
    return name if len(name) <= _LONGEST else kept.stem[: _LONGEST - len(kept.suffix[-10:])] + kept.suffix[-10:]


def _write(named: dict[str, BufferedIOBase], target: Path) -> None:
    """All of the files or none."""
    try:
        # Somebody else may have kept the same files meanwhile.
        with folder_atomic(target, stays=Path.is_dir) as fresh:
            for name, content in named.items():
                content.seek(0)
                with open(fresh / name, "wb") as out:
                    shutil.copyfileobj(content, out)
            if all(map(is_image_name, named)):
                # Their folder's own name is a hash.
                write_json(fresh / ORIGIN, {"name": f"{len(named)} uploaded pictures", "notes": [], "poison": ""})
    except OSError as error:
        raise DataError(
            f"The upload could not be kept: {error.strerror or error}.", "Ask the owner to make room on the disk."
        ) from error
