"""Data sets that lie in files of the user's: what npz, IDX and Parquet files have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from ued_core.context import Context
from ued_core.data.base import Dataset, divide, refuse_single_images
from ued_core.data.handles import located
from ued_core.data.names import shown_names
from ued_core.data.parts import Part, Parts, agreed_names, numbered, overlap, renamed, squares, uneven
from ued_core.data.provenance import Provenance
from ued_core.data.report import Report
from ued_core.data.walk import chosen_source
from ued_core.errors import DataError, UedError
from ued_core.params import UPLOAD, param
from ued_core.records import DataSplit, ImageSet

MAX_BYTES = 2 << 30


class FileSet(Dataset):
    """Images and labels in files of one kind; subclasses say which.

    Where files hold a test part of their own, or ``test_path`` names one, that is what is tested on;
    otherwise every class gives its share. Grey images become RGB. Nothing in a file is ever executed.
    """

    without_attack: ClassVar[str] = "as given"
    mirrors: ClassVar[bool] = True
    advice: ClassVar[str]

    path: str = param("", "The file, or the folder that holds the files.", path=True)
    test_path: str = param(
        "",
        "Clean test images in a file of their own: npz, IDX or Parquet. Empty: the file's own test part, or a "
        "share of it.",
        path=True,
    )
    size: int = param(
        0,
        "Side of the images after cutting to the square and resizing; 0 keeps them as they are.",
        unit="px",
        ge=0,
        le=256,
    )
    test_rate: float = param(
        0.2, "Share of every class that is kept for testing where there is no test part.", ge=0.05, le=0.5, step=0.05
    )
    seed: int = param(0, "Which images are for training and which for testing.", ge=0, le=2**31 - 1)
    mirror: Literal["auto", "yes", "no"] = param(
        "auto", "Whether a mirror image keeps its class, so that training may flip images. auto: as the data set that "
                "a file names, else "
        "yes; for IDX files no, because most hold digits or letters."
    )  # fmt: skip

    @property
    def mirror_safe(self) -> bool:  # type: ignore[override]  # a class variable of data sets that know it beforehand
        """As ``mirror`` says."""
        return self.mirrors if self.mirror == "auto" else self.mirror == "yes"

    def label(self) -> str:
        """The file's own name."""
        text = self.path.strip()
        return self.title if not text or text.startswith(UPLOAD) else Path(text).name

    @classmethod
    @abstractmethod
    def files(cls, source: Path) -> list[Path]:
        """The files that are read for ``path``.

        Raises:
            DataError: there are none, or they do not belong together.
        """

    @classmethod
    @abstractmethod
    def read(cls, source: Path, size: int, ctx: Context) -> Parts:
        """Read what lies at ``path``.

        Args:
            source: the file or folder.
            size: side that images need, where they have to be decoded; 0 for their own.
            ctx: progress and cancellation.

        Raises:
            DataError: it cannot be used.
        """

    def load(self, ctx: Context) -> DataSplit:
        """Read the files, resize and divide; the notes say what was skipped, changed, and tested on."""
        parts = self.read(self._source(), self.size, ctx)
        notes: list[str] = []
        test = self._own_test(parts, notes, ctx)
        name = self._name()
        if test is None:
            whole = self._sized(parts.train, parts.report, ctx, None, name)
            refuse_single_images(whole)
            present = _refuse_one_class(whole)
            notes += uneven(whole)
            generator = ctx.with_seed(self.seed).generator(self.key, "split", device="cpu")
            wanted = max(present, round(self.test_rate * len(whole)))
            return divide(whole, wanted, generator, (*notes, *parts.report.lines()))
        names = agreed_names(parts.train, test, name, notes)
        test = renamed(test, names, notes)
        train_set, test_set = (self._sized(part, parts.report, ctx, names, name) for part in (parts.train, test))
        if train_set.shape != test_set.shape:
            raise DataError(
                f"The training images of {name!r} are {_by(train_set)}, the test images {_by(test_set)}.",
                "Choose a size for both.",
            )
        _refuse_one_class(train_set)
        notes += [*uneven(train_set, test_set), *overlap(train_set, test_set)]
        return DataSplit(train_set, test_set, (*notes, *parts.report.lines()))

    def whole(self, part: str, ctx: Context) -> tuple[ImageSet, tuple[str, ...]]:
        """All images of a part, nothing divided off, and the notes: for commands that work on one set.

        Args:
            part: ``train``, or ``test`` for the files' own test part.
            ctx: progress and cancellation.

        Raises:
            DataError: as :meth:`load`, or there is no test part.
        """
        parts = self.read(self._source(), self.size, ctx)
        chosen = parts.train if part == "train" else parts.test
        if chosen is None:
            raise DataError(
                f"{self._name()} has no test part of its own.", "Leave --part out: all its images are taken then."
            )
        return self._sized(chosen, parts.report, ctx, None, self._name()), parts.report.lines()

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The parameters and the state of the files: names, sizes and times."""
        files = list(self.files(self._source()))
        if self.test_path.strip():
            test = chosen_source(located(self.test_path))
            files += kind_of(test).files(test)
        return {**super().identity(ctx), "files": _state(files)}

    def _source(self) -> Path:
        if not self.path.strip():
            raise DataError(f"No file is given for the data set {self.title!r}.", f"Give its path. {self.advice}")
        return chosen_source(located(self.path))

    def _name(self) -> str:
        source = self._source()
        return self.files(source)[0].stem if self.path.strip().startswith(UPLOAD) else source.stem

    def _own_test(self, parts: Parts, notes: list[str], ctx: Context) -> Part | None:
        """What is tested on, when it is not a share of the same images."""
        if not self.test_path.strip():
            return parts.test
        path = chosen_source(located(self.test_path))
        if path == self._source():
            raise DataError(
                f"path and test_path are the same, {str(path)!r}.",
                "Leave test_path out, and a share of every class is kept.",
            )
        found = kind_of(path).read(path, self.size, ctx)
        notes.extend(f"{path.name}: {line}" for line in found.report.lines())
        return found.test or found.train

    def _sized(self, part: Part, report: Report, ctx: Context, names: tuple[str, ...] | None, name: str) -> ImageSet:
        count, _, height, width = part.images.shape
        needed = count * 3 * (self.size**2 if self.size else height * width)
        if needed > MAX_BYTES:
            raise DataError(
                f"The {count:,} images of {name!r} take {needed / 2**30:.1f} GiB; at most {MAX_BYTES >> 30} GiB "
                "are loaded.",
                "Choose a smaller size.",
            )
        names = shown_names(names or part.names or numbered(part.labels))
        images = (
            part.images
            if not self.size or (height, width) == (self.size, self.size)
            else squares(part.images, self.size, report, ctx)
        )
        return ImageSet(images, part.labels, names, name)


def _refuse_one_class(images: ImageSet) -> int:
    """How many classes have images.

    Raises:
        DataError: fewer than two.
    """
    present = len(images.labels.unique())
    if present < 2:
        raise DataError(
            f"All {len(images):,} images of {images.name!r} are of one class; two are needed.",
            "Add images of another one.",
        )
    return present


def kind_of(path: Path) -> type[FileSet]:
    """The kind of file set that lies at a path.

    Raises:
        DataError: none; the message says which there are.
    """
    from ued_core.data.at_path import method_at

    found = method_at(path)
    if not issubclass(found, FileSet):
        raise DataError(
            f"{str(path)!r} is a folder without such a file.", "Test images have to be in an npz, IDX or Parquet file."
        )
    return found


def origin_test(origin: Provenance, ctx: Context) -> tuple[ImageSet | None, str]:
    """The clean test part of the data set that a file names, and why there is none.

    It is only taken where that data set's training part is, pixel by pixel, what the file was made from.
    """
    from ued_core.data.cache import load_split

    dataset = origin.origin()
    if dataset is None or origin.part != "train":
        named = origin.part and dataset is not None
        return None, f"they were its {origin.part} part" if named else "it does not name a data set that can be loaded"
    try:
        split = load_split(dataset, ctx)
    except UedError as error:
        return None, f"{dataset.title}, from which they were made, cannot be loaded here: {error.what}"
    if split.train.content_hash != origin.clean_hash:
        return None, f"they were made from other images than those that {dataset.title} has here"
    return split.test, ""


def _by(images: ImageSet) -> str:
    return f"{images.shape[2]} × {images.shape[1]}"


def _state(files: Sequence[Path]) -> list[list[Any]]:
    try:
        return [[path.name, status.st_size, status.st_mtime_ns] for path in files for status in (path.stat(),)]
    except OSError as error:
        raise DataError(
            f"A file of the data set cannot be read: {error}.", "Check the path and its permissions."
        ) from error
