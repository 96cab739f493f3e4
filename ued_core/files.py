"""Writing files so that a crash leaves the old one or the new one, never half of one, and their checksums."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PIECE = 1 << 24


def write_atomic(path: Path, write: Callable[[Path], None], parents: bool = True) -> None:
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


def write_json(path: Path, value: Any, parents: bool = True) -> None:
    """Write JSON atomically, readable by people; always UTF-8, and what is read back is equal. ``parents``:
    :func:`write_atomic`."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # Bytes of a path that are no text are lone surrogates; as "\udce9", which this writes, JSON has them too.
    write_atomic(
        path,
        lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace") and None,
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
        digest.update(flat[start : start + PIECE])
    return digest.hexdigest()
