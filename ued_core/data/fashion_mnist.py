"""All of Fashion-MNIST, from its official files."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.download import fetch
from ued_core.data.fashion import CLASS_NAMES, framed
from ued_core.data.handles import located
from ued_core.data.idx_set import read_idx
from ued_core.data.names import readable
from ued_core.data.published import Fetched, Publication, data_folder
from ued_core.data.walk import chosen_source
from ued_core.errors import DataError
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet

MD5S = {
    "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
    "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
    "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
}
"""MD5 of the unpacked files: Debian packs the same content anew, so the packed files are not those of the publisher."""
DEBIAN = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the files."""
FOLDER = "FashionMNIST/raw"
"""Where torchvision keeps them, below its root."""
_STEPS = len(MD5S)


class FashionMnist(Fetched):
    """All 70,000 photographs of Fashion-MNIST: clothes, shoes and bags.

    60,000 images to train on and 10,000 to test on. The official files are taken from ``path``, else from the data
    folder, else from Debian's package dataset-fashion-mnist, else they are fetched from their publisher; wherever they
    come from, their content must have the published MD5. The grey images of 28 × 28 become 32 × 32 in colour as those
    of the data set Fashion do, which ships a part of them.

    Differs:
        The published images are 28 × 28 and stand on black, level 0; here they are framed to 32 × 32 and their ground
        is level 16. See the data set Fashion.

    Source:
        H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, a Novel Image Dataset for Benchmarking Machine Learning
        Algorithms (2017), arXiv 1708.07747.
    """

    key: ClassVar[str] = "fashion_mnist"
    title: ClassVar[str] = "Fashion-MNIST, all of it"
    publication: ClassVar[Publication] = Publication(
        60_000,
        10_000,
        10,
        "the official division",
        "MIT, copyright Zalando SE.",
        "https://github.com/zalandoresearch/fashion-mnist",
    )

    path: str = param(
        "",
        "The folder that holds the four official files, packed with gzip or not. Empty: the data folder, Debian's "
        "package, or a download.",
        path=True,
    )

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The four files as published."""
        return tuple(f"{FOLDER}/{name}.gz" for name in MD5S)

    def load(self, ctx: Context) -> DataSplit:
        """Read, check and frame both parts."""
        place = self._place(ctx)
        arrays = {}
        for done, name in enumerate(MD5S):
            ctx.report(done, _STEPS, f"Reading {name}")
            arrays[name] = _checked(place, name)
        train, test = (self._part(arrays, part) for part in ("train", "t10k"))
        ctx.report(_STEPS, _STEPS, f"Reading {self.title}")
        return DataSplit(train, test)

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The content is verified, so where the files lie is no part of what they are."""
        return {"name": self.key, "version": self.version}

    def _place(self, ctx: Context) -> Path:
        """The folder that the files are read from."""
        if self.path.strip():
            return _inside(chosen_source(located(self.path)))
        here = data_folder() / FOLDER
        if not _all_right(here) and _all_right(DEBIAN):
            return DEBIAN
        return self._present(ctx) / FOLDER

    def _complete(self, root: Path) -> bool:
        return _all_right(root / FOLDER)

    def _obtain(self, root: Path, ctx: Context) -> None:
        from torchvision.datasets import FashionMNIST

        if not self.download:
            raise self._missing(root)
        for name, md5 in FashionMNIST.resources:
            target = root / FOLDER / name
            if not _right(target.parent, target.stem):
                fetch(FashionMNIST.mirrors[0] + name, target, md5, ctx, self._advice(root))

    def _advice(self, root: Path) -> str:
        return f"{super()._advice(root)} Or install Debian's package dataset-fashion-mnist, or give their path."

    def _part(self, arrays: dict[str, np.ndarray], part: str) -> ImageSet:
        images, labels = arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"]
        return ImageSet(
            framed(torch.from_numpy(images)), torch.from_numpy(labels.astype(np.int64)), CLASS_NAMES, self.key
        )


def _inside(source: Path) -> Path:
    """The folder of the files, given itself, one of them, or the root that torchvision is given."""
    folder = source if source.is_dir() else source.parent
    below = (folder, folder / "raw", folder / FOLDER)
    return next((place for place in below if any(_candidates(place, name) for name in MD5S)), folder)


def _candidates(folder: Path, name: str) -> list[Path]:
    return [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]


def _checked(folder: Path, name: str) -> np.ndarray:
    """The array of one official file, unpacked or packed.

    Raises:
        DataError: it is not there, no IDX file, or not the published one.
    """
    problem = DataError(
        f"There is no file {name} or {name}.gz in {readable(str(folder))!r}.",
        f"All four are needed: {', '.join(MD5S)}, packed with gzip or not.",
    )
    for path in _candidates(folder, name):
        try:
            array = read_idx(path, 3 if "images" in name else 1)
        except DataError as error:
            problem = error
            continue
        header = struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape)
        digest = hashlib.md5(header, usedforsecurity=False)
        digest.update(array.data)
        if digest.hexdigest() == MD5S[name]:
            return array
        problem = DataError(
            f"{path.name} in {readable(str(folder))!r} is not the published file: its content has the MD5 "
            f"{digest.hexdigest()}, but it must be {MD5S[name]}.",
            "Fetch it again. Other IDX files are read by the data set 'idx'.",
        )
    raise problem


def _right(folder: Path, name: str) -> bool:
    try:
        _checked(folder, name)
    except DataError:
        return False
    return True


def _all_right(folder: Path) -> bool:
    return all(_right(folder, name) for name in MD5S)
