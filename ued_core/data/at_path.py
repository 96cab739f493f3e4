"""Which data set lies at a path."""

from __future__ import annotations

import os
from pathlib import Path

from ued_core.data.base import Dataset
from ued_core.data.folder import Folder
from ued_core.data.idx_set import NAME, Idx
from ued_core.data.names import readable
from ued_core.data.npz_set import Npz
from ued_core.data.parquet_set import Parquet
from ued_core.errors import DataError

KINDS = (
    "an npz file, IDX files (as MNIST's), Parquet files with images, or a folder, or zip, with one subfolder of images "
    "per class"
)


def method_at(path: Path) -> type[Dataset]:
    """The kind of data set at a path, by names alone; nothing is read.

    Raises:
        DataError: there is nothing, or nothing that is known.
    """
    if os.path.isdir(path):
        return _folder(path)
    name = path.name.lower()
    if name.endswith(".npz"):
        return Npz
    if name.endswith((".parquet", ".pq")):
        return Parquet
    if NAME.fullmatch(name):
        return Idx
    if not os.path.exists(path):
        raise DataError(f"There is no file or folder {readable(str(path))[:300]!r}.", f"A data set is {KINDS}.")
    if name.endswith(".zip"):
        return Folder
    raise DataError(
        f"{path.name} is no data set.", f"A data set is {KINDS}. A poison file of others is for the command 'inspect'."
    )


def _folder(path: Path) -> type[Dataset]:
    try:
        names = [
            entry.name for place in (path, path / "raw", path / "data") if place.is_dir() for entry in place.iterdir()
        ]
        classes = any(entry.is_dir() for entry in path.iterdir())
    except OSError as error:
        raise DataError(f"The folder {str(path)!r} cannot be read: {error}.", "Check its permissions.") from error
    if any(NAME.fullmatch(name) for name in names):
        return Idx
    if any(name.lower().endswith(".parquet") for name in names):
        return Parquet
    return Npz if not classes and any(name.endswith(".npz") for name in names) else Folder
