"""One reader a container: from a path to arrays, with nothing decided yet."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ued_core.context import Context
from ued_core.data.names import as_text, readable
from ued_core.data.npz import read_npz, read_npz_json
from ued_core.data.poison_files.arrays import as_labels
from ued_core.data.poison_files.containers import MAX_FILES, kind_of, load_npy, load_npz, load_safetensors, load_torch
from ued_core.data.poison_files.formats import ARRAYS, CONTENT_OF, FORMATS, Numbers, Raw
from ued_core.data.poison_files.members import MAX_SECONDS, Members, members
from ued_core.data.poison_files.pickles import read_pickle
from ued_core.data.poison_files.trees import is_map_of_a_cluster, read_clusters, read_pictures
from ued_core.data.poison_files.values import of_value
from ued_core.data.walk import chosen_folder, walk
from ued_core.errors import DataError, UnknownName

ENDINGS_READ = (".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz", ".safetensors")


def read(path: Path, format: str = "", ctx: Context | None = None) -> Raw:
    """Read a poison file, a zip or a folder.

    Args:
        path: where it is.
        format: key of :data:`FORMATS` that the content is to be taken for; empty lets the content decide.
            Only formats of the same kind of container can be asked for.
        ctx: told of the progress, asked for cancellation.

    Raises:
        UnknownName: no such format.
        DataError: it cannot be read, or it is not of that format.
        Cancelled: the user stopped the work.
    """
    path = Path(path)
    if format and format not in FORMATS:
        raise UnknownName("poison file format", format, FORMATS)
    kind = kind_of(path)
    raw = _tree(path, ctx) if kind in ("zip", "folder") else _OPENERS[kind](path)
    if not format or format == raw.format:
        return raw
    if format not in ARRAYS or raw.format not in ARRAYS:
        raise DataError(
            f"{readable(path.name)} holds {FORMATS[raw.format].writes}, which cannot be read as "
            f"{FORMATS[format].title!r}.",
            "Leave the format to the detector.",
        )
    return replace(
        raw,
        format=format,
        content=CONTENT_OF.get(format, raw.content),
        called="" if format in CONTENT_OF else raw.called,
    )


def state_of(path: Path, ctx: Context | None = None) -> str:
    """A text that changes when anything changes that :func:`read` would read; nothing is opened but the file's first
    bytes.

    Raises:
        DataError: as :func:`ued_core.data.poison_files.containers.kind_of`, or a folder has too much in it.
        Cancelled: the user stopped the work.
    """
    path = Path(path)
    if kind_of(path) == "folder":
        return walk(chosen_folder(path), ctx, most=MAX_FILES, seconds=MAX_SECONDS).state()
    states = []
    for file in (path, path.with_name(label_file(path.name) or path.name)):
        try:
            status = file.stat()
            states.append(f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}")
        except OSError:
            states.append("none")
    return " ".join(states)


def _torch(path: Path) -> Raw:
    return of_value(load_torch(path), readable(path.name), "torch")


def _pickled(path: Path) -> Raw:
    return of_value(read_pickle(path), readable(path.name), "pickled")


def _npy(path: Path) -> Raw:
    name = readable(path.name)
    array = load_npy(path)
    if array.ndim in (1, 2):
        raise DataError(
            f"{name} has shape {array.shape}: labels or features, not images.",
            "Choose the file of images or noise beside it.",
        )
    raw = of_value(array, name, "noise_npy")
    labels, notes = _labels_beside(path)
    return replace(
        raw, numbers=() if labels is None else (Numbers("The labels", labels, "labels"),), notes=(*raw.notes, *notes)
    )


_LABEL_NAMES = (
    (re.compile(r"^x_(train|val|test)_([a-z0-9]+)(_.*)?\.npy$"), r"y_\1_\2.npy"),
    (re.compile(r"^poisoned_training_data\.npy$"), "poisoned_training_labels.npy"),
    (re.compile(r"^simple_data\.npy$"), "simple_label.npy"),
)


def label_file(name: str) -> str:
    """The name under which a repository writes the labels of this file beside it; empty when it does not."""
    return next((pattern.sub(other, name) for pattern, other in _LABEL_NAMES if pattern.match(name)), "")


def _labels_beside(path: Path) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels from the file that the repository writes beside this one."""
    other = path.with_name(label_file(path.name) or path.name)
    if other == path:
        return None, ()
    if not other.is_file():
        return None, (f"Its labels would be in {readable(other.name)}, which is not beside it.",)
    return as_labels(load_npy(other), readable(other.name), "The array"), (
        f"Labels are from {readable(other.name)} beside it.",
    )


def _npz(path: Path) -> Raw:
    arrays = load_npz(path)
    images, labels = arrays.get("images"), arrays.get("labels")
    own = (
        images is not None
        and labels is not None
        and images.dtype == np.uint8
        and images.shape[3:] == (3,)
        and labels.dtype == np.int64
    )
    if not own:
        return of_value(dict(arrays), readable(path.name), "npz_arrays")
    stored = read_npz(path)
    return Raw(
        "npz",
        stored.images.permute(0, 2, 3, 1).numpy(),
        "images",
        numbers=(Numbers("'labels'", stored.labels.numpy(), "labels"),),
        class_names=stored.class_names,
        recipe=read_npz_json(path),
    )


def _safetensors(path: Path) -> Raw:
    tensors, told = load_safetensors(path)
    raw = of_value(tensors, readable(path.name), "safetensors")
    try:
        recipe = as_text(json.loads(told["recipe"])) if "recipe" in told else None
    except (ValueError, RecursionError):
        recipe = None
    return replace(raw, recipe=recipe)


def _tree(path: Path, ctx: Context | None) -> Raw:
    found = members(path, ctx)
    if any(is_map_of_a_cluster(file.parts[-1]) for file in found.ending(".pth", ".pt")):
        return read_clusters(found)
    pictures = found.ending(".png")
    files = found.ending(*ENDINGS_READ)
    if files and not pictures:
        return _single(path, found, ctx)
    return read_pictures(found, ctx)


def _single(path: Path, found: Members, ctx: Context | None) -> Raw:
    """The only poison file of a folder, with the labels beside it if there are any."""
    files = found.ending(*ENDINGS_READ)
    labels = {label_file(file.parts[-1]) for file in files}
    files = [file for file in files if file.parts[-1] not in labels]
    names = ", ".join(file.shown for file in files[:5]) + (" …" if len(files) > 5 else "")
    if path.is_dir() and len(files) == 1:
        return read(path.joinpath(*files[0].parts), "", ctx)
    unpack = "Unpack the archive and choose one of them; of zips only PNG files and perturbation_….pth are read."
    raise DataError(
        f"{found.name} holds {len(files)} poison files ({names}).", "Choose one of them." if path.is_dir() else unpack
    )


_OPENERS: Mapping[str, Callable[[Path], Raw]] = MappingProxyType(
    {"torch": _torch, "pickle": _pickled, "npy": _npy, "npz": _npz, "safetensors": _safetensors}
)
