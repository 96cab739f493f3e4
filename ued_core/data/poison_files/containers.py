"""What a path is on the outside, and how each kind is opened without running anything in it."""

from __future__ import annotations

import os
import pickle
import re
import stat
import warnings
import zipfile
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch

from ued_core.data.archive import MAX_RATIO, RATIO_FREE_BYTES, opened
from ued_core.data.names import readable
from ued_core.data.poison_files.pickles import names_pictures, read_pickle_bytes, unquoted
from ued_core.data.walk import chosen_folder, open_plain, system_devices, unreadable
from ued_core.errors import DataError, in_short

Kind = Literal["folder", "torch", "npz", "zip", "npy", "pickle", "safetensors"]

MAX_BYTES = 4 << 30
"""The most that one file's arrays or one archive's members may take unpacked."""
MAX_FILES = 200_000

# The first bytes of files that torch wrote before 2020: a pickled number of its own.
_OLD_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LONGEST_HEADER = 100 << 20
_KINDS = "UED Studio reads .pt, .pth, .pkl, .npy, .npz, .safetensors, and zips or folders of PNG or .pth files."


def kind_of(path: Path) -> Kind:
    """What the path is, by its content; endings are not trusted.

    Raises:
        DataError: there is nothing, it may not be read, it is no plain file or folder (a FIFO, a device, a file of
            ``/proc``), or something that no format begins with.
    """
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            chosen_folder(path)
            return "folder"
        with open_plain(path) as file:
            if status.st_dev in system_devices():
                raise DataError(
                    f"{readable(str(path))!r} belongs to the operating system; it is no poison file.", "Check the path."
                )
            head = file.read(64)
    except ValueError as error:
        # A NUL inside the path.
        raise DataError(f"{readable(str(path))!r} is no path of a file: {error}.", "Check the path.") from error
    except OSError as error:
        raise unreadable(path, error) from error
    name = readable(path.name)
    if not head:
        raise DataError(f"{name} is empty.", "Copy it again.")
    if status.st_size > 2 * MAX_BYTES:
        raise DataError(
            f"{name} has {status.st_size / 2**30:,.1f} GiB; at most {2 * MAX_BYTES >> 30} GiB are read.",
            "Split the file.",
        )
    if head.startswith(b"PK"):
        with opened(path, name, MAX_FILES) as archive:
            names = archive.namelist()
        if any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
            return "torch"
        return "npz" if names and all(name.endswith(".npy") for name in names) else "zip"
    if head.startswith(_OLD_TORCH):
        return "torch"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") <= min(status.st_size - 8, _LONGEST_HEADER):
        return "safetensors"
    # Protocol 2 and later begin with \x80; older pickles with the opcode of what they hold.
    if head[:1] == b"\x80" or (head[:1] in (b"(", b"c", b"]", b"}") and path.suffix in (".pkl", ".pickle", ".p")):
        return "pickle"
    # What the file begins with is not quoted: it may be anything that the path leads to.
    raise DataError(f"{name} is none of the known poison files: no format begins as it does.", _KINDS)


def load_torch(path: Path | BinaryIO, name: str = "") -> Any:
    """What ``torch.save`` wrote: tensors, numbers, containers and pictures; weights only, on the CPU.

    Args:
        path: the file, or an open binary file.
        name: what messages call it; the path's own name when left out.

    Raises:
        DataError: damaged, too large, or it would run or build anything else (the message says what).
    """
    name = name or (readable(path.name) if isinstance(path, Path) else "The file")
    if isinstance(path, Path):
        _refuse_bomb(path, name)
    # The reader warns of every other protocol of pickle, once an upload; adding the same filter again changes nothing.
    warnings.filterwarnings("ignore", message="Detected pickle protocol", category=UserWarning)
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|global:?|class|function)\s+'?([\w.]+\.[\w.]+)", str(error))
        if named and names_pictures(named[1]) and (content := _instructions(path, name)) is not None:
            return read_pickle_bytes(content, name)
        if not named and "Unsupported operand" in str(error):
            raise DataError(
                f"{name} is written in another pickle protocol than torch's own, which is not read.",
                "Save it again with torch.save, without pickle_protocol.",
            ) from error
        what = f"it would run or build {named[1]!r}" if named else "it holds more than tensors, numbers and containers"
        raise DataError(
            f"{name} was not read: {what}. Nothing in it was run.",
            "Save the tensor alone: torch.save(tensor, 'perturbation.pt').",
        ) from error
    except Exception as error:
        # torch's reader raises almost anything on damaged files.
        told = unquoted(in_short(error))
        first = told if " " in told else "its beginning is not that of one"
        raise DataError(
            f"{name} is not a torch file, or it is damaged: {first}.", "Write it again with torch.save."
        ) from error


def _instructions(path: Path | BinaryIO, name: str) -> bytes | None:
    """The pickle inside a torch file; None where there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            info = next(info for info in archive.infolist() if info.filename.endswith("data.pkl"))
            return archive.read(info) if info.file_size <= MAX_BYTES else None
    except (
        zipfile.BadZipFile,
        zlib.error,
        StopIteration,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ):
        return None


# Index arrays beside tensors, as Unlearnable Clusters saves them, and numbers that numpy made.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_GLOBALS: list[Any] = [
    *((_RECONSTRUCT, f"{home}.multiarray._reconstruct") for home in ("numpy.core", "numpy._core")),
    *((_SCALAR, f"{home}.multiarray.scalar") for home in ("numpy.core", "numpy._core")),
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in ("i1", "u1", "i2", "u2", "i4", "i8", "f2", "f4", "f8")),
]


def _refuse_bomb(path: Path, name: str) -> None:
    try:
        packed = zipfile.is_zipfile(path)
    except OSError as error:
        raise unreadable(path, error) from error
    if not packed:
        return
    with opened(path, name, MAX_FILES) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise _too_large(name)
        for info in archive.infolist():
            if info.file_size > max(RATIO_FREE_BYTES, MAX_RATIO * info.compress_size):
                raise DataError(
                    f"{readable(info.filename)!r} in {name!r} unpacks to {info.file_size:,} bytes, as bombs do.",
                    "Remove it.",
                )


def load_npy(path: Path) -> np.ndarray:
    """A numpy array, mapped from the file with private pages (writing changes no file); nothing is unpickled.

    Raises:
        DataError: damaged, cut off, larger than 4 GiB, or it holds pickled objects.
    """
    name = readable(path.name)
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except Exception as error:
        # Besides its own errors numpy lets through whatever Python's tokenizer and parser say of a damaged head.
        objects = "object" in str(error).lower()
        told = "it holds pickled Python objects, which are never loaded" if objects else unquoted(in_short(error))
        raise DataError(f"{name} was not read: {told}.", "Write plain numbers with numpy.save.") from error
    if prod(array.shape) * array.dtype.itemsize > MAX_BYTES:
        raise _too_large(name)
    return array


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an npz, whole; nothing is unpickled.

    Raises:
        DataError: damaged, larger than 4 GiB, pickled objects, or a head that claims more than is there.
    """
    name, arrays, total = readable(path.name), {}, 0
    with opened(path, name, MAX_FILES) as archive:
        for info in archive.infolist():
            key = readable(info.filename.removesuffix(".npy"))
            try:
                with archive.open(info) as file:
                    version = np.lib.format.read_magic(file)
                    read = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, _, dtype = read(file)
                    claimed = file.tell() + prod(shape) * dtype.itemsize
                if dtype.hasobject:
                    raise DataError(
                        f"{key!r} in {name} holds pickled Python objects, which are never loaded.",
                        "Write plain numbers.",
                    )
                total += claimed
                if total > MAX_BYTES:
                    raise _too_large(name)
                if claimed != info.file_size:
                    raise EOFError(f"its head claims {claimed:,} bytes, but there are {info.file_size:,}")
                with archive.open(info) as file:
                    arrays[key] = np.lib.format.read_array(file, allow_pickle=False)
                    file.read()
            except DataError:
                raise
            except Exception as error:
                # Decoders and numpy's parser of heads raise almost anything on damaged files.
                raise DataError(
                    f"{key!r} in {name} is damaged: {unquoted(in_short(error))}.", "Write the file again."
                ) from error
    return arrays


def load_safetensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a safetensors file and the texts in its head.

    Raises:
        DataError: damaged, cut off, or larger than 4 GiB.
    """
    from safetensors import safe_open

    name = readable(path.name)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _too_large(name)
        with safe_open(str(path), framework="pt", device="cpu") as file:
            return {readable(key): file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except DataError:
        raise
    except Exception as error:
        # Its own errors derive from Exception alone, and torch raises others for types that it does not know.
        told = unquoted(in_short(error))
        raise DataError(
            f"{name} is not a safetensors file, or it is damaged: {told}.", "Write it again with safetensors."
        ) from error


def _too_large(name: str) -> DataError:
    return DataError(f"{name!r} takes more than {MAX_BYTES >> 30} GiB unpacked.", "Split it.")
