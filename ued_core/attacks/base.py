"""What an attack is: a function from one image set to a poisoned one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ued_core.class_numbers import check_classes
from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.context import Context
from ued_core.errors import ParameterError
from ued_core.params import Method, param
from ued_core.records import ImageSet, PoisonedSet, Rounding, round_levels

BLOCK = 256
"""Rows that are perturbed, and whose random numbers are drawn, together."""


class Attack(Method):
    """An availability attack; its verb is :meth:`poison`.

    Subclasses implement :meth:`perturb`. Poison rate, class subset, choice of the touched images
    and the check of the result are the same for all and live here. ``ctx.seed`` is the private key.

    Attributes:
        keyed: whether the private key changes the perturbation.
        needs_whole_set: what it does to an image depends on all others (a surrogate is trained on them), so that a
            few images cannot be poisoned by themselves; see :class:`ued_core.attacks.whole_set.WholeSetAttack`.
        uses_labels: whether other labels give other perturbations.
    """

    keyed: ClassVar[bool] = True
    uses_labels: ClassVar[bool] = True
    needs_whole_set: ClassVar[bool] = False

    @abstractmethod
    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        """Poisoned versions of the given rows.

        Args:
            data: the whole clean set.
            rows: int64 (M,), which images to poison.
            ctx: seed, device, progress.

        Returns:
            uint8 (M, C, H, W) on the CPU.
        """

    def poison(
        self, data: ImageSet, ctx: Context, poison_rate: float = 1.0, poison_classes: Sequence[int] | None = None
    ) -> PoisonedSet:
        """Poison a share of the images of some classes; labels stay.

        Args:
            data: the clean set.
            ctx: seed (the private key), device, progress.
            poison_rate: each image is poisoned with this probability, 0..1.
            poison_classes: only images of these classes are poisoned; None means of every class.

        Raises:
            ParameterError: the rate is outside 0..1, or there is no such class.
        """
        touched = touched_rows(data, ctx, poison_rate, poison_classes)
        rows = touched.nonzero()[:, 0]
        poisoned = self.perturb(data, rows, ctx) if len(rows) else data.images[:0]
        images = poisoned if bool(touched.all()) else data.images.clone().index_copy_(0, rows, poisoned)
        return PoisonedSet(clean=data, images=images, touched=touched, attack=self.to_json(), seed=ctx.seed)

    def preview(self, images: ImageSet, seed: int) -> PoisonedSet:
        """What the attack makes of some images of a set, for looking at; it must be quick.

        Args:
            images: some rows of a data set.
            seed: the private key.

        Raises:
            Unavailable: the attack needs the whole set, and no set that holds these images has been crafted yet.
        """
        return self.poison(images, Context(seed=seed))

    def label(self) -> str:
        """What a legend calls this configuration."""
        return self.title

    def kernels(self, classes: int, seed: int) -> np.ndarray | None:
        """The class kernels, float32 (classes, k, k), or None when the attack is no convolution.

        Convolution matrices and Θ are defined for attacks that return kernels.
        """
        return None

    def as_class(
        self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int, train: ImageSet | None = None
    ) -> torch.Tensor | None:
        """The images as if they belonged to other classes: what the shortcut probe asks.

        Args:
            images: uint8 (M, C, H, W).
            classes: int64 (M,), the class whose perturbation each image gets.
            total: number of classes of the data set.
            seed: the private key of the poison under test.
            train: the clean set that was poisoned, for attacks that look at it.

        Returns:
            uint8 (M, C, H, W), or None when the attack's perturbation is not a function of
            the class alone, or when it follows from the training images and these are not given.
        """
        return None


# ---------------------------------------------------------------- which images


def touched_rows(
    data: ImageSet, ctx: Context, poison_rate: float = 1.0, poison_classes: Sequence[int] | None = None
) -> torch.Tensor:
    """Which images are poisoned; bool (N,). Arguments and errors as in :meth:`Attack.poison`.

    Whether an image is drawn does not depend on the classes, so a subset touches a part of what all classes would.
    """
    if not 0.0 <= poison_rate <= 1.0:
        raise ParameterError(f"The poison rate is {poison_rate!r}, but it must be a number from 0 to 1.")
    touched = torch.ones(len(data), dtype=torch.bool)
    if poison_rate < 1.0:
        touched = torch.rand(len(data), generator=ctx.generator("poison rate", device="cpu")) < poison_rate
    if poison_classes is None:
        return touched
    wanted = check_classes(poison_classes)
    if wanted[-1] >= data.classes:
        raise ParameterError(
            f"Class {wanted[-1]} is to be poisoned, but {data.name!r} has {data.classes} classes.",
            f"Their numbers run from 0 to {data.classes - 1}.",
        )
    return touched & torch.isin(data.labels, torch.tensor(wanted))


# ---------------------------------------------------------------- additive attacks


@dataclass(frozen=True)
class Bound:
    """How large a perturbation may be.

    Attributes:
        norm: ``linf``, the largest change of a value, or ``l2``, the root of the sum of squared changes of an image.
        size: in 1/255.
    """

    norm: Literal["linf", "l2"]
    size: float


def rounding_param() -> Any:
    """The parameter ``rounding``, for attacks whose perturbation is no whole number of levels."""
    return param(
        "nearest",
        "How the sum is stored in 8 bits: rounded, or cut off as several releases do, which shifts it by half a level "
        "on average.",
    )


class AdditiveAttack(Attack):
    """An attack that adds a perturbation to every image: add, clip, round, the same for all.

    Subclasses implement :meth:`delta` and :meth:`bound`; those with fractional perturbations also
    declare ``rounding: Rounding = rounding_param()``.
    """

    @abstractmethod
    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        """The perturbation of the given rows, before clipping to legal pixel values and rounding.

        It is asked for in blocks, so an image's perturbation must not depend on which other rows are asked for.

        Args:
            data: the whole clean set.
            rows: int64 (M,).
            ctx: its seed is the private key.

        Returns:
            float32 (M, C, H, W) on the CPU, in 1/255.
        """

    @abstractmethod
    def bound(self, shape: tuple[int, int, int]) -> Bound:
        """What :meth:`delta` keeps to on images of this shape (C, H, W)."""

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return add_in_blocks(data.images, rows, lambda own: self.delta(data, own, ctx), self._rounding, ctx)

    @property
    def _rounding(self) -> Rounding:
        return getattr(self, "rounding", "nearest")


class ClassTableAttack(AdditiveAttack):
    """An additive attack with one perturbation per class; subclasses implement :meth:`table` and ``bound``."""

    @abstractmethod
    def table(self, classes: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
        """The perturbation of every class, float32 (classes, C, H, W), in 1/255."""

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return self.table(data.classes, data.shape, ctx.seed)[data.labels[rows]]

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        table = self.table(data.classes, data.shape, ctx.seed)
        return add_in_blocks(data.images, rows, lambda own: table[data.labels[own]], self._rounding, ctx)

    def as_class(
        self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int, train: ImageSet | None = None
    ) -> torch.Tensor | None:
        channels, height, width = images.shape[1:]
        table = self.table(total, (channels, height, width), seed)
        return add_in_blocks(
            images, torch.arange(len(images)), lambda own: table[classes[own]], self._rounding, Context()
        )


def add_in_blocks(
    images: torch.Tensor,
    rows: torch.Tensor,
    delta: Callable[[torch.Tensor], torch.Tensor],
    rounding: Rounding,
    ctx: Context,
) -> torch.Tensor:
    """Add, clip to 0..255, round.

    Args:
        images: uint8 (N, C, H, W).
        rows: int64 (M,), which of them.
        delta: from some of the rows, int64 (B,), to their perturbation, float32 (B, C, H, W) in 1/255.
        rounding: of the sum.
        ctx: progress and cancellation.

    Returns:
        uint8 (M, C, H, W). A perturbation of at most ε whole levels stays one after rounding.
    """
    result = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8)
    numbers, fast = rows // BLOCK, has_compiler()
    done = 0
    for number in numbers.unique().tolist():
        ctx.check()
        places = (numbers == number).nonzero()[:, 0]
        own = rows[places]
        change = delta(own)
        if fast:
            _add_compiled(images, own, change, rounding, result, places)
        else:
            result[places] = round_levels(images[own].to(torch.float32).add_(change), rounding)
        done += len(own)
        ctx.report(done, len(rows), "perturbing images")
    return result


def _add_compiled(
    images: torch.Tensor,
    rows: torch.Tensor,
    delta: torch.Tensor,
    rounding: Rounding,
    out: torch.Tensor,
    places: torch.Tensor,
) -> None:
    source, change, target = images.numpy(), delta.contiguous().numpy(), out.numpy()
    which, where = rows.numpy(), places.numpy()

    def part(start: int, stop: int) -> None:
        _add_bytes(source, which, change, rounding == "nearest", target, where, start, stop)

    in_threads(part, len(which))


@compiled
def _add_bytes(
    images: np.ndarray,
    rows: np.ndarray,
    delta: np.ndarray,
    nearest: bool,
    result: np.ndarray,
    places: np.ndarray,
    start: int,
    stop: int,
) -> None:
    """:func:`round_levels` of images plus perturbation, in one pass.

    Args:
        images: uint8 (N, C, H, W).
        rows, places: int64 (B,), where each image comes from and where it goes.
        delta: float32 (B, C, H, W).
        nearest: round; otherwise cut off.
        result: uint8 (M, C, H, W), filled at ``places[start:stop]``.
    """
    _, channels, height, width = images.shape
    low, high = np.float32(0), np.float32(255)
    for m in range(start, stop):
        image, change, out = images[rows[m]], delta[m], result[places[m]]
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    value = np.float32(image[c, y, x]) + change[c, y, x]
                    value = np.rint(value) if nearest else value
                    value = low if value < low else value
                    value = high if value > high else value
                    out[c, y, x] = np.uint8(np.int32(value))


def row_normals(rows: torch.Tensor, length: int, ctx: Context, *name: object) -> torch.Tensor:
    """Standard normal numbers that belong to rows: a row's numbers do not depend on which others are asked for.

    Args:
        rows: int64 (M,), not negative.
        length: how many a row.
        ctx: its seed is the private key.
        name: of the stream.

    Returns:
        float32 (M, length) on the CPU.
    """
    result = torch.empty(len(rows), length)
    numbers = rows // BLOCK
    for number in numbers.unique().tolist():
        own = numbers == number
        drawn = torch.randn(BLOCK, length, generator=ctx.generator(*name, number, device="cpu"))
        result[own] = drawn[rows[own] - number * BLOCK]
    return result
