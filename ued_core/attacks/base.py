"""What an attack is: a function from one image set to a poisoned one."""

from __future__ import annotations

from abc import abstractmethod

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
    """

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
        if not 0.0 <= poison_rate <= 1.0:
            raise ParameterError(f"The poison rate is {poison_rate!r}, but it must be a number from 0 to 1.")
        touched = torch.ones(len(data), dtype=torch.bool)
        if poison_rate < 1.0:
            draws = torch.rand(len(data), generator=ctx.generator("poison rate", device="cpu"))
            touched = draws < poison_rate
        rows = touched.nonzero()[:, 0]
        poisoned = self.perturb(data, rows, ctx) if len(rows) else data.images[:0]
        images = poisoned if bool(touched.all()) else data.images.clone().index_copy_(0, rows, poisoned)
        return PoisonedSet(clean=data, images=images, touched=touched, attack=self.to_json(), seed=ctx.seed)

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
