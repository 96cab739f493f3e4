"""Published photographs of any size: lists, draws and limits before anything is decoded, one way for all of them."""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from urllib.parse import urlparse

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import stratified_split
from ued_core.data.decoding import ImageFile, read_squares, refuse_huge, refuse_long
from ued_core.data.download import fetch
from ued_core.data.names import readable, shown_names
from ued_core.data.parts import uneven
from ued_core.data.published import Fetched, Published, data_folder
from ued_core.data.report import Report
from ued_core.data.unpacking import md5_of, unpack
from ued_core.errors import DataError, UedError, Unavailable, in_short
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet

Listed = list[tuple[str, int]]
"""Path and class of each image."""


class Lists(NamedTuple):
    """Which files a set consists of, as its own lists say.

    Attributes:
        root: messages name the files from here on.
        names: of the classes, in the order of their numbers.
        train: training images.
        test: test images.
        notes: what else must be said of them.
    """

    root: Path
    names: tuple[str, ...]
    train: Listed
    test: Listed
    notes: tuple[str, ...] = ()


class PhotoSet(Published):
    """Published photographs of any size; subclasses say which files they are.

    The shorter side of every image is resized to ``size``, with antialiasing, and the centred square is cut out. Files
    that are missing or damaged are left out and named.

    Attributes:
        formats: further formats that Pillow reads, in which this set is published.
    """

    formats: ClassVar[tuple[str, ...]] = ()

    size: int = param(
        64,
        "Side of the images: the shorter side is resized to it, and the centre is cut out. The sources of Unlearnable "
        "Clusters take 224, which takes twelve times the memory and time of 64.",
        unit="px",
        ge=8,
        le=256,
    )
    train_size: int = param(
        0,
        "Images to train on, drawn with the shares of the classes, at least one of each; 0 takes all.",
        ge=0,
        le=1_000_000,
    )
    test_size: int = param(0, "Images to test on, drawn likewise; 0 takes all.", ge=0, le=1_000_000)
    seed: int = param(0, "Which images are drawn where not all are taken.", ge=0, le=2**31 - 1)

    @abstractmethod
    def _lists(self, ctx: Context) -> Lists:
        """Read the lists of the files that are here; no image is opened.

        Args:
            ctx: progress and cancellation, where folders have to be looked through.

        Raises:
            DataError: a list is damaged.
            Unavailable: files are missing.
        """

    def load(self, ctx: Context) -> DataSplit:
        """Draw, decode and resize both parts; the notes say what was skipped or changed."""
        self.fetch(ctx)
        lists = self._drawn(ctx)
        refuse_huge(len(lists.train) + len(lists.test), self.size)
        refuse_long(_files(lists.root, [*lists.train, *lists.test]), ctx, self.formats)
        report = Report(clean=True)
        for note in (*lists.notes, *self._uncounted(lists)):
            report.say(note)
        train, test = (self._read(lists, part, report, ctx) for part in ("train", "test"))
        if len(train.labels.unique()) < 2:
            raise DataError(
                f"Two classes of {self.title} with usable training images are needed, but there is one.",
                " ".join(report.skipped()) or "Take more images.",
            )
        return DataSplit(train, test, (*uneven(train, test), *report.lines()))

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The parameters, and the names, sizes and times of the files that they choose; no files where they are not
        here."""
        chosen = {name: value for name, value in super().identity(ctx).items() if name != "download"}
        try:
            lists = self._drawn(ctx or Context())
        except Unavailable:
            return {**chosen, "files": None}
        return {**chosen, "files": _state(lists)}

    def _official(self) -> tuple[int, int]:
        """Training and test images of the whole set as it is configured."""
        return self.publication.train, self.publication.test

    def _uncounted(self, lists: Lists) -> list[str]:
        """A line for each part that is not as large as the published one."""
        return [
            f"{self.title} has {official:,} {word} images, but {len(part):,} are listed here."
            for word, official, part, asked in zip(
                ("training", "test"),
                self._official(),
                (lists.train, lists.test),
                (self.train_size, self.test_size),
                strict=True,
            )
            if not asked and len(part) != official
        ]

    def _drawn(self, ctx: Context) -> Lists:
        """The lists with as many images as were asked for.

        Raises:
            DataError: more were asked for than are listed, or a part lists none.
        """
        lists = self._lists(ctx)
        return lists._replace(
            train=self._draw(lists.train, self.train_size, "train"), test=self._draw(lists.test, self.test_size, "test")
        )

    def _draw(self, listed: Listed, size: int, part: str) -> Listed:
        if not listed:
            raise DataError(f"The {part} part of {self.title} lists no image.", "Check its files.")
        if size > len(listed):
            raise DataError(
                f"{self.title}: {part}_size is {size:,}, but the part has {len(listed):,} images.",
                "Take fewer, or 0 for all.",
            )
        if size in (0, len(listed)):
            return listed
        generator = Context(seed=self.seed).generator(self.key, part, device="cpu")
        rows = stratified_split(np.array([label for _, label in listed]), size, generator)[1]
        return [listed[row] for row in rows]

    def _read(self, lists: Lists, part: str, report: Report, ctx: Context) -> ImageSet:
        listed: Listed = getattr(lists, part)
        pixels, rows = read_squares(_files(lists.root, listed), self.size, report, ctx, self.formats)
        if not len(rows):
            raise DataError(f"No image of the {part} part of {self.title} can be used.", " ".join(report.skipped()))
        labels = np.array([label for _, label in listed], np.int64)[rows]
        return ImageSet(torch.from_numpy(pixels), torch.from_numpy(labels), shown_names(lists.names), self.key)


class Archive(NamedTuple):
    """A file of the publisher's, and what of it is needed where.

    Attributes:
        url: http or https address.
        md5: hexadecimal MD5 of the file.
        inside: the folder or file in the archive that is needed; empty for a file that is no archive.
        target: where that belongs, below the data folder.
    """

    url: str
    md5: str
    inside: str
    target: str

    @property
    def name(self) -> str:
        """The file's own name."""
        return Path(urlparse(self.url).path).name

    def folder(self, root: Path) -> Path:
        """Where torchvision keeps the file."""
        above = Path(self.target).parts[:-1]
        return root / above[0] if above else root


class ListedPhotos(PhotoSet):
    """Published photographs in the data folder, whose lists torchvision reads.

    Attributes:
        places: files and folders below the data folder that must be there.
    """

    places: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _reader(self, root: Path, part: str) -> Any:
        """torchvision's reader of ``train`` or ``test``, with its lists."""

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """Every place."""
        return cls.places

    def _lists(self, ctx: Context) -> Lists:
        root = data_folder()
        if not self._complete(root):
            raise self._missing(root)
        try:
            return self._listed(root)
        except UedError:
            raise
        except Exception as error:
            # torchvision and its parsers raise almost anything on damaged lists; whatever it is, the files are at
            # fault.
            raise DataError(
                f"The lists of {self.title} in {root} cannot be read: {in_short(error)}.",
                f"Replace them. {self._advice(root)}",
            ) from error

    def _listed(self, root: Path) -> Lists:
        train, test = (self._reader(root, part) for part in ("train", "test"))
        if list(train.classes) != list(test.classes):
            raise DataError(
                f"The two parts of {self.title} in {root} list {len(train.classes)} and {len(test.classes)} classes, "
                "but they must be the same.",
                f"Replace the lists. {self._advice(root)}",
            )
        names = tuple(name if isinstance(name, str) else name[0] for name in train.classes)
        return Lists(root, names, pairs(train), pairs(test))

    def _needed(self) -> tuple[str, ...]:
        return self.places

    def _complete(self, root: Path) -> bool:
        return all((root / place).exists() for place in self._needed())

    def _missing(self, root: Path, why: str = "") -> Unavailable:
        absent = [place for place in self._needed() if not (root / place).exists()]
        return Unavailable(
            f"{why}{self.title} needs files that are not in {root}: {', '.join(absent)}.", self._advice(root)
        )


class FetchedPhotos(ListedPhotos, Fetched):
    """Published photographs in the data folder, whose files can be fetched."""

    download: bool = param(
        False,
        "Fetch the files from their publisher when they are not here; some sets have many gigabytes.",
        quick=False,
    )

    @classmethod
    @abstractmethod
    def archives(cls) -> tuple[Archive, ...]:
        """The publisher's files that hold the places."""

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """Every place, and the archive that it is unpacked from."""
        packed = {archive.target: archive.name for archive in cls.archives() if archive.inside}
        return tuple(f"{place} (unpacked from {packed[place]})" if place in packed else place for place in cls.places)

    def fetch(self, ctx: Context) -> None:
        """Unpack or fetch what is missing."""
        self._present(ctx)

    def fetches(self) -> bool:
        """Whether loading fetches files."""
        return self.download and not self._complete(data_folder())

    def _obtain(self, root: Path, ctx: Context) -> None:
        for archive in self.archives():
            target = root / archive.target
            if archive.target not in self._needed() or target.exists():
                continue
            file = self._packed(archive, root, ctx)
            if archive.inside:
                unpack(file, archive.inside, target, ctx)
        if not self._complete(root):
            raise self._missing(root)

    def _packed(self, archive: Archive, root: Path, ctx: Context) -> Path:
        """The verified file, from where a user or torchvision put it, or fetched."""
        folder = archive.folder(root)
        wrong = ""
        for place in dict.fromkeys((folder / archive.name, root / archive.name)):
            if not place.is_file():
                continue
            found = md5_of(place, ctx)
            if found == archive.md5:
                return place
            wrong = f"{place} has the MD5 {found}, but it must be {archive.md5}. "
        if not self.download:
            raise self._missing(root, wrong)
        fetch(archive.url, folder / archive.name, archive.md5, ctx, self._advice(root))
        return folder / archive.name

    def _missing(self, root: Path, why: str = "") -> Unavailable:
        found = super()._missing(root, why)
        return found if self.download else Unavailable(f"{found.what} Downloading is switched off.", found.do)


def pairs(reader: Any) -> Listed:
    """Paths and classes of a torchvision reader, which keeps them under one of three names."""
    for name in ("samples", "_samples"):
        if hasattr(reader, name):
            return [(str(path), int(label)) for path, label in getattr(reader, name)]
    files = reader._images if hasattr(reader, "_images") else reader._image_files
    return [(str(path), int(label)) for path, label in zip(files, reader._labels, strict=True)]


def _files(root: Path, listed: Listed) -> list[ImageFile]:
    above = f"{root}{os.sep}"
    return [ImageFile(Path(path), readable(path.removeprefix(above))) for path, _ in listed]


def _state(lists: Lists) -> str:
    """A hash that changes with the names of the classes and the name, class, size or time of any file."""
    digest = hashlib.sha256(repr((lists.names, len(lists.train))).encode("utf-8", "surrogateescape"))
    for path, label in (*lists.train, *lists.test):
        try:
            status = os.stat(path)
            state = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError:
            state = "missing"
        digest.update(f"{path}\0{label}\0{state}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
