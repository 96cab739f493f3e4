"""What an entry of a poison file is for: which training image, class, cluster or place in a pool; judged and told."""

from __future__ import annotations

import numpy as np

from ued_core.data.poison_files.formats import Raw
from ued_core.data.poison_files.judgement import MOST_CLASSES, Likeness, Statistics, likeness
from ued_core.records import ImageSet


def format_of(raw: Raw, content: str, told: Statistics, ids: np.ndarray | None, labels: np.ndarray | None) -> str:
    """The format that content and what lies beside it make of a container."""
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


def rows_of(
    array: np.ndarray, content: str, ids: np.ndarray | None, labels: np.ndarray | None, data: ImageSet | None,
    alike: Likeness | None, notes: list[str],
) -> tuple[np.ndarray | None, str]:  # fmt: skip
    """Which training images whole images are for, where nothing but labels and the images themselves say it; and that
    in words."""
    if content != "images" or labels is None or ids is not None or len(labels) < 2:
        return ids, ""
    by_class = bool(np.all(np.diff(labels) >= 0)) and len(np.unique(labels)) > 1
    agrees = (
        data is not None and len(labels) <= len(data) and np.array_equal(labels, data.labels[: len(labels)].numpy())
    )
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
                "The entries are sorted by class, as DUNE writes them. Judged: within a class they have the order of "
                f"the training set (correlation with the clean images {there.correlation:.2f})."
            )
            return sorted_rows, "sorted by class; within a class in the order of the training set"
    notes.append(
        "The entries are sorted by class, as DUNE writes them, so their order is not that of a training set; "
        "which image each was made from is not in the file."
    )
    return None, "sorted by class; which training image an entry is for is not in the file"


def per_of(
    content: str, format_key: str, raw: Raw, count: int, ids: np.ndarray | None, labels: np.ndarray | None,
    data: ImageSet | None, notes: list[str],
) -> str:  # fmt: skip
    """What one entry is for: a sample, a class, a cluster, or a place in its class's pool."""
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
    notes.append(
        "Judged: a pool of noise for each class, because its labels are not those of the training images in "
        "their order."
    )
    return "pool"


def by_class(
    array: np.ndarray, ids: np.ndarray | None, labels: np.ndarray | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Maps in the order of their classes."""
    numbers = ids if ids is not None else labels
    if numbers is None or not np.array_equal(np.sort(numbers), np.arange(len(array))):
        return array, ids, labels
    notes.append("The maps are put into the order of the classes that the file names.")
    return array[np.argsort(numbers)], None, None


def order_of(
    content: str, per: str, format_key: str, raw: Raw, ids: np.ndarray | None, labels: np.ndarray | None, known: str
) -> tuple[str, list[str]]:
    """What decides which training image an entry is for, and what the file does not say; both in words."""
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
