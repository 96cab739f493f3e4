"""What a defence is: hooks at three moments, each of which does nothing unless overridden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ued_core.context import Context
from ued_core.params import Method
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training.hook import Setup, TrainingHook


@dataclass(frozen=True)
class StepCost:
    """What one training step takes; the average over a whole training.

    Attributes:
        passes: the network's work in units of a plain step, which is a pass forward (one third) and back (two thirds).
            Gradients of images alone count like those of weights. What batch hooks take is not in it.
        draws: how often the batch hooks of the whole stack are applied.
    """

    passes: float = 1.0
    draws: float = 1.0


class Defense(Method):
    """A defence; it acts before training (``purify``), on every batch (``augment``), or while the network learns
    (``training``).

    Test images never pass through a defence.

    Attributes:
        acts: which hooks this defence uses: ``purify``, ``augment`` (also for :meth:`blend`), ``training``.
        beyond_step_cost: what training under this defence takes besides :meth:`step_cost`, for people; often empty.
        needs_whole_set: what :meth:`purify` does to an image depends on all others, so that a few images cannot be
            treated by themselves; see :class:`ued_core.defenses.learned.LearnedDefense`.
    """

    acts: ClassVar[frozenset[str]] = frozenset()
    needs_whole_set: ClassVar[bool] = False
    beyond_step_cost: ClassVar[str] = ""

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        """The data set to train on, made once; labels stay."""
        return data

    def purify_rows(self, data: ImageSet, whole: ImageSet, ctx: Context) -> ImageSet:
        """What :meth:`purify` makes of some images of a set.

        Args:
            data: some rows of ``whole``.
            whole: the training set; only a defence with ``needs_whole_set`` looks at it.
            ctx: as in :meth:`purify`.
        """
        return self.purify(data, ctx)

    def seconds_before(self, whole: ImageSet) -> float:
        """How long this defence must learn from a training set before it can treat images of it; 0 when it is ready."""
        return 0.0

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """One batch as the network sees it in this epoch, with fresh draws.

        Args:
            images: float32 (N, C, H, W) in [0, 1], on any device; not changed.
            rng: generator on the same device.

        Returns:
            float32, same shape and device, in [0, 1].
        """
        return images

    def blend(
        self, images: torch.Tensor, targets: torch.Tensor, classes: int, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """:meth:`augment` for defences that change labels too; the stack calls this one.

        Args:
            images, rng: as in :meth:`augment`.
            targets: int64 (N,), or float32 (N, classes) where an earlier defence made soft labels.
            classes: number of classes.

        Returns:
            Images as in :meth:`augment`, and targets of one of the two kinds.
        """
        return self.augment(images, rng), targets

    def chosen(self, data: ImageSet) -> torch.Tensor | None:
        """Which images the batch hook treats, decided once, before training and on whole images.

        A batch comes cropped and mirrored, so what its images looked like at the border can only be asked here. A
        defence that chooses leaves labels alone.

        Args:
            data: the purified images.

        Returns:
            bool (N,) on the CPU, each image judged by itself; None: all of them.
        """
        return None

    def training(self, setup: Setup) -> TrainingHook | None:
        """What this defence does while the network learns; made once for each execution of a run."""
        return None

    def step_cost(self, inner: StepCost) -> StepCost:
        """What a training step takes under :meth:`training`; declared, not measured.

        Args:
            inner: under what is further inside in the stack; :class:`StepCost` as it is where there is nothing.
        """
        return inner


def step_cost(defenses: Sequence[Defense]) -> StepCost:
    """What a training step takes under a stack; hooks wrap each other with the first defence outermost."""
    cost = StepCost()
    for defense in reversed(defenses):
        cost = defense.step_cost(cost)
    return cost


def marks_of(defenses: Sequence[Defense], data: ImageSet) -> torch.Tensor | None:
    """Which image each defence's batch hook treats; bool (N, D) on the CPU, or None: every defence treats all.

    Args:
        defenses: the stack of D defences.
        data: the N purified images.
    """
    chosen = [defense.chosen(data) for defense in defenses]
    if all(marks is None for marks in chosen):
        return None
    everything = torch.ones(len(data), dtype=torch.bool)
    return torch.stack([everything if marks is None else marks for marks in chosen], 1)


def blend_all(
    defenses: Sequence[Defense],
    images: torch.Tensor,
    targets: torch.Tensor,
    classes: int,
    rng: torch.Generator,
    marks: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply the batch hook of a stack in its order; the training loop and the previews share it.

    Args:
        defenses: the stack of D defences.
        images, targets, classes, rng: as in :meth:`Defense.blend`.
        marks: bool (N, D) on the same device, the batch's rows of :func:`marks_of`.
    """
    for place, defense in enumerate(defenses):
        own = None if marks is None else marks[:, place]
        if own is None or bool(own.all()):
            images, targets = defense.blend(images, targets, classes, rng)
        elif bool(own.any()):
            images = images.index_put((own,), defense.augment(images[own], rng))
    return images, targets


def purify_all(defenses: Sequence[Defense], data: ImageSet, ctx: Context) -> ImageSet:
    """Apply the data hook of a stack in its order."""
    for defense in defenses:
        data = defense.purify(data, ctx)
    return data


def purify_part(defenses: Sequence[Defense], data: ImageSet, whole: ImageSet, ctx: Context) -> ImageSet:
    """The rows of ``purify_all(defenses, whole, ctx)`` that belong to ``data``, without treating more than needed."""
    for place, defense in enumerate(defenses):
        data = defense.purify_rows(data, whole, ctx)
        if any(later.needs_whole_set for later in defenses[place + 1 :]):
            # Not purify: it would train what the rows above are shown unfinished.
            whole = defense.purify_rows(whole, whole, ctx)
    return data


def preview(
    defenses: Sequence[Defense],
    data: ImageSet,
    ctx: Context,
    chunk: int = 1024,
    stream: tuple[object, ...] = ("preview",),
    whole: ImageSet | None = None,
) -> ImageSet:
    """What a network would be shown in one epoch: every hook applied once, stored with 8 bits.

    Args:
        defenses: the stack, in order.
        data: the images to defend.
        ctx: seed and device; the draws come from its named stream.
        chunk: images per step; bounds the memory.
        stream: name of the stream of draws, so that two previews can differ.
        whole: the training set that ``data`` are rows of, for defences with ``needs_whole_set``; None: ``data`` itself.
    """
    data = purify_all(defenses, data, ctx) if whole is None else purify_part(defenses, data, whole, ctx)
    marks, rng = marks_of(defenses, data), ctx.generator(*stream)
    # Written in place: a list of parts, joined at the end, would hold the images twice.
    images = torch.empty(data.images.shape, dtype=torch.uint8)
    for start in range(0, len(data), chunk):
        batch = to_float(data.images[start : start + chunk].to(ctx.device))
        labels = data.labels[start : start + chunk].to(ctx.device)
        own = None if marks is None else marks[start : start + chunk].to(ctx.device)
        images[start : start + chunk] = to_bytes(blend_all(defenses, batch, labels, data.classes, rng, own)[0]).cpu()
        ctx.report(min(start + chunk, len(data)), len(data), "defending images")
    return data.with_images(images)
