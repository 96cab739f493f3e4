"""The tensors that cross module borders, checked once when they are built.

Images are stored as uint8, because that is what a published unlearnable data set is;
they are computed on as float32 in [0, 1]. The one function that rounds is :func:`round_levels`, below :func:`to_bytes`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch

from ued_core.errors import DataError

Rounding = Literal["nearest", "truncate"]
LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel, ITU-R 601; they sum to 1."""


def to_float(images: torch.Tensor) -> torch.Tensor:
    """uint8 0..255 → float32 in [0, 1], same shape."""
    return images.to(torch.float32).div_(255)


def to_bytes(images: torch.Tensor, rounding: Rounding = "nearest") -> torch.Tensor:
    """Float in [0, 1] → uint8 0..255, same shape; values outside are clipped.

    Args:
        images: floating-point tensor of any shape.
        rounding: ``nearest``, or ``truncate`` as the official CUDA and COIN code does.
    """
    return round_levels(images.mul(255), rounding)


def round_levels(levels: torch.Tensor, rounding: Rounding = "nearest") -> torch.Tensor:
    """Float in 1/255 → uint8 0..255, same shape; values outside are clipped.

    Args:
        levels: floating-point tensor of any shape; it is overwritten.
        rounding: as in :func:`to_bytes`.
    """
    levels = levels.round_() if rounding == "nearest" else levels
    return levels.clamp_(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class ImageSet:
    """Labelled images.

    Attributes:
        images: uint8 (N, C, H, W), 0..255; may be memory-mapped.
        labels: int64 (N,), 0..classes-1.
        class_names: one readable name a class.
        name: what users call the set.

    Raises:
        DataError: wrong type, rank, lengths or label range.
    """

    images: torch.Tensor
    labels: torch.Tensor
    class_names: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                f"The images of {self.name!r} are {self.images.dtype} with shape {tuple(self.images.shape)}, "
                "but they must be uint8 with shape (N, C, H, W).",
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != (len(self.images),):
            raise DataError(
                f"The labels of {self.name!r} are {self.labels.dtype} with shape {tuple(self.labels.shape)}, "
                f"but they must be int64 with shape ({len(self.images)},): one per image.",
            )
        if len(self.images) == 0:
            raise DataError(f"{self.name!r} has no images.", "Give at least one.")
        low, high = int(self.labels.min()), int(self.labels.max())
        if low < 0 or high >= len(self.class_names):
            raise DataError(
                f"The labels of {self.name!r} run from {low} to {high}, but it names {len(self.class_names)} classes.",
                f"Labels must lie in 0..{len(self.class_names) - 1}.",
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    @cached_property
    def content_hash(self) -> str:
        """Twelve hex digits that name images and labels."""
        digest = hashlib.sha256(str(tuple(self.images.shape)).encode())
        for start in range(0, len(self), 4096):
            digest.update(self.images[start : start + 4096].contiguous().numpy().tobytes())
        digest.update(self.labels.contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]

    def take(self, rows: torch.Tensor | np.ndarray) -> ImageSet:
        """The given rows, in the given order."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        return ImageSet(self.images[rows], self.labels[rows], self.class_names, self.name)

    def with_images(self, images: torch.Tensor, name: str | None = None) -> ImageSet:
        """The same labels with other images."""
        return ImageSet(images, self.labels, self.class_names, name or self.name)


@dataclass(frozen=True)
class DataSplit:
    """A data set ready for work: what is trained on, what is tested on, and how it came about.

    Attributes:
        train, test: image sets with the same classes and image shape.
        notes: lines about what was skipped or changed while loading; shown to the user.
    """

    train: ImageSet
    test: ImageSet
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.train.class_names != self.test.class_names or self.train.shape != self.test.shape:
            raise DataError(
                f"Training and test part of {self.train.name!r} differ in classes or image shape: "
                f"{self.train.shape} against {self.test.shape}.",
            )


@dataclass(frozen=True)
class PoisonedSet:
    """An image set and what an attack made of it.

    Attributes:
        clean: the set before.
        images: uint8, shape of ``clean.images``.
        touched: bool (N,), which images the attack may have changed.
        attack: the attack as JSON (:meth:`ued_core.params.Method.to_json`).
        seed: the attack's private key.
        log: how crafting went, JSON-ready (:attr:`ued_core.attacks.checkpoint.Crafted.log`); None where nothing is
            crafted.

    Raises:
        DataError: shapes differ, or an untouched image was changed.
    """

    clean: ImageSet
    images: torch.Tensor
    touched: torch.Tensor
    attack: Mapping[str, Any]
    seed: int
    log: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.shape != self.clean.images.shape:
            raise DataError(
                f"Poisoned images are {self.images.dtype} {tuple(self.images.shape)}, "
                f"the clean ones uint8 {tuple(self.clean.images.shape)}; they must agree.",
            )
        if self.touched.dtype != torch.bool or self.touched.shape != (len(self.clean),):
            raise DataError(f"'touched' must be bool with shape ({len(self.clean)},).")
        kept = ~self.touched
        if kept.any() and not torch.equal(self.images[kept], self.clean.images[kept]):
            raise DataError("The attack changed images that it says it did not touch.")

    @property
    def delta(self) -> torch.Tensor:
        """The perturbation, int16 (N, C, H, W), in 1/255: poisoned minus clean."""
        return self.images.to(torch.int16) - self.clean.images.to(torch.int16)

    def as_training_set(self) -> ImageSet:
        """What a victim trains on: poisoned images, true labels."""
        return self.clean.with_images(self.images, f"{self.clean.name} + {self.attack['name']}")


@dataclass
class History:
    """One row per epoch: loss, accuracies, seconds, images per second.

    Rows are dicts with at least ``epoch``; epochs must increase.
    """

    rows: list[dict[str, float]] = field(default_factory=list)

    def add(self, row: Mapping[str, float]) -> None:
        """Append one epoch's numbers.

        Raises:
            DataError: the epoch does not come after the last one.
        """
        if self.rows and row["epoch"] <= self.rows[-1]["epoch"]:
            raise DataError(
                f"Epoch {row['epoch']} was added after epoch {self.rows[-1]['epoch']}; epochs must increase."
            )
        self.rows.append(dict(row))

    def column(self, name: str) -> np.ndarray:
        """All values of one number, float64; nan where an epoch lacks it."""
        return np.array([row.get(name, np.nan) for row in self.rows], dtype=np.float64)


@dataclass(frozen=True)
class Embedding:
    """A layout of features in the plane.

    Attributes:
        points: float32 (M, 2).
        rows: int64 (M,), which image each point is.
        labels: int64 (M,), its class.
        group: (M,) str, its copy (``clean``, ``poisoned``, ``defended``).
        method: ``umap`` or ``pca``.
        source: what computed the features.
    """

    points: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    group: np.ndarray
    method: str
    source: str

    def __post_init__(self) -> None:
        sizes = {len(self.points), len(self.rows), len(self.labels), len(self.group)}
        if len(sizes) != 1 or self.points.ndim != 2 or self.points.shape[1] != 2:
            raise DataError(
                f"An embedding needs (M, 2) points and M rows, labels and groups; got lengths {sorted(sizes)}."
            )


def balanced_rows(labels: torch.Tensor, per_class: int, seed: int) -> np.ndarray:
    """The same number of random images of every class.

    Args:
        labels: int64 (N,).
        per_class: how many of each class; all of a class that has fewer.
        seed: which ones.

    Returns:
        Rows, int64, ordered by class.
    """
    rng = np.random.default_rng(seed)
    values = labels.numpy()
    chosen = []
    for label in np.unique(values):
        own = np.flatnonzero(values == label)
        chosen.append(rng.choice(own, min(per_class, len(own)), replace=False))
    return np.concatenate(chosen)
