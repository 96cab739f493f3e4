"""A folder of the user's own images, one subfolder per class."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import NOT_CLEAN, Dataset, Upload, divide, refuse_single_images
from ued_core.data.handles import imports_root, located
from ued_core.data.image_file import header_size, read_square, readable_formats
from ued_core.data.layout import ORIGIN, RECIPE, advice, find_layout, is_recipe, refuse_few_classes
from ued_core.data.names import as_text, readable
from ued_core.data.report import Report, Unusable
from ued_core.data.walk import Found, Tree, chosen_folder, open_plain, walk
from ued_core.errors import DataError
from ued_core.params import UPLOAD, param
from ued_core.records import DataSplit, ImageSet

MAX_BYTES = 2 << 30

MAX_TOTAL_PIXELS = 50_000_000_000
"""Decoding takes about ten seconds a gigapixel."""

_RECORD_BYTES = 16 << 20


class Folder(Dataset):
    """Your own images: a folder with one subfolder per class.

    PNG, JPEG, WebP, BMP, TIFF, AVIF and HEIC (the last two where their decoders are there) of
    any size and colour mode become RGB, cut to the centred square and resized. A folder that
    holds a training and a test part (or, without one, a validation part) under their usual
    names, with the same classes, keeps that division; otherwise every class gives its share
    to the test part. Classes are sorted by the names of their folders; hidden folders and
    those of other programs are left out. What was skipped or changed is reported.

    Source:
        The layout of torchvision's ImageFolder.
    """

    key: ClassVar[str] = "folder"
    title: ClassVar[str] = "Image folder"
    without_attack: ClassVar[str] = "as given"
    upload: ClassVar[Upload | None] = Upload("Zip of images, one subfolder per class", ("zip",), zipped=True)
    version: ClassVar[int] = 2

    path: str = param("", "The folder that holds the class folders.", path=True)
    size: int = param(32, "Side of the images after resizing.", unit="px", ge=8, le=256)
    test_rate: float = param(0.2, "Share of every class that is kept for testing.", ge=0.05, le=0.5, step=0.05)
    seed: int = param(0, "Which images are for training and which for testing.", ge=0, le=2**31 - 1)

    def load(self, ctx: Context) -> DataSplit:
        """Read, resize and divide the images; the notes say what was skipped or changed and why."""
        root = self._root()
        origin = _origin(root)
        tree = walk(root, ctx)
        report = Report()
        report.poison = origin.poison or _held_poison(root, tree)
        shown = (
            f"The archive {origin.name!r}" if root.parent == imports_root() else f"The folder {readable(str(root))!r}"
        )
        layout = find_layout(tree, shown, report)
        self._refuse_huge(len(layout.train) + len(layout.test))
        _refuse_long(root, [*layout.train, *layout.test], ctx)
        train = self._read(root, layout.train, report, ctx)
        test = self._read(root, layout.test, report, ctx)
        kept = _usable_classes(layout.class_names, train[1], report)
        names = tuple(layout.class_names[index] for index in kept)
        train_set = _image_set(train, kept, names, origin.name)
        if not layout.test:
            refuse_single_images(train_set)
            if report.poison:
                report.say(
                    f"{NOT_CLEAN}: the test images were split from images that hold a poison ({report.poison}), so "
                    "accuracy on them is no clean accuracy. Give the folder a test part of clean images."
                )
            generator = ctx.with_seed(self.seed).generator(self.key, "split", device="cpu")
            wanted = max(len(names), round(self.test_rate * len(train_set)))
            return divide(train_set, wanted, generator, _without_repeats(origin.notes, report.lines()))
        test_set = _image_set(test, kept, names, origin.name)
        return DataSplit(train_set, test_set, _without_repeats(origin.notes, report.lines()))

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The parameters, the state of all that :meth:`load` sees of the folder, and the formats that are readable
        here."""
        root = self._root()
        return {
            **super().identity(ctx),
            "files": walk(root, ctx).state(),
            "origin": list(_origin(root)),
            "formats": readable_formats(),
        }

    def _root(self) -> Path:
        if not self.path.strip():
            raise DataError(
                "No image folder is given.", f"Give the path of a folder, or upload a zip of one. {advice()}"
            )
        uploaded = self.path.strip().startswith(UPLOAD)
        return chosen_folder(located(self.path) if uploaded else self.path.strip(), "image folder")

    def _refuse_huge(self, count: int) -> None:
        needed = count * 3 * self.size**2
        if needed > MAX_BYTES:
            raise DataError(
                f"{count:,} images of {self.size} × {self.size} take {needed / 2**30:.1f} GiB; "
                f"at most {MAX_BYTES >> 30} GiB are loaded.",
                "Choose a smaller size.",
            )

    def _read(
        self, root: Path, files: list[tuple[Found, int]], report: Report, ctx: Context
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 (N, 3, size, size) and labels int64 (N,) of the files that can be decoded."""
        pixels = np.empty((len(files), 3, self.size, self.size), np.uint8)
        labels: list[int] = []
        for done, (file, label) in enumerate(files):
            if done % 32 == 0:
                ctx.report(done, len(files), "Reading images")
            ctx.check()
            try:
                pixels[len(labels)] = read_square(root.joinpath(*file.parts), self.size, report)
            except Unusable as reason:
                report.skip(file.shown, str(reason))
            else:
                labels.append(label)
        return pixels[: len(labels)], np.array(labels, np.int64)


def _refuse_long(root: Path, files: list[tuple[Found, int]], ctx: Context) -> None:
    """Refuse before decoding what would take hours to decode; only headers are read."""
    total = 0
    for done, (file, _) in enumerate(files):
        if done % 256 == 0:
            ctx.report(done, len(files), "Looking at the sizes of the images")
        with suppress(Unusable):
            width, height = header_size(root.joinpath(*file.parts))
            total += width * height
        if total > MAX_TOTAL_PIXELS:
            raise DataError(
                f"The first {done + 1:,} of {len(files):,} images have over {MAX_TOTAL_PIXELS // 10**9} gigapixels, "
                "which is more than are decoded at once.",
                "Take fewer images, or make them smaller beforehand.",
            )


def _usable_classes(names: tuple[str, ...], labels: np.ndarray, report: Report) -> np.ndarray:
    """Classes of which at least one training image could be decoded."""
    counts = np.bincount(labels, minlength=len(names))
    for index in np.flatnonzero(counts == 0):
        report.skip(names[index], "a class without usable training images")
    kept = np.flatnonzero(counts)
    refuse_few_classes(names, kept.tolist(), report)
    return kept


def _image_set(part: tuple[np.ndarray, np.ndarray], kept: np.ndarray, names: tuple[str, ...], name: str) -> ImageSet:
    pixels, labels = part
    rows = np.isin(labels, kept)
    if not rows.any():
        raise DataError(f"No image of the test part of {name!r} can be used.", advice())
    if not rows.all():
        pixels, labels = pixels[rows], labels[rows]
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(np.searchsorted(kept, labels)), names, name)


def _without_repeats(earlier: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*earlier, *now)))


class _Origin(NamedTuple):
    """What stands beside the class folders: how the set is called, earlier notes, and the poison that it holds in
    words."""

    name: str
    notes: tuple[str, ...] = ()
    poison: str = ""


def _origin(root: Path) -> _Origin:
    """Name, notes and poison of an imported folder; the folder's own name for any other.

    Raises:
        DataError: the import's record is damaged.
    """
    own = readable(root.name) or "folder"
    record = root / ORIGIN
    if not record.exists():
        return _Origin(own)
    try:
        origin = json.loads(_small(record))
        return _Origin(str(origin["name"]), tuple(str(note) for note in origin["notes"]), str(origin.get("poison", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{readable(str(record))} is damaged.", "Delete this folder and import the archive again."
        ) from error


def poison_of(recipe: bytes) -> str:
    """The poison that an export's recipe names, in words; empty when it is no such recipe."""
    try:
        attack = json.loads(recipe)["attack"]
        return f"{RECIPE} names {as_text(str(attack['name']))[:80]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _held_poison(root: Path, tree: Tree) -> str:
    for file in tree.files:
        if is_recipe(file):
            try:
                return poison_of(_small(root.joinpath(*file.parts)))
            except OSError:
                return ""
    return ""


def _small(path: Path) -> bytes:
    """The first 16 MiB of a plain file."""
    with open_plain(path) as file:
        return file.read(_RECORD_BYTES)
