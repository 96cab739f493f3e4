"""Images, labels and class names as they lie in files, and what makes one image set of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import MAX_CLASSES
from ued_core.data.provenance import Provenance
from ued_core.data.report import Report
from ued_core.errors import DataError
from ued_core.records import ImageSet


@dataclass(frozen=True)
class Part:
    """Images as they lie in a file.

    Attributes:
        images: uint8 (N, 3, H, W).
        labels: int64 (N,), from 0.
        names: one per class; None where the file names none.
        origin: what the file says of where they come from; None where it says nothing.
    """

    images: torch.Tensor
    labels: torch.Tensor
    names: tuple[str, ...] | None = None
    origin: Provenance | None = None


@dataclass(frozen=True)
class Parts:
    """What a file, or a folder of files, holds.

    Attributes:
        train: images to train on.
        test: its own test part; None where it has none.
        report: what was skipped or changed.
    """

    train: Part
    test: Part | None
    report: Report


def numbered(labels: torch.Tensor) -> tuple[str, ...]:
    """Names of classes that have none: their numbers.

    Raises:
        DataError: the labels are no class numbers.
    """
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= MAX_CLASSES:
        raise DataError(
            f"The labels run from {low} to {high}, but they must lie in 0..{MAX_CLASSES - 1}.",
            "Number the classes from 0.",
        )
    return tuple(str(label) for label in range(high + 1))


def agreed_names(train: Part, test: Part, name: str, notes: list[str]) -> tuple[str, ...]:
    """The class names of both parts.

    Raises:
        DataError: they name different classes.
    """
    if train.names and test.names and set(train.names) != set(test.names):
        odd = ", ".join(sorted(set(train.names) ^ set(test.names))[:5])
        raise DataError(
            f"The training and the test part of {name!r} have other classes: {odd}.", "Give images of the same classes."
        )
    if train.names is None and test.names is not None:
        notes.append(
            "Only the test part names its classes; the numbers of the training part were taken for the same classes."
        )
    names = train.names or test.names
    most = max(int(train.labels.max()), int(test.labels.max()))
    if names is None:
        return max(numbered(train.labels), numbered(test.labels), key=len)
    if most >= len(names):
        raise DataError(
            f"A label of {name!r} is {most}, but it names {len(names)} classes.",
            f"Labels must lie in 0..{len(names) - 1}.",
        )
    return names


def renamed(test: Part, names: tuple[str, ...], notes: list[str]) -> Part:
    """The test part with labels that mean the same classes as those of the training part."""
    if test.names is None or test.names == names:
        return test
    if len(set(names)) < len(names):
        raise DataError(
            "The training and the test part number the classes in another order, and two classes have the same name.",
            "Rename one.",
        )
    place = torch.tensor([names.index(name) for name in test.names])
    notes.append("The test part numbers the classes in another order; its labels were renumbered by their names.")
    return replace(test, labels=place[test.labels], names=names)


def uneven(train: ImageSet, test: ImageSet | None = None) -> list[str]:
    """Lines that say which classes have no images to learn from, and how many test images are of such."""
    empty = torch.bincount(train.labels, minlength=train.classes) == 0
    names = [train.class_names[index] for index in torch.nonzero(empty)[:, 0].tolist()]
    lines = []
    if names:
        more = ", …" if len(names) > 3 else ""
        lines.append(
            f"{len(names):,} of {train.classes:,} classes have no training images: "
            f"{', '.join(map(repr, names[:3]))}{more}."
        )
    if test is not None and (lost := int(empty[test.labels].sum())):
        lines.append(
            f"{lost:,} of the {len(test):,} test images are of classes without training images; they count as errors."
        )
    return lines


def overlap(train: ImageSet, test: ImageSet) -> list[str]:
    """A line that says how many test images are training images, pixel by pixel; none where none is."""
    known = {hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() for image in train.images}
    again = sum(hashlib.blake2b(image.numpy().tobytes(), digest_size=16).digest() in known for image in test.images)
    if not again:
        return []
    return [
        f"{again:,} of the {len(test):,} test images are among the training images, pixel by pixel: accuracy on them "
        "is no test."
    ]


def squares(images: torch.Tensor, size: int, report: Report, ctx: Context) -> torch.Tensor:
    """Centred squares of images, resized with antialiasing; uint8 (N, 3, H, W) → (N, 3, size, size)."""
    from PIL import Image

    count, _, height, width = images.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    made = np.empty((count, 3, size, size), np.uint8)
    for row in range(count):
        if row % 256 == 0:
            ctx.report(row, count, "Resizing images")
        one = Image.fromarray(images[row].permute(1, 2, 0).contiguous().numpy()).crop(
            (left, top, left + side, top + side)
        )
        made[row] = np.asarray(one.resize((size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
        report.resize(width, height, size)
    return torch.from_numpy(made)


def as_labels(values: np.ndarray, name: str) -> tuple[torch.Tensor, tuple[str, ...] | None]:
    """Class numbers, int64 (N,), and names where the labels themselves are texts.

    Args:
        values: whole numbers (N,) or (N, 1), one-hot rows (N, classes), or texts (N,).
        name: what they are, for messages.

    Raises:
        DataError: they are none of these.
    """
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim == 1 and values.dtype.kind == "U":
        names, numbers = np.unique(values, return_inverse=True)
        return torch.from_numpy(numbers.astype(np.int64)), tuple(map(str, names))
    if (
        values.ndim == 2
        and values.dtype.kind in "buif"
        and np.all((values == 0) | (values == 1))
        and np.all(values.sum(1) == 1)
    ):
        return torch.from_numpy(values.argmax(1).astype(np.int64)), None
    whole = values.dtype.kind in "ui" or (
        values.dtype.kind == "f" and np.all(np.isfinite(values)) and np.all(values == np.floor(values))
    )
    if values.ndim != 1 or not whole:
        raise DataError(
            f"The labels {name} are {values.dtype} with shape {values.shape}, but they must be one whole number "
            "per image, one row of zeros and a one, or one text.",
            "Write them so.",
        )
    if len(values) and (values.min() < 0 or values.max() >= MAX_CLASSES):
        raise DataError(
            f"The labels {name} run from {values.min()} to {values.max()}, but they must lie in 0..{MAX_CLASSES - 1}.",
            "Number from 0.",
        )
    return torch.from_numpy(values.astype(np.int64)), None
