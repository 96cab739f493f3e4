"""Orthogonal projection: what a linear model can read is taken out of the images."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.compiled import one_thread
from ued_core.context import Context, exact_device
from ued_core.defenses.learned import LearnedDefense
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes, to_float

BATCH = 1024
LEARNING_RATE = 0.1
# Multiply-adds a second that one slow core reaches in these matrix products.
SPEED = 4e9


def linear_weights(data: ImageSet, steps: int, ctx: Context) -> torch.Tensor:
    """Weights of a softmax classifier without bias on all pixel values, by plain gradient descent.

    The learning rate falls to a tenth after half of the steps and again after three quarters.

    Args:
        data: the training set.
        steps: batches of up to 1,024 images; each pass over the set has an order of its own, the same for every run.
        ctx: device, progress, cancellation; its seed does not matter.

    Returns:
        float32 (classes, C·H·W) on ``ctx.device``.
    """
    images, labels = data.images, data.labels
    draws = Context(seed=0).generator("orthogonal projection", device="cpu")
    # Never from zero: the rows would keep summing to zero, and one direction of their basis would be arbitrary.
    values = images[0].numel()
    weights = (
        torch.empty((data.classes, values)).uniform_(-(values**-0.5), values**-0.5, generator=draws).to(ctx.device)
    )
    order = torch.empty(0, dtype=torch.int64)
    for step in range(steps):
        if not len(order):
            order = torch.randperm(len(images), generator=draws)
        rows, order = order[:BATCH], order[BATCH:]
        batch = to_float(images[rows].to(ctx.device)).flatten(1)
        rate = LEARNING_RATE * (1.0 if step < steps / 2 else 0.1 if step < 3 * steps / 4 else 0.01)
        # At this rate the descent swings, and what one more thread rounds differently grows into other images.
        with one_thread():
            slope = torch.softmax(batch @ weights.T, 1)
            slope[torch.arange(len(rows), device=ctx.device), labels[rows].to(ctx.device)] -= 1
            weights.addmm_(slope.T, batch, alpha=-rate / len(rows))
        if step % 10 == 0:
            ctx.report(step, steps, "learning what a linear model can read")
    return weights


def basis_of(weights: torch.Tensor) -> torch.Tensor:
    """Orthonormal columns that span the rows of the weights, each row first brought to length one.

    Args:
        weights: float (K, D), K ≤ D.

    Returns:
        float32 (D, K), on the weights' device.
    """
    rows = weights.to(exact_device(weights.device)).double()
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_(min=1e-12)
    return torch.linalg.qr(rows.T)[0].float().to(weights.device)


def without(images: torch.Tensor, basis: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """The images with that part in the span of the basis which the mean image has; values may leave [0, 1].

    Args:
        images: float (N, C, H, W).
        basis: float (C·H·W, K), orthonormal columns.
        mean: float (C·H·W,); zeros take the whole part away.
    """
    flat = images.flatten(1)
    return (flat - ((flat - mean) @ basis) @ basis.T).view_as(images)


def mean_of(data: ImageSet, chunk: int = 1024) -> torch.Tensor:
    """The mean image, float32 (C·H·W,) in 0..1 on the CPU."""
    total = torch.zeros(data.images[0].numel(), dtype=torch.float64)
    for start in range(0, len(data), chunk):
        total += to_float(data.images[start : start + chunk]).flatten(1).sum(0, dtype=torch.float64)
    return (total / len(data)).float()


class OrthogonalProjection(LearnedDefense):
    """Finds the directions in which a linear model tells the classes apart, and makes all images alike in them.

    Noise that a linear model can read, such as a pattern for each class, lies in as many directions as there are
    classes, of thousands. The images lose these few directions and hardly change to the eye.

    Source:
        Orthogonal projection, arXiv 2305.19254: a softmax classifier without bias, its normalised weights made
        orthonormal by QR; learning rate 0.1, batches of 1,024, 20 passes over 50,000 images, which are 980 steps.

    Differs:
        All images keep the mean image's part in the removed directions; the release takes it away too, and with it the
        brightness, where a direction has learned that. The release keeps values outside [0, 1]; ours are bytes, so
        projecting and clipping alternate (one round is plain clipping). Training is counted in steps, because
        20 passes over a small set would hardly train, and images are shuffled. The release's further
        augmentations (turning, shearing, colours, CutMix) are defences of their own here.
    """

    key: ClassVar[str] = "orthogonal_projection"
    title: ClassVar[str] = "Orthogonal projection"
    learned_from: ClassVar[tuple[str, ...]] = ("steps",)

    steps: int = param(1000, "Steps of the linear classifier, each with up to 1,024 images.", ge=1, le=10_000, quick=60)
    rounds: int = param(
        10, "How often the images are projected and clipped to legal values; clipping alone brings a part of the "
            "noise back.",
        ge=1, le=100, quick=1,
    )  # fmt: skip

    def learn(self, data: ImageSet, ctx: Context) -> dict[str, torch.Tensor]:
        return {"basis": basis_of(linear_weights(data, self.steps, ctx)).contiguous().cpu(), "mean": mean_of(data)}

    def treat(self, images: torch.Tensor, labels: torch.Tensor, learned: dict[str, torch.Tensor]) -> torch.Tensor:
        result = to_float(images)
        for _ in range(self.rounds):
            result = without(result, learned["basis"], learned["mean"]).clamp_(0, 1)
        return to_bytes(result)

    def seconds_for(self, data: ImageSet) -> float:
        return self.steps * min(BATCH, len(data)) * data.images[0].numel() * data.classes * 2 / SPEED
