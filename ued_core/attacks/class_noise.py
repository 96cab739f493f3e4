"""Random noise: one pattern per class, the simplest shortcut there is, or one per image, which is none."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from ued_core.attacks.base import BLOCK, Bound, ClassTableAttack, add_in_blocks, rounding_param
from ued_core.context import Context
from ued_core.params import param
from ued_core.records import ImageSet, Rounding


class ClassNoise(ClassTableAttack):
    """Every class gets one pattern of random noise, the same on all its images.

    A control: the pattern tells the class perfectly and is linearly separable, but it is not made to
    be easy for a convolutional network. What it does to a victim shows how much of another attack's
    effect comes from being class-wise alone. With a pattern per image it tells nothing of the class: the control for
    what noise of this size does by itself.

    Source:
        The class-wise random control of the work on detecting unlearnable examples (code: hala64/udp);
        Unlearnable Examples, arXiv 2101.04898, compares with random noise too.

    Differs:
        The pattern follows our private key instead of a fixed seed 1111. In the release, the name under which
        the noise is asked for differs from the one that is tested, so that no noise is added at all; here it is added.
        A pattern per image is our control.
    """

    key: ClassVar[str] = "class_noise"
    title: ClassVar[str] = "Class-wise noise"

    epsilon: int = param(
        8, "Largest change ε of a pixel value; every value is uniform in −ε..ε.", label="ε", unit="1/255", ge=1, le=64
    )
    granularity: Literal["class", "image"] = param(
        "class", "One pattern per class, or one per image, which has nothing to do with the class.", later=True
    )
    rounding: Rounding = rounding_param()

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        return Bound("linf", self.epsilon)

    def table(self, classes: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
        drawn = torch.rand((classes, *shape), generator=Context(seed=seed).generator(self.key, "patterns"))
        return drawn.mul_(2 * self.epsilon).sub_(self.epsilon)

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return self._own(rows, data.shape, ctx) if self.granularity == "image" else super().delta(data, rows, ctx)

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        if self.granularity == "class":
            return super().perturb(data, rows, ctx)
        return add_in_blocks(data.images, rows, lambda own: self.delta(data, own, ctx), self.rounding, ctx)

    def as_class(
        self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int, train: ImageSet | None = None
    ) -> torch.Tensor | None:
        return None if self.granularity == "image" else super().as_class(images, classes, total, seed, train)

    def _own(self, rows: torch.Tensor, shape: tuple[int, int, int], ctx: Context) -> torch.Tensor:
        """Patterns that belong to rows: a row's does not depend on which others are asked for."""
        result = torch.empty(len(rows), *shape)
        numbers = rows // BLOCK
        for number in numbers.unique().tolist():
            own = numbers == number
            drawn = torch.rand((BLOCK, *shape), generator=ctx.generator(self.key, "image", number, device="cpu"))
            result[own] = drawn[rows[own] - number * BLOCK]
        return result.mul_(2 * self.epsilon).sub_(self.epsilon)
