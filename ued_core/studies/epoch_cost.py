"""What a stack of defences adds to an epoch: measured on a few images, and declared where images do not show it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from typing import TypeVar

import torch

from ued_core.context import Context
from ued_core.defenses import DefenseStack, StepCost
from ued_core.models import Model
from ued_core.records import ImageSet, to_float
from ued_core.training import Job, Plan, train

T = TypeVar("T")
REPEATS = 3
MOST_VALUES = 128 * 3 * 32 * 32
"""Values of the images that are timed: a batch of CIFAR's size."""
LEAST_IMAGES = 8


@dataclass(frozen=True)
class Treatment:
    """What treating images takes, in CPU seconds.

    Attributes:
        augment_s: the batch hooks of the stack applied once, an image.
        purify_s: what is done to an image once, before training.
        learn_s: what is learned once from the whole set before that, roughly; whether it was learned already or not.
    """

    augment_s: float
    purify_s: float
    learn_s: float


@dataclass(frozen=True)
class EpochCost:
    """An epoch under a stack of defences, by its parts.

    Attributes:
        step: what a step takes under the training hooks, declared.
        plain_s: CPU seconds of a plain epoch, an image, where ``treatment`` was measured too.
        treatment: what treating the images takes.
    """

    step: StepCost
    plain_s: float
    treatment: Treatment

    @property
    def augmenting_s(self) -> float:
        """CPU seconds per image and epoch that batch hooks take, all draws together."""
        return self.step.draws * self.treatment.augment_s

    @property
    def image_s(self) -> float:
        """CPU seconds per image and epoch, average over a training."""
        return self.step.passes * self.plain_s + self.augmenting_s

    @property
    def augmenting_share(self) -> float:
        """The share of an epoch that batch hooks take, 0..1."""
        return self.augmenting_s / self.image_s

    def once_s(self, images: int) -> float:
        """CPU seconds before the first epoch, for a set of so many images."""
        return self.treatment.learn_s + images * self.treatment.purify_s


def epoch_cost(defenses: DefenseStack, plain_s: float, treatment: Treatment) -> EpochCost:
    """The parts put together; see :func:`plain_seconds` and :func:`treatment_of`."""
    return EpochCost(defenses.step_cost(), plain_s, treatment)


def plain_seconds(images: ImageSet, model: Model, plan: Plan) -> float:
    """CPU seconds of an epoch without defence, an image, over all threads of this process; a few steps are trained.

    Args:
        images: one batch of them is taken at most.
        model: trained from fresh weights, which are thrown away.
        plan: of its batch size and arithmetic.
    """
    few = _few(images, plan.batch_size)
    network = model.build(few.shape, few.classes, torch.Generator().manual_seed(0))
    recipe = plan.with_values(epochs=REPEATS + 1, compile=False)
    ends: list[float] = []
    train(
        Job(few, few.take(torch.arange(1)), network, recipe, on_epoch=lambda row: ends.append(time.process_time())),
        Context(),
    )
    return median(after - before for before, after in pairwise(ends)) / len(few)


def treatment_of(images: ImageSet, defenses: DefenseStack, seed: int = 0, whole: ImageSet | None = None) -> Treatment:
    """What a stack takes for treating images, over all threads of this process.

    Args:
        images: some training images; one batch of CIFAR's size is taken at most.
        defenses: the stack.
        seed: of the draws.
        whole: the training set, for defences that learn from all of it; what they learn must be there already.
    """
    data, ctx = _few(images, len(images)), Context(seed=seed)
    whole = data if whole is None else whole
    purify_s = augment_s = learn_s = 0.0
    for place, defense in enumerate(defenses):
        if "purify" not in defense.acts:
            continue
        took, made = _timed(partial(defense.purify_rows, data, whole, ctx))
        learn_s += defense.seconds_for(whole)
        # Of a defence that trains networks, finished work was looked up, which no run does.
        purify_s += 0.0 if defense.trains_networks else took
        if defenses[place + 1 :].needs_whole_set:
            whole = defense.purify_rows(whole, whole, ctx)
        data = made
    if "augment" in defenses.acts:
        batch, marks, rng = to_float(data.images), defenses.marks(data), ctx.generator("cost")
        augment_s, _ = _timed(lambda: defenses.blend(batch, data.labels, data.classes, rng, marks))
    return Treatment(augment_s / len(data), purify_s / len(data), learn_s)


def _few(images: ImageSet, most: int) -> ImageSet:
    count = max(LEAST_IMAGES, MOST_VALUES // images.images[0].numel())
    return images.take(torch.arange(min(count, most, len(images))))


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Median CPU seconds after one time that does not count: then it is compiled, and its memory was touched."""
    made, times = work(), []
    for _ in range(REPEATS):
        # Not by the clock on the wall: whoever waits for a core would take the wait for work.
        began = time.process_time()
        made = work()
        times.append(time.process_time() - began)
    return median(times), made
