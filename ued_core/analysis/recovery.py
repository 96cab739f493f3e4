"""How many clean images undo a poison: accuracy over the number of clean images that a defender knows.

A network that fails on clean images may have learned to see and only decide by the shortcut. Then few clean images
bring its accuracy back, be it by a new last layer or by a small change of all weights. What the same images give to
a network that never saw the poisoned ones is the control: only what lies above it was in the poisoned network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ued_core.analysis.feature_quality import refitted_accuracy
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.models import Network
from ued_core.records import ImageSet, to_float
from ued_core.training import AdamW, Job, Plan, accuracy, train
from ued_core.training.batches import steps_per_epoch

KNOWN = (10, 50, 250, 1000)
"""How many clean images a defender knows, where nothing else is asked for."""
BATCH = 10
RATES = (0.0003, 0.001, 0.003)
"""Peak learning rates of which one is chosen on known images; the middle one where there are too few to choose."""
FOLD = 5
"""One known image in so many is held out while the rate is chosen; each class needs as many."""
MOST_EPOCHS = 1000


@dataclass(frozen=True)
class Recovered:
    """What a number of known clean images gives; accuracies on clean test images, 0..1.

    Attributes:
        known: how many.
        classes: how many classes they are of.
        refitted: of the network with a last layer that was fitted to its features of them.
        tuned: of the network after one epoch of fine-tuning on them.
        rate: the peak learning rate of that epoch.
        alone: of the same model, its weights as before training, trained on them alone; the control. None where that
            was left out, as it takes as long as the training of the network.
        alone_steps: how many steps that took.
        alone_one_epoch: of the same model trained as ``tuned`` was, in as many steps, from the weights before training.
    """

    known: int
    classes: int
    refitted: float
    tuned: float
    rate: float
    alone: float | None
    alone_steps: int | None
    alone_one_epoch: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def known_images(clean: ImageSet, count: int, ctx: Context) -> ImageSet:
    """The clean images that a defender knows: as many of every class as of any other, or one fewer.

    Classes take turns in a drawn order, and each gives its images in a drawn order, so that fewer known images are a
    part of more. A class that has no more images is passed over.

    Args:
        clean: what they are drawn from.
        count: how many, at least 2.
        ctx: its seed draws.

    Raises:
        DataError: fewer than 2, or more than there are.
    """
    if not 2 <= count <= len(clean):
        raise DataError(
            f"{count} known images were asked for, but of {clean.name!r} it must be from 2 to {len(clean):,}.",
            "Ask for a number within that.",
        )
    rng = ctx.generator("known images", device="cpu")
    order = torch.randperm(len(clean), generator=rng)
    turn = torch.randperm(clean.classes, generator=rng)
    labels = clean.labels[order]
    return clean.take(order[(_places(labels) * clean.classes + turn[labels]).argsort()[:count]])


Control = Callable[["RecoveryTest", ImageSet], tuple[float, int] | None]
"""Test and known images → the accuracy and the steps of the control, or None."""


@dataclass(frozen=True)
class RecoveryTest:
    """A trained network, what it was before, and how clean images are turned on it.

    Attributes:
        network: trained, usually on poisoned images; it stays as it is.
        build: makes the same model with the weights that it had before training.
        plan: how it was trained.
        steps: how many steps that took.
        test: clean test images.
        ctx: device, progress, cancellation; its seed draws orders and crops.
        mirrored: whether a mirror image keeps its class.

    Raises:
        DataError: the network gives another number of scores than the test images have classes, or the plan learns
            without labels.
    """

    network: Network
    build: Callable[[], Network]
    plan: Plan
    steps: int
    test: ImageSet
    ctx: Context
    mirrored: bool = True

    def __post_init__(self) -> None:
        scores = self.network.head.out_features
        if scores != self.test.classes:
            raise DataError(
                f"The network gives {scores} scores, but {self.test.name!r} has {self.test.classes} classes.",
                "Take the data set that the network was trained on.",
            )
        if not self.plan.labelled:
            raise DataError(
                f"The plan {self.plan.title} learns without labels, but the control trains on known images as the "
                "network was trained.",
                "Take a run whose plan learns from labels.",
            )

    def as_trained(self) -> float:
        """Accuracy of the network as it is, 0..1."""
        return accuracy(self.network.to(self.ctx.device), self.test, self.ctx)

    def refitted(self, known: ImageSet) -> float:
        """Accuracy with a last layer that is fitted to the network's features of known images; all before it stays,
        batch normalisation with the statistics of its own training."""
        return refitted_accuracy(self.network.to(self.ctx.device).eval(), known, self.test, self.ctx)

    def tuned(self, known: ImageSet) -> tuple[float, float]:
        """Accuracy after one epoch on the known images that moves all weights that learn, and its learning rate.

        AdamW, batches of 10, a rate that falls with the cosine. Its peak is that of :data:`RATES` whose epoch on four
        fifths of the known images leaves the least loss on the other fifth; where a class has fewer than five of them,
        it is the middle one. Test images decide nothing.
        """
        rate = self.best_rate(known)
        return accuracy(self._one_epoch(self._copy(), known, rate), self.test, self.ctx), rate

    def best_rate(self, known: ImageSet) -> float:
        """The rate of :meth:`tuned`."""
        if int(torch.bincount(known.labels, minlength=known.classes).min()) < FOLD:
            return RATES[len(RATES) // 2]
        held = _places(known.labels) % FOLD == 0
        learned, asked = (known.take(rows.nonzero()[:, 0]) for rows in (~held, held))
        losses = [self._loss(self._one_epoch(self._copy(), learned, rate), asked) for rate in RATES]
        return RATES[losses.index(min(losses))]

    def alone(self, known: ImageSet) -> tuple[float, int]:
        """Accuracy of the model as it was before training, trained on the known images alone, and in how many steps.

        Under the plan of the network, in as many steps as that took: batches hold all known images at most, and the
        steps are rounded to whole epochs, of which there are at most 1,000.
        """
        size = min(self.plan.batch_size, len(known))
        per_epoch = steps_per_epoch(len(known), size)
        epochs = max(1, min(MOST_EPOCHS, round(self.steps / per_epoch)))
        plan = self.plan.with_values(batch_size=size, epochs=epochs, precision="float32", compile=False)
        # What it learns stands in for test images: nothing is chosen by them.
        job = Job(known, known, self.build(), plan, flip=self.mirrored)
        train(job, self.ctx)
        return accuracy(job.network, self.test, self.ctx), epochs * per_epoch

    def alone_one_epoch(self, known: ImageSet, rate: float) -> float:
        """Accuracy of the model as it was before training, after the epoch of :meth:`tuned`."""
        return accuracy(self._one_epoch(self.build(), known, rate), self.test, self.ctx)

    def at(self, known: ImageSet, control: Control) -> Recovered:
        """Everything about some known images.

        Args:
            known: clean images.
            control: :meth:`alone`, what was known of it already, or nothing.

        Raises:
            DataError: they have other classes than the test images.
            Cancelled: the user stopped.
        """
        if known.class_names != self.test.class_names:
            raise DataError(
                f"The known images of {known.name!r} have other classes than the test images of {self.test.name!r}.",
                "Take both from one data set.",
            )
        tuned, rate = self.tuned(known)
        alone, steps = control(self, known) or (None, None)
        return Recovered(
            known=len(known),
            classes=len(known.labels.unique()),
            refitted=self.refitted(known),
            tuned=tuned,
            rate=rate,
            alone=alone,
            alone_steps=steps,
            alone_one_epoch=self.alone_one_epoch(known, rate),
        )

    def _copy(self) -> Network:
        copied = self.build()
        copied.load_state_dict(self.network.state_dict())
        return copied

    def _one_epoch(self, network: Network, known: ImageSet, rate: float) -> Network:
        # Orders and crops are the same for every network and rate: streams are named by the epoch.
        train(Job(known, known, network, tuning_plan(rate, known), flip=self.mirrored), self.ctx)
        return network.eval()

    @torch.no_grad()
    def _loss(self, network: Network, data: ImageSet) -> float:
        total = 0.0
        for images, labels in zip(
            data.images.split(network.most_at_once), data.labels.split(network.most_at_once), strict=True
        ):
            self.ctx.check()
            scores = network(to_float(images.to(self.ctx.device)))
            total += float(F.cross_entropy(scores, labels.to(self.ctx.device), reduction="sum"))
        return total / len(data)


def tuning_plan(rate: float, images: ImageSet) -> AdamW:
    """One epoch of fine-tuning at a peak rate; small images are cropped less."""
    crop = min(4, min(images.shape[1:]) // 8)
    return AdamW(epochs=1, batch_size=BATCH, learning_rate=rate, schedule="cosine", crop=crop, precision="float32")


def _places(labels: torch.Tensor) -> torch.Tensor:
    """Of every image, how many of its class come before it; int64 (N,)."""
    places = torch.empty_like(labels)
    for label in labels.unique():
        own = labels == label
        places[own] = torch.arange(int(own.sum()))
    return places
