"""Random noise on the training images, anew in every epoch."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.defenses.base import Defense
from ued_core.defenses.live import LiveOperation
from ued_core.params import param


class GaussianNoise(Defense):
    """Adds Gaussian noise to every value, drawn anew in every epoch.

    Bounded perturbations drown in it when it is as large as they are; it needs no knowledge of the attack.

    Source:
        The baseline of additive noise, N(0, 8/255), beside the blur that ISS (arXiv 2301.13838) calls Gaussian.

    Differs:
        Published results under the name "Gaussian" are a blur with σ 0.1 px, which changes nothing; see
        "Gaussian as published".
    """

    key: ClassVar[str] = "gaussian_noise"
    title: ClassVar[str] = "Gaussian noise"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    sigma: float = param(8.0, "Standard deviation of the noise.", label="σ", unit="1/255", ge=0.0, le=64.0, step=0.5)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        noise = torch.empty_like(images).normal_(0, self.sigma / 255, generator=rng)
        return noise.add_(images).clamp_(0, 1)

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        draws = torch.empty(shape, device=rng.device).normal_(0, 1, generator=rng)
        return LiveOperation("noise", "sigma", 1 / 255, draws=draws.cpu().numpy())


class UniformNoise(Defense):
    """Adds a random number from −ε to ε to every value, drawn anew in every epoch.

    The control for bounded attacks: noise of the same size, without their pattern.

    Source:
        Random noise of the radius that bounded attacks use (8/255), a control in the literature on unlearnable data.
    """

    key: ClassVar[str] = "random_noise"
    title: ClassVar[str] = "Random noise"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    epsilon: float = param(8.0, "Largest change of a value.", label="ε", unit="1/255", ge=0.0, le=64.0, step=0.5)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        reach = self.epsilon / 255
        noise = torch.empty_like(images).uniform_(-reach, reach, generator=rng)
        return noise.add_(images).clamp_(0, 1)

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation:
        draws = torch.empty(shape, device=rng.device).uniform_(-1, 1, generator=rng)
        return LiveOperation("noise", "epsilon", 1 / 255, draws=draws.cpu().numpy())
