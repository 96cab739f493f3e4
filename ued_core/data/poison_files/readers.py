"""One reader a format: from a path to arrays, with nothing decided yet."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ued_core.data.image_file import MAX_PIXELS
from ued_core.data.npz import read_npz, read_npz_json
from ued_core.data.poison_files.containers import MAX_BYTES, kind_of, load_npy, load_torch, members
from ued_core.data.poison_files.pickles import read_pickle
from ued_core.errors import DataError, UnknownName


@dataclass(frozen=True)
class Raw:
    """What a reader took out of a file.

    Attributes:
        format: key of :data:`FORMATS`.
        array: 4-D (maps or images) in the file's own layout and type; 5-D for EM's several sets.
        content: ``noise``, ``images``, or empty when the file does not say.
        ids: int64 (N,), which training image each entry is for; None when there are none.
        labels: int64 (N,), the class of each entry; None when there are none.
        clusters: int64, which map each training image gets; None when there are none.
        class_names: names that come with the labels; empty when there are none.
        recipe: JSON that the file carries; None when there is none.
        notes: what the reader saw, in words.
    """

    format: str
    array: np.ndarray
    content: str = ""
    ids: np.ndarray | None = None
    labels: np.ndarray | None = None
    clusters: np.ndarray | None = None
    class_names: tuple[str, ...] = ()
    recipe: Any = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One way in which a repository writes its poison.

    Attributes:
        key: short name.
        title: for choices.
        writes: what the file holds, in words.
        source: whose format it is.
        rules: keys of :data:`ued_core.data.poison_files.rules.RULES`, the usual loader first.
        channels_first: how ambiguous shapes are read.
        radius: a bound that the released code applies when it loads, in 1/255; None where there is none.
    """

    key: str
    title: str
    writes: str
    source: str
    rules: tuple[str, ...]
    channels_first: bool = True
    radius: float | None = None


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        f.key: f
        for f in (
            Format("em", "EM perturbation.pt", "one float tensor of noise", "HanxunH/Unlearnable-Examples", ("em", "em_signed")),
            Format("rem", "REM noise pickle", "int8 noise in levels", "fshp971/robust-unlearnable-examples", ("rem", "em")),
            Format("tap", "TAP [delta, ids]", "noise and the images it is for", "lhfowl/adversarial_poisons", ("tap", "lsp")),
            Format("lsp", "LSP simple_data.npy", "a pool of noise for each class", "dayu11/Availability-Attacks-Create-Shortcuts",
                   ("lsp", "tap"), channels_first=False),
            Format("noise_npy", "noise as .npy", "an array of noise", "DeepConfuse, TAP and others", ("tap", "lsp", "em")),
            Format("ntga", "NTGA x_train.npy", "whole images in 0..1", "lionelmessi6410/ntga", ("ntga",), channels_first=False),
            Format("images_npy", "images as .npy", "whole images", "TAP's numpy export and others", ("stored", "ntga"),
                   channels_first=False),
            Format("coin", "COIN or ECLIPSE list", "a pickled list of (image, label)", "COIN and ECLIPSE", ("coin",)),
            Format("apbench", "PNG tree", "whole images, <index>.png or <class>/<index>.png", "APBench", ("stored",),
                   channels_first=False),
            Format("uc", "Unlearnable Clusters .pth", "one noise map a cluster", "jiamingzhang94/Unlearnable-Clusters", ("uc",),
                   radius=16.0),
            Format("npz", "UED Studio .npz", "whole images, labels and a recipe", "UED Studio", ("stored",), channels_first=False),
        )
    }
)  # fmt: skip


def read(path: Path, format: str = "") -> Raw:
    """Read a poison file, a zip or a folder.

    Args:
        path: where it is.
        format: key of :data:`FORMATS` that the content is to be taken for; empty lets the content decide.
            Only formats of the same kind of container can be asked for.

    Raises:
        UnknownName: no such format.
        DataError: it cannot be read, or it is not of that format.
    """
    path = Path(path)
    if format and format not in FORMATS:
        raise UnknownName("poison file format", format, FORMATS)
    kind = kind_of(path)
    raw = _OPENERS[kind](path)
    if not format or format == raw.format:
        return raw
    similar = {"ntga", "images_npy", "noise_npy", "lsp"}, {"em", "rem", "tap", "noise_npy"}
    if not any({format, raw.format} <= group for group in similar):
        raise DataError(
            f"{path.name} holds {FORMATS[raw.format].writes}, which cannot be read as {FORMATS[format].title!r}.",
            "Leave the format to the detector.",
        )
    return replace(raw, format=format, content=_CONTENT_OF[format])


_CONTENT_OF = {"ntga": "images", "images_npy": "images", **dict.fromkeys(("noise_npy", "lsp", "em", "rem", "tap"), "noise")}


# ---------------------------------------------------------------- arrays of any origin


def as_numbers(value: Any, name: str, what: str) -> np.ndarray:
    """A plain number array of an allowed size.

    Raises:
        DataError: something else.
    """
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise DataError(f"{what} in {name} is no ordinary dense tensor.", "Save it as one.")
        # A tensor may repeat one number without storing it again.
        if value.numel() * value.element_size() > MAX_BYTES:
            raise DataError(f"{what} in {name} takes more than {MAX_BYTES >> 30} GiB.", "Split the file.")
        value = (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise DataError(f"{what} in {name} is {_kind(value)}, but it must be an array of numbers.", _WRITES)
    return value


_WRITES = "See the table of formats for what each repository writes."


def _kind(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(repr, list(value)[:4]))}" if value else "an empty dict"
    return f"a {type(value).__name__}"


def _maps(value: Any, name: str, what: str, ranks: tuple[int, ...] = (4,)) -> np.ndarray:
    array = as_numbers(value, name, what)
    if array.ndim not in ranks or 0 in array.shape:
        raise DataError(
            f"{what} in {name} has shape {array.shape}, but it must have {' or '.join(map(str, ranks))} axes: "
            "entries, channels, height, width.",
            _WRITES,
        )
    return array


def as_labels(value: Any, name: str, what: str) -> np.ndarray:
    """Whole numbers (N,); one-hot rows become classes.

    Raises:
        DataError: something else.
    """
    array = np.asarray(value) if isinstance(value, list | tuple) else as_numbers(value, name, what)
    if array.ndim == 2 and array.shape[1] > 1 and np.all(np.isin(array, (0, 1))) and np.all(array.sum(axis=1) == 1):
        array = array.argmax(axis=1)
    array = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or array.dtype.kind not in "biuf" or not np.all(np.isfinite(array)) or np.any(array != np.floor(array)):
        raise DataError(f"{what} in {name} is {_kind(array)} of shape {array.shape}, but it must be whole numbers.", _WRITES)
    if len(array) and (array.min() < 0 or array.max() >= 2**31):
        raise DataError(f"{what} in {name} runs from {array.min()} to {array.max()}, but it must not be negative or huge.", _WRITES)
    return array.astype(np.int64)


# ---------------------------------------------------------------- one reader a container


def _read_torch(path: Path) -> Raw:
    return _of_torch(load_torch(path), path)


def _of_torch(value: Any, path: Path) -> Raw:
    if isinstance(value, torch.Tensor):
        return Raw("em", _maps(value, path.name, "The tensor", (4, 5)), "noise")
    if isinstance(value, dict) and "perturbation" in value:
        found = _maps(value["perturbation"], path.name, "'perturbation'")
        extra = ", ".join(f"{key!r}" for key in ("state_dict", "init_noise") if key in value)
        notes = (f"The generator ({extra}) is in the file and was not used.",) if extra else ()
        return Raw("uc", found, "noise", notes=(*notes, "One file of Unlearnable Clusters: one map, for one cluster."))
    if isinstance(value, dict) and "pred_idx" in value:
        raise DataError(
            f"{path.name} says which cluster each image belongs to; it holds no noise.",
            "Put it into one folder or zip with the perturbation_….pth files.",
        )
    if isinstance(value, list | tuple) and len(value) == 2:
        return _delta_and_ids(value, path.name)
    raise DataError(f"{path.name} holds {_kind(value)}, which is no known poison.", _WRITES)


def _delta_and_ids(value: Sequence[Any], name: str) -> Raw:
    delta = _maps(value[0], name, "The first part")
    ids = as_labels(value[1], name, "The second part")
    if len(ids) != len(delta):
        raise DataError(f"{name} has noise for {len(delta):,} images but {len(ids):,} indices.", "Write it again.")
    if len(np.unique(ids)) != len(ids):
        raise DataError(f"The indices in {name} name some image twice.", "Write it again.")
    return Raw("tap", delta, "noise", ids=ids)


def _read_pickled(path: Path) -> Raw:
    value = read_pickle(path)
    if isinstance(value, np.ndarray):
        array = _maps(value, path.name, "The array", (4, 5))
        return Raw("rem" if array.dtype == np.int8 else "noise_npy", array, "noise" if array.dtype != np.uint8 else "images")
    if isinstance(value, list | tuple) and len(value) == 2 and _is_maps(value[0]):
        return _delta_and_ids(value, path.name)
    if isinstance(value, list | tuple) and value and all(isinstance(e, list | tuple) and len(e) == 2 for e in value):
        return _pairs(value, path.name)
    if isinstance(value, dict) and "perturbation" in value:
        return Raw("uc", _maps(value["perturbation"], path.name, "'perturbation'"), "noise")
    raise DataError(f"{path.name} holds {_kind(value)}, which is no known poison.", _WRITES)


def _is_maps(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 4


def _pairs(value: Sequence[Sequence[Any]], name: str) -> Raw:
    """(image, label) pairs; images are RGB bytes of a square, arrays (C, H, W) or pictures (H, W, C)."""
    labels = as_labels([_label(pair[1], name) for pair in value], name, "The labels")
    first = value[0][0]
    if isinstance(first, bytes | bytearray):
        side = round((len(first) / 3) ** 0.5)
        if 3 * side * side != len(first):
            raise DataError(f"The first image in {name} has {len(first):,} bytes, which is no square of RGB.", _WRITES)
        if any(not isinstance(image, bytes | bytearray) or len(image) != len(first) for image, _ in value):
            raise DataError(f"The images in {name} differ in size or kind.", "All must have one size.")
        _refuse_large(len(value) * len(first), name)
        array = np.frombuffer(b"".join(image for image, _ in value), np.uint8).reshape(-1, side, side, 3)
        return Raw("coin", array, "images", labels=labels, notes=("Images are stored as RGB bytes.",))
    if any(not isinstance(image, np.ndarray) or image.shape != first.shape or image.dtype != first.dtype for image, _ in value):
        raise DataError(f"The images in {name} are not arrays of one shape and type.", "All must have one size.")
    if first.ndim != 3 or first.dtype.kind not in "uif":
        raise DataError(f"The first image in {name} has shape {first.shape} and type {first.dtype}.", _WRITES)
    _refuse_large(len(value) * first.nbytes, name)
    return Raw("coin", np.stack([image for image, _ in value]), "images", labels=labels)


def _label(value: Any, name: str) -> int:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"A label in {name} is {_kind(value)}, but it must be a number.", _WRITES)
    return int(value) if value == int(value) else -1


def _refuse_large(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise DataError(f"The images in {name} take {size / 2**30:,.1f} GiB; at most {MAX_BYTES >> 30} GiB are read.", "Split the file.")


def _read_npy(path: Path) -> Raw:
    array = load_npy(path)
    if array.ndim in (1, 2):
        raise DataError(
            f"{path.name} has shape {array.shape}: labels or features, not images.", "Choose the file of images or noise beside it."
        )
    array = _maps(array, path.name, "The array")
    labels, note = _labels_beside(path)
    return Raw("", array, labels=labels, notes=note)


_LABEL_NAMES = (
    (re.compile(r"^x_(train|val|test)_([a-z0-9]+)(_.*)?\.npy$"), r"y_\1_\2.npy"),
    (re.compile(r"^poisoned_training_data\.npy$"), "poisoned_training_labels.npy"),
    (re.compile(r"^simple_data\.npy$"), "simple_label.npy"),
)


def _labels_beside(path: Path) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Labels from the file that the repository writes beside this one."""
    for pattern, replacement in _LABEL_NAMES:
        if pattern.match(path.name):
            other = path.with_name(pattern.sub(replacement, path.name))
            if other.is_file():
                return as_labels(load_npy(other), other.name, "The array"), (f"Labels are from {other.name} beside it.",)
            return None, (f"Its labels would be in {other.name}, which is not beside it.",)
    return None, ()


def _read_own(path: Path) -> Raw:
    images = read_npz(path)
    recipe = read_npz_json(path)
    return Raw(
        "npz",
        images.images.permute(0, 2, 3, 1).numpy(),
        "images",
        labels=images.labels.numpy(),
        class_names=images.class_names,
        recipe=recipe,
    )


def _read_tree(path: Path) -> Raw:
    maps = members(path, lambda name: name.lower().endswith((".pth", ".pt")))
    if maps:
        return _clusters(maps, path.name)
    return _pictures(path)


_NUMBERED = re.compile(r"^perturbation_(\d+)\.pth?$")


def _clusters(found: list[tuple[tuple[str, ...], Callable[[], bytes]]], name: str) -> Raw:
    """The maps of Unlearnable Clusters in the order of their numbers, and the assignment if it is there."""
    noise: dict[int, np.ndarray] = {}
    clusters = None
    for parts, read_bytes in found:
        value = load_torch(io.BytesIO(read_bytes()), parts[-1])
        if numbered := _NUMBERED.match(parts[-1]):
            if not isinstance(value, dict) or "perturbation" not in value:
                raise DataError(f"{parts[-1]} in {name} has no 'perturbation'.", _WRITES)
            noise[int(numbered[1])] = _maps(value["perturbation"], parts[-1], "'perturbation'")
        elif isinstance(value, dict) and "pred_idx" in value:
            clusters = as_labels(value["pred_idx"], parts[-1], "'pred_idx'")
    if sorted(noise) != list(range(len(noise))) or not noise:
        raise DataError(f"The maps in {name} are numbered {sorted(noise)}, but they must run from 0 without a gap.", _WRITES)
    if len({one.shape[1:] for one in noise.values()}) != 1 or any(len(one) != 1 for one in noise.values()):
        raise DataError(f"The maps in {name} differ in shape, or a file has several.", _WRITES)
    return Raw("uc", np.concatenate([noise[i] for i in range(len(noise))]), "noise", clusters=clusters)


def _pictures(path: Path) -> Raw:
    """Whole images from PNG files; the numbers in the names are the indices."""
    from PIL import Image

    found = members(path, lambda name: name.lower().endswith(".png"))
    if not found:
        raise DataError(f"{path.name} has no .png and no .pth files.", _WRITES)
    depth = {len(parts) for parts, _ in found}
    if depth not in ({1}, {2}):
        raise DataError(f"The images in {path.name} lie at different depths.", "Use <index>.png or <class>/<index>.png.")
    stems = [Path(parts[-1]).stem for parts, _ in found]
    numbered = all(re.fullmatch(r"\d{1,9}", stem) for stem in stems)
    notes = () if numbered else ("File names are no numbers, so images are in the order of their names.",)
    ids = np.array([int(stem) for stem in stems], np.int64) if numbered else None
    if ids is not None and len(np.unique(ids)) != len(ids):
        ids, notes = None, ("Numbers occur in several classes, so they are no indices; images are in the order of their names.",)
    order = np.argsort(ids, kind="stable") if ids is not None else np.arange(len(found))
    array: np.ndarray | None = None
    for place, source in enumerate(order):
        parts, read_bytes = found[source]
        shown = "/".join(parts)
        try:
            with Image.open(io.BytesIO(read_bytes()), formats=("PNG",)) as image:
                if image.width * image.height > MAX_PIXELS or image.mode not in ("RGB", "L"):
                    raise DataError(f"{shown} in {path.name} is {image.size} of mode {image.mode}; RGB or grey is needed.", _WRITES)
                pixels = np.asarray(image).reshape(image.height, image.width, -1)
        except DataError:
            raise
        except Exception as error:
            # Decoders raise almost anything on damaged files.
            raise DataError(f"{shown} in {path.name} is damaged; nothing was imported.", "Write the archive again.") from error
        if array is None:
            _refuse_large(len(found) * prod(pixels.shape), path.name)
            array = np.empty((len(found), *pixels.shape), np.uint8)
        if pixels.shape != array.shape[1:]:
            raise DataError(f"{shown} in {path.name} has shape {pixels.shape}, others {array.shape[1:]}.", "All must have one size.")
        array[place] = pixels
    labels, names = _folders_as_labels([found[i][0] for i in order]) if depth == {2} else (None, ())
    assert array is not None
    return Raw(
        "apbench", array, "images", ids=None if ids is None else ids[order], labels=labels, class_names=names,
        recipe=_tree_recipe(path), notes=notes,
    )  # fmt: skip


def _folders_as_labels(parts: list[tuple[str, ...]]) -> tuple[np.ndarray, tuple[str, ...]]:
    names = sorted({p[0] for p in parts})
    leading = [re.match(r"^(\d{1,6})(?:_(.*))?$", name) for name in names]
    if all(leading) and len({int(m[1]) for m in leading if m}) == len(names):
        number = {name: int(m[1]) for name, m in zip(names, leading, strict=True) if m}
        return np.array([number[p[0]] for p in parts], np.int64), ()
    place = {name: i for i, name in enumerate(names)}
    return np.array([place[p[0]] for p in parts], np.int64), tuple(names)


def _tree_recipe(path: Path) -> Any:
    for parts, read_bytes in members(path, lambda name: name == "recipe.json"):
        if len(parts) == 1:
            try:
                return json.loads(read_bytes())
            except ValueError:
                return None
    return None


_OPENERS: Mapping[str, Callable[[Path], Raw]] = MappingProxyType(
    {
        "torch": _read_torch,
        "pickle": _read_pickled,
        "npy": _read_npy,
        "npz": _read_own,
        "zip": _read_tree,
        "folder": _read_tree,
    }
)
