"""Whole images or noise, which unit, indices or labels: judged from the values, and from the clean images where there
are any."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ued_core.data.poison_files.formats import Numbers, Raw
from ued_core.data.poison_files.loaders import CIFAR10_STD
from ued_core.errors import DataError
from ued_core.records import ImageSet

_BLOCK = 512
_COMPARED = 256
_UNLIKE = 0.2
_DARKEST = 64
"""Bytes that stay at or below this are darker than pictures are."""
MOST_CLASSES = 200
"""Without a data set to compare with, at most so many noise maps are taken for one per class."""
_MOST_LABELS = 1000
"""Without a data set, numbers that repeat are labels below this."""
_WORDS = {"images": "whole images", "noise": "noise"}


@dataclass(frozen=True)
class Statistics:
    """Numbers over all values of a file, in its own unit; ``peaks`` has the largest size in each channel."""

    low: float
    high: float
    mean: float
    spread: float
    negative: float
    peaks: tuple[float, ...]


def measure(array: np.ndarray, name: str) -> Statistics:
    """Numbers over everything (N, C, H, W), in blocks; half a gigabyte is read once.

    Raises:
        DataError: values that are not finite.
    """
    low, high, total, squares, negative = np.inf, -np.inf, 0.0, 0.0, 0
    peaks = np.zeros(array.shape[1])
    for start in range(0, len(array), _BLOCK):
        with np.errstate(over="ignore"):
            # What is beyond float32 becomes infinite, and is refused as that.
            block = array[start : start + _BLOCK].astype(np.float32)
        if not np.isfinite(block).all():
            raise DataError(
                f"{name} has values that are not finite (from entry {start} on).", "It cannot be added; make it anew."
            )
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        total += float(block.sum(dtype=np.float64))
        squares += float(np.square(block, dtype=np.float64).sum())
        negative += int((block < 0).sum())
        peaks = np.maximum(peaks, np.abs(block).max(axis=(0, 2, 3)))
    mean = total / array.size
    return Statistics(
        low, high, mean, max(0.0, squares / array.size - mean**2) ** 0.5, negative / array.size, tuple(peaks.tolist())
    )


# ---------------------------------------------------------------- against the clean images


@dataclass(frozen=True)
class Likeness:
    """How entries relate to the clean images of the same rows.

    Attributes:
        compared: how many entries.
        correlation: of pixel values with the clean ones, mean over the entries, −1..1.
        apart: mean size of the difference when the entries are taken for images in the best unit, in 1/255.
        size: mean size of the values when they are taken for noise, in 1/255.
        slope: of the values against clean values in 0..1, in the file's unit.
        outside: share of values that leave 0..255 when they are added to the clean images, 0..1.
        scale: the image unit that brings them closest.
    """

    compared: int
    correlation: float
    apart: float
    size: float
    slope: float
    outside: float
    scale: str

    @property
    def same(self) -> bool:
        """Whether the entries are these images, changed."""
        return self.correlation > 0.5 and self.apart < self.size

    @property
    def rescaled(self) -> bool:
        """Whether they are these images in a unit that no image of 0..1 or 0..255 has."""
        return self.correlation > 0.8 and not self.same and 0.75 < self.slope < 16


def likeness(array: np.ndarray, data: ImageSet | None, rows: np.ndarray | None = None) -> Likeness | None:
    """Compare entries (N, C, H, W) with clean images; entry i with row ``rows[i]``, or with row i.

    Returns:
        None where there is nothing to compare with: no data set, another shape, or more entries than images.
    """
    if data is None or tuple(array.shape[1:]) != tuple(data.shape):
        return None
    rows = np.arange(len(array)) if rows is None else rows
    if len(array) > len(data) or len(rows) != len(array) or int(rows.max()) >= len(data):
        return None
    chosen = np.unique(np.linspace(0, len(array) - 1, min(_COMPARED, len(array))).round().astype(int))
    values = array[chosen].astype(np.float64).reshape(len(chosen), -1)
    clean = data.images[torch.from_numpy(rows[chosen])].numpy().astype(np.float64).reshape(len(chosen), -1)
    own, other = values - values.mean(axis=1, keepdims=True), clean - clean.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(own, axis=1) * np.linalg.norm(other, axis=1)
    together = (own * other).sum(axis=1)
    usable = lengths > 1e-9
    if not usable.any():
        return None
    high, low = float(values.max()), float(values.min())
    candidates = {"0..1": values * 255 if high <= 1.5 else None, "0..255": values if high > 1.5 else None}
    candidates["-1..1"] = (values + 1) * 127.5 if low < -0.35 and high <= 1.35 else None
    distances = {
        scale: float(np.abs(images - clean).mean()) for scale, images in candidates.items() if images is not None
    }
    scale = min(distances, key=distances.__getitem__)
    levels = values * (1 if np.abs(values).max() > 1.5 else 255)
    outside = float(((levels + clean < -0.5) | (levels + clean > 255.5)).mean())
    size = float(np.abs(levels).mean())
    slope = float(together[usable].sum() / np.square(other[usable]).sum()) * 255
    return Likeness(
        len(chosen), float((together[usable] / lengths[usable]).mean()), distances[scale], size, slope, outside, scale
    )


# ---------------------------------------------------------------- whole images or noise


def judge_content(
    raw: Raw, told: Statistics, dtype: np.dtype, alike: Likeness | None, notes: list[str], name: str
) -> str:
    """``images`` or ``noise``, with the reason among the notes.

    Raises:
        DataError: the clean images in a unit in which no image is stored, such as normalised ones.
    """
    if raw.content and not raw.called:
        return raw.content
    by_values, why = _by_values(told, dtype)
    if alike is not None and alike.same:
        despite = f" although the file calls them {raw.called}" if raw.content == "noise" else ""
        notes.append(
            f"Judged: whole images{despite}, because they are the clean ones with a change: {alike.apart:.1f}/255 "
            f"apart on average, correlation {alike.correlation:.2f} ({alike.compared} compared)."
        )
        return "images"
    if alike is not None and alike.rescaled and told.low < -0.5 and dtype.kind == "f":
        raise DataError(
            f"{name} follows the clean images (correlation {alike.correlation:.2f}), but its values run from "
            f"{told.low:.3g} to {told.high:.3g}: images after a normalisation.",
            "Undo it (x · std + mean) and save again, or choose the content yourself.",
        )
    if raw.content:
        other = f"; the values alone look like {_WORDS[by_values]}, so choose the content if the name is wrong"
        notes.append(
            f"Judged: {_WORDS[raw.content]}, because the file calls them "
            f"{raw.called}{other if by_values != raw.content else ''}."
        )
        return raw.content
    if alike is not None and told.low < 0 and alike.outside < 0.001:
        notes.append(f"Judged: noise, because {_range(told)}, and added to the clean images they stay in 0..255.")
        return "noise"
    if alike is not None and alike.correlation > 0.5 and by_values == "images":
        notes.append(
            f"Judged: noise, because they follow the clean images (correlation {alike.correlation:.2f}) and are "
            f"weaker: {alike.size:.1f}/255 on average, and {alike.apart:.1f}/255 away from them."
        )
        return "noise"
    notes.append(f"Judged: {_WORDS[by_values]}, because {why}.")
    if alike is not None and by_values == "images" and abs(alike.correlation) < _UNLIKE:
        notes.append(
            f"They do not follow the clean images in the same places (correlation {alike.correlation:.2f}): another "
            "data set, another order, or noise in bytes without a sign, where 255 means −1. Check it by eye."
        )
    return by_values


def _range(told: Statistics) -> str:
    """Range and mean in words."""
    return f"the values run from {told.low:.4g} to {told.high:.4g} with a mean of {told.mean:.3g}"


def _by_values(told: Statistics, dtype: np.dtype) -> tuple[str, str]:
    ran = _range(told)
    pictures, changes = f"{ran}, as those of pictures do", f"{ran}, which is no picture's range"
    if dtype == np.int8:
        return "noise", "bytes with a sign hold changes, not pictures"
    if dtype.kind in "iu":
        if told.low < 0:
            return "noise", f"the whole numbers go below 0, down to {told.low:g}"
        images = told.high > _DARKEST
    elif told.low >= 0:
        whole = 1.0 if told.high <= 1.5 else 255.0
        images = told.high > 0.4 * whole and told.mean > 0.1 * whole
    elif told.low > -0.35:
        # Images to which noise was added without clipping.
        images = 0.6 < told.high <= 1.35 and told.mean > 0.1 and told.spread > 0.1
    else:
        images = 0.6 < told.high <= 1.01 and told.low >= -1.01 and told.spread > 0.25
    return ("images", pictures) if images else ("noise", changes)


def judge_scale(
    content: str, told: Statistics, dtype: np.dtype, alike: Likeness | None, notes: list[str], name: str
) -> str:
    """The unit of the values.

    Raises:
        DataError: values that no unit has.
    """
    if content == "images":
        return _image_scale(told, dtype, alike, notes, name)
    size = max(abs(told.low), abs(told.high))
    if size > 255:
        raise DataError(
            f"The noise in {name} reaches {size:,.4g}, but no change of an 8-bit image is larger than 255.",
            "Divide it by its own largest unit, or choose the unit yourself.",
        )
    if dtype.kind in "iu":
        return "levels"
    if size > 1.0:
        notes.append("Values above 1 mean levels; noise in fractions of 1 cannot be larger.")
        return "levels"
    peaks = np.array(told.peaks)
    if len(peaks) == 3 and peaks.min() > 0:
        uneven, even = peaks.max() / peaks.min(), (peaks * CIFAR10_STD).max() / (peaks * CIFAR10_STD).min()
        if uneven > 1.05 and even < 1.005:
            notes.append(
                "The channels' largest values differ as CIFAR-10's standard deviations do: normalised units, as "
                "TAP saves."
            )
            return "std"
    return "unit"


def _image_scale(told: Statistics, dtype: np.dtype, alike: Likeness | None, notes: list[str], name: str) -> str:
    if told.high > 320 or (dtype.kind in "iu" and told.high > 255):
        raise DataError(
            f"The images in {name} have values up to {told.high:,.4g}, but images are stored in 0..1, −1..1 or 0..255.",
            "Divide 16-bit images by 257 first, or choose the unit yourself.",
        )
    if dtype.kind in "iu":
        return "0..255"
    if alike is not None and alike.same:
        scale = alike.scale
    elif told.high > 1.5:
        scale = "0..255"
    else:
        scale = "-1..1" if told.low < -0.35 else "0..1"
    low, high = {"0..255": (0, 255), "0..1": (0, 1), "-1..1": (-1, 1)}[scale]
    if told.low < low - 0.001 * (high - low) or told.high > high + 0.001 * (high - low):
        notes.append(
            f"Values outside {low}..{high} (from {told.low:.4g} to {told.high:.4g}) are clipped, as an 8-bit "
            "image does."
        )
    return scale


# ---------------------------------------------------------------- indices or labels


def judge_numbers(
    found: tuple[Numbers, ...],
    content: str,
    count: int,
    data: ImageSet | None,
    name: str,
    as_ids: bool,
    notes: list[str],
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Which numbers beside the entries are indices of training images and which are labels.

    Args:
        found: from the reader.
        content: ``noise`` or ``images``.
        count: how many entries there are.
        data: the clean set, if it is known.
        name: of the file.
        as_ids: whether the reader of the file insists on indices.
        notes: reasons are put here.

    Returns:
        Indices and labels, int64 (count,); None for what there is not.

    Raises:
        DataError: another number of them than of entries, or indices that name an image twice.
    """
    given: dict[str, np.ndarray] = {}
    for numbers in found:
        role, why = (
            (numbers.role, "") if numbers.role and not as_ids else _role(numbers.values, content, count, data, as_ids)
        )
        if len(numbers.values) != count:
            raise DataError(
                f"{name} has {count:,} {'images' if content == 'images' else 'entries of noise'} but "
                f"{len(numbers.values):,} {'indices' if role == 'ids' else 'labels'}.",
                "Write it again.",
            )
        if role == "ids" and len(np.unique(numbers.values)) != count:
            raise DataError(
                f"The indices in {name} name some image twice.",
                "Write it again; labels must lie below the number of classes.",
            )
        if role in given:
            notes.append(f"{numbers.name} was not used: there are {'indices' if role == 'ids' else 'labels'} already.")
            continue
        if why:
            kind = "indices" if role == "ids" else "labels"
            notes.append(f"Judged: {numbers.name[:1].lower()}{numbers.name[1:]} is {kind}, because {why}.")
        given[role] = numbers.values
    return given.get("ids"), given.get("labels")


def _role(values: np.ndarray, content: str, count: int, data: ImageSet | None, as_ids: bool) -> tuple[str, str]:
    if as_ids:
        return "ids", ""
    unique = len(np.unique(values)) == len(values)
    agrees = (
        data is not None and len(values) <= len(data) and np.array_equal(values, data.labels[: len(values)].numpy())
    )
    classes = data.classes if data is not None else _MOST_LABELS
    high = int(values.max()) if len(values) else 0
    if agrees and not (unique and content == "noise"):
        return (
            "labels",
            f"they are those of the first {len(values):,} images of {data.name!r}" if data is not None else "",
        )
    if not unique:
        few = high < max(classes, _MOST_LABELS)
        return ("labels", "numbers repeat, and an index names one image") if few else ("ids", "they are large")
    if content == "images" and high < min(classes, MOST_CLASSES) and count <= MOST_CLASSES:
        return "labels", "they stand beside whole images and are as small as class numbers (a guess: none repeats)"
    return "ids", "no number repeats"
