"""Classification: cross-entropy with the labels of the training set, alone or inside the losses of defences."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.context import Context
from ued_core.training.batches import Batch, Sample
from ued_core.training.evaluation import accuracy, counted_apart, features
from ued_core.training.hook import Moment, grade_all, layer_groups, overrides_loss
from ued_core.training.job import Job
from ued_core.training.objective import Objective, Outcome, Parameters, Tally


class Classification(Objective):
    """The plain objective: augmentation and batch hooks, one pass forward, cross-entropy of the whole batch."""

    def __init__(self, job: Job, ctx: Context) -> None:
        self.job, self.ctx, self.dtype = job, ctx, job.plan.dtype(ctx.device)
        network = job.network
        network.to(ctx.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's omission
        self.module = network
        self.forward = cast(nn.Module, torch.compile(network)) if job.plan.compile else network
        self.batches = job.batches(ctx.device, flip=job.mirrors)
        # Whether each image was answered with its label when it was shown last, also by a step that was taken back.
        self.right = torch.zeros(len(job.train), dtype=torch.bool, device=ctx.device)

    def parameters(self) -> Parameters:
        return layer_groups(self.job.network) if self.job.hooks else self.job.network.parameters()

    def begin_epoch(self) -> None:
        self.forward.train()
        self.right.zero_()

    def draw(self, sample: Sample) -> Batch:
        cropped = sample.cropped()

        def redraw() -> Batch:
            images, targets = self.job.defended(cropped, sample)
            return Batch(images.contiguous(memory_format=torch.channels_last), targets, redraw)

        return redraw()

    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        scores = self.moment(sample).scores(batch.images)
        return self.answered(F.cross_entropy(scores, batch.targets), scores, batch.targets, sample)

    def moment(self, sample: Sample) -> Moment:
        """Where training stands at a step."""
        return Moment(self.job.network, sample.rng, sample.step / self.batches.steps, self.dtype, self.forward)

    def answered(self, loss: torch.Tensor, scores: torch.Tensor, targets: torch.Tensor, sample: Sample) -> Outcome:
        """The outcome of a step whose scores, float (n, K), were compared with ``targets``, int64 (n,) or (n, K)."""
        right = scores.detach().argmax(1) == (targets.argmax(1) if targets.is_floating_point() else targets)
        self.right[sample.rows] = right
        return Outcome(loss, right)

    def counted(self, tally: Tally, rows: torch.Tensor) -> dict[str, float]:
        apart = counted_apart(self.right, rows, self.job.touched)
        return {"train_accuracy": float(tally.right) / tally.seen, **apart}

    def evaluated(self) -> dict[str, float]:
        return {"test_accuracy": accuracy(self.job.network, self.job.test, self.ctx, self.dtype)}


class HookedClassification(Classification):
    """Classification in which hooks have losses of their own: the mean of the losses that they give the images.

    Losses image by image cost time, and their mean has other last bits than the loss of the whole batch, so this is
    not how every training goes.
    """

    def __init__(self, job: Job, ctx: Context) -> None:
        super().__init__(job, ctx)
        self.hooks = tuple(hook for hook in job.hooks if overrides_loss(hook))

    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        graded = grade_all(self.hooks, batch, self.moment(sample))
        return self.answered(graded.losses.mean(), graded.scores, graded.targets, sample)


class ProbeOfKnownFeatures(Classification):
    """A linear layer on the features of a frozen body, which are computed before the first step: images never
    change."""

    def __init__(self, job: Job, ctx: Context) -> None:
        super().__init__(job, ctx)
        self.known = features(job.network, job.train.images, ctx, self.dtype).to(ctx.device)

    def draw(self, sample: Sample) -> Batch:
        """The batch; features, float (n, D), stand in the place of its images."""
        return Batch(self.known[sample.rows], sample.labels, lambda: self.draw(sample))

    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        with self.moment(sample).autocast():
            scores = self.job.network.head(batch.images).float()
        return self.answered(F.cross_entropy(scores, batch.targets), scores, batch.targets, sample)


def classification(job: Job, ctx: Context) -> Classification:
    """The objective of a job with labels."""
    if any(overrides_loss(hook) for hook in job.hooks):
        return HookedClassification(job, ctx)
    known = job.network.frozen is not None and job.same_images
    return ProbeOfKnownFeatures(job, ctx) if known else Classification(job, ctx)
