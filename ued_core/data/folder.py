"""A folder of the user's own images, one subfolder a class."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import Dataset, divide
from ued_core.data.handles import located
from ued_core.data.image_file import Report, Unusable, is_image_name, read_square
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet

ORIGIN = ".import.json"
"""Written by a zip import beside the class folders: the upload's name and what was skipped."""

MAX_BYTES = 2 << 30

_TEST_NAMES = ("test", "val")
_JUNK = ("__MACOSX",)
_ADVICE = "It needs one subfolder for each class, with at least two PNG, JPEG or WebP images in each."


class Layout(NamedTuple):
    """The image files of a folder.

    Attributes:
        class_names: sorted.
        train: (file, class) pairs, sorted.
        test: the same for a test part of its own; empty when there is none.
    """

    class_names: tuple[str, ...]
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]]


class Folder(Dataset):
    """Your own images: a folder with one subfolder a class.

    PNG, JPEG and WebP of any size and colour mode become RGB, cut to the centred square and
    resized. A folder that holds ``train`` and ``test`` (or ``val``) with the same classes
    keeps that division; otherwise every class gives its share to the test part. What was
    skipped or converted is reported.

    Source:
        The layout of torchvision's ImageFolder.
    """

    key: ClassVar[str] = "folder"
    title: ClassVar[str] = "Image folder"

    path: str = param("", "The folder that holds the class folders.", path=True)
    size: int = param(32, "Side of the images after resizing.", unit="px", ge=8, le=256)
    test_rate: float = param(0.2, "Share of every class that is kept for testing.", ge=0.05, le=0.5, step=0.05)
    seed: int = param(0, "Which images are for training and which for testing.", ge=0, le=2**31 - 1)

    def load(self, ctx: Context) -> DataSplit:
        """Read, resize and divide the images; the notes say what was skipped and why."""
        root = self._root()
        name, earlier = _origin(root)
        report = Report()
        layout = find_images(root, report)
        self._refuse_huge(len(layout.train) + len(layout.test))
        train = self._read(root, layout.train, report, ctx)
        test = self._read(root, layout.test, report, ctx)
        kept = _usable_classes(layout.class_names, train[1], report)
        names = tuple(layout.class_names[index] for index in kept)
        train_set = _image_set(train, kept, names, name)
        if not layout.test:
            _refuse_single_images(train_set)
            generator = ctx.with_seed(self.seed).generator(self.key, "split", device="cpu")
            wanted = max(len(names), round(self.test_rate * len(train_set)))
            return divide(train_set, wanted, generator, (*earlier, *report.lines()))
        test_set = _image_set(test, kept, names, name)
        return DataSplit(train_set, test_set, (*earlier, *report.lines()))

    def identity(self) -> dict[str, Any]:
        """The parameters and the state of the folder: names, sizes and times of its files."""
        return {**super().identity(), "files": _state(self._root())}

    def _root(self) -> Path:
        if not self.path.strip():
            raise DataError("No image folder is given.", f"Give the path of a folder. {_ADVICE}")
        root = located(self.path)
        if not root.is_dir():
            raise DataError(f"There is no folder {str(root)!r}.", "Check the path.")
        if not os.access(root, os.R_OK | os.X_OK):
            raise DataError(f"The folder {str(root)!r} may not be read.", "Change its permissions.")
        return root

    def _refuse_huge(self, count: int) -> None:
        needed = count * 3 * self.size**2
        if needed > MAX_BYTES:
            raise DataError(
                f"{count:,} images of {self.size} × {self.size} take {needed / 2**30:.1f} GiB; "
                f"at most {MAX_BYTES >> 30} GiB are loaded.",
                "Choose a smaller size.",
            )

    def _read(
        self, root: Path, files: list[tuple[Path, int]], report: Report, ctx: Context
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pixels uint8 (N, 3, size, size) and labels int64 (N,) of the files that can be decoded."""
        pixels = np.empty((len(files), 3, self.size, self.size), np.uint8)
        labels: list[int] = []
        for done, (path, label) in enumerate(files):
            if done % 32 == 0:
                ctx.report(done, len(files), "Reading images")
            try:
                pixels[len(labels)] = read_square(path, self.size, report)
            except Unusable as reason:
                report.skip(path.relative_to(root).as_posix(), str(reason))
            else:
                labels.append(label)
        return pixels[: len(labels)], np.array(labels, np.int64)


def find_images(root: Path, report: Report) -> Layout:
    """List the image files of a folder by their names; nothing is decoded.

    Raises:
        DataError: no class folders, no images, one class only, or a training and a test
            part with different classes.
    """
    folders = _subfolders(root)
    if not folders:
        raise DataError(f"{_shown(root)} has no class folders.", _ADVICE)
    test_name = next((name for name in _TEST_NAMES if name in folders and _subfolders(root / name)), None)
    if "train" in folders and test_name and _subfolders(root / "train"):
        layout = _two_parts(root, test_name, folders, report)
    else:
        names, files = _one_part(root, root, report)
        layout = Layout(names, files, [])
    if not layout.train:
        raise DataError(f"{_shown(root)} has no images in its class folders.", _ADVICE)
    if len(layout.class_names) < 2:
        raise DataError(
            f"{_shown(root)} has images of one class only, {layout.class_names[0]!r}; two are needed.", _ADVICE
        )
    return layout


def _two_parts(root: Path, test_name: str, folders: list[str], report: Report) -> Layout:
    for other in folders:
        if other not in ("train", test_name):
            report.skip(other, f"neither train nor {test_name}")
    names, train = _one_part(root, root / "train", report)
    test_names, test = _one_part(root, root / test_name, report)
    odd = sorted(set(names) ^ set(test_names))
    if odd:
        raise DataError(
            f"train and {test_name} in {_shown(root)} do not have the same classes; "
            f"only one of them has images of {', '.join(odd[:5])}.",
            "Give both the same class folders, or merge them into one.",
        )
    return Layout(names, train, test)


def _one_part(root: Path, part: Path, report: Report) -> tuple[tuple[str, ...], list[tuple[Path, int]]]:
    """Class names and (file, class) pairs of one folder of class folders; empty classes are left out."""
    names: list[str] = []
    found: list[tuple[Path, int]] = []
    for name in _subfolders(part):
        files = list(_image_files(root, part / name, report))
        if files:
            found += [(path, len(names)) for path in files]
            names.append(name)
        else:
            report.skip((part / name).relative_to(root).as_posix(), "a class without images")
    for entry in sorted(part.iterdir()):
        if entry.is_file() and not entry.name.startswith("."):
            report.skip(entry.relative_to(root).as_posix(), "outside any class folder")
    return tuple(names), found


def _image_files(root: Path, folder: Path, report: Report) -> list[Path]:
    found = []
    for current, below, files in os.walk(folder):
        below.sort()
        for name in sorted(files):
            path = Path(current) / name
            if is_image_name(name) and not name.startswith("."):
                found.append(path)
            else:
                report.skip(path.relative_to(root).as_posix(), "not a PNG, JPEG or WebP file")
    return found


def _subfolders(root: Path) -> list[str]:
    return sorted(
        entry.name
        for entry in root.iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in _JUNK
    )


def _usable_classes(names: tuple[str, ...], labels: np.ndarray, report: Report) -> np.ndarray:
    """Classes of which at least one training image could be decoded."""
    counts = np.bincount(labels, minlength=len(names))
    for index in np.flatnonzero(counts == 0):
        report.skip(names[index], "a class without usable training images")
    kept = np.flatnonzero(counts)
    if len(kept) < 2:
        which = f"only {names[kept[0]]!r} has" if len(kept) else "none has"
        raise DataError(f"Two classes with usable images are needed, but {which}.", " ".join(report.lines()))
    return kept


def _image_set(
    part: tuple[np.ndarray, np.ndarray], kept: np.ndarray, names: tuple[str, ...], name: str
) -> ImageSet:
    pixels, labels = part
    rows = np.isin(labels, kept)
    if not rows.any():
        raise DataError(f"No image of the test part of {name!r} can be used.", _ADVICE)
    if not rows.all():
        pixels, labels = pixels[rows], labels[rows]
    return ImageSet(torch.from_numpy(pixels), torch.from_numpy(np.searchsorted(kept, labels)), names, name)


def _refuse_single_images(images: ImageSet) -> None:
    counts = torch.bincount(images.labels, minlength=images.classes)
    lonely = [images.class_names[index] for index in torch.nonzero(counts < 2)[:, 0].tolist()]
    if lonely:
        raise DataError(
            f"The class {lonely[0]!r} of {images.name!r} has one usable image; "
            "two are needed, one to train on and one to test on.",
            "Add images to it or remove its folder.",
        )


def _origin(root: Path) -> tuple[str, tuple[str, ...]]:
    """Name and earlier notes of an imported folder; the folder's own name for any other."""
    try:
        origin = json.loads((root / ORIGIN).read_text(encoding="utf-8"))
        return str(origin["name"]), tuple(str(note) for note in origin["notes"])
    except FileNotFoundError:
        return root.name, ()
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{root / ORIGIN} is damaged.", "Delete this folder and import the archive again.") from error


def _state(root: Path) -> str:
    digest = hashlib.sha256()
    for current, below, files in os.walk(root):
        below.sort()
        for name in sorted(files):
            path = Path(current) / name
            status = path.stat() if path.exists() else path.lstat()
            line = f"{path.relative_to(root).as_posix()}\0{status.st_size}\0{status.st_mtime_ns}\n"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _shown(root: Path) -> str:
    return "The archive" if root.name.startswith(".import-") else f"The folder {str(root)!r}"
