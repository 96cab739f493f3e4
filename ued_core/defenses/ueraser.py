"""UEraser: strong random augmentation, of which the network learns the worst of several draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch

from ued_core.defenses.base import Defense, StepCost
from ued_core.defenses.random_operations import (
    cloud,
    jpeg,
    one_operation,
    shuffled_channels,
    uneven_brightness,
    uneven_contrast,
)
from ued_core.params import param
from ued_core.training.hook import Batch, Graded, Moment, Setup, TrainingHook


class _Worst(TrainingHook):
    """For every image the draw with the largest loss, while ``searching``."""

    def __init__(self, draws: int, until: float) -> None:
        self.draws, self.until = draws, until

    def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        worst = inner(batch)
        if moment.progress >= self.until:
            return worst
        for _ in range(self.draws - 1):
            other = inner(batch.redraw())
            worse = other.losses.detach() > worst.losses.detach()
            rows = worse[:, None]
            worst = Graded(
                torch.where(worse, other.losses, worst.losses),
                torch.where(rows, other.scores, worst.scores),
                torch.where(rows if other.targets.ndim > 1 else worse, other.targets, worst.targets),
            )
        return worst


class UEraser(Defense):
    """Lights, recolours and distorts every image at random, several times, and trains on the draw that is hardest.

    Each draw: uneven brightness and contrast, shuffled colour channels, then one random operation. The changes are
    larger than any noise that hides in an image. Taking the hardest of several draws leaves the shortcut no lucky ones.

    Source:
        UEraser, arXiv 2303.15127: five draws, always ("max"), in the first epochs ("standard", 50 of 200), or one draw
        ("lite").

    Differs:
        Clouds of light are sums of enlarged noise, which midpoint displacement approximates. The random operation is
        another reading of TrivialAugment (arXiv 2103.10158) than the release's, which calls that of the library kornia
        with its defaults (as its repository has them; the release names no version). There one operation is drawn for
        the whole batch, here one for every image. Brightness, contrast and sharpness take factors of 0.01 to 1.99 here,
        0.1 to 1.9 there; shifts go to 0.3 of the side here, to 0.5 there; posterising keeps 8 to 2 bits here, at most 4
        there. Saturation and no change at all are among the 13 operations here and not there; histogram equalisation is
        among the 12 there and not here. Every draw goes through the network in training mode, as there. JPEG, for noise
        of high frequency, comes before the other changes with a quality of 10 to 99, in the release after them with a
        quality of 10.
    """

    key: ClassVar[str] = "ueraser"
    title: ClassVar[str] = "UEraser"
    acts: ClassVar[frozenset[str]] = frozenset({"augment", "training"})

    variant: Literal["standard", "max", "lite"] = param(
        "standard",
        "Worst of several draws in the first part of training, always, or never. Each draw costs a full training step.",
    )
    draws: int = param(5, "Draws of which the worst counts.", label="draws K", ge=1, le=10, quick=2)
    early: float = param(
        0.25,
        "The part of training in which the standard variant takes the worst draw.",
        label="early part",
        ge=0.0,
        le=1.0,
        step=0.05,
    )
    clouds: float = param(0.5, "Chance of uneven brightness, and of uneven contrast.", ge=0.0, le=1.0, step=0.05)
    compress: bool = param(
        False, "Also a JPEG file of random quality first, as for TAP and autoregressive noise.", label="JPEG"
    )

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        count, _, height, width = images.shape

        def drawn(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(count, generator=rng, device=images.device)

        def happens(chance: float) -> torch.Tensor:
            return (torch.rand(count, generator=rng, device=images.device) < chance).view(-1, 1, 1, 1)

        if self.compress:
            images = jpeg(images, torch.randint(10, 100, (count,), generator=rng, device=images.device))
        light, depth = (cloud((count, height, width), drawn(0.3, 0.7), rng)[:, None] for _ in range(2))
        lit = uneven_brightness(images, light, drawn(0.5, 1.0))
        images = torch.where(happens(self.clouds), lit, images)
        images = torch.where(happens(self.clouds), uneven_contrast(images, depth), images)
        images = torch.where(happens(0.5), shuffled_channels(images, rng), images)
        return one_operation(images, rng)

    @property
    def until(self) -> float:
        """The part of training in which the worst draw is taken, 0..1."""
        return {"standard": self.early, "max": 1.0, "lite": 0.0}[self.variant]

    def training(self, setup: Setup) -> TrainingHook | None:
        return _Worst(self.draws, self.until) if self.draws > 1 and self.until > 0 else None

    def step_cost(self, inner: StepCost) -> StepCost:
        # A draw costs all that is further inside: its images are drawn anew and go forward and back.
        times = 1 + self.until * (self.draws - 1)
        return StepCost(times * inner.passes, times * inner.draws)
