"""What a poison file is: decided from its content, said in words, and open to correction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ued_core.data.poison_files.classes import judge_folders
from ued_core.data.poison_files.formats import FORMATS, Raw
from ued_core.data.poison_files.judgement import (
    MOST_CLASSES,
    Likeness,
    Statistics,
    judge_content,
    judge_numbers,
    judge_scale,
    likeness,
    measure,
)
from ued_core.data.poison_files.rules import CIFAR10_STD, IMAGE_SCALES, NOISE_SCALES
from ued_core.errors import DataError, ParameterError
from ued_core.records import ImageSet

LAYOUTS = ("NCHW", "NHWC")
CONTENTS = ("noise", "images")
PER = ("sample", "class", "cluster", "pool")
_PER_WORDS = {"sample": "one a training image", "class": "one a class", "cluster": "one a cluster", "pool": "a pool of each class"}


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
        sets: how many sets a 5-D file has; 1 otherwise. The first is used.
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
            drawn = ", EM's loader draws one at random for each image" if self.content == "noise" else ""
            rows.append(("Sets", f"{self.sets} sets of {self.content}; the first is used{drawn}"))
        rows.extend(("Missing", line) for line in self.missing)
        rows.extend(("Note", line) for line in self.notes)
        return rows

    def summary(self) -> str:
        """What it is, in one line."""
        entries, channels, height, width = self.shape
        content = "noise" if self.content == "noise" else "whole images"
        labels = " with labels" if self.has_labels else ""
        return f"{FORMATS[self.format].title}: {content}{labels}, {_PER_WORDS[self.per]}, {entries:,} of {channels} × {height} × {width}"

    def lines(self) -> list[str]:
        """The report as plain lines."""
        return [f"{what:<8} {told}" for what, told in self.rows()]


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
    ids, order = _rows(array, content, ids, labels, data, alike, notes)
    format_key = reading.format or _format(raw, content, told, ids, labels)
    scale = reading.scale or judge_scale(content, told, array.dtype, alike, notes, name)
    if scale not in (NOISE_SCALES if noise else IMAGE_SCALES):
        raise DataError(f"{scale!r} is no unit of {content}.", "Leave the scale to the detector, or change the content.")
    if scale == "std" and array.shape[1] != 3:
        raise DataError("The unit 'std' is defined for three channels.", "Choose another scale.")
    per = reading.per or _per(content, format_key, raw, len(array), ids, labels, data, notes)
    if per == "class":
        array, ids, labels = _by_class(array, ids, labels, notes)
    order, missing = _order(content, per, format_key, raw, ids, labels, order)
    factors = np.array(CIFAR10_STD) * 255 if scale == "std" else np.array({"unit": 255.0, "levels": 1.0}.get(scale, 1.0))
    clip = reading.radius if reading.radius is not None else FORMATS[format_key].radius
    found = Found(
        name=name,
        format=format_key,
        content=content,
        layout=layout,
        scale=scale,
        per=per,
        shape=tuple(int(side) for side in array.shape),
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


def _axes(raw: Raw, name: str, reading: Reading, data: ImageSet | None, notes: list[str]) -> tuple[np.ndarray, int, str]:
    """The array as (N, C, H, W), the number of sets it was one of, and the layout of the file."""
    array, sets = _one_set(raw.array, data, notes)
    array = _entries(array, data, notes) if array.ndim == 3 else array
    layout = reading.layout or _layout(array.shape, raw, data, notes)
    turned = array if layout == "NCHW" else array.transpose(0, 3, 1, 2)
    if turned.shape[1] not in (1, 3):
        raise DataError(
            f"{name} read as {layout} has {turned.shape[1]} channels (shape {raw.array.shape}), but images have 1 or 3.",
            "Choose the other layout.",
        )
    return turned, sets, layout


def _one_set(array: np.ndarray, data: ImageSet | None, notes: list[str]) -> tuple[np.ndarray, int]:
    """One set out of a 5-D array: sets stand first, as EM stores them, or second where the clean set's number says so."""
    if array.ndim < 5:
        return array, 1
    first, second = array.shape[:2]
    if first == 1 or second == 1:
        return (array[0] if first == 1 else array[:, 0]), 1
    if data is not None and first == len(data) != second:
        notes.append(f"Judged: {second} sets, on the second axis, because the first has one entry a training image.")
        return array[:, 0], second
    if data is not None and first * second == len(data) and second != data.classes:
        notes.append(f"Judged: {first} × {second} entries in one row, because together they are as many as the training images.")
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
        raise DataError(f"The shape {tuple(shape)} has no axis of 1 or 3 channels in second or last place.", "Store NCHW or NHWC.")
    return "NCHW" if first else "NHWC"


def _from_npy(raw: Raw) -> bool:
    return raw.format == "noise_npy"


# ---- which format, and what an entry is for


def _format(raw: Raw, content: str, told: Statistics, ids: np.ndarray | None, labels: np.ndarray | None) -> str:
    match raw.format:
        case "noise_npy":
            if content == "noise":
                return "lsp" if labels is not None else "noise_npy"
            return "ntga" if raw.array.dtype.kind == "f" and told.high <= 1.01 else "images_npy"
        case "torch" | "pickled" if content == "noise" and labels is None:
            if ids is not None:
                return "tap"
            if raw.format == "torch":
                return "em"
            return "rem" if raw.array.dtype == np.int8 else "noise_npy"
        case "pickled" if labels is None and ids is None:
            return "images_npy"
    return raw.format


def _rows(
    array: np.ndarray, content: str, ids: np.ndarray | None, labels: np.ndarray | None, data: ImageSet | None,
    alike: Likeness | None, notes: list[str],
) -> tuple[np.ndarray | None, str]:  # fmt: skip
    """Which training images whole images are for, where nothing but labels and the images themselves say it; and that in words."""
    if content != "images" or labels is None or ids is not None or len(labels) < 2:
        return ids, ""
    by_class = bool(np.all(np.diff(labels) >= 0)) and len(np.unique(labels)) > 1
    agrees = data is not None and len(labels) <= len(data) and np.array_equal(labels, data.labels[: len(labels)].numpy())
    if agrees and data is not None:
        if len(labels) < len(data) and alike is not None and alike.same:
            notes.append(f"Judged: for the first {len(labels):,} training images, whose labels and pixels they have.")
            return np.arange(len(labels)), "entry i is for training image i; the later images have none"
        return None, ""
    if not by_class or len(np.unique(labels)) == len(labels):
        return None, ""
    if data is not None and len(labels) == len(data):
        sorted_rows = np.argsort(data.labels.numpy(), kind="stable")
        same_labels = np.array_equal(data.labels.numpy()[sorted_rows], labels)
        there = likeness(array, data, sorted_rows) if same_labels else None
        if there is not None and there.same:
            notes.append(
                "The entries are sorted by class, as DUNE writes them. Judged: within a class they have the order of the training set "
                f"(correlation with the clean images {there.correlation:.2f})."
            )
            return sorted_rows, "sorted by class; within a class in the order of the training set"
    notes.append(
        "The entries are sorted by class, as DUNE writes them, so their order is not that of a training set; "
        "which image each was made from is not in the file."
    )
    return None, "sorted by class; which training image an entry is for is not in the file"


def _per(
    content: str, format_key: str, raw: Raw, count: int, ids: np.ndarray | None, labels: np.ndarray | None,
    data: ImageSet | None, notes: list[str],
) -> str:  # fmt: skip
    if format_key == "uc" or raw.clusters is not None:
        return "cluster"
    if content == "images":
        return "sample"
    numbered = next((numbers for numbers in raw.numbers if numbers.values is ids or numbers.values is labels), None)
    if ids is not None:
        classes = data.classes if data is not None else 0
        whole = count == classes and np.array_equal(np.sort(ids), np.arange(count))
        return "class" if whole and numbered is not None and numbered.role == "ids" else "sample"
    if labels is not None:
        return _per_of_labels(count, labels, data, notes)
    if data is not None and count == len(data):
        return "sample"
    if data is not None and count == data.classes:
        return "class"
    if count == 1 and (data is None or data.classes > 1):
        return "cluster"
    per = "class" if count <= MOST_CLASSES else "sample"
    notes.append(f"That there is one map a {per} is a guess from their number, {count:,}.")
    return per


def _per_of_labels(count: int, labels: np.ndarray, data: ImageSet | None, notes: list[str]) -> str:
    if data is not None and count == len(data) and np.array_equal(labels, data.labels.numpy()):
        return "sample"
    if np.array_equal(np.sort(labels), np.arange(count)):
        return "class"
    notes.append("Judged: a pool of noise for each class, because its labels are not those of the training images in their order.")
    return "pool"


def _by_class(
    array: np.ndarray, ids: np.ndarray | None, labels: np.ndarray | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Maps in the order of their classes."""
    numbers = ids if ids is not None else labels
    if numbers is None or not np.array_equal(np.sort(numbers), np.arange(len(array))):
        return array, ids, labels
    notes.append("The maps are put into the order of the classes that the file names.")
    return array[np.argsort(numbers)], None, None


def _order(
    content: str, per: str, format_key: str, raw: Raw, ids: np.ndarray | None, labels: np.ndarray | None, known: str
) -> tuple[str, list[str]]:
    missing = []
    if known:
        order = known
    elif per == "cluster" and format_key != "uc" and raw.clusters is None:
        order = "one map for every image"
    elif per == "cluster":
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
    elif ids is not None:
        order = f"by the indices in it, {int(ids.min()):,} to {int(ids.max()):,}"
    else:
        order = "entry i is taken for training image i"
        missing.append("Indices: that it has the order of the data set can only be checked by labels or by eye.")
    if content == "images" and labels is None:
        missing.append("Labels.")
    if per == "pool" and labels is None:
        missing.append("Labels of the pool: without them the noise cannot be placed.")
    if raw.recipe is None:
        missing.append("Which attack made it, with which radius and key.")
    return order, missing
