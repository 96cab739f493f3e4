"""A data set in Parquet files with encoded images, as the common hubs store them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import MAX_CLASSES, Upload
from ued_core.data.file_set import MAX_BYTES, FileSet
from ued_core.data.image_file import Unusable, header_size, read_square
from ued_core.data.parts import Part, Parts
from ued_core.data.report import Report
from ued_core.errors import DataError, in_short

IMAGES = ("image", "img", "images", "jpg", "png", "pixel_values")
LABELS = ("label", "labels", "fine_label", "class", "cls", "target", "targets", "y")
_PART = re.compile(r"(?:.*?[-_.])??(train|training|test|testing|validation|valid|val|dev)(?:[-_.].*)?", re.IGNORECASE)
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(.*)")
_TRAIN, _TEST, _OTHER = ("train", "training"), ("test", "testing"), ("validation", "valid", "val", "dev")
_ROWS = 64
_RULE = (
    f"A column {', '.join(IMAGES[:3])} holds encoded images (bytes, or a struct with bytes), "
    f"and a column {', '.join(LABELS[:3])} whole numbers."
)


class Parquet(FileSet):
    """Parquet files with encoded images and labels, as data sets are shared on hubs.

    A folder may hold several shards; train, test and validation are told by the files' names. One file is taken alone.
    Images of several sizes, or that are not square, need a ``size``.

    Source:
        The layout of Hugging Face's ``datasets``: an image is a struct of bytes and path, class names stand in the
        schema.
    """

    key: ClassVar[str] = "parquet"
    title: ClassVar[str] = "Parquet files"
    upload: ClassVar[Upload | None] = Upload(
        "Parquet files: all shards, of the test part too", ("parquet",), several=True
    )
    advice: ClassVar[str] = _RULE

    @classmethod
    def files(cls, source: Path) -> list[Path]:
        """All shards that are read."""
        return [path for paths in find(source).values() for path in paths]

    @classmethod
    def read(cls, source: Path, size: int, ctx: Context) -> Parts:
        """Both parts; a folder without a test part may have one for validation."""
        found, report = find(source), Report()
        train = _part(found["train"], size, report, ctx)
        test = None
        if found.get("test"):
            test = _part(found["test"], size, report, ctx)
        read = {path for paths in found.values() for path in paths}
        for path in sorted(set(found["train"][0].parent.glob("*.parquet")) - read) if source.is_dir() else ():
            report.skip(path.name, "neither the training nor the test part")
        return Parts(train, test, report)


def find(source: Path) -> dict[str, list[Path]]:
    """The shards of the part ``train`` and, where there is one, ``test``.

    Raises:
        DataError: there are none, or some shards are missing.
    """
    if source.is_file():
        return {"train": [source]}
    if not source.is_dir():
        raise DataError(f"There is no file or folder {str(source)!r}.", "Check the path.")
    folder = source / "data" if not list(source.glob("*.parquet")) and (source / "data").is_dir() else source
    paths = sorted(path for path in folder.glob("*.parquet") if path.is_file())
    if not paths:
        raise DataError(f"There are no Parquet files in {str(source)!r}.", _RULE)
    parts: dict[str, list[Path]] = {}
    for path in paths:
        named = _PART.fullmatch(path.stem)
        parts.setdefault(named[1].lower() if named else "", []).append(path)
    _refuse_gaps(paths)
    train = next((parts[name] for name in _TRAIN if name in parts), None)
    test = next((parts[name] for name in (*_TEST, *_OTHER) if name in parts), None)
    if train is None:
        if "" not in parts and test is not None and len(parts) > 1:
            raise DataError(
                f"{str(folder)!r} has the parts {', '.join(parts)}, but none to train on.", "Give one of the files."
            )
        train, test = (parts[""], test) if "" in parts else (test, None)
    return {name: paths for name, paths in (("train", train), ("test", test)) if paths}


def _refuse_gaps(paths: list[Path]) -> None:
    shards: dict[tuple[str, str], set[int]] = {}
    for path in paths:
        if match := _SHARD.fullmatch(path.stem):
            shards.setdefault((match[1], match[3]), set()).add(int(match[2]))
    for (name, count), there in shards.items():
        missing = sorted(set(range(int(count))) - there)
        if missing:
            raise DataError(
                f"{name} has {int(count)} shards, but number {missing[0]} is not there ({len(missing)} are missing).",
                "Fetch all shards, or give one file.",
            )


def _part(paths: list[Path], size: int, report: Report, ctx: Context) -> Part:
    names: tuple[str, ...] | None = None
    pixels = np.empty((0, 3, size, size), np.uint8)
    labels: list[int] = []
    shards = [_opened(path) for path in paths]
    rows = sum(shard.metadata.num_rows for shard in shards)
    for path, shard in zip(paths, shards, strict=True):
        own = _class_names(path, shard)
        if names is not None and own is not None and own != names:
            raise DataError(
                f"{path.name} names other classes than the shards before it.", "Give shards of one data set."
            )
        names = names or own
        for place, (content, label) in enumerate(_rows(path, shard)):
            if place % 32 == 0:
                ctx.report(len(labels), rows, f"Reading {path.name}")
            try:
                image, number = _bytes(content), _number(label)
                side = size or pixels.shape[2] or _square_side(image, path, place)
                if not size and header_size(io.BytesIO(image)) != (side, side):
                    raise DataError(
                        f"The images in {path.name} have several sizes (row {place} is not {side} × {side}), or are "
                        "not square.",
                        "Choose a size.",
                    )
                if not len(pixels):
                    _refuse_huge(rows, side)
                    pixels = np.empty((rows, 3, side, side), np.uint8)
                pixels[len(labels)] = read_square(io.BytesIO(image), side, report)
            except Unusable as reason:
                report.skip(f"{path.name}, row {place}", str(reason))
            else:
                labels.append(number)
    if not labels:
        raise DataError(
            f"No image in {', '.join(path.name for path in paths[:3])} can be used.", " ".join(report.lines()) or _RULE
        )
    return Part(torch.from_numpy(pixels[: len(labels)]), torch.tensor(labels, dtype=torch.int64), names)


def _square_side(image: bytes, path: Path, place: int) -> int:
    width, height = header_size(io.BytesIO(image))
    if width != height:
        raise DataError(
            f"Row {place} of {path.name} is {width} × {height}, not square.",
            "Choose a size; images are cut to the square.",
        )
    return width


def _refuse_huge(count: int, side: int) -> None:
    needed = count * 3 * side**2
    if needed > MAX_BYTES:
        raise DataError(
            f"{count:,} images of {side} × {side} take {needed / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB "
            "are loaded.",
            "Choose a smaller size.",
        )


def _bytes(content: Any) -> bytes:
    if isinstance(content, dict):
        if content.get("bytes") is None and content.get("path"):
            raise Unusable("the file names the image by a path and does not hold it")
        content = content.get("bytes")
    if not isinstance(content, bytes):
        raise Unusable("no image" if content is None else "the image is not stored as bytes")
    return content


def _number(label: Any) -> int:
    if label is None or label == -1:
        raise Unusable("no label")
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label < MAX_CLASSES:
        raise DataError(f"A label is {label!r}, but it must be a whole number from 0 to {MAX_CLASSES - 1}.", _RULE)
    return label


def _opened(path: Path) -> Any:
    import pyarrow.parquet as parquet

    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}.", "Check the path.")
    return _guarded(path, lambda: parquet.ParquetFile(path))


def _guarded(path: Path, read: Callable[[], Any]) -> Any:
    """What ``read`` gives; whatever the decoder raises becomes a DataError that names the file."""
    from pyarrow import ArrowException

    try:
        return read()
    except (ArrowException, OSError, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise DataError(
            f"{path.name} is no Parquet file, or it is damaged: {in_short(error)}.", "Fetch it again."
        ) from error


def _class_names(path: Path, shard: Any) -> tuple[str, ...] | None:
    """The names that the schema gives the labels."""
    schema = _guarded(path, lambda: shard.schema_arrow)
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[_column(path, schema.names, LABELS)]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) and names else None


def _column(path: Path, names: list[str], wanted: tuple[str, ...]) -> str:
    found = next((name for name in wanted if name in names), None)
    if found is None:
        raise DataError(
            f"{path.name} has no column {' or '.join(map(repr, wanted[:3]))}; it has {', '.join(names[:8])}.", _RULE
        )
    return found


def _rows(path: Path, shard: Any) -> Iterator[tuple[Any, Any]]:
    """Image and label of every row, as Python values."""
    names = _guarded(path, lambda: shard.schema_arrow.names)
    image, label = _column(path, names, IMAGES), _column(path, names, LABELS)
    batches = _guarded(path, lambda: shard.iter_batches(_ROWS, columns=[image, label]))
    while (batch := _guarded(path, lambda: next(batches, None))) is not None:
        yield from zip(*(_guarded(path, batch.column(name).to_pylist) for name in (image, label)), strict=True)
