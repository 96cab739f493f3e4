"""What an attack is: a function from one image set to a poisoned one."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.errors import ParameterError
from ued_core.params import Method
from ued_core.records import ImageSet, PoisonedSet


class Attack(Method):
    """An availability attack; its verb is :meth:`poison`.

    Subclasses implement :meth:`perturb`. Poison rate, choice of the touched images and the
    check of the result are the same for all and live here. ``ctx.seed`` is the private key.

    Attributes:
        needs_whole_set: what it does to an image depends on all others (a surrogate is trained on them), so that a
            few images cannot be poisoned by themselves; see :class:`ued_core.attacks.surrogate.SurrogateAttack`.
    """

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

    def poison(self, data: ImageSet, ctx: Context, poison_rate: float = 1.0) -> PoisonedSet:
        """Poison a share of the images; labels stay.

        Args:
            data: the clean set.
            ctx: seed (the private key), device, progress.
            poison_rate: each image is poisoned with this probability, 0..1.

        Raises:
            ParameterError: the rate is outside 0..1.
        """
        touched = touched_rows(len(data), poison_rate, ctx)
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

    def kernels(self, classes: int, seed: int) -> np.ndarray | None:
        """The class kernels, float32 (classes, k, k), or None when the attack is no convolution.

        Convolution matrices and Θ are defined for attacks that return kernels.
        """
        return None

    def as_class(self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int) -> torch.Tensor | None:
        """The images as if they belonged to other classes: what the shortcut probe asks.

        Args:
            images: uint8 (M, C, H, W).
            classes: int64 (M,), the class whose perturbation each image gets.
            total: number of classes of the data set.
            seed: the private key of the poison under test.

        Returns:
            uint8 (M, C, H, W), or None when the attack's perturbation is not a function of
            the class alone.
        """
        return None


def touched_rows(count: int, poison_rate: float, ctx: Context) -> torch.Tensor:
    """Which images are poisoned, bool (count,); the private key decides.

    Raises:
        ParameterError: the rate is outside 0..1.
    """
    if not 0.0 <= poison_rate <= 1.0:
        raise ParameterError(f"The poison rate is {poison_rate!r}, but it must be a number from 0 to 1.")
    if poison_rate == 1.0:
        return torch.ones(count, dtype=torch.bool)
    return torch.rand(count, generator=ctx.generator("poison rate", device="cpu")) < poison_rate
