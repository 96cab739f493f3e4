"""What every data set is: parameters and one verb."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.params import Method
from ued_core.records import DataSplit, ImageSet

MAX_CLASSES = 10_000
"""More are not read, from wherever they come: networks, kernels and pages grow with them."""

NOT_CLEAN = "NOT CLEAN"
"""How a note begins that takes the name of clean test accuracy from a run's result."""


@dataclass(frozen=True)
class Upload:
    """How a browser gives the files of a data set that lie at a path otherwise.

    Attributes:
        words: what is uploaded, for people.
        endings: the endings that are offered, None for any.
        several: whether more than one file makes the set.
        zipped: whether it is one archive of a folder of images.
    """

    words: str
    endings: Sequence[str] | None = None
    several: bool = False
    zipped: bool = False


class Dataset(Method):
    """A configured data set; :meth:`load` makes its images.

    Attributes:
        embedded: true when it needs neither files nor a network.
        mirror_safe: whether a mirror image keeps its class, so that training may flip.
        without_attack: what its training images are called where a run poisons nothing.
        recommended_plan: plan parameters that suit its size better than the plan's own defaults.
        upload: for images of the user's own, which lie at ``path``; None for a data set that brings its own.
        version: raised by one whenever :meth:`load` gives other images for the same
            parameters, so that cached copies of the old ones are not used.
    """

    embedded: ClassVar[bool] = False
    mirror_safe: ClassVar[bool] = True
    without_attack: ClassVar[str] = "clean"
    recommended_plan: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    upload: ClassVar[Upload | None] = None
    version: ClassVar[int] = 1

    @abstractmethod
    def load(self, ctx: Context) -> DataSplit:
        """Make or read the images, on the CPU.

        The result depends on the parameters (and, for ``folder``, on the files) alone:
        neither on ``ctx.seed`` nor on ``ctx.device``.

        Raises:
            DataError: the files cannot be used.
            Unavailable: the files are not here.
            Cancelled: the user stopped the work.
        """

    @classmethod
    def about(cls) -> str:
        """What the publisher of the images says of them: size, division, licence, files; empty where there is no
        publisher, or the class itself says it."""
        return ""

    def fetch(self, ctx: Context) -> None:
        """Bring the files here that :meth:`identity` looks at, where they are missing and can be had; nothing for most.

        Args:
            ctx: progress and cancellation.

        Raises:
            Unavailable: they cannot be had.
            Cancelled: the user stopped the work.
        """
        return

    def fetches(self) -> bool:
        """Whether loading would fetch gigabytes from a publisher, which visitors may not start."""
        return False

    def pixels(self) -> int:
        """How many pixels loading draws, as far as the parameters tell; 0 where files decide, which have limits of
        their own."""
        return 0

    def label(self) -> str:
        """How a run's title names this configuration."""
        return self.title

    def whole(self, part: str, ctx: Context) -> tuple[ImageSet, tuple[str, ...]] | None:
        """All images of a part, nothing divided off, and the notes; None for a data set that knows its division alone.

        Args:
            part: ``train`` or ``test``.
            ctx: progress and cancellation.
        """
        return None

    def origin_for(self, part: str) -> dict[str, Any]:
        """What a recipe keeps of where images come from that were taken from this set and changed.

        Args:
            part: ``train`` or ``test``, which of them were taken.
        """
        from ued_core.data.provenance import origin_json

        return {"data": origin_json(self, part)}

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """JSON that names the images this configuration loads; two equal identities load equal images.

        Args:
            ctx: told of the progress and asked for cancellation where files have to be looked at.
        """
        return {**self.to_json(), "version": self.version}


def stratified_split(labels: np.ndarray, test_size: int, generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows into training and test rows with the same class proportions.

    Every class gives its proportional share to the test part; shares are rounded down and
    the missing rows come from the classes with the largest remainders. A class of at least
    two rows keeps at least one in each part, even where that misses ``test_size`` by a few.

    Args:
        labels: int (N,).
        test_size: rows wanted in the test part, 1..N-1.
        generator: CPU generator that shuffles within the classes.

    Returns:
        Training rows and test rows, int64, ascending.
    """
    present, counts = np.unique(labels, return_counts=True)
    exact = counts * (test_size / len(labels))
    quota = np.floor(exact).astype(np.int64)
    # A stable sort of the rounded remainders: equal remainders go to the lower class on every machine.
    order = np.argsort(-np.round(exact - quota, 9), kind="stable")
    quota[order[: test_size - int(quota.sum())]] += 1
    quota = np.where(counts > 1, np.clip(quota, 1, counts - 1), 0)
    test = []
    for label, wanted in zip(present, quota, strict=True):
        rows = np.flatnonzero(labels == label)
        shuffled = rows[torch.randperm(len(rows), generator=generator).numpy()]
        test.append(shuffled[:wanted])
    test_rows = np.sort(np.concatenate(test)).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels), dtype=np.int64), test_rows), test_rows


def refuse_single_images(images: ImageSet) -> None:
    """Refuse a set that cannot be divided.

    Raises:
        DataError: a class has one image only.
    """
    counts = torch.bincount(images.labels, minlength=images.classes)
    lonely = [images.class_names[index] for index in torch.nonzero(counts == 1)[:, 0].tolist()]
    if lonely:
        raise DataError(
            f"The class {lonely[0]!r} of {images.name!r} has one usable image; "
            "two are needed, one to train on and one to test on.",
            "Add images to it or remove it.",
        )


def divide(images: ImageSet, test_size: int, generator: torch.Generator, notes: tuple[str, ...] = ()) -> DataSplit:
    """Divide one image set into a stratified training and test part."""
    train_rows, test_rows = stratified_split(images.labels.numpy(), test_size, generator)
    return DataSplit(images.take(train_rows), images.take(test_rows), notes)
