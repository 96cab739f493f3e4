"""Class folders of a PNG tree: names, not labels, unless the clean set or our own export says what they number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from ued_core.data.poison_files.export import class_folder
from ued_core.records import ImageSet

_EXPORTED = re.compile(r"^([0-9]{4,9})_(.+)$")


def judge_folders(
    folders: Sequence[str], ids: np.ndarray | None, recipe: Any, data: ImageSet | None, notes: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and class names of images that lie in class folders.

    Tried in this order: our own export (``0000_apple``, with the names of its recipe); folders that are named as the
    classes of the clean set; whole numbers that agree with the clean set's labels, counted from 0 or from 1; whole
    numbers from 0 without a gap. In all other cases the folders are classes in the order of their names, and whole
    numbers in theirs.

    Args:
        folders: the class folder of each image.
        ids: int64 (N,), the training image of each; None when unknown.
        recipe: JSON that came with the tree.
        data: the clean set, if it is known.
        notes: reasons are put here.

    Returns:
        int64 (N,), and one name a class.
    """
    names = sorted(set(folders), key=_by_number)
    for attempt in (_of_own_export, _of_class_names):
        if (found := attempt(names, recipe, data)) is not None:
            numbers, classes, why = found
            notes.append(f"Judged: {why}")
            return _labels(folders, numbers), classes
    if all(re.fullmatch(r"[0-9]{1,9}", name) for name in names) and len({int(name) for name in names}) == len(names):
        return _of_numbers(folders, names, ids, data, notes)
    return _labels(folders, {name: place for place, name in enumerate(names)}), tuple(names)


def _by_number(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if re.fullmatch(r"[0-9]{1,9}", name) else (1, 0, name)


def _labels(folders: Sequence[str], numbers: dict[str, int]) -> np.ndarray:
    return np.array([numbers[name] for name in folders], np.int64)


_Found = tuple[dict[str, int], tuple[str, ...], str] | None


def _of_own_export(names: list[str], recipe: Any, data: ImageSet | None) -> _Found:
    parts = {name: _EXPORTED.match(name) for name in names}
    if not all(parts.values()):
        return None
    numbers = {name: int(match[1]) for name, match in parts.items() if match}
    told = recipe.get("data") if isinstance(recipe, dict) else None
    known = told.get("class_names") if isinstance(told, dict) else None
    if not _names_of(known, numbers) and data is not None:
        known = list(data.class_names)
    if _names_of(known, numbers):
        return numbers, tuple(known), "the folders are those of UED Studio's export, number and name of each class."
    if sorted(numbers.values()) == list(range(len(names))):
        classes = [match[2] for _, match in sorted(parts.items()) if match]
        return (
            numbers,
            tuple(classes),
            "the folders are numbered names as UED Studio exports them, number and name of each class.",
        )
    return None


def _names_of(known: Any, numbers: dict[str, int]) -> TypeGuard[list[str]]:
    """Whether these are the names of the classes whose folders these are."""
    return isinstance(known, list) and all(
        number < len(known) and isinstance(known[number], str) and class_folder(number, known[number]) == name
        for name, number in numbers.items()
    )


def _of_class_names(names: list[str], recipe: Any, data: ImageSet | None) -> _Found:
    if data is None:
        return None
    place = {name: label for label, name in enumerate(data.class_names)}
    if len(place) != data.classes or not all(name in place for name in names):
        return None
    return (
        {name: place[name] for name in names},
        data.class_names,
        f"the folders are named as the classes of {data.name!r}.",
    )


def _of_numbers(
    folders: Sequence[str], names: list[str], ids: np.ndarray | None, data: ImageSet | None, notes: list[str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    numbers = np.array([int(name) for name in folders], np.int64)
    if data is not None and ids is not None and int(ids.max()) < len(data):
        wanted = data.labels.numpy()[ids]
        for first in (0, 1):
            if np.array_equal(numbers - first, wanted):
                notes.append(
                    "Judged: the folders are numbered as the labels of "
                    f"{data.name!r}{', counted from 1' if first else ''}."
                )
                return wanted.astype(np.int64), data.class_names
    if [int(name) for name in names] == list(range(len(names))):
        notes.append("Judged: the folders are labels, because they run from 0 without a gap.")
        return numbers, tuple(names)
    notes.append(
        f"Judged: the folders {names[0]!r} to {names[-1]!r} are names, not labels, because they do not run from 0 "
        "without a gap; classes are numbered in their order."
    )
    return _labels(folders, {name: place for place, name in enumerate(names)}), tuple(names)
