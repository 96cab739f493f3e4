"""Training the network of D-VAE: its loss, and epochs that resume exactly and can be ended early."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.errors import RunError
from ued_core.models.dvae import Disentangled, DvaeNetwork, rate
from ued_core.records import ImageSet, to_float
from ued_core.training.batches import Batch, Batches, Sample
from ued_core.training.loop import run_epoch
from ued_core.training.objective import Objective, Outcome

LEARNING_RATE = 5e-3
LONGEST_GRADIENT = 5.0
CAP = 0.002
"""Mean square of p̂ above which it is pulled down: an amplitude of 11.4/255."""
CAP_SHARE = 1 / 6
CHUNK = 256

Arithmetic = Literal["float32", "bfloat16"]
"""Of the steps of a training; weights, loss and optimiser are float32 in both."""


def rate_weight(target: float) -> float:
    """λ, the weight of the rate: 0.01 for targets above 0.99 nats, 0.5 below, where 0.01 would not reach the target."""
    return 0.01 if target > 0.99 else 0.5


def cap_start(epochs: int) -> int:
    """The first epoch, counted from 0, in which the energy of p̂ is capped: 11 of the published 60, always after a
    sixth."""
    return math.floor(epochs * CAP_SHARE + 0.5) + 1


class Loss(NamedTuple):
    """The loss of a batch and its parts, scalars.

    Attributes:
        total: what is minimised.
        image: mean square of x̂ − x.
        joint: mean square of clip(x̂ + p̂) − x; equal to ``image`` without a second decoder.
        nats: the rate, in nats per latent position.
        energy: mean square of p̂; 0 without a second decoder.
    """

    total: torch.Tensor
    image: torch.Tensor
    joint: torch.Tensor
    nats: torch.Tensor
    energy: torch.Tensor


def dvae_loss(images: torch.Tensor, made: Disentangled, target: float, capped: bool) -> Loss:
    """‖x̂ − x‖² + ‖clip(x̂ + p̂) − x‖² + λ·max(rate, target) + max(‖p̂‖², 0.002), all as means.

    Both maxima are taken of the whole batch's number: below its limit a term is constant and pulls at nothing.

    Args:
        images: float (N, C, H, W) in [0, 1].
        made: what the network made of them.
        target: of the rate, in nats per latent position.
        capped: whether the last term counts.
    """
    image, nats = F.mse_loss(made.image, images), rate(made.mean, made.log_variance)
    total = image + rate_weight(target) * nats.clamp(min=target)
    if made.perturbation is None:
        return Loss(total, image, image, nats, torch.zeros_like(image))
    joint = F.mse_loss((made.image + made.perturbation).clamp(0, 1), images)
    energy = made.perturbation.square().mean()
    total = total + joint + (energy.clamp(min=CAP) if capped else 0.0)
    return Loss(total, image, joint, nats, energy)


def batch_loss(
    network: DvaeNetwork,
    images: torch.Tensor,
    labels: torch.Tensor,
    rng: torch.Generator,
    target: float,
    capped: bool,
    arithmetic: Arithmetic = "float32",
) -> Loss:
    """:func:`dvae_loss` of one batch, as a training step computes it.

    Args:
        network: in training mode, laid out as :func:`ued_core.models.dvae.build_dvae` does it.
        images: float32 (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        rng: on the images' device; draws the latent.
        target, capped: as in :func:`dvae_loss`.
        arithmetic: of the network; the loss is computed in float32.
    """
    images = images.contiguous(memory_format=network.layout)
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=arithmetic == "bfloat16"):
        made = network(images, labels, rng)
    perturbation = None if made.perturbation is None else made.perturbation.float()
    exact = Disentangled(made.image.float(), perturbation, made.mean.float(), made.log_variance.float())
    return dvae_loss(images, exact, target, capped)


@dataclass(frozen=True)
class DvaeJob:
    """What one training needs.

    Attributes:
        data: what is separated; its labels are what the network is told.
        network: weights drawn.
        target: of the rate, in nats per latent position.
        epochs: passes over the data; the learning rate falls from 0.005 to 0 along half a cosine.
        batch_size: images per step; a remainder is left out of an epoch.
        arithmetic: of the steps.
        resume: what ``on_state`` was given last by an interrupted execution; None begins.
        on_epoch: called with each new row.
        on_state: called after every epoch with a function that returns the state to resume from.
        enough: asked after every epoch but the last one; true ends the training there.
    """

    data: ImageSet
    network: DvaeNetwork
    target: float
    epochs: int
    batch_size: int
    arithmetic: Arithmetic = "float32"
    resume: Mapping[str, Any] | None = None
    on_epoch: Callable[[dict[str, float]], None] = field(default=lambda row: None)
    on_state: Callable[[Callable[[], dict[str, Any]]], None] = field(default=lambda state: None)
    enough: Callable[[], bool] = field(default=lambda: False)


def train_dvae(job: DvaeJob, ctx: Context) -> list[dict[str, float]]:
    """Train with Adam and return one row per epoch.

    Every epoch draws from its own stream of the seed, so a training that is resumed does what an uninterrupted one
    does. Images are not augmented.

    Row: ``epoch`` (1…), ``loss``, ``image_mse``, ``joint_mse``, ``rate`` (nats per latent position), ``energy`` (mean
    square of p̂), ``psnr`` (of x̂ against its input, in dB), ``learning_rate``, ``seconds``; means over the epoch's
    batches.

    Raises:
        Cancelled: the user stopped.
        RunError: the loss left the numbers.
    """
    objective, network = Separation(job, ctx), job.network
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    rows: list[dict[str, float]] = []
    if job.resume is not None:
        network.load_state_dict(job.resume["network"])
        optimizer.load_state_dict(job.resume["optimizer"])
        _laid_out_like_weights(optimizer)
        rows = list(job.resume["rows"])

    def state() -> dict[str, Any]:
        return {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "rows": rows}

    for epoch in range(len(rows), job.epochs):
        if rows and job.enough():
            break
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * (1 + math.cos(math.pi * epoch / job.epochs)) / 2
        rows.append(_epoch(objective, optimizer, epoch))
        job.on_state(state)
        job.on_epoch(rows[-1])
    return rows


def _laid_out_like_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give the moments of an optimiser the layout of their weights: torch's fused Adam walks through memory and would
    pair the wrong numbers. States of older versions have another layout."""
    for weights, state in optimizer.state.items():
        for name, value in state.items():
            if torch.is_tensor(value) and value.shape == weights.shape and value.stride() != weights.stride():
                state[name] = torch.empty_like(weights).copy_(value)


class Separation(Objective):
    """The objective of :func:`train_dvae`: one draw of the latent a batch, gradients of bounded length."""

    longest_gradient = LONGEST_GRADIENT

    def __init__(self, job: DvaeJob, ctx: Context) -> None:
        self.job, self.ctx = job, ctx
        self.module = job.network.to(ctx.device)
        self.batches = Batches(
            images=job.data.images.to(ctx.device),
            labels=job.data.labels.to(ctx.device),
            batch_size=min(job.batch_size, len(job.data)),
            epochs=job.epochs,
            remainder=False,
            stream="latent",
        )
        self.capped_from = cap_start(job.epochs) * self.batches.per_epoch
        self.sums = torch.zeros(len(Loss._fields), device=ctx.device)

    def begin_epoch(self) -> None:
        super().begin_epoch()
        self.sums.zero_()

    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        capped = sample.step >= self.capped_from
        loss = batch_loss(
            self.job.network, batch.images, batch.targets, sample.rng, self.job.target, capped, self.job.arithmetic
        )
        self.sums += torch.stack([part.detach() for part in loss])
        return Outcome(loss.total)

    def means(self) -> list[float]:
        """The parts of :class:`Loss`, in its order: means over the batches of the epoch."""
        return (self.sums / self.batches.per_epoch).tolist()


def _epoch(objective: Separation, optimizer: torch.optim.Optimizer, epoch: int) -> dict[str, float]:
    """One epoch, 0…, at the optimiser's learning rate; its row."""
    began = time.perf_counter()
    run_epoch(objective, objective.batches.epoch(epoch, objective.ctx), optimizer, schedule=lambda step: None)
    objective.module.eval()
    total, image, joint, nats, energy = objective.means()
    if not math.isfinite(total):
        raise RunError(
            f"The loss of D-VAE became {total} in epoch {epoch + 1}.", "Choose another width, rate or batch size."
        )
    return {
        "epoch": epoch + 1,
        "loss": total,
        "image_mse": image,
        "joint_mse": joint,
        "rate": nats,
        "energy": energy,
        "psnr": -10 * math.log10(max(image, 1e-12)),
        "learning_rate": optimizer.param_groups[0]["lr"],
        "seconds": time.perf_counter() - began,
    }


@torch.no_grad()
def separated(
    network: DvaeNetwork, images: torch.Tensor, labels: torch.Tensor, ctx: Context
) -> tuple[torch.Tensor, torch.Tensor]:
    """x̂ and p̂ of many images through the mean of the latent.

    Args:
        network: it is used in evaluation mode.
        images: uint8 (N, C, H, W).
        labels: int64 (N,).
        ctx: device and cancellation.

    Returns:
        Float32 (N, C, H, W) twice, on the CPU; p̂ is zero without a second decoder.
    """
    network = network.to(ctx.device).eval()
    image = torch.empty(images.shape, dtype=torch.float32)
    perturbation = torch.zeros_like(image)
    for start in range(0, len(images), CHUNK):
        ctx.check()
        part = slice(start, start + CHUNK)
        made = network(to_float(images[part].to(ctx.device)), labels[part].to(ctx.device))
        image[part] = made.image.cpu()
        if made.perturbation is not None:
            perturbation[part] = made.perturbation.cpu()
    return image, perturbation
