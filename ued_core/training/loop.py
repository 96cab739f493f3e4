"""The training loop: data on the device as tensors, no loader, exact resume."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from ued_core.context import Context
from ued_core.errors import DataError, RunError
from ued_core.records import History
from ued_core.training.batches import Epoch
from ued_core.training.checkpoint import Saver, resume
from ued_core.training.classification import classification
from ued_core.training.hook import TrainingControl
from ued_core.training.job import Job
from ued_core.training.objective import Objective, Tally


def run_epoch(
    objective: Objective,
    epoch: Epoch,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], None],
    control: TrainingControl | None = None,
) -> Tally:
    """Every step of one epoch, whatever is trained.

    Args:
        objective: what is minimised.
        epoch: its batches.
        optimizer: over the objective's parameters.
        schedule: sets the learning rates of a step, counted from the beginning of the training.
        control: of the hooks; None without hooks.
    """
    tally = Tally.empty(epoch.rows.device)
    objective.begin_epoch()
    if control is not None:
        control.begin_epoch(epoch.first, tally)
    for sample in epoch:  # the next images of this epoch's order
        batch = objective.draw(sample)  # crop, flip, augmentation, defences
        outcome = objective.outcome(batch, sample)  # forward, loss
        optimizer.zero_grad(set_to_none=True)
        outcome.loss.backward()
        if objective.longest_gradient is not None:
            torch.nn.utils.clip_grad_norm_(objective.module.parameters(), objective.longest_gradient)
        schedule(sample.step)
        optimizer.step()
        tally.add(outcome, len(sample.rows))
        if control is not None and control.passed():  # a hook took steps back
            tally = control.sums()
            epoch.retry(control.epoch_step)
    return tally


def train(job: Job, ctx: Context) -> History:
    """Train and return one row per epoch.

    Every epoch draws from its own stream of the seed, so a run that is resumed from its
    checkpoint does what an uninterrupted run does, bit for bit on the same CPU with the same
    number of threads.

    Row: ``epoch`` (1…), ``loss`` and ``train_accuracy`` (over the augmented batches as the
    network saw them), ``test_accuracy`` (clean test images), ``seconds``, ``images_per_s``,
    ``learning_rate``; with ``job.touched`` also ``touched_accuracy`` and ``untouched_accuracy``, which add up to
    ``train_accuracy``; what hooks add comes before these. Steps that a hook took back are in ``seconds`` alone.
    A plan with an objective of its own may measure other accuracies; it says so.

    Raises:
        Cancelled: the user stopped; the last checkpoint stays.
        DataError: fewer than two training images.
        RunError: the checkpoint belongs to another network or plan, or the loss left the numbers.
    """
    if len(job.train) < 2:
        raise DataError(f"{job.train.name!r} has 1 image to train on.", "Batch normalisation needs at least 2 images.")
    objective: Objective = job.plan.objective(job, ctx) or classification(job, ctx)
    batches, optimizer = objective.batches, job.plan.optimizer(objective.parameters())
    schedule = Schedule(optimizer, lambda step: job.plan.rate(step, batches.steps))
    history, saver = resume(job, objective.module, optimizer), Saver(job)
    control = None
    if job.hooks:
        control = TrainingControl(job.network, optimizer, job.hooks, batches.per_epoch, batches.steps)
    job.on_weights(len(history.rows), job.network)
    for number in range(len(history.rows), batches.epochs):
        row = _trained(objective, batches.epoch(number, ctx), optimizer, schedule, control, number + 1)
        row |= objective.evaluated()
        for hook in job.hooks:
            row = {**hook.row(), **row}
        history.add(row)
        # First the weights: whoever resumes from a checkpoint finds those of all epochs before it.
        job.on_weights(number + 1, job.network)
        saver.after_epoch(objective.module, optimizer, history, last=number + 1 == batches.epochs)
        job.on_epoch(row)
    if control is not None:
        control.release()
    return history


class Schedule:
    """Sets the learning rates of an optimiser: the peak of each group times the factor of the step.

    Args:
        optimizer: at its peak rates, which its groups keep from then on as ``peak``; a group's ``scale`` is a factor of
            its own.
        factor: step → factor.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, factor: Callable[[int], float]) -> None:
        self.optimizer, self.factor, self.last = optimizer, factor, 1.0
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]

    def __call__(self, step: int) -> None:
        self.last = self.factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self.last * group.get("scale", 1.0)

    def learning_rate(self) -> float:
        """Of the last step, in the first group, without its ``scale``."""
        return self.optimizer.param_groups[0]["peak"] * self.last


def _trained(
    objective: Objective,
    epoch: Epoch,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    control: TrainingControl | None,
    number: int,
) -> dict[str, float]:
    """One epoch, the ``number``-th; its row of the history as far as the steps themselves tell it."""
    began = time.perf_counter()
    tally = run_epoch(objective, epoch, optimizer, schedule, control)
    mean_loss = float(tally.loss) / tally.seen
    if mean_loss != mean_loss or mean_loss == float("inf"):
        raise RunError(f"The loss became {mean_loss} in epoch {number}.", "Lower the learning rate.")
    counted = objective.counted(tally, epoch.rows)
    seconds = time.perf_counter() - began
    return {
        "epoch": number,
        "loss": mean_loss,
        **counted,
        "seconds": seconds,
        "images_per_s": tally.seen / seconds,
        "learning_rate": schedule.learning_rate(),
    }
