"""A folder of the user's own images, one subfolder per class."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import NOT_CLEAN, Dataset, Upload, divide, refuse_single_images
from ued_core.data.decoding import ImageFile, read_squares, refuse_huge, refuse_long
from ued_core.data.handles import imports_root, located
from ued_core.data.image_file import readable_formats
from ued_core.data.layout import ORIGIN, advice, find_layout, is_recipe, poison_of, refuse_few_classes
from ued_core.data.names import readable
from ued_core.data.report import Report
from ued_core.data.room import touch_upload
from ued_core.data.walk import Found, Tree, chosen_folder, open_plain, walk
from ued_core.data.zip_import import import_zip
from ued_core.errors import DataError
from ued_core.params import UPLOAD, param
from ued_core.records import DataSplit, ImageSet

_RECORD_BYTES = 16 << 20


class Folder(Dataset):
    """Your own images: a folder or zip with one subfolder per class, or a few images alone.

    PNG, JPEG, WebP, BMP, TIFF, AVIF and HEIC (the last two where their decoders are there) of
    any size and colour mode become RGB, cut to the centred square and resized. The path may also
    be that of a zip, and the images may lie together without class folders: then the beginnings
    of their names are classes (cat_1, cat_2, dog_1, dog_2), or each image is a class of its own,
    for looking at, not for training. A folder that
    holds a training and a test part (or, without one, a validation part) under their usual
    names, with the same classes, keeps that division; otherwise every class gives its share
    to the test part. Classes are sorted by the names of their folders; hidden folders and
    those of other programs are left out. What was skipped or changed is reported.

    Source:
        The layout of torchvision's ImageFolder.
    """

    key: ClassVar[str] = "folder"
    title: ClassVar[str] = "Own pictures"
    without_attack: ClassVar[str] = "as given"
    upload: ClassVar[Upload | None] = Upload("Your pictures: several files, or a zip", several=True, zipped=True)
    version: ClassVar[int] = 2

    path: str = param("", "The folder that holds the class folders, or a zip of it.", path=True)
    size: int = param(32, "Side of the images after resizing.", unit="px", ge=8, le=256)
    test_rate: float = param(0.2, "Share of every class that is kept for testing.", ge=0.05, le=0.5, step=0.05)
    seed: int = param(0, "Which images are for training and which for testing.", ge=0, le=2**31 - 1)

    def load(self, ctx: Context) -> DataSplit:
        """Read, resize and divide the images; the notes say what was skipped or changed and why."""
        root = self._root(ctx)
        origin = _origin(root)
        tree = walk(root, ctx)
        report = Report()
        report.poison = origin.poison or _held_poison(root, tree)
        shown = (
            f"The archive {origin.name!r}" if root.parent == imports_root() else f"The folder {readable(str(root))!r}"
        )
        layout = find_layout(tree, shown, report)
        refuse_huge(len(layout.train) + len(layout.test), self.size)
        refuse_long(_image_files(root, [*layout.train, *layout.test]), ctx)
        train = self._read(root, layout.train, report, ctx)
        test = train if layout.alone else self._read(root, layout.test, report, ctx)
        kept = _usable_classes(layout.class_names, train[1], report)
        names = tuple(layout.class_names[index] for index in kept)
        train_set = _image_set(train, kept, names, origin.name)
        if layout.alone:
            report.say(
                f"{NOT_CLEAN}: every image is in the training part and in the test part, so accuracy on them says "
                "nothing of new images."
            )
        elif not layout.test:
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
        root = self._root(ctx or Context())
        return {
            **super().identity(ctx),
            "files": walk(root, ctx).state(),
            "origin": list(_origin(root)),
            "formats": readable_formats(),
        }

    def _root(self, ctx: Context) -> Path:
        if not self.path.strip():
            raise DataError(
                "No pictures are given.", f"Upload some, or give the path of a folder or of a zip. {advice()}"
            )
        path = self.path.strip()
        if path.startswith(UPLOAD):
            return chosen_folder(located(path), "image folder")
        return _unpacked(path, ctx) if path.lower().endswith(".zip") else chosen_folder(path, "image folder")

    def _read(
        self, root: Path, files: list[tuple[Found, int]], report: Report, ctx: Context
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 (N, 3, size, size) and labels int64 (N,) of the files that can be decoded."""
        pixels, rows = read_squares(_image_files(root, files), self.size, report, ctx)
        return pixels, np.array([label for _, label in files], np.int64)[rows]


def _unpacked(path: str, ctx: Context) -> Path:
    """The folder of an archive that the owner named; it is unpacked again when it changes or its folder has gone.

    Raises:
        DataError: as :func:`ued_core.data.zip_import.import_zip`.
        Cancelled: the user stopped the work.
    """
    archive = Path(path).expanduser()
    if archive.is_dir():
        return chosen_folder(path, "image folder")
    folder = import_zip(archive, archive.name, ctx)
    touch_upload(folder)
    return folder


def _image_files(root: Path, files: list[tuple[Found, int]]) -> list[ImageFile]:
    return [ImageFile(root.joinpath(*file.parts), file.shown) for file, _ in files]


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
