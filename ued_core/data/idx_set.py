"""A data set in IDX files, the format of MNIST and Fashion-MNIST."""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import Upload
from ued_core.data.file_set import FileSet
from ued_core.data.parts import Part, Parts, as_labels
from ued_core.data.report import Report
from ued_core.errors import DataError, in_short

MAX_BYTES = 2 << 30
NAME = re.compile(r"(.*?)(train|t10k|test)[-_.](images|labels)[-_.]idx[13][-_.]ubyte(\.gz)?", re.IGNORECASE)
_BLOCK = 1 << 24
_RULE = (
    "They are called train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, perhaps with .gz."
)


class _Found(NamedTuple):
    """Files by (test part or not, what they hold)."""

    prefix: str
    files: dict[tuple[bool, str], Path]


class Idx(FileSet):
    """IDX files, as MNIST, Fashion-MNIST, KMNIST and EMNIST are published.

    Give the folder, or any one of the files: those that belong to it are found beside it. Grey 28 × 28 images become
        RGB.

    Source:
        Y. LeCun, C. Cortes, C. Burges: The MNIST Database of Handwritten Digits, where the format is described.
    """

    key: ClassVar[str] = "idx"
    title: ClassVar[str] = "IDX files (MNIST)"
    mirrors: ClassVar[bool] = False
    upload: ClassVar[Upload | None] = Upload("IDX files: images and labels, of the test part too", several=True)
    advice: ClassVar[str] = _RULE

    @classmethod
    def files(cls, source: Path) -> list[Path]:
        """Images and labels of the parts that are there."""
        return list(find(source).files.values())

    @classmethod
    def read(cls, source: Path, size: int, ctx: Context) -> Parts:
        """Both parts; where only one is there, it is the one to train on."""
        found, report = find(source).files, Report()
        parts: list[Part] = []
        for test in (False, True):
            if (test, "images") in found:
                ctx.report(len(parts), 2, f"Reading {found[test, 'images'].name}")
                parts.append(_part(found[test, "images"], found[test, "labels"], report))
        if (False, "images") not in found:
            report.say(
                f"{found[True, 'images'].name} is a test part; there is no training part beside it, so both are drawn "
                "from it."
            )
        return Parts(parts[0], parts[1] if len(parts) > 1 else None, report)


def find(source: Path) -> _Found:
    """The files that belong together, by their published names.

    Raises:
        DataError: there are none, they are of several data sets, or labels are missing.
    """
    named = NAME.fullmatch(source.name)
    if source.is_dir():
        # torchvision keeps them in a folder of this name.
        folder = source / "raw" if not _matches(source) and (source / "raw").is_dir() else source
        prefixes = sorted({prefix for prefix, *_ in _matches(folder)})
        if not prefixes:
            raise DataError(f"There are no IDX files in {str(source)!r}.", _RULE)
        if len(prefixes) > 1:
            raise DataError(
                f"{str(folder)!r} holds IDX files of several data sets: {', '.join(prefixes[:5])}.",
                "Give one of the files.",
            )
        prefix = prefixes[0]
    elif not source.is_file():
        raise DataError(f"There is no file {str(source)!r}.", "Check the path.")
    elif named is None:
        raise DataError(f"{source.name} does not have the name of an IDX file.", _RULE)
    else:
        folder, prefix = source.parent, named[1]
    files: dict[tuple[bool, str], Path] = {}
    for own, part, what, path in sorted(_matches(folder), key=lambda entry: entry[3].suffix == ".gz"):
        if own == prefix:
            files.setdefault((part != "train", what), path)
    for test, what in [key for key in files]:
        other = "labels" if what == "images" else "images"
        if (test, other) not in files:
            raise DataError(f"The {other} that belong to {files[test, what].name} are not in {str(folder)!r}.", _RULE)
    return _Found(prefix, files)


def _matches(folder: Path) -> list[tuple[str, str, str, Path]]:
    found = ((NAME.fullmatch(path.name), path) for path in sorted(folder.iterdir()) if path.is_file())
    return [(match[1], match[2].lower(), match[3].lower(), path) for match, path in found if match]


def _part(images: Path, labels: Path, report: Report) -> Part:
    pixels, numbers = read_idx(images, 3), read_idx(labels, 1)
    if len(pixels) != len(numbers):
        what = f"{images.name} has {len(pixels):,} images, but {labels.name} has {len(numbers):,} labels."
        raise DataError(what, "Give files of one part.")
    if 0 in pixels.shape:
        raise DataError(f"{images.name} has no images: its shape is {pixels.shape}.", "Check the file.")
    for _ in range(len(pixels)):
        report.convert("grey → RGB")
    return Part(
        torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1).contiguous(), as_labels(numbers, f"in {labels.name}")[0]
    )


def read_idx(path: Path, axes: int) -> np.ndarray:
    """The array of an IDX file, packed with gzip or not.

    Args:
        path: the file.
        axes: how many it must have: 3 for images, 1 for labels.

    Returns:
        uint8, as many axes.

    Raises:
        DataError: no IDX file of bytes, cut off, too long, damaged, or larger than 2 GiB.
    """
    try:
        with open(path, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not packed:
                return _array(raw, path, axes)
            with gzip.GzipFile(fileobj=raw) as file:
                return _array(file, path, axes)
    except (EOFError, zlib.error, struct.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is damaged or cut off: {in_short(error)}.", "Fetch it again.") from error
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {in_short(error)}.", "Check the file and its permissions."
        ) from error


def _array(file: BufferedIOBase, path: Path, axes: int) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] != 8 or magic[3] != axes:
        raise DataError(
            f"{path.name} is no IDX file of bytes with {axes} axes: it begins with {magic!r}.", "Check what it is."
        )
    shape = struct.unpack(f">{axes}I", file.read(4 * axes))
    size = prod(shape)
    if size > MAX_BYTES:
        raise DataError(
            f"{path.name} claims {size / 2**30:,.1f} GiB; at most {MAX_BYTES >> 30} GiB are read.", "Split the file."
        )
    # Grown as the data come, because a header may claim what is not there.
    data = bytearray()
    while len(data) < size:
        block = file.read(min(_BLOCK, size - len(data)))
        if not block:
            raise EOFError(f"its header claims {size:,} values, but there are {len(data):,}")
        data += block
    if file.read(1):
        raise DataError(f"{path.name} is longer than its header says.", "Fetch it again.")
    return np.frombuffer(data, np.uint8).reshape(shape)
