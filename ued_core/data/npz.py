"""The file in which image sets travel: ``.npz`` with ``images`` (N, H, W, 3) and ``labels`` (N,)."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import torch

from ued_core.data.base import MAX_CLASSES
from ued_core.errors import DataError, in_short
from ued_core.files import write_atomic
from ued_core.records import ImageSet

MAX_BYTES = 8 << 30

_BLOCK = 16 << 20
_RULE = (
    "A data file holds 'images', uint8 with shape (N, H, W, 3), and 'labels', int64 with shape (N,); "
    "numpy.savez writes it."
)


class _Header(NamedTuple):
    """What the head of one member says."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    start: int


def read_npz(path: Path) -> ImageSet:
    """Read an image set; nothing in the file is executed or unpickled.

    Optional arrays: ``class_names`` (unicode (classes,), else the names are "0", "1", …) and
    JSON texts such as ``recipe`` (:func:`read_npz_json`).

    Args:
        path: the file.

    Returns:
        Images uint8 (N, 3, H, W), named after the file.

    Raises:
        DataError: missing, not an npz, truncated, a key missing, wrong dtype, shape, length
            or label, pickled objects, or a header that claims more than is there or than 8 GiB.
    """
    path = Path(path)
    with _opened(path) as archive:
        labels = _read_labels(archive, path)
        images = _read_images(archive, path, len(labels))
        names = _read_names(archive, path, labels)
    return ImageSet(torch.from_numpy(images), torch.from_numpy(labels), names, path.stem)


def read_npz_json(path: Path, key: str = "recipe") -> Any:
    """The JSON that :func:`write_npz` stored under ``key``; None when there is none.

    Raises:
        DataError: the file cannot be read, or what it holds is not JSON.
    """
    path = Path(path)
    with _opened(path) as archive:
        if f"{key}.npy" not in archive.namelist():
            return None
        text = _read_array(archive, path, key)
    if text.dtype.kind != "U" or text.ndim != 0:
        raise DataError(f"{key!r} in {path.name} is {text.dtype} {text.shape}, but it must be one JSON text.")
    try:
        return json.loads(str(text))
    except ValueError as error:
        raise DataError(f"{key!r} in {path.name} is not JSON: {in_short(error)}.") from error


def array_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays in an npz file.

    Raises:
        DataError: missing, or no npz.
    """
    path = Path(path)
    with _opened(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy"))


def read_array(path: Path, name: str) -> np.ndarray:
    """One array of an npz file, of any shape and any type but Python objects.

    Raises:
        DataError: as :func:`read_npz`.
    """
    path = Path(path)
    with _opened(path) as archive:
        return _read_array(archive, path, name)


def array_head(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of one array; its values are not read.

    Raises:
        DataError: as :func:`read_npz`.
    """
    path = Path(path)
    with _opened(path) as archive:
        head = _header(archive, path, name)
    return head.shape, head.dtype


def write_npz(path: Path, images: ImageSet, **extra_json: Any) -> None:
    """Write an image set so that equal content gives equal bytes; an older file survives a failure.

    Args:
        path: the file; must end in ``.npz``.
        images: any image set with three channels.
        extra_json: JSON values to keep with it, e.g. ``recipe={...}``.

    Raises:
        DataError: another suffix, another number of channels, or a reserved key.
    """
    path = Path(path)
    reserved = {"images", "labels", "class_names"} & extra_json.keys()
    if path.suffix != ".npz" or images.shape[0] != 3 or reserved:
        raise DataError(
            f"{path.name} with {images.shape[0]} channels and the extras {sorted(extra_json)} cannot be written.",
            "The name must end in .npz, images need 3 channels, and extras need keys of their own.",
        )
    write_atomic(path, lambda temporary: _write(temporary, images, extra_json))


def _write(path: Path, images: ImageSet, extra_json: dict[str, Any]) -> None:
    count, (channels, height, width) = len(images), images.shape
    rows = max(1, _BLOCK // (channels * height * width))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        # A ZipInfo without a date has a fixed one; with the clock's, equal sets would differ in bytes.
        with archive.open(zipfile.ZipInfo("images.npy"), "w", force_zip64=True) as member:
            shape = (count, height, width, channels)
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for start in range(0, count, rows):
                block = images.images[start : start + rows].permute(0, 2, 3, 1).contiguous()
                member.write(block.numpy().tobytes())
        small = {"labels": images.labels.contiguous().numpy(), "class_names": np.array(images.class_names, np.str_)}
        texts = {key: np.array(json.dumps(value, sort_keys=True)) for key, value in extra_json.items()}
        for key, array in (small | texts).items():
            with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _opened(path: Path) -> zipfile.ZipFile:
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}.", "Check the path.")
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DataError(f"{path.name} is not an npz file, or it is cut off: {in_short(error)}.", _RULE) from error
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {in_short(error)}.", "Check the file and its permissions."
        ) from error


def _read_labels(archive: zipfile.ZipFile, path: Path) -> np.ndarray:
    header = _header(archive, path, "labels")
    if header.dtype != np.int64 or len(header.shape) != 1:
        raise DataError(f"'labels' in {path.name} is {header.dtype} with shape {header.shape}.", _RULE)
    labels = _read_array(archive, path, "labels")
    if len(labels) == 0:
        raise DataError(f"{path.name} has no images.", "Give at least one.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(
            f"The labels in {path.name} run from {low} to {high}, but they must lie in 0..{MAX_CLASSES - 1}.",
            "Number the classes from 0.",
        )
    return labels


def _read_names(archive: zipfile.ZipFile, path: Path, labels: np.ndarray) -> tuple[str, ...]:
    if "class_names.npy" not in archive.namelist():
        return tuple(str(label) for label in range(int(labels.max()) + 1))
    header = _header(archive, path, "class_names")
    if header.dtype.kind != "U" or len(header.shape) != 1:
        raise DataError(
            f"'class_names' in {path.name} is {header.dtype} with shape {header.shape}, "
            "but it must be unicode with shape (classes,).",
            "Write it as numpy.array of texts, or leave it out.",
        )
    if header.shape[0] > MAX_CLASSES:
        what = f"{path.name} names {header.shape[0]:,} classes; at most {MAX_CLASSES:,} are read."
        raise DataError(what, "Name those alone that have images.")
    return tuple(str(name) for name in _read_array(archive, path, "class_names"))


def _read_images(archive: zipfile.ZipFile, path: Path, count: int) -> np.ndarray:
    header = _header(archive, path, "images")
    if header.dtype != np.uint8 or len(header.shape) != 4 or header.shape[3] != 3 or 0 in header.shape[1:]:
        raise DataError(f"'images' in {path.name} is {header.dtype} with shape {header.shape}.", _RULE)
    if header.shape[0] != count:
        raise DataError(f"{path.name} has {header.shape[0]} images but {count} labels.", "Give one label per image.")
    if header.fortran:
        return np.ascontiguousarray(_read_array(archive, path, "images").transpose(0, 3, 1, 2))
    _, height, width, channels = header.shape
    images = np.empty((count, channels, height, width), np.uint8)
    rows = max(1, _BLOCK // (height * width * channels))
    with _member(archive, path, "images") as member:
        member.read(header.start)
        for start in range(0, count, rows):
            wanted = min(rows, count - start)
            block = _exactly(member, wanted * height * width * channels)
            images[start : start + wanted] = block.reshape(wanted, height, width, channels).transpose(0, 3, 1, 2)
        # Reading to the very end makes zipfile compare the checksum.
        member.read()
    return images


def _exactly(member: IO[bytes], size: int) -> np.ndarray:
    data = member.read(size)
    if len(data) != size:
        raise EOFError("the data end too early")
    return np.frombuffer(data, np.uint8)


def _read_array(archive: zipfile.ZipFile, path: Path, key: str) -> np.ndarray:
    _header(archive, path, key)
    with _member(archive, path, key) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        member.read()
    return array


def _header(archive: zipfile.ZipFile, path: Path, key: str) -> _Header:
    """Check one member's head against its size before anything is allocated for it."""
    if f"{key}.npy" not in archive.namelist():
        found = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8]) or "nothing"
        raise DataError(f"{path.name} has no array {key!r}; it has {found}.", _RULE)
    with _member(archive, path, key) as member:
        version = np.lib.format.read_magic(member)
        # The layout of versions 2 and 3 differs in the text's encoding only, which ASCII headers do not show.
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(member)
        start = member.tell()
    if dtype.itemsize == 0 and 0 not in shape:
        # Such values take no room in the file, so that nothing else bounds how many there are.
        raise DataError(f"{key!r} in {path.name} is {dtype}: its values have no content.", _RULE)
    if dtype.hasobject:
        raise DataError(f"{key!r} in {path.name} holds pickled Python objects, which are never loaded.", _RULE)
    claimed, there = start + prod(shape) * dtype.itemsize, archive.getinfo(f"{key}.npy").file_size
    if claimed > MAX_BYTES:
        raise DataError(
            f"{key!r} in {path.name} claims {claimed / 2**30:,.1f} GiB; at most {MAX_BYTES >> 30} GiB are read.",
            "Split the file.",
        )
    if claimed != there:
        raise DataError(
            f"{key!r} in {path.name} is damaged: its header claims {claimed:,} bytes, but there are {there:,}.",
            "Write the file again.",
        )
    return _Header(shape, fortran, dtype, start)


@contextmanager
def _member(archive: zipfile.ZipFile, path: Path, key: str) -> Iterator[IO[bytes]]:
    """A member opened for reading; whatever its decoder raises becomes a DataError that names it."""
    try:
        with archive.open(f"{key}.npy") as file:
            yield file
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{key!r} in {path.name} is damaged: {in_short(error)}.", "Write the file again.") from error
