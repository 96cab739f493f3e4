"""From a raw array to what it is: axes, content, unit, and what its entries are for; everything judged is told."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ued_core.data.poison_files.classes import judge_folders
from ued_core.data.poison_files.formats import FORMATS, Raw
from ued_core.data.poison_files.judgement import judge_content, judge_numbers, judge_scale, likeness, measure
from ued_core.data.poison_files.loaders import CIFAR10_STD, IMAGE_SCALES, NOISE_SCALES
from ued_core.data.poison_files.placement import by_class, format_of, order_of, per_of, rows_of
from ued_core.data.poison_files.verdict import Found, Reading
from ued_core.errors import DataError
from ued_core.records import ImageSet


@dataclass(frozen=True)
class Decided:
    """A file's content after every judgement.

    Attributes:
        found: the report.
        array: (N, C, H, W) in the file's type and unit.
        ids: int64 (N,), the training image of each entry; None: entry i is for image i.
        labels: int64 (N,); None when none came with it.
        class_names: of the labels; empty when there are none.
    """

    found: Found
    array: np.ndarray
    ids: np.ndarray | None
    labels: np.ndarray | None
    class_names: tuple[str, ...]


def decide(raw: Raw, name: str, reading: Reading, data: ImageSet | None) -> Decided:
    """What a raw array is.

    Args:
        raw: from a reader.
        name: of the file, fit for messages.
        reading: what is insisted on.
        data: the set that it is for; whole images are known by it, and class-wise noise from sample-wise.

    Raises:
        DataError: the shape allows no reading, it has values that are not finite, or what lies beside it does not fit.
    """
    notes = list(raw.notes)
    array, sets, layout = _axes(raw, name, reading, data, notes)
    told = measure(array, name)
    alike = likeness(array, data)
    content = reading.content or judge_content(raw, told, array.dtype, alike, notes, name)
    noise = content == "noise"
    ids, labels = judge_numbers(raw.numbers, content, len(array), data, name, reading.format == "tap", notes)
    class_names = raw.class_names
    if raw.folders:
        labels, class_names = judge_folders(raw.folders, ids, raw.recipe, data, notes)
    ids, order = rows_of(array, content, ids, labels, data, alike, notes)
    format_key = reading.format or format_of(raw, content, told, ids, labels)
    scale = reading.scale or judge_scale(content, told, array.dtype, alike, notes, name)
    if scale not in (NOISE_SCALES if noise else IMAGE_SCALES):
        raise DataError(
            f"{scale!r} is no unit of {content}.", "Leave the scale to the detector, or change the content."
        )
    if scale == "std" and array.shape[1] != 3:
        raise DataError("The unit 'std' is defined for three channels.", "Choose another scale.")
    per = reading.per or per_of(content, format_key, raw, len(array), ids, labels, data, notes)
    if per == "class":
        array, ids, labels = by_class(array, ids, labels, notes)
    order, missing = order_of(content, per, format_key, raw, ids, labels, order)
    factors = (
        np.array(CIFAR10_STD) * 255 if scale == "std" else np.array({"unit": 255.0, "levels": 1.0}.get(scale, 1.0))
    )
    clip = reading.radius if reading.radius is not None else FORMATS[format_key].radius
    entries, channels, height, width = array.shape
    found = Found(
        name=name,
        format=format_key,
        content=content,
        layout=layout,
        scale=scale,
        per=per,
        shape=(entries, channels, height, width),
        sets=sets,
        dtype=raw.stored or str(array.dtype),
        low=told.low,
        high=told.high,
        radius=float(np.max(np.array(told.peaks) * factors)) if noise else None,
        clip=clip if noise else None,
        negative_rate=told.negative if noise else None,
        order=order,
        has_labels=labels is not None,
        missing=tuple(missing),
        notes=tuple(notes),
    )
    return Decided(found, array, ids, labels, class_names)


# ---- axes


def _axes(
    raw: Raw, name: str, reading: Reading, data: ImageSet | None, notes: list[str]
) -> tuple[np.ndarray, int, str]:
    """The array as (N, C, H, W), the number of sets it was one of, and the layout of the file."""
    array, sets = _one_set(raw.array, data, notes)
    array = _entries(array, data, notes) if array.ndim == 3 else array
    layout = reading.layout or _layout(array.shape, raw, data, notes)
    turned = array if layout == "NCHW" else array.transpose(0, 3, 1, 2)
    if turned.shape[1] not in (1, 3):
        raise DataError(
            f"{name} read as {layout} has {turned.shape[1]} channels (shape {raw.array.shape}), but images "
            "have 1 or 3.",
            "Choose the other layout.",
        )
    return turned, sets, layout


def _one_set(array: np.ndarray, data: ImageSet | None, notes: list[str]) -> tuple[np.ndarray, int]:
    """One set out of a 5-D array: sets stand first, as EM stores them, or second where the clean set's number says
    so."""
    if array.ndim < 5:
        return array, 1
    first, second = array.shape[:2]
    if first == 1 or second == 1:
        return (array[0] if first == 1 else array[:, 0]), 1
    if data is not None and first == len(data) != second:
        notes.append(f"Judged: {second} sets, on the second axis, because the first has one entry a training image.")
        return array[:, 0], second
    if data is not None and first * second == len(data) and second != data.classes:
        notes.append(
            f"Judged: {first} × {second} entries in one row, because together they are as many as the training images."
        )
        return array.reshape(-1, *array.shape[2:]), 1
    return array[0], first


def _entries(array: np.ndarray, data: ImageSet | None, notes: list[str]) -> np.ndarray:
    """Three axes as four: one entry, or grey ones."""
    grey = data is not None and data.shape[0] == 1
    if not grey and (array.shape[0] in (1, 3) or array.shape[2] in (1, 3)):
        notes.append(f"Judged: one entry, because the shape {array.shape} is that of one colour image.")
        return array[None]
    notes.append(f"Judged: {array.shape[0]:,} grey entries, because the shape {array.shape} has no axis of channels.")
    return array[:, None]


def _layout(shape: tuple[int, ...], raw: Raw, data: ImageSet | None, notes: list[str]) -> str:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first and last and data is not None:
        turned = {"NCHW": tuple(shape[1:]), "NHWC": (shape[3], shape[1], shape[2])}
        fitting = [layout for layout, own in turned.items() if own == tuple(data.shape)]
        if len(fitting) == 1:
            return fitting[0]
    default = "NCHW" if FORMATS[raw.format].channels_first and not _from_npy(raw) else "NHWC"
    if first and last:
        notes.append(f"The shape {tuple(shape)} fits both layouts; {default} is what this format uses.")
        return default
    if not first and not last:
        raise DataError(
            f"The shape {tuple(shape)} has no axis of 1 or 3 channels in second or last place.", "Store NCHW or NHWC."
        )
    return "NCHW" if first else "NHWC"


def _from_npy(raw: Raw) -> bool:
    return raw.format == "noise_npy"
