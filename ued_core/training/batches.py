"""The training images of an epoch, batch by batch: order, crop, flip, marks, and the retry after a step back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ued_core.context import Context
from ued_core.records import to_float
from ued_core.training.crop import random_crop, random_flip


@dataclass(frozen=True)
class Batch:
    """One batch as the network is to see it.

    Attributes:
        images: float32 (N, C, H, W) in [0, 1], channels last.
        targets: int64 (N,), or float (N, K): soft labels that add up to 1.
        redraw: the whole stack of batch hooks once more, on the same cropped and mirrored images, with
            fresh draws of the same generator; a batch of the same N with the labels that belong to it.
    """

    images: torch.Tensor
    targets: torch.Tensor
    redraw: Callable[[], Batch]


@dataclass(frozen=True)
class Sample:
    """The training images of one step as they are stored, before anything is drawn for them.

    Attributes:
        rows: int64 (n,), their places in the training set.
        images: uint8 (n, C, H, W).
        labels: int64 (n,).
        marks: holds bool (n, D), which image each defence treats; empty where every defence treats every image.
        step: accepted steps of the whole training before this one.
        rng: the epoch's generator, on the device.
        crop, flip: as in :class:`Batches`.
    """

    rows: torch.Tensor
    images: torch.Tensor
    labels: torch.Tensor
    marks: tuple[torch.Tensor, ...]
    step: int
    rng: torch.Generator
    crop: int
    flip: bool

    def cropped(self) -> torch.Tensor:
        """The images cropped and mirrored with fresh draws; float32 (n, C, H, W) in [0, 1]."""
        images = random_crop(self.images, self.crop, self.rng)
        return to_float(random_flip(images, self.rng) if self.flip else images)


def steps_per_epoch(images: int, batch_size: int, remainder: bool = True) -> int:
    """Steps of one pass over so many images; ``remainder`` as in :class:`Batches`."""
    whole, rest = divmod(images, batch_size)
    return whole + (remainder and rest > 1)


@dataclass(frozen=True)
class Batches:
    """A training set on its device, and how it is cut into batches anew for every epoch.

    Attributes:
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        batch_size: images of one step.
        epochs: passes over the images.
        crop: padding of the random crop, in pixels; 0 crops nothing.
        flip: whether images are mirrored at random.
        marks: bool (N, D), which image each defence of the batch hook treats; None: every defence treats all.
        remainder: whether the last, smaller batch is shown too. One of a single image never is: it would break batch
            normalisation.
        stream: name of the epochs' streams of draws.
    """

    images: torch.Tensor
    labels: torch.Tensor
    batch_size: int
    epochs: int
    crop: int = 0
    flip: bool = False
    marks: torch.Tensor | None = None
    remainder: bool = True
    stream: str = "train"

    @property
    def per_epoch(self) -> int:
        """Steps of one epoch."""
        return steps_per_epoch(len(self.images), self.batch_size, self.remainder)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.per_epoch * self.epochs

    def epoch(self, number: int, ctx: Context) -> Epoch:
        """The batches of one epoch, 0…; its number names the streams of its order and of all its draws."""
        return Epoch(self, number, ctx)


class Epoch:
    """One pass over the images: iterating gives a :class:`Sample` per step, and reports how far the training is.

    Attributes:
        first: accepted steps of the whole training before this epoch.
    """

    def __init__(self, batches: Batches, number: int, ctx: Context) -> None:
        self._batches, self._number, self._ctx = batches, number, ctx
        self.first = batches.per_epoch * number
        self._rng = ctx.generator(batches.stream, number)
        drawn = torch.randperm(len(batches.images), generator=ctx.generator("order", number, device="cpu"))
        self._order = drawn.to(ctx.device)
        self._next = self._retries = 0

    @property
    def rows(self) -> torch.Tensor:
        """The images that the epoch shows, int64, in the order in which it shows them."""
        return self._order[: self._batches.per_epoch * self._batches.batch_size]

    def __iter__(self) -> Iterator[Sample]:
        batches, size = self._batches, self._batches.batch_size
        while self._next < batches.per_epoch:
            step, rows = self.first + self._next, self._order[self._next * size : (self._next + 1) * size]
            self._ctx.report(step, batches.steps, f"epoch {self._number + 1} of {batches.epochs}")
            self._next += 1
            marks = () if batches.marks is None else (batches.marks[rows],)
            images, labels = batches.images[rows], batches.labels[rows]
            yield Sample(rows, images, labels, marks, step, self._rng, batches.crop, batches.flip)

    def retry(self, step: int) -> None:
        """Go back to after ``step`` steps of this epoch; the images that are left come in a new order, with new draws.

        Both are decided by the number of the retry alone, so that a run repeats itself bit for bit.
        """
        self._next, self._retries = step, self._retries + 1
        name, shown = (self._number, "retry", self._retries), step * self._batches.batch_size
        draws = self._ctx.generator("order", *name, device="cpu")
        left = torch.randperm(len(self._order) - shown, generator=draws).to(self._order.device)
        self._order[shown:] = self._order[shown:][left]
        self._rng = self._ctx.generator(self._batches.stream, *name)
