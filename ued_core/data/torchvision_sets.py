"""The standard small-image benchmarks, read by torchvision."""

from __future__ import annotations

import tarfile
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.download import fetch
from ued_core.data.published import Publication, Published
from ued_core.errors import Unavailable
from ued_core.files import folder_atomic
from ued_core.records import DataSplit, ImageSet

_CIFAR_LICENCE = "the publisher states none and asks for a citation; the images were gathered from the web."


class TorchvisionSet(Published):
    """A published set of small images that torchvision reads into memory."""

    def load(self, ctx: Context) -> DataSplit:
        """Read both parts; fetch the files first when they are missing and may be fetched."""
        root = self._present(ctx)
        ctx.report(0, 2, f"Reading {self.title}, training part")
        train = self._read(root, "train")
        ctx.report(1, 2, f"Reading {self.title}, test part")
        test = self._read(root, "test")
        ctx.report(2, 2, f"Reading {self.title}")
        return DataSplit(train, test)

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The files are verified, so how they came here is no part of what they are."""
        return {"name": self.key, "version": self.version}

    @abstractmethod
    def _read(self, root: Path, part: str) -> ImageSet:
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
        ctx.report(0, 1, f"Unpacking {archive.name}")
        _unpack(archive, root / source.base_folder)
        if not self._complete(root):
            raise Unavailable(
                f"{archive.name} was unpacked, but its files do not have the published MD5.", self._advice(root)
            )

    def _read(self, root: Path, part: str) -> ImageSet:
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

    def _read(self, root: Path, part: str) -> ImageSet:
        read = self._source()(str(root), split=part, download=False)
        images = torch.from_numpy(np.ascontiguousarray(read.data))
        labels = torch.from_numpy(np.asarray(read.labels, dtype=np.int64))
        return ImageSet(images, labels, tuple(str(digit) for digit in range(10)), self.key)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the one folder of a verified tar archive beside it; an incomplete older copy is replaced.

    Raises:
        Unavailable: the archive cannot be unpacked here.
    """
    try:
        with folder_atomic(folder, stays=lambda older: False) as fresh, tarfile.open(archive) as packed:
            packed.extractall(fresh.parent, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        advice = f"Delete {archive} and try again."
        raise Unavailable(f"{archive.name} could not be unpacked: {error}.", advice) from error
