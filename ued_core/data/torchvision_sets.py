"""The standard small-image benchmarks, read by torchvision."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.download import fetch
from ued_core.data.parts import squares
from ued_core.data.published import Fetched, Publication, data_folder
from ued_core.data.report import Report
from ued_core.data.unpacking import md5_of, unpack
from ued_core.errors import Unavailable
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet

_CIFAR_LICENCE = "none is known here, see the publisher, who asks for a citation; the images come from the web."


class TorchvisionSet(Fetched):
    """A published set of small images that torchvision reads into memory."""

    def load(self, ctx: Context) -> DataSplit:
        """Read both parts; fetch the files first when they are missing and may be fetched."""
        root = self._present(ctx)
        ctx.report(0, 2, f"Reading {self.title}, training part")
        train = self._read(root, "train", ctx)
        ctx.report(1, 2, f"Reading {self.title}, test part")
        test = self._read(root, "test", ctx)
        ctx.report(2, 2, f"Reading {self.title}")
        return DataSplit(train, test)

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The files are verified, so how they came here is no part of what they are."""
        return {"name": self.key, "version": self.version}

    @abstractmethod
    def _read(self, root: Path, part: str, ctx: Context) -> ImageSet:
        """Let torchvision read ``train`` or ``test``."""


class Cifar10(TorchvisionSet):
    """60,000 small photographs of ten kinds of animals and vehicles.

    50,000 images to train on and 10,000 to test on, 32 × 32, in colour.

    Source:
        A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009).
    """

    key: ClassVar[str] = "cifar10"
    title: ClassVar[str] = "CIFAR-10"
    publication: ClassVar[Publication] = Publication(
        50_000, 10_000, 10, "the official division", _CIFAR_LICENCE, "https://www.cs.toronto.edu/~kriz/cifar.html"
    )

    @classmethod
    def _source(cls) -> Any:
        from torchvision import datasets

        return datasets.CIFAR10

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The archive as published, unpacked or not."""
        source = cls._source()
        return (f"{source.filename} (or its unpacked folder {source.base_folder})",)

    def _complete(self, root: Path) -> bool:
        from torchvision.datasets.utils import check_integrity

        source = self._source()
        folder = root / source.base_folder
        wanted = [*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])]
        return all(check_integrity(str(folder / name), md5) for name, md5 in wanted)

    def _obtain(self, root: Path, ctx: Context) -> None:
        from torchvision.datasets.utils import check_integrity

        source = self._source()
        archive = root / source.filename
        if not check_integrity(str(archive), source.tgz_md5):
            if not self.download:
                raise self._missing(root)
            fetch(source.url, archive, source.tgz_md5, ctx, self._advice(root))
        unpack(archive, source.base_folder, root / source.base_folder, ctx)
        if not self._complete(root):
            raise Unavailable(
                f"{archive.name} was unpacked, but its files do not have the published MD5.", self._advice(root)
            )

    def _read(self, root: Path, part: str, ctx: Context) -> ImageSet:
        read = self._source()(str(root), train=part == "train", download=False)
        images = torch.from_numpy(np.ascontiguousarray(read.data.transpose(0, 3, 1, 2)))
        labels = torch.tensor(read.targets, dtype=torch.int64)
        return ImageSet(images, labels, tuple(read.classes), self.key)


class Cifar100(Cifar10):
    """60,000 small photographs of a hundred kinds of things.

    50,000 images to train on and 10,000 to test on, 32 × 32, in colour, with the fine labels.

    Source:
        A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009).
    """

    key: ClassVar[str] = "cifar100"
    title: ClassVar[str] = "CIFAR-100"
    publication: ClassVar[Publication] = Cifar10.publication._replace(classes=100)

    @classmethod
    def _source(cls) -> Any:
        from torchvision import datasets

        return datasets.CIFAR100


class Svhn(TorchvisionSet):
    """99,289 photographed house-number digits.

    73,257 images to train on and 26,032 to test on, 32 × 32, in colour; the classes are not
    equally frequent.

    Source:
        Y. Netzer et al.: Reading Digits in Natural Images with Unsupervised Feature Learning,
        NIPS workshop (2011).
    """

    key: ClassVar[str] = "svhn"
    title: ClassVar[str] = "SVHN"
    publication: ClassVar[Publication] = Publication(
        73_257,
        26_032,
        10,
        "the official division, without the part called extra",
        "for non-commercial use only.",
        "http://ufldl.stanford.edu/housenumbers/",
    )
    mirror_safe: ClassVar[bool] = False

    @classmethod
    def _source(cls) -> Any:
        from torchvision import datasets

        return datasets.SVHN

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The two MATLAB files as published."""
        return tuple(cls._source().split_list[part][1] for part in ("train", "test"))

    def _absent(self, root: Path) -> list[tuple[str, str, str]]:
        from torchvision.datasets.utils import check_integrity

        parts = [self._source().split_list[part] for part in ("train", "test")]
        return [(url, name, md5) for url, name, md5 in parts if not check_integrity(str(root / name), md5)]

    def _complete(self, root: Path) -> bool:
        return not self._absent(root)

    def _obtain(self, root: Path, ctx: Context) -> None:
        for url, name, md5 in self._absent(root):
            if not self.download:
                raise self._missing(root)
            fetch(url, root / name, md5, ctx, self._advice(root))

    def _read(self, root: Path, part: str, ctx: Context) -> ImageSet:
        read = self._source()(str(root), split=part, download=False)
        images = torch.from_numpy(np.ascontiguousarray(read.data))
        labels = torch.from_numpy(np.asarray(read.labels, dtype=np.int64))
        return ImageSet(images, labels, tuple(str(digit) for digit in range(10)), self.key)


class Stl10(TorchvisionSet):
    """13,000 photographs of ten kinds of animals and vehicles, taken from ImageNet.

    5,000 images to train on and 8,000 to test on, 96 × 96, in colour; the 100,000 images without labels are neither
    needed nor read.

    Source:
        A. Coates, H. Lee, A. Y. Ng: An Analysis of Single Layer Networks in Unsupervised Feature Learning, AISTATS
        (2011).
    """

    key: ClassVar[str] = "stl10"
    title: ClassVar[str] = "STL-10"
    publication: ClassVar[Publication] = Publication(
        5000,
        8000,
        10,
        "the official division of the labelled images",
        "none is known here, see the publisher; the images are ImageNet's, whose terms of access allow non-commercial "
        "research and education.",
        "https://cs.stanford.edu/~acoates/stl10/",
    )

    size: int = param(96, "Side of the images after resizing; 96 keeps them as they are.", unit="px", ge=8, le=96)
    download: bool = param(
        False, "Fetch the archive from its publisher when it is not here; most of it are the images without labels.",
        quick=False,
    )  # fmt: skip

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The size too."""
        return {**super().identity(ctx), "size": self.size}

    @classmethod
    def _source(cls) -> Any:
        from torchvision import datasets

        return datasets.STL10

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The archive as published, or the files of the labelled images."""
        source = cls._source()
        inside = ", ".join(name for name, _ in cls._labelled())
        return (f"{source.filename} (or {inside} in the folder {source.base_folder})",)

    @classmethod
    def _labelled(cls) -> list[tuple[str, str]]:
        """Name and MD5 of the four files that are read: images and labels to train on, then those to test on."""
        source = cls._source()
        return [(name, md5) for name, md5 in (*source.train_list[:2], *source.test_list)]

    def fetches(self) -> bool:
        """Whether loading fetches the archive."""
        return self.download and not (data_folder() / self._source().base_folder).is_dir()

    def _complete(self, root: Path) -> bool:
        from torchvision.datasets.utils import check_integrity

        folder = root / self._source().base_folder
        return all(check_integrity(str(folder / name), md5) for name, md5 in self._labelled())

    def _obtain(self, root: Path, ctx: Context) -> None:
        source = self._source()
        archive = root / source.filename
        if not archive.is_file() or md5_of(archive, ctx) != source.tgz_md5:
            if not self.download:
                raise self._missing(root)
            fetch(source.url, archive, source.tgz_md5, ctx, self._advice(root))
        unpack(archive, source.base_folder, root / source.base_folder, ctx)
        if not self._complete(root):
            raise Unavailable(
                f"{archive.name} was unpacked, but its files do not have the published MD5.", self._advice(root)
            )

    def _read(self, root: Path, part: str, ctx: Context) -> ImageSet:
        folder, files = root / self._source().base_folder, [name for name, _ in self._labelled()]
        pixels, labels = (
            np.fromfile(folder / name, np.uint8) for name in (files[:2] if part == "train" else files[2:])
        )
        # Published column by column.
        images = torch.from_numpy(np.ascontiguousarray(pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)))
        if self.size != 96:
            images = squares(images, self.size, Report(clean=True), ctx)
        return ImageSet(images, torch.from_numpy(labels.astype(np.int64) - 1), _STL10_NAMES, self.key)


_STL10_NAMES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
