"""Writing files and folders so that a crash leaves the old one or the new one, never half of one; checksums."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PIECE = 1 << 24
NEW, GONE = ".new-", ".gone-"
"""How the names of folders begin that are being written, and of what is being deleted; a crash leaves such a name."""


def write_atomic(path: Path, write: Callable[[Path], object], parents: bool = True) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then move it there.

    The temporary file is removed when ``write`` fails; ``path`` is then untouched.

    Args:
        path: the file.
        write: fills the file that it is given.
        parents: whether folders that are missing are made; where a missing one means that somebody deleted it, they are
            not.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def folder_atomic(folder: Path, stays: Callable[[Path], bool] | None = None, parents: bool = True) -> Iterator[Path]:
    """Fill a temporary folder beside ``folder``, then move it there: ``folder`` appears whole or not at all.

    When the body of the ``with`` statement raises, nothing is left behind and ``folder`` is untouched.

    Args:
        folder: the folder.
        stays: whether a folder that is found in the place stays, so that what was just written is dropped; otherwise
            the new one replaces it. Without this function a folder in the place is an error.
        parents: as for :func:`write_atomic`.

    Yields:
        An empty folder to be filled, of the same name and alone in a folder of its own.

    Raises:
        OSError: it cannot be written, or another folder is in the place and ``stays`` is None.
    """
    if parents:
        folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{NEW}{folder.name}."))
    try:
        fresh = aside / folder.name
        fresh.mkdir()
        yield fresh
        _settle(fresh, folder, stays)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _settle(fresh: Path, folder: Path, stays: Callable[[Path], bool] | None) -> None:
    for attempt in range(3):
        try:
            os.rename(fresh, folder)
            return
        except OSError:
            if stays is None:
                raise
            if stays(folder):
                return
            with suppress(FileNotFoundError):
                os.rename(folder, fresh.with_name(f".old-{attempt}"))
    raise OSError(f"{folder.name} changes while it is replaced")


def remove_at_once(path: Path) -> None:
    """Take a file or folder out of sight in one step, then delete it; readers that have it open go on.

    Raises:
        OSError: it cannot be moved; it is then untouched.
    """
    away = path.with_name(f"{GONE}{path.name}-{secrets.token_hex(4)}")
    os.rename(path, away)
    if away.is_dir() and not away.is_symlink():
        shutil.rmtree(away, ignore_errors=True)
    else:
        away.unlink(missing_ok=True)


def write_json(path: Path, value: Any, parents: bool = True) -> None:
    """Write JSON atomically, readable by people; always UTF-8, and what is read back is equal. ``parents``:
    :func:`write_atomic`."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Bytes of a path that are no text are lone surrogates; as "\udce9", which this writes, JSON has them too.
    write_atomic(
        path,
        lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"),
        parents,
    )


def text_of(content: bytes) -> str:
    """What a text file of a user says, whichever system wrote it: UTF-8, or UTF-16 or UTF-32 in either byte order,
    marked or not.

    Args:
        content: its bytes; the text begins with an ASCII character, as JSON does.

    Raises:
        UnicodeError: the bytes are in another encoding, or damaged; the message says which byte is wrong.
    """
    encoding = json.detect_encoding(content)
    if content.startswith(BOM_UTF8):
        encoding = "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        wrong, line = error.object[error.start], content.count(b"\n", 0, error.start) + 1
        where = (
            f"the byte 0x{wrong:02x} in line {line}"
            if encoding.startswith("utf-8")
            else f"what stands at byte {error.start + 1}"
        )
        raise UnicodeError(f"as {encoding.removesuffix('-sig').upper()} {where} makes no sense") from None


def sha256_of(content: Path | np.ndarray) -> str:
    """SHA-256 of a file's bytes or of an array's values, in hexadecimal; a mapped array is read piece by piece."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    digest = hashlib.sha256()
    flat = content.reshape(-1)
    for start in range(0, len(flat), PIECE):
        digest.update(flat[start : start + PIECE].data)
    return digest.hexdigest()
