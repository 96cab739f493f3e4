"""Adversarial training: the network learns on the worst images near the given ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F

from ued_core.defenses.base import Defense, StepCost
from ued_core.params import param
from ued_core.training.ascent import Norm, climb, evaluating, into_ball
from ued_core.training.hook import Batch, Graded, Moment, Setup, TrainingHook


class _Hook(TrainingHook):
    """The hook of either defence below; it keeps nothing between steps."""

    def __init__(self, defence: WorstCase) -> None:
        self.defence = defence

    def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        return self.defence.robust_loss(batch, inner, moment)


class WorstCase(Defense):
    """A defence that trains on images crafted against the network as it is at that step; subclasses say what is
    crafted."""

    acts: ClassVar[frozenset[str]] = frozenset({"training"})

    radius: float = param(
        8.0, "Radius ε of the ball: the largest change of a value (L∞), or the length of the change of the whole "
             "image (L2).",
        label="radius ε", unit="1/255", ge=0.0, le=512.0, step=0.5,
    )  # fmt: skip
    norm: Norm = param(
        "linf", "What the radius bounds: every value (L∞), or the image's Euclidean length (L2; 128/255 is usual)."
    )
    steps: int = param(
        10,
        "Gradient steps in which the images are crafted; an epoch takes about steps + 1 times as long.",
        ge=1,
        le=100,
        quick=2,
    )
    step: float = param(
        0.25, "Length of a step as a share of the radius.", label="step size", unit="ε", ge=0.01, le=1.0, step=0.01
    )

    def training(self, setup: Setup) -> TrainingHook:
        return _Hook(self)

    @abstractmethod
    def robust_loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        """The loss of a batch; arguments as :meth:`ued_core.training.hook.TrainingHook.loss`."""

    def crafted(
        self, batch: Batch, start: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor], moment: Moment
    ) -> torch.Tensor:
        """:func:`climb` against the network in evaluation mode."""
        radius = self.radius / 255
        with evaluating(moment.network):
            return climb(batch.images.detach(), start, loss, self.norm, radius, self.step * radius, self.steps)


class AdversarialTraining(WorstCase):
    """Trains on images that are changed, within a small ball, to raise the loss of the network as it is at that step.

    A bounded perturbation of the same size can be undone on the way, so a network cannot rely on it. Noise beyond the
    radius, such as blur or a bright pixel, survives; and clean accuracy suffers by itself.

    Source:
        Madry et al., arXiv 1706.06083, as used against unlearnable data by EM (arXiv 2101.04898): ε = 8/255, 10 steps
        of 2/255 from Gaussian noise of 2/255, crafted in evaluation mode; the step trains on the crafted images alone.

    Differs:
        The step is a share of the radius, so that it follows it; in L2 its length is that of the whole image's change.
        Images are crafted against the cross-entropy of the network alone, whatever other defences add to the loss. Of
        several draws by UEraser the first one alone is crafted on; put UEraser before this defence to craft on all of
        them.
    """

    key: ClassVar[str] = "adversarial_training"
    title: ClassVar[str] = "Adversarial training"

    start: Literal["gaussian", "uniform", "none"] = param(
        "gaussian",
        "Where the steps begin: noise with the step size as its spread, anywhere in the box, or at the image itself.",
    )

    def begin(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Where the steps begin, float (N, C, H, W); it may lie outside the ball until the first step ends."""
        radius = self.radius / 255
        if self.start == "none":
            return images
        if self.start == "uniform":
            noise = torch.empty_like(images).uniform_(-radius, radius, generator=rng)
            return into_ball(images + noise, images, self.norm, radius)
        noise = torch.empty_like(images).normal_(0, 1, generator=rng)
        spread = self.step * radius
        # In L2 the noise as a whole, not each of its values, has the length of a step.
        return images + noise * (spread if self.norm == "linf" else spread / images[0].numel() ** 0.5)

    def step_cost(self, inner: StepCost) -> StepCost:
        return replace(inner, passes=self.steps + inner.passes)

    def robust_loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        def loss(images: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(moment.scores(images), batch.targets, reduction="sum")

        worst = self.crafted(batch, self.begin(batch.images.detach(), moment.rng), loss, moment)
        return inner(Batch(worst.contiguous(memory_format=torch.channels_last), batch.targets, batch.redraw))


class Trades(WorstCase):
    """Trains on the given images, and asks the network for the same answer on the worst images near them.

    The loss is cross-entropy plus β times the divergence between the answers on an image and on its crafted neighbour:
    β trades clean accuracy for robustness.

    Source:
        TRADES, arXiv 1901.08573: β = 6, 10 steps of a quarter of the radius uphill on the divergence, from Gaussian
        noise of 0.001.

    Differs:
        The neighbour is near the first of several draws by UEraser, unless UEraser stands before this defence.
    """

    key: ClassVar[str] = "trades"
    title: ClassVar[str] = "TRADES"

    weight: float = param(6.0, "Weight β of the divergence.", label="β", ge=0.0, le=20.0, step=0.5)

    def step_cost(self, inner: StepCost) -> StepCost:
        # Besides crafting and the loss further inside: the answer to climb away from, without gradients, and that on
        # the worst images.
        return replace(inner, passes=self.steps + 1 / 3 + 1 + inner.passes)

    def robust_loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        clean = batch.images.detach()
        with evaluating(moment.network), torch.no_grad():
            answer = moment.scores(clean).log_softmax(1)

        def divergence(images: torch.Tensor) -> torch.Tensor:
            return F.kl_div(moment.scores(images).log_softmax(1), answer, reduction="sum", log_target=True)

        noise = torch.empty_like(clean).normal_(0, 1e-3, generator=moment.rng)
        worst = self.crafted(batch, clean + noise, divergence, moment)
        graded = inner(batch)
        ours, theirs = graded.scores.float().log_softmax(1), moment.scores(worst).log_softmax(1)
        gap = F.kl_div(theirs, ours, reduction="none", log_target=True).sum(1)
        return replace(graded, losses=graded.losses + self.weight * gap)
