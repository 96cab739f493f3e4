"""Loading a data set through the disk: made once, memory-mapped afterwards."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import Dataset
from ued_core.data.handles import located
from ued_core.data.room import cache_root, loaded, make_room, removed_words, touch, touch_upload
from ued_core.errors import DataError
from ued_core.files import folder_atomic, write_json
from ued_core.params import fingerprint
from ued_core.records import DataSplit, ImageSet

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
_BLOCK = 1 << 24


def load_split(dataset: Dataset, ctx: Context) -> DataSplit:
    """Load a data set, from the cache when it was loaded before.

    The cache entry is a folder of ``.npy`` files named after :meth:`Dataset.identity`. It
    appears whole or not at all, whichever of several processes is first; a damaged one is
    made anew. Where it cannot be written the split is still returned and its notes say so.
    Entries have a limit (:func:`ued_core.data.room.limit`); those that go for a new one are named in its notes, this
    once.

    Args:
        dataset: the configured data set.
        ctx: told of the progress and of the set's notes; neither its seed nor its device matters.

    Returns:
        Images backed by private memory maps: writing to them changes no file.

    Raises:
        DataError, Unavailable, Cancelled: as :meth:`Dataset.load`.
    """
    split = _loaded(dataset, ctx)
    for note in split.notes:
        ctx.on_note(note)
    return split


def _loaded(dataset: Dataset, ctx: Context) -> DataSplit:
    folder = _entry(dataset, ctx)
    kept = _read(folder)
    if kept is not None:
        touch(folder)
        _touch_uploads(dataset)
        return kept
    split = dataset.load(ctx)
    _touch_uploads(dataset)
    try:
        _write(folder, split)
    except OSError as error:
        # Without the path: visitors read this note too.
        note = f"The images could not be kept on the disk for the next time: {error.strerror or error}."
        return DataSplit(split.train, split.test, (*split.notes, note))
    kept = _read(folder) or split
    removed = removed_words(make_room(loaded(), {folder}), "Loaded data sets")
    return DataSplit(kept.train, kept.test, (*kept.notes, removed)) if removed else kept


def _touch_uploads(dataset: Dataset) -> None:
    for text in dataset.chosen_paths().values():
        touch_upload(located(text))


def is_kept(dataset: Dataset) -> bool:
    """Whether :func:`load_split` would find an entry in the cache; it is not read."""
    return (_entry(dataset) / "about.json").exists()


def _entry(dataset: Dataset, ctx: Context | None = None) -> Path:
    return cache_root() / f"{dataset.key}-{fingerprint(dataset.identity(ctx))}"


def _read(folder: Path) -> DataSplit | None:
    """The entry, or None when it is absent or damaged."""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        arrays = {name: _mapped(folder / f"{name}.npy", about["crc32"][name]) for name in _ARRAYS}
        names = tuple(about["class_names"])
        train = ImageSet(arrays["train_images"], arrays["train_labels"], names, about["name"])
        test = ImageSet(arrays["test_images"], arrays["test_labels"], names, about["name"])
        return DataSplit(train, test, tuple(about["notes"]))
    except (OSError, EOFError, ValueError, KeyError, TypeError, DataError):
        return None


def _mapped(path: Path, crc32: int) -> torch.Tensor:
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    if _crc32(array) != crc32:
        raise ValueError(f"{path.name} does not have the checksum it was written with")
    return torch.from_numpy(array)


def _write(folder: Path, split: DataSplit) -> None:
    with folder_atomic(folder, stays=lambda other: _read(other) is not None) as entry:
        checksums = {}
        for name, array in _arrays(split).items():
            np.save(entry / f"{name}.npy", array)
            checksums[name] = _crc32(array)
        write_json(entry / "about.json", _about(split, checksums))


def _arrays(split: DataSplit) -> dict[str, np.ndarray]:
    tensors = (split.train.images, split.train.labels, split.test.images, split.test.labels)
    return {name: tensor.contiguous().numpy() for name, tensor in zip(_ARRAYS, tensors, strict=True)}


def _about(split: DataSplit, checksums: dict[str, int]) -> dict[str, Any]:
    return {
        "name": split.train.name,
        "class_names": list(split.train.class_names),
        "notes": list(split.notes),
        "crc32": checksums,
    }


def _crc32(array: np.ndarray) -> int:
    flat = array.reshape(-1).view(np.uint8)
    value = 0
    for start in range(0, len(flat), _BLOCK):
        value = zlib.crc32(flat[start : start + _BLOCK].data, value)
    return value
