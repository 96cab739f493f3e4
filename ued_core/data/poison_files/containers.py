"""What a path is on the outside, and how each kind is opened without running anything in it."""

from __future__ import annotations

import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ued_core.data.zip_import import MAX_RATIO, RATIO_FREE_BYTES, _safe_parts
from ued_core.errors import DataError, in_short

Kind = Literal["folder", "torch", "npz", "zip", "npy", "pickle"]

MAX_BYTES = 4 << 30
"""The most that one file's arrays or one archive's members may take unpacked."""
MAX_FILES = 200_000

# The first bytes of files that torch wrote before 2020: a pickled number of its own.
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_JUNK = ("__MACOSX", ".DS_Store")
_BLOCK = 1 << 20
_KINDS = "UED Studio reads .pt, .pth, .pkl, .npy, .npz, and zips or folders of PNG or .pth files."


def kind_of(path: Path) -> Kind:
    """What the path is, by its content; endings are not trusted.

    Raises:
        DataError: there is nothing, or something that no format begins with.
    """
    path = Path(path)
    if path.is_dir():
        return "folder"
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}.", "Check the path.") from error
    if head.startswith(b"PK"):
        names = [info.filename for info in opened_zip(path).infolist()]
        if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
            return "torch"
        return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"
    if head.startswith(_OLD_TORCH):
        return "torch"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    # Protocol 2 and later begin with \x80; older pickles with the opcode of what they hold.
    if head[:1] == b"\x80" or (head[:1] in (b"(", b"c", b"]", b"}") and path.suffix in (".pkl", ".pickle", ".p")):
        return "pickle"
    raise DataError(f"{path.name} is none of the known poison files: it begins with {head[:8]!r}.", _KINDS)


def opened_zip(path: Path) -> zipfile.ZipFile:
    """The archive, opened.

    Raises:
        DataError: it is no zip, or it is damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise DataError(f"{Path(path).name} is not a zip archive, or it is damaged: {in_short(error)}.", "Write it again.") from error


def members(path: Path, wanted: Callable[[str], bool]) -> list[tuple[tuple[str, ...], Callable[[], bytes]]]:
    """The wanted files of a folder or a zip: their parts below it, and how each is read.

    Folders that wrap everything are left out of the parts. Reading counts what really comes out
    of an archive, so that a bomb ends early.

    Args:
        path: folder or zip.
        wanted: asked with each file's name.

    Raises:
        DataError: unsafe or encrypted members, too many, or too large.
    """
    path = Path(path)
    found = _folder_members(path) if path.is_dir() else _zip_members(path)
    kept = [(parts, read) for parts, read in found if wanted(parts[-1]) and not any(p in _JUNK or p.startswith(".") for p in parts)]
    while kept and all(len(parts) > 1 for parts, _ in kept) and len({parts[0] for parts, _ in kept}) == 1 and _wraps(kept):
        kept = [(parts[1:], read) for parts, read in kept]
    return kept


def _wraps(kept: list[tuple[tuple[str, ...], Any]]) -> bool:
    """Whether the one outermost folder says nothing: it holds folders, or it is APBench's ``data``."""
    return all(len(parts) > 2 for parts, _ in kept) or kept[0][0][0] == "data"


def _folder_members(root: Path) -> list[tuple[tuple[str, ...], Callable[[], bytes]]]:
    # A link could lead anywhere; nothing that these formats write is one.
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink())
    if len(files) > MAX_FILES:
        raise DataError(f"The folder {root.name!r} has {len(files):,} files; at most {MAX_FILES:,} are read.")
    if sum(p.stat().st_size for p in files) > MAX_BYTES:
        raise _too_large(root.name)
    return [(p.relative_to(root).parts, p.read_bytes) for p in files]


def _zip_members(path: Path) -> list[tuple[tuple[str, ...], Callable[[], bytes]]]:
    archive = opened_zip(path)
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise DataError(f"The archive {path.name!r} has {len(entries):,} members; at most {MAX_FILES:,} are read.")
    if sum(info.file_size for info in entries) > MAX_BYTES:
        raise _too_large(path.name)
    found = []
    for info in sorted(entries, key=lambda info: info.filename):
        parts = _safe_parts(info, path.name)
        if not info.is_dir():
            found.append((parts, _member_reader(archive, info, path.name)))
    return found


def _member_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Callable[[], bytes]:
    def read() -> bytes:
        packed, parts, done = max(info.compress_size, 1), [], 0
        try:
            with archive.open(info) as file:
                while block := file.read(_BLOCK):
                    done += len(block)
                    if done > info.file_size or (done > RATIO_FREE_BYTES and done > MAX_RATIO * packed):
                        raise DataError(
                            f"{info.filename!r} in {name!r} unpacks to far more than it says or than its packed size, "
                            "as decompression bombs do; nothing was imported.",
                            "Remove it from the archive.",
                        )
                    parts.append(block)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
            raise DataError(f"{info.filename!r} in {name!r} is damaged: {in_short(error)}.", "Write the archive again.") from error
        return b"".join(parts)

    return read


def _too_large(name: str) -> DataError:
    return DataError(f"{name!r} takes more than {MAX_BYTES >> 30} GiB unpacked.", "Split it.")


def load_torch(path: Path, name: str = "") -> Any:
    """What ``torch.save`` wrote: tensors, numbers and containers; weights only, on the CPU.

    Args:
        path: the file, or an open binary file.
        name: what messages call it; the path's own name when left out.

    Raises:
        DataError: damaged, too large, or it would run or build anything else (the message says what).
    """
    name = name or Path(path).name
    if isinstance(path, Path):
        _refuse_bomb(path)
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global:?|class|function)\s+'?([\w.]+\.[\w.]+)", str(error))
        what = f"it would run or build {named[1]!r}" if named else "it holds more than tensors, numbers and containers"
        raise DataError(
            f"{name} was not read: {what}. Nothing in it was run.",
            "Save the tensor alone: torch.save(tensor, 'perturbation.pt').",
        ) from error
    except Exception as error:
        # torch's reader raises almost anything on damaged files.
        told = in_short(error)
        first = told if " " in told else "its beginning is not that of one"
        raise DataError(f"{name} is not a torch file, or it is damaged: {first}.", "Write it again with torch.save.") from error


# Index arrays beside tensors, as Unlearnable Clusters saves them.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_NUMPY_GLOBALS: list[Any] = [
    (_RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    (_RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in ("i1", "u1", "i2", "i4", "i8", "f4", "f8")),
]


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with opened_zip(path) as archive:
        for info in archive.infolist():
            if info.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size) or info.file_size > MAX_BYTES:
                raise DataError(f"{info.filename!r} in {path.name!r} unpacks to {info.file_size:,} bytes, as bombs do.", "Remove it.")


def load_npy(path: Path) -> np.ndarray:
    """A numpy array, mapped from the file with private pages (writing changes no file); nothing is unpickled.

    Raises:
        DataError: damaged, cut off, larger than 4 GiB, or it holds pickled objects.
    """
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:
        # Besides its own errors numpy lets through whatever Python's tokenizer and parser say of a damaged head.
        told = "it holds pickled Python objects, which are never loaded" if "object" in str(error).lower() else in_short(error)
        raise DataError(f"{Path(path).name} was not read: {told}.", "Write plain numbers with numpy.save.") from error
    if prod(array.shape) * array.dtype.itemsize > MAX_BYTES:
        raise _too_large(Path(path).name)
    return array
