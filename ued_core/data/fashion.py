"""Photographs that ship with the program: a part of Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from ued_core.assets import asset
from ued_core.context import Context
from ued_core.data.base import Dataset, stratified_split
from ued_core.data.idx_set import read_idx
from ued_core.params import param
from ued_core.records import DataSplit, ImageSet, round_levels

CLASS_NAMES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
SIDE = 32
GROUND = 16
"""The grey level of what is black in the published files. On black, the negative half of bounded noise is cut off."""
FILES = asset("fashion")
TRAIN, TEST = 10_000, 2_000
"""How many images ship."""

_BORDER = 2


class Fashion(Dataset):
    """Photographs of clothes, shoes and bags from Fashion-MNIST, shipped with the program; needs no network.

    10,000 of the 60,000 official training images and 2,000 of the 10,000 official test images, the same number of
    every class, from which each seed draws its own. The grey images of 28 × 28 are framed to 32 × 32, repeated over
    red, green and blue, and their levels 0..255 are mapped to 16..255.

    Differs:
        The published images are 28 × 28 and stand on black, level 0. There the negative half of a bounded perturbation
        is cut off on most pixels; on level 16 the whole of it acts for any bound up to 16.

    Source:
        H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST, a Novel Image Dataset for Benchmarking Machine Learning
        Algorithms (2017), arXiv 1708.07747. Copyright Zalando SE, MIT licence.
    """

    key: ClassVar[str] = "fashion"
    title: ClassVar[str] = "Fashion"
    embedded: ClassVar[bool] = True

    train_size: int = param(
        5000, "Images to train on, the same number of every class.", ge=10, le=TRAIN, step=10, quick=200
    )
    test_size: int = param(1000, "Images to test on.", ge=10, le=TEST, step=10, quick=100)
    seed: int = param(0, "Which of the shipped images are drawn.", ge=0, le=2**31 - 1)

    def pixels(self) -> int:
        """Of both parts."""
        return (self.train_size + self.test_size) * SIDE**2

    def load(self, ctx: Context) -> DataSplit:
        """Draw both parts from the shipped ones; the test part never holds an official training image."""
        ctx.report(0, 2, "Reading the photographs")
        train = self._drawn("train", self.train_size, ctx)
        ctx.report(1, 2, "Reading the photographs")
        test = self._drawn("t10k", self.test_size, ctx)
        ctx.report(2, 2, "Reading the photographs")
        return DataSplit(train, test)

    def _drawn(self, part: str, size: int, ctx: Context) -> ImageSet:
        images = read_idx(FILES / f"{part}-images-idx3-ubyte.gz", 3)
        labels = read_idx(FILES / f"{part}-labels-idx1-ubyte.gz", 1)
        rows = np.arange(len(labels))
        if size < len(labels):
            generator = ctx.with_seed(self.seed).generator(self.key, part, device="cpu")
            rows = stratified_split(labels, size, generator)[1]
        return ImageSet(
            framed(torch.from_numpy(images[rows])),
            torch.from_numpy(labels[rows].astype(np.int64)),
            CLASS_NAMES,
            self.key,
        )


def framed(grey: torch.Tensor) -> torch.Tensor:
    """The published grey images as this program trains on them.

    Args:
        grey: uint8 (N, 28, 28), 0 is the ground.

    Returns:
        uint8 (N, 3, 32, 32), the ground at level 16.
    """
    lifted = GROUND + grey[:, None].to(torch.float32) * ((255 - GROUND) / 255)
    around = F.pad(lifted, (_BORDER, _BORDER, _BORDER, _BORDER), value=GROUND)
    return round_levels(around).repeat(1, 3, 1, 1)
