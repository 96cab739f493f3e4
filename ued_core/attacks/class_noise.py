"""Class-wise random noise: one random pattern per class, the simplest shortcut there is."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.attacks.base import Bound, ClassTableAttack, rounding_param
from ued_core.context import Context
from ued_core.params import param
from ued_core.records import Rounding


class ClassNoise(ClassTableAttack):
    """Every class gets one pattern of random noise, the same on all its images.

    A control: the pattern tells the class perfectly and is linearly separable, but it is not made to
    be easy for a convolutional network. What it does to a victim shows how much of another attack's
    effect comes from being class-wise alone.

    Source:
        The class-wise random control of the work on detecting unlearnable examples (code: hala64/udp);
        Unlearnable Examples, arXiv 2101.04898, compares with random noise too.

    Differs:
        The pattern follows our private key instead of a fixed seed 1111. In the release, the name under which
        the noise is asked for differs from the one that is tested, so that no noise is added at all; here it is added.
    """

    key: ClassVar[str] = "class_noise"
    title: ClassVar[str] = "Class-wise noise"

    epsilon: int = param(
        8, "Largest change ε of a pixel value; every value is uniform in −ε..ε.", label="ε", unit="1/255", ge=1, le=64
    )
    rounding: Rounding = rounding_param()

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        return Bound("linf", self.epsilon)

    def table(self, classes: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
        drawn = torch.rand((classes, *shape), generator=Context(seed=seed).generator(self.key, "patterns"))
        return drawn.mul_(2 * self.epsilon).sub_(self.epsilon)
