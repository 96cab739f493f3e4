"""SimCLR: features learned without labels, then a linear layer on them."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.context import Context
from ued_core.errors import RunError
from ued_core.models import Network
from ued_core.params import param
from ued_core.training.batches import Batch, Sample
from ued_core.training.evaluation import accuracy, counted_apart, features
from ued_core.training.job import Job
from ued_core.training.objective import Objective, Outcome, Parameters
from ued_core.training.plan import Plan
from ued_core.training.views import view

PENALTY = 1e-4
PROBE_ROUNDS = 100


class SimClr(Plan):
    """SimCLR without labels, then a linear layer on the frozen features, trained with the labels of the training set.

    Two random views of an image are to have similar features, views of different images different ones. After every
    epoch the linear layer is fitted anew to the features of the training images as stored; both accuracies are its.
    Defences that change images act before the views; those that act during training cannot, for there are no labels in
    the loss.

    Source:
        SimCLR, arXiv 2002.05709. Unlearnable Clusters (arXiv 2301.01217) tries its poison on it; of its code only the
        model is
        released: normalised features of a projection, temperature 0.07.

    Differs:
        One projection for every model: as wide as the features, then ReLU, then 128. AdamW instead of SGD or LARS.
        Views without blur. The linear layer is fitted by L-BFGS to standardised features of images that are not
        augmented.
    """

    key: ClassVar[str] = "simclr"
    title: ClassVar[str] = "SimCLR + linear probe"
    labelled: ClassVar[bool] = False

    epochs: int = param(30, "Passes over the training set, two views an image.", ge=1, le=1000, quick=2)
    batch_size: int = param(
        256, "Images in one step; each is told apart from all others in it.", ge=2, le=4096, quick=64
    )
    crop: int = param(
        0, "Random crop after padding by this many pixels, before the views crop; 0 "
           "turns it off.", label="random crop padding", unit="px",
        ge=0, le=16,
    )  # fmt: skip
    learning_rate: float = param(0.002, "Peak learning rate.", ge=1e-6, le=1.0)
    weight_decay: float = param(0.0001, "Decoupled weight decay.", ge=0.0, le=1.0)
    temperature: float = param(
        0.07, "Divides the cosines: the lower, the more the most similar other images count.", ge=0.01, le=1.0
    )
    smallest_crop: float = param(0.2, "Least share of the area that a view shows.", ge=0.05, le=1.0)
    colour: float = param(
        0.5, "Strength of the colour changes of a view; 0 leaves them out.", label="colour jitter", ge=0.0, le=1.0
    )

    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)

    def objective(self, job: Any, ctx: Context) -> Objective | None:
        return Contrast(self, job, ctx)


class Contrast(Objective):
    """The objective of :class:`SimClr`: two views of every image of a batch are to be told apart from all others.

    Raises:
        RunError: a defence acts during training.
    """

    def __init__(self, plan: SimClr, job: Job, ctx: Context) -> None:
        if job.hooks:
            raise RunError(
                "SimCLR has no labels in its loss, so defences that act during training have nothing to act on.",
                "Take them out of the run, or choose a plan with labels.",
            )
        self.plan, self.job, self.ctx, self.dtype = plan, job, ctx, plan.dtype(ctx.device)
        learner = Learner(job.network, ctx)
        learner.to(ctx.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's omission
        self.module = self.learner = learner
        self.forward = torch.compile(learner.forward) if plan.compile else learner.forward
        # The views mirror, after their own crops.
        self.batches = job.batches(ctx.device, flip=False)

    def parameters(self) -> Parameters:
        return [*self.job.network.body.parameters(), *self.learner.projection.parameters()]

    def draw(self, sample: Sample) -> Batch:
        """The second views after the first ones; 2n images."""
        plan, views = self.plan, []
        for _ in range(2):
            defended, _ = self.job.defended(sample.cropped(), sample)
            views.append(
                view(defended, sample.rng, smallest=plan.smallest_crop, colour=plan.colour, flip=self.job.mirrors)
            )
        images = torch.cat(views).contiguous(memory_format=torch.channels_last)
        return Batch(images, sample.labels, lambda: self.draw(sample))

    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        with torch.autocast(self.ctx.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            projected = self.forward(batch.images)
        return Outcome(info_nce(projected.float(), self.plan.temperature))

    def evaluated(self) -> dict[str, float]:
        """Accuracies of the linear layer, fitted anew; the rows of the history have them at their end."""
        job, right = self.job, fit_head(self.job, self.ctx)
        apart = counted_apart(right, torch.arange(len(right)), job.touched)
        test = accuracy(job.network, job.test, self.ctx, self.dtype)
        return {"train_accuracy": float(right.cpu().double().mean()), **apart, "test_accuracy": test}


class Learner(nn.Module):
    """A network and the projection that its features are compared after.

    Args:
        network: its head is not used.
        ctx: its stream ``projection`` draws the weights.
    """

    OUT = 128

    def __init__(self, network: Network, ctx: Context) -> None:
        super().__init__()
        self.network = network
        width = network.head.in_features
        with torch.random.fork_rng(devices=[]):
            inner, outer = nn.Linear(width, width), nn.Linear(width, self.OUT)
        self.projection = nn.Sequential(inner, nn.ReLU(inplace=True), outer)
        rng = ctx.generator("projection", device="cpu")
        for layer in (inner, outer):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
            nn.init.zeros_(layer.bias)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Projected features, (N, 128), of float images (N, C, H, W) in [0, 1]."""
        return self.projection(self.network.features(images))


def info_nce(projected: torch.Tensor, temperature: float) -> torch.Tensor:
    """How badly each view picks its partner out of all other views: cross-entropy of cosines, mean over 2N views.

    Args:
        projected: float (2N, D), the second views of N images after their first ones, in the same order.
        temperature: divides the cosines.

    Source:
        NT-Xent of SimCLR, arXiv 2002.05709.
    """
    directions = F.normalize(projected, dim=1)
    scores = directions @ directions.T / temperature
    # A view is no candidate for itself.
    scores = scores.masked_fill(torch.eye(len(scores), dtype=torch.bool, device=scores.device), float("-inf"))
    partners = torch.arange(len(scores), device=scores.device).roll(len(scores) // 2)
    return F.cross_entropy(scores, partners)


def fit_head(job: Job, ctx: Context) -> torch.Tensor:
    """Fit the network's head to its features of the training images, with their labels.

    Args:
        job: its network is in any mode; only the head changes.
        ctx: device and cancellation.

    Returns:
        Bool (N,) on the CPU, whether the fitted head is right.
    """
    network, labels = job.network, job.train.labels
    found = features(network, job.train.images, ctx, job.plan.dtype(ctx.device))
    weight, bias = linear_fit(found, labels, network.head.out_features)
    with torch.no_grad():
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)
        return (found @ weight.T + bias).argmax(1) == labels


def linear_fit(found: torch.Tensor, labels: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Multinomial logistic regression on standardised features, said in terms of the features as given.

    Args:
        found: float32 (N, D) on the CPU.
        labels: int64 (N,).
        classes: K.

    Returns:
        Weight, float32 (K, D), and bias, float32 (K,).
    """
    mean, scale = found.mean(0), found.std(0).clamp(min=1e-6)
    points = (found - mean) / scale
    weight = torch.zeros(classes, found.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=PROBE_ROUNDS, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(points @ weight.T + bias, labels) + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        outer = weight / scale
        return outer.detach(), (bias - outer @ mean).detach()
