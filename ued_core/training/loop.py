"""The training loop: data on the device as tensors, no loader, exact resume."""

from __future__ import annotations

import time
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.context import Context
from ued_core.errors import DataError, RunError
from ued_core.records import History, to_float
from ued_core.training.batch import random_crop, random_flip
from ued_core.training.checkpoint import Saver, resume
from ued_core.training.evaluation import accuracy
from ued_core.training.hook import Batch, Control, Moment, Tally, grade_all, layer_groups, overrides_loss
from ued_core.training.job import Job


def train(job: Job, ctx: Context) -> History:
    """Train and return one row per epoch.

    Every epoch draws from its own stream of the seed, so a run that is resumed from its
    checkpoint does what an uninterrupted run does, bit for bit on the same CPU with the same
    number of threads.

    Row: ``epoch`` (1…), ``loss`` and ``train_accuracy`` (over the augmented batches as the
    network saw them), ``test_accuracy`` (clean test images), ``seconds``, ``images_per_s``,
    ``learning_rate``; with ``job.touched`` also ``touched_accuracy`` and ``untouched_accuracy``, which add up to
    ``train_accuracy``; what hooks add comes before these. Steps that a hook took back are in ``seconds`` alone.

    Raises:
        Cancelled: the user stopped; the last checkpoint stays.
        DataError: fewer than two training images.
        RunError: the checkpoint belongs to another network or plan, or the loss left the numbers.
    """
    if len(job.train) < 2:
        raise DataError(f"{job.train.name!r} has 1 image to train on.", "Batch normalisation needs at least 2 images.")
    course = job.plan.course()
    if course is not None:
        return course(job, ctx)
    device, plan = ctx.device, job.plan
    network = job.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's omission
    optimizer = plan.optimizer(layer_groups(network) if job.hooks else network.parameters())
    for group in optimizer.param_groups:
        group["peak"] = group["lr"]
    history = resume(job, network, optimizer)
    images, labels = job.train.images.to(device), job.train.labels.to(device)
    forward = cast(nn.Module, torch.compile(network)) if plan.compile else network
    done, saved = len(history.rows), Saver(job)
    control = Control(network, optimizer, job.hooks, _steps(job), _steps(job) * plan.epochs) if job.hooks else None
    job.on_weights(done, network)
    for epoch in range(done, plan.epochs):
        row = _epoch(job, forward, optimizer, control, images, labels, epoch, ctx)
        row["test_accuracy"] = accuracy(network, job.test, ctx, plan.dtype(device))
        for hook in job.hooks:
            row = {**hook.row(), **row}
        history.add(row)
        # First the weights: whoever resumes from a checkpoint finds those of all epochs before it.
        job.on_weights(epoch + 1, network)
        saved.after_epoch(network, optimizer, history, last=epoch + 1 == plan.epochs)
        job.on_epoch(row)
    if control is not None:
        control.release()
    return history


def _steps(job: Job) -> int:
    """Steps of one epoch. A last batch of one image would break batch normalisation, so remainders below two are left
    out."""
    whole, rest = divmod(len(job.train), job.plan.batch_size)
    return whole + (rest > 1)


def _epoch(
    job: Job,
    forward: nn.Module,
    optimizer: torch.optim.Optimizer,
    control: Control | None,
    images: torch.Tensor,
    labels: torch.Tensor,
    epoch: int,
    ctx: Context,
) -> dict[str, float]:
    """One epoch; its row of the history, without the accuracy on test images.

    Args:
        forward: the job's network, compiled where the plan says so.
        control: what hooks turn; None without hooks.
        images, labels: the training set, on the device.
        epoch: 0…; it names the streams of all draws.
    """
    plan, device = job.plan, ctx.device
    dtype = plan.dtype(device)
    rng = ctx.generator("train", epoch)
    order = torch.randperm(len(images), generator=ctx.generator("order", epoch, device="cpu")).to(device)
    here, size = _steps(job), plan.batch_size
    steps, first = here * plan.epochs, here * epoch
    flips = plan.flip == "on" or (plan.flip == "auto" and job.flip)
    marks = None if job.marks is None else job.marks.to(device)
    # Losses image by image cost time, and their mean has other last bits than the loss of the whole batch.
    layered = tuple(hook for hook in job.hooks if overrides_loss(hook))
    tally, began = Tally.empty(device), time.perf_counter()
    right = torch.zeros(len(images), dtype=torch.bool, device=device)
    index = retry = 0
    forward.train()
    if control is not None:
        control.begin_epoch(first, tally)
    while index < here:
        ctx.report(first + index, steps, f"epoch {epoch + 1} of {plan.epochs}")
        rows = order[index * size : (index + 1) * size]
        cropped = random_crop(images[rows], plan.crop, rng)
        cropped = to_float(random_flip(cropped, rng) if flips else cropped)
        given = (labels[rows], rng) if marks is None else (labels[rows], rng, marks[rows])
        batch, target = _drawn(job, cropped, *given)
        factor = plan.rate(first + index, steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor * group.get("scale", 1.0)
        if layered:
            moment = Moment(job.network, rng, (first + index) / steps, dtype, forward)
            graded = grade_all(layered, _with_redraw(job, cropped, batch, target, *given), moment)
            loss, scores, target = graded.losses.mean(), graded.scores, graded.targets
        else:
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                scores = forward(batch)
            loss = F.cross_entropy(scores.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        tally.loss += loss.detach() * len(rows)
        hits = scores.detach().argmax(1) == (target.argmax(1) if target.is_floating_point() else target)
        tally.right += hits.sum()
        # An image that is shown once more after a step back is counted as it came out last.
        right[rows] = hits
        tally.seen += len(rows)
        index += 1
        if control is not None and control.passed():
            tally, index, retry = control.tally or tally, control.epoch_step, retry + 1
            # The rows that are left, in an order that the retry alone decides, and draws of its own.
            left = torch.randperm(
                len(order) - index * size, generator=ctx.generator("order", epoch, "retry", retry, device="cpu")
            )
            order[index * size :] = order[index * size :][left.to(device)]
            rng = ctx.generator("train", epoch, "retry", retry)
    mean_loss = float(tally.loss) / tally.seen
    if mean_loss != mean_loss or mean_loss == float("inf"):
        raise RunError(f"The loss became {mean_loss} in epoch {epoch + 1}.", "Lower the learning rate.")
    seconds = time.perf_counter() - began
    return {
        "epoch": epoch + 1,
        "loss": mean_loss,
        "train_accuracy": float(tally.right) / tally.seen,
        **counted_apart(right, order[: here * size], job.touched),
        "seconds": seconds,
        "images_per_s": tally.seen / seconds,
        "learning_rate": optimizer.param_groups[0]["peak"] * factor,
    }


def counted_apart(right: torch.Tensor, rows: torch.Tensor, touched: torch.Tensor | None) -> dict[str, float]:
    """Accuracy of the images that an attack changed and of the others, for a row of the history.

    Args:
        right: bool (N,), whether the answer to a training image was its label.
        rows: int64 (M,), the images that were shown.
        touched: bool (N,), or None: nothing is to be counted.

    Returns:
        ``touched_accuracy`` and ``untouched_accuracy``, 0..1; empty when one of them has no image.
    """
    if touched is None:
        return {}
    answers, marks = right[rows].cpu(), touched.to(rows.device)[rows].cpu()
    if bool(marks.all()) or not bool(marks.any()):
        return {}
    return {
        "touched_accuracy": float(answers[marks].double().mean()),
        "untouched_accuracy": float(answers[~marks].double().mean()),
    }


def _drawn(
    job: Job, cropped: torch.Tensor, labels: torch.Tensor, rng: torch.Generator, *marks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    batch, target = job.blend(job.augment(cropped, rng), labels, rng, *marks)
    return batch.contiguous(memory_format=torch.channels_last), target


def _with_redraw(job: Job, cropped: torch.Tensor, batch: torch.Tensor, target: torch.Tensor, *given: Any) -> Batch:
    def redraw() -> Batch:
        return Batch(*_drawn(job, cropped, *given), redraw)

    return Batch(batch, target, redraw)
