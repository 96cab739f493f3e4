"""What lies in a torch file, a pickle, an npz or a safetensors file: which part is images or noise, and which are
numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ued_core.data.poison_files.arrays import (
    RULE,
    as_labels,
    as_numbers,
    is_array,
    is_image,
    is_row_of_numbers,
    stacked,
    type_of,
    words_for,
)
from ued_core.data.poison_files.formats import Numbers, Raw
from ued_core.errors import DataError

NOISE_NAMES = ("perturbation", "perturbations", "noise", "noises", "delta", "deltas", "pert", "uap")
IMAGE_NAMES = (
    *("images", "image", "imgs", "data", "x", "x_train", "train_x", "samples", "inputs", "features"),
    *("poison", "poisons", "poisoned", "poisoned_images", "train_images", "train_data", "adv", "x_adv"),
)  # fmt: skip
LABEL_NAMES = (
    "labels",
    "label",
    "targets",
    "target",
    "y",
    "y_train",
    "train_y",
    "train_labels",
    "train_targets",
    "fine_labels",
    "classes",
)
ID_NAMES = ("ids", "id", "indices", "index", "idx", "indexes", "poison_ids", "poison_indices")
CLASS_NAMES = ("class_names", "label_names", "classes")
_MOST_COLUMNS = 3


def of_value(value: Any, name: str, format: str) -> Raw:
    """Find images or noise, and what lies beside them.

    Understood are one array; ``(array, numbers)`` in either order; a dict of them under the usual names; a list of
    equal arrays or of batches; a list of (image, label) rows; a dict of one map a number.

    Args:
        value: numbers, texts, bytes, lists, tuples, dicts, arrays and tensors.
        name: of the file, for messages.
        format: key of the container.

    Raises:
        DataError: nothing in it can be images or noise, or more than one part can; the message says what there is.
    """
    if is_array(value, 0, 1, 2, 3, 4, 5, 6, 7, 8):
        return _of_array(value, name, format, "The tensor" if format == "torch" else "The array")
    if isinstance(value, dict) and value:
        return _of_dict({_text(key): part for key, part in value.items()}, name, format)
    if isinstance(value, list | tuple) and value:
        if (rows := _columns(value)) is not None:
            return _of_columns(rows, name, format)
        return _of_sequence(value, name, format)
    raise _unknown(value, name)


def _text(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _unknown(value: Any, name: str) -> DataError:
    return DataError(f"{name} holds {words_for(value)}, which is no known poison.", RULE)


# ---------------------------------------------------------------- one array


def _of_array(value: Any, name: str, format: str, what: str, **more: Any) -> Raw:
    array, stored = as_numbers(value, name, what), type_of(value)
    notes: tuple[str, ...] = ()
    if array.ndim == 2 and (rows := _unflattened(array)) is not None:
        array, notes = rows, ("Rows of numbers are read as images, plane after plane, as CIFAR's batches store them.",)
    if array.ndim not in (3, 4, 5) or 0 in array.shape:
        kind = "labels or features, not images" if array.ndim in (1, 2) and array.size else "no images or noise"
        raise DataError(
            f"{what} in {name} has shape {array.shape}: {kind}; it must have the axes entries, channels, "
            "height, width.",
            RULE,
        )
    return Raw(format, array, stored=stored if stored != str(array.dtype) else "", notes=notes, **more)


def _unflattened(array: np.ndarray) -> np.ndarray | None:
    """Bytes (N, 3·s²) or (N, s²) as images; None for rows that are no squares."""
    for channels in (3, 1):
        side = round((array.shape[1] / channels) ** 0.5)
        if array.dtype == np.uint8 and side >= 8 and channels * side * side == array.shape[1]:
            return array.reshape(len(array), channels, side, side)
    return None


def _can_be_maps(value: Any) -> bool:
    if is_array(value, 3, 4, 5):
        return True
    if is_array(value, 2) and isinstance(value, np.ndarray):
        return _unflattened(value) is not None
    return isinstance(value, list | tuple) and len(value) > 0 and all(is_image(part) for part in value)


def _maps(value: Any, name: str, format: str, what: str, **more: Any) -> Raw:
    """One array, or a list of equal images, as an array with a name."""
    if not isinstance(value, list | tuple):
        return _of_array(value, name, format, what, **more)
    array, stored, notes = stacked(value, name)
    return Raw(format, array, stored=stored if stored != str(array.dtype) else "", notes=notes, **more)


# ---------------------------------------------------------------- lists and tuples


def _columns(value: Sequence[Any]) -> list[list[Any]] | None:
    """A list of (image, label) rows as columns; None when it is none."""
    first = value[0]
    if not isinstance(first, list | tuple) or not 2 <= len(first) <= _MOST_COLUMNS:
        return None
    if any(not isinstance(row, list | tuple) or len(row) != len(first) for row in value):
        return None
    columns = [list(column) for column in zip(*value, strict=True)]
    # One row that differs is an error of the list, told later; rows that never hold an image are something else.
    pictures = [
        i
        for i, column in enumerate(columns)
        if is_image(column[0]) and not all(is_row_of_numbers([part]) for part in column)
    ]
    return columns if len(pictures) == 1 and all(is_image(part) for part in columns[pictures[0]]) else None


def _of_columns(columns: list[list[Any]], name: str, format: str) -> Raw:
    place = next(i for i, column in enumerate(columns) if is_image(column[0]) and not is_row_of_numbers([column[0]]))
    raw = _maps(columns[place], name, "coin" if format == "pickled" else format, "An image")
    beside = [column for i, column in enumerate(columns) if i != place]
    if len(beside) > 1:
        beside = [column for column in beside if is_row_of_numbers(column)]
    role = "labels" if len(beside) == 1 else ""
    called = ["The labels"] if role else [f"Column {i + 2}" for i in range(len(beside))]
    numbers = tuple(
        Numbers(what, as_labels(column, name, "The labels"), role) for what, column in zip(called, beside, strict=True)
    )
    return replace(raw, numbers=numbers)


_ORDINALS = ("The first part", "The second part", "The third part", "The fourth part")


def _of_sequence(value: Sequence[Any], name: str, format: str) -> Raw:
    if all(is_image(part) and not is_row_of_numbers(part) for part in value) or all(
        is_array(part, 3) for part in value
    ):
        raw = _maps(list(value), name, format, "An image")
        return _noted(raw, f"A list of {len(value):,} equal arrays, read as one entry each.")
    if all(is_array(part, 4, 5) for part in value):
        return _of_batches(value, name, format)
    maps = [i for i, part in enumerate(value) if _can_be_maps(part) and not is_row_of_numbers(part)]
    maps = maps or [i for i, part in enumerate(value) if _can_be_maps(part)]
    numbers = [i for i, part in enumerate(value) if i not in maps and is_row_of_numbers(part)]
    if len(maps) != 1 or len(value) > len(_ORDINALS) or (len(value) > 1 and not numbers):
        raise _unknown(value, name)
    raw = _maps(value[maps[0]], name, format, _ORDINALS[maps[0]])
    unused = [i for i in range(len(value)) if i != maps[0] and i not in numbers]
    beside = tuple(Numbers(_ORDINALS[i], as_labels(value[i], name, _ORDINALS[i])) for i in numbers)
    notes = tuple(f"{_ORDINALS[i]} of the file ({words_for(value[i])}) was not used." for i in unused)
    return replace(raw, numbers=beside, notes=(*raw.notes, *notes))


def _of_batches(value: Sequence[Any], name: str, format: str) -> Raw:
    """Several 4-D arrays: batches of one set, in their order."""
    parts = [as_numbers(part, name, "A batch") for part in value]
    if any(part.ndim != 4 or part.shape[1:] != parts[0].shape[1:] or part.dtype != parts[0].dtype for part in parts):
        raise DataError(
            f"{name} holds {len(parts)} arrays of different shapes or types.", "Save the one of poison alone."
        )
    if len(parts) == 2 and len(parts[0]) == len(parts[1]):
        raise DataError(
            f"{name} holds two arrays of the same shape {parts[0].shape}; which of them is the poison is not in "
            "the file.",
            "Save it alone, or both in a dict such as {'noise': …} or {'images': …}.",
        )
    stored = type_of(value[0])
    raw = Raw(format, np.concatenate(parts), stored=stored if stored != str(parts[0].dtype) else "")
    return raw if len(parts) == 1 else _noted(raw, f"{len(parts)} batches, joined in their order.")


def _noted(raw: Raw, note: str) -> Raw:
    return replace(raw, notes=(*raw.notes, note))


# ---------------------------------------------------------------- dicts


def _of_dict(value: dict[str, Any], name: str, format: str) -> Raw:
    if "pred_idx" in value:
        raise DataError(
            f"{name} says which cluster each image belongs to; it holds no noise.",
            "Put it into one folder or zip with the perturbation_….pth files.",
        )
    key = _key_of_maps(value, name)
    if key is None:
        return _of_numbered(value, name, format)
    content = "noise" if key.lower() in NOISE_NAMES else ""
    numbers, names, used = _beside(value, key, name)
    called = repr(key) if content else ""
    raw = _maps(value[key], name, format, repr(key), content=content, called=called, numbers=numbers, class_names=names)
    if (
        key == "perturbation"
        and (len(raw.array) == 1 or {"state_dict", "init_noise"} & value.keys())
        and raw.array.ndim == 4
    ):
        raw = replace(raw, format="uc", called="")
        extra = [k for k in ("state_dict", "init_noise") if k in value]
        notes = [f"The generator ({', '.join(map(repr, extra))}) is in the file and was not used."] if extra else []
        return replace(raw, notes=(*raw.notes, *notes, "One file of Unlearnable Clusters: one map, for one cluster."))
    unused = [repr(k[:40]) for k in value if k != key and k not in used]
    return _noted(
        raw,
        f"Read from {key!r}"
        f"{'; not used: ' + ', '.join(unused[:6]) if unused else ''}{' …' if len(unused) > 6 else ''}.",
    )


def _key_of_maps(value: dict[str, Any], name: str) -> str | None:
    """The part of images or noise: by its name, noise first; else the only part that can be."""
    for known in (NOISE_NAMES, IMAGE_NAMES):
        found = [key for key in value if key.lower() in known and _can_be_maps(value[key])]
        if len(found) > 1:
            raise DataError(
                f"{name} has {' and '.join(map(repr, found))}; which of them is the poison is not in the file.", RULE
            )
        if found:
            return found[0]
    possible = [key for key in value if _can_be_maps(value[key]) and not is_row_of_numbers(value[key])]
    # The weights of a network are such arrays too.
    if len(possible) == 1 and not any("weight" in key.lower() or "bias" in key.lower() for key in value):
        return possible[0]
    if len(possible) > 1 and all(key.isdigit() and len(key) < 10 for key in value):
        return None
    named = [key for key in value if key.lower() in (*NOISE_NAMES, *IMAGE_NAMES)]
    if named:
        raise DataError(
            f"{named[0]!r} in {name} is {words_for(value[named[0]])}: labels or features, not images.", RULE
        )
    raise _unknown(value, name)


def _beside(value: dict[str, Any], key: str, name: str) -> tuple[tuple[Numbers, ...], tuple[str, ...], set[str]]:
    """Labels and indices of a dict, its class names, and which parts were used."""
    numbers: list[Numbers] = []
    names: tuple[str, ...] = ()
    used: set[str] = set()
    for role, known in (("labels", LABEL_NAMES), ("ids", ID_NAMES)):
        for own in value:
            if own != key and own.lower() in known and is_row_of_numbers(value[own]):
                numbers.append(Numbers(repr(own), as_labels(value[own], name, repr(own)), role))
                used.add(own)
                break
    for own in value:
        part = value[own]
        texts = part.tolist() if isinstance(part, np.ndarray) and part.dtype.kind == "U" and part.ndim == 1 else part
        if (
            own.lower() in CLASS_NAMES
            and isinstance(texts, list | tuple)
            and texts
            and all(isinstance(text, str) for text in texts)
        ):
            names = tuple(texts)
            used.add(own)
    return tuple(numbers), names, used


def _of_numbered(value: dict[str, Any], name: str, format: str) -> Raw:
    """A dict of one map a number: of a training image, or of a class."""
    numbers = sorted(value, key=int)
    parts = [
        value[number][0] if is_array(value[number], 4) and len(value[number]) == 1 else value[number]
        for number in numbers
    ]
    if not all(is_image(part) for part in parts):
        raise _unknown(value, name)
    raw = _maps(parts, name, format, "A map")
    beside = Numbers("The names of the parts", np.array([int(number) for number in numbers], np.int64), "ids")
    return _noted(
        replace(raw, numbers=(beside,)), f"A dict of {len(parts):,} maps; their names are read as numbers of images."
    )
