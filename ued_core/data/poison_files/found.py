"""What a poison file is: decided from its content, said in words, and open to correction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ued_core.data.poison_files.readers import FORMATS, Raw
from ued_core.data.poison_files.rules import CIFAR10_STD, IMAGE_SCALES, NOISE_SCALES
from ued_core.errors import DataError, ParameterError
from ued_core.records import ImageSet

LAYOUTS = ("NCHW", "NHWC")
CONTENTS = ("noise", "images")
PER = ("sample", "class", "cluster", "pool")
_PER_WORDS = {"sample": "one a training image", "class": "one a class", "cluster": "one a cluster", "pool": "a pool of each class"}
MOST_CLASSES = 200
"""Without a data set to compare with, at most so many noise maps are taken for one a class."""
_BLOCK = 512


@dataclass(frozen=True)
class Reading:
    """What the reader of a file insists on; empty fields are detected.

    Attributes:
        format: key of :data:`FORMATS`.
        content: ``noise`` or ``images``.
        layout: ``NCHW`` or ``NHWC``.
        scale: a key of ``NOISE_SCALES`` or ``IMAGE_SCALES``.
        per: ``sample``, ``class``, ``cluster`` or ``pool`` (of each class, in its order).
        radius: clip the noise to this many levels of 1/255 first; None takes the format's own.

    Raises:
        ParameterError: a value that does not exist.
    """

    format: str = ""
    content: str = ""
    layout: str = ""
    scale: str = ""
    per: str = ""
    radius: float | None = None

    def __post_init__(self) -> None:
        allowed = {
            "format": tuple(FORMATS), "content": CONTENTS, "layout": LAYOUTS, "scale": (*NOISE_SCALES, *IMAGE_SCALES), "per": PER,
        }  # fmt: skip
        for name, known in allowed.items():
            value = getattr(self, name)
            if value and value not in known:
                raise ParameterError(f"{name} is {value!r}, but it must be one of {', '.join(map(repr, known))}.", "Or leave it empty.")
        if self.radius is not None and not 0 < self.radius <= 255:
            raise ParameterError(f"radius is {self.radius!r}, but it must be a number above 0 and at most 255.")


@dataclass(frozen=True)
class Found:
    """What a poison file is.

    Attributes:
        name: of the file.
        format: key of :data:`FORMATS`.
        content: ``noise`` to be added, or whole ``images``.
        layout: of the file, ``NCHW`` or ``NHWC``.
        scale: unit of its values.
        per: what one entry is for: a ``sample``, a ``class``, a ``cluster``, or one of a class's ``pool``.
        shape: (entries, channels, height, width).
        sets: how many sets of noise a 5-D file has; 1 otherwise. The first is used.
        dtype: of the file.
        low, high: smallest and largest value, in the file's unit.
        radius: largest size of noise, in 1/255; None for images.
        clip: the noise is clipped to this many 1/255 before use; None when it is not.
        negative_rate: share of negative values; None for images.
        order: what decides which training image an entry is for, in words.
        has_labels: whether labels came with it.
        missing: what the file does not say, in words.
        notes: what was guessed or noticed, in words.
    """

    name: str
    format: str
    content: str
    layout: str
    scale: str
    per: str
    shape: tuple[int, int, int, int]
    sets: int
    dtype: str
    low: float
    high: float
    radius: float | None
    clip: float | None
    negative_rate: float | None
    order: str
    has_labels: bool
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def scale_words(self) -> str:
        """The unit in words."""
        return NOISE_SCALES[self.scale] if self.content == "noise" else IMAGE_SCALES[self.scale]

    def rows(self) -> list[tuple[str, str]]:
        """The report: what, and what it is."""
        form = FORMATS[self.format]
        entries, channels, height, width = self.shape
        per = _PER_WORDS[self.per]
        values = f"{self.low:.4g} to {self.high:.4g}, read as {self.scale_words}"
        if self.radius is not None:
            values += f"; largest size {self.radius:.4g}/255, {100 * (self.negative_rate or 0):.1f} % negative"
        rows = [
            ("Format", f"{form.title}: {form.writes} ({form.source})"),
            ("Content", f"{'noise to be added' if self.content == 'noise' else 'whole poisoned images'}, {per}"),
            ("Entries", f"{entries:,} of {channels} × {height} × {width}, stored as {self.layout}, {self.dtype}"),
            ("Values", values),
            ("Order", self.order),
        ]
        if self.clip is not None:
            rows.append(("Bound", f"clipped to ±{self.clip:g}/255 before it is added"))
        if self.sets > 1:
            rows.append(("Sets", f"{self.sets} sets of noise; the first is used, EM's loader draws one at random for each image"))
        rows.extend(("Missing", line) for line in self.missing)
        rows.extend(("Note", line) for line in self.notes)
        return rows

    def lines(self) -> list[str]:
        """The report as plain lines."""
        return [f"{what:<8} {told}" for what, told in self.rows()]


@dataclass(frozen=True)
class _Statistics:
    low: float
    high: float
    mean: float
    spread: float
    negative: float
    peaks: tuple[float, ...]


def decide(raw: Raw, name: str, reading: Reading, data: ImageSet | None) -> tuple[Found, np.ndarray]:
    """What a raw array is, and the array as (N, C, H, W) in its own type.

    Args:
        raw: from a reader.
        name: of the file.
        reading: what is insisted on.
        data: the set that it is for; decides between class-wise and sample-wise.

    Raises:
        DataError: the shape allows no reading, or it has values that are not finite.
    """
    notes = list(raw.notes)
    array, sets = (raw.array[0], len(raw.array)) if raw.array.ndim == 5 else (raw.array, 1)
    layout = reading.layout or _layout(array.shape, raw, notes)
    array = array if layout == "NCHW" else array.transpose(0, 3, 1, 2)
    if array.shape[1] not in (1, 3):
        raise DataError(
            f"{name} read as {layout} has {array.shape[1]} channels (shape {raw.array.shape}), but images have 1 or 3.",
            "Choose the other layout.",
        )
    told = _measure(array, name)
    content = reading.content or raw.content or _content(told, array.dtype, notes)
    format_key = raw.format or _npy_format(content, told, raw)
    scale = reading.scale or _scale(content, told, array.dtype, notes)
    if scale not in (NOISE_SCALES if content == "noise" else IMAGE_SCALES):
        raise DataError(f"{scale!r} is no unit of {content}.", "Leave the scale to the detector, or change the content.")
    if scale == "std" and array.shape[1] != 3:
        raise DataError("The unit 'std' is defined for three channels.", "Choose another scale.")
    per = reading.per or _per(content, format_key, len(array), raw, data, notes)
    order, missing = _order(content, per, raw)
    noise = content == "noise"
    factors = np.array(CIFAR10_STD) * 255 if scale == "std" else np.array({"unit": 255.0, "levels": 1.0}.get(scale, 1.0))
    form = FORMATS[format_key]
    clip = reading.radius if reading.radius is not None else form.radius
    found = Found(
        name=name,
        format=format_key,
        content=content,
        layout=layout,
        scale=scale,
        per=per,
        shape=tuple(int(side) for side in array.shape),
        sets=sets,
        dtype=str(array.dtype),
        low=told.low,
        high=told.high,
        radius=float(np.max(np.array(told.peaks) * factors)) if noise else None,
        clip=clip if noise else None,
        negative_rate=told.negative if noise else None,
        order=order,
        has_labels=raw.labels is not None,
        missing=tuple(missing),
        notes=tuple(notes),
    )
    return found, array


def _layout(shape: tuple[int, ...], raw: Raw, notes: list[str]) -> str:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    default = "NCHW" if raw.format and FORMATS[raw.format].channels_first else "NHWC"
    if first and last:
        notes.append(f"The shape {tuple(shape)} fits both layouts; {default} is what this format uses.")
        return default
    if not first and not last:
        raise DataError(f"The shape {tuple(shape)} has no axis of 1 or 3 channels in second or last place.", "Store NCHW or NHWC.")
    return "NCHW" if first else "NHWC"


def _measure(array: np.ndarray, name: str) -> _Statistics:
    """Numbers over everything, in blocks; half a gigabyte is read once."""
    low, high, total, squares, negative = np.inf, -np.inf, 0.0, 0.0, 0
    peaks = np.zeros(array.shape[1])
    for start in range(0, len(array), _BLOCK):
        with np.errstate(over="ignore"):
            # What is beyond float32 becomes infinite, and is refused as that.
            block = array[start : start + _BLOCK].astype(np.float32)
        if not np.isfinite(block).all():
            raise DataError(f"{name} has values that are not finite (from entry {start} on).", "It cannot be added; make it anew.")
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        total += float(block.sum(dtype=np.float64))
        squares += float(np.square(block, dtype=np.float64).sum())
        negative += int((block < 0).sum())
        peaks = np.maximum(peaks, np.abs(block).max(axis=(0, 2, 3)))
    mean = total / array.size
    return _Statistics(low, high, mean, max(0.0, squares / array.size - mean**2) ** 0.5, negative / array.size, tuple(peaks.tolist()))


def _content(told: _Statistics, dtype: np.dtype, notes: list[str]) -> str:
    if dtype == np.uint8:
        return "images"
    if dtype.kind in "iub":
        return "noise" if told.low < 0 else "images"
    if told.low >= 0:
        whole = 1.0 if told.high <= 1.01 else 255.0
        images = told.high > 0.4 * whole and told.mean > 0.1 * whole
    else:
        images = 0.6 < told.high <= 1.01 and told.spread > 0.25
    notes.append(f"That these are {'whole images' if images else 'noise'} is judged by the size of the values.")
    return "images" if images else "noise"


def _npy_format(content: str, told: _Statistics, raw: Raw) -> str:
    if content == "noise":
        return "lsp" if raw.labels is not None else "noise_npy"
    return "ntga" if raw.array.dtype.kind == "f" and told.high <= 1.01 else "images_npy"


def _scale(content: str, told: _Statistics, dtype: np.dtype, notes: list[str]) -> str:
    if content == "images":
        if dtype.kind in "iub" or told.high > 1.01:
            return "0..255"
        return "-1..1" if told.low < -0.01 else "0..1"
    if dtype.kind in "iub":
        return "levels"
    size = max(abs(told.low), abs(told.high))
    if size > 1.0:
        notes.append("Values above 1 mean levels; noise in fractions of 1 cannot be larger.")
        return "levels"
    peaks = np.array(told.peaks)
    if len(peaks) == 3 and peaks.min() > 0:
        uneven, even = peaks.max() / peaks.min(), (peaks * CIFAR10_STD).max() / (peaks * CIFAR10_STD).min()
        if uneven > 1.05 and even < 1.005:
            notes.append("The channels' largest values differ as CIFAR-10's standard deviations do: normalised units, as TAP saves.")
            return "std"
    return "unit"


def _per(content: str, format_key: str, count: int, raw: Raw, data: ImageSet | None, notes: list[str]) -> str:
    if format_key == "uc" or raw.clusters is not None:
        return "cluster"
    if content == "images" or raw.ids is not None:
        return "sample"
    if format_key == "lsp" and raw.labels is not None:
        return "pool"
    if data is not None and count == len(data):
        return "sample"
    if data is not None and count == data.classes:
        return "class"
    per = "class" if count <= MOST_CLASSES else "sample"
    notes.append(f"That there is one map a {per} is a guess from their number, {count:,}.")
    return per


def _order(content: str, per: str, raw: Raw) -> tuple[str, list[str]]:
    missing = []
    if per == "cluster":
        order = "an assignment of images to maps came with it" if raw.clusters is not None else "unknown"
        if raw.clusters is None:
            missing.append(
                "The assignment of images to clusters (…_cluster….pth): without it the noise cannot be placed, "
                "but one map alone is laid on every image, to look at."
            )
    elif per == "class":
        order = "map k is for the images with label k"
    elif per == "pool":
        order = "the j-th image of class k gets the j-th entry with label k"
    elif raw.ids is not None:
        order = f"by the indices in it, {int(raw.ids.min()):,} to {int(raw.ids.max()):,}"
    else:
        order = "entry i is taken for training image i"
        missing.append("Indices: that it has the order of the data set can only be checked by labels or by eye.")
    if content == "images" and raw.labels is None:
        missing.append("Labels.")
    if per == "pool" and raw.labels is None:
        missing.append("Labels of the pool: without them the noise cannot be placed.")
    if raw.recipe is None:
        missing.append("Which attack made it, with which radius and key.")
    return order, missing


