"""What a defence is: hooks at three moments, each of which does nothing unless overridden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch

from ued_core.border import Boundary
from ued_core.context import Context
from ued_core.defenses.live import LiveOperation
from ued_core.models.dvae import DvaeNetwork
from ued_core.params import Method
from ued_core.records import ImageSet
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


@dataclass(frozen=True)
class Displacements:
    """What Θ needs to know of a defence: it displaces every pixel independently, uniformly, and interpolates.

    Attributes:
        strength: displacements are drawn from (-strength, strength), in pixels; 0 leaves the images as they are.
        boundary: as in :func:`ued_core.displacement.displace`.
    """

    strength: float
    boundary: Boundary


class Separator(NamedTuple):
    """A network that tells images and perturbations apart.

    Attributes:
        network: in evaluation mode, on the CPU.
        told: int64 (N,), the labels that it is given for the images of the training set.
    """

    network: DvaeNetwork
    told: torch.Tensor


class Defense(Method):
    """A defence; it acts before training (``purify``), on every batch (``augment``), or while the network learns
    (``training``).

    Test images never pass through a defence.

    Attributes:
        acts: which hooks this defence uses: ``purify``, ``augment`` (also for :meth:`blend`), ``training``.
        beyond_step_cost: what training under this defence takes besides :meth:`step_cost`, for people; often empty.
        needs_whole_set: what :meth:`purify` does to an image depends on all others, so that a few images cannot be
            treated by themselves; see :class:`ued_core.defenses.learned.LearnedDefense`.
        trains_networks: networks are trained on the whole set before :meth:`purify` has anything to give, for minutes
            to hours; see :class:`ued_core.defenses.purified.TrainedDefense`.
    """

    acts: ClassVar[frozenset[str]] = frozenset()
    needs_whole_set: ClassVar[bool] = False
    trains_networks: ClassVar[bool] = False
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

    def purify_logged(
        self, data: ImageSet, ctx: Context, partial: Path | None = None
    ) -> tuple[ImageSet, Mapping[str, Any] | None]:
        """:meth:`purify` for a run, and the log of what was trained for it; None where nothing was.

        Args:
            data, ctx: as in :meth:`purify`.
            partial: as in :func:`ued_core.defenses.purified.purify_once`.
        """
        return self.purify(data, ctx), None

    def separator(self, data: ImageSet, partial: Path | None = None) -> Separator | None:
        """The network of the first stage of :meth:`purify_logged`, so that it can be measured; None where there is
        none, or none was kept. Nothing is trained for it.

        Args:
            data, partial: as they were given there.
        """
        return None

    def seconds_for(self, data: ImageSet) -> float:
        """How long learning from a training set takes on this machine's processor, whether it was learned from before
        or not; rough, itself quick. 0 for a defence that learns nothing."""
        return 0.0

    def seconds_before(self, whole: ImageSet) -> float:
        """How long this defence must learn from a training set before it can treat images of it; 0 when it is ready."""
        return 0.0

    def ready(self, whole: ImageSet, patience_s: float = 0.0, finished: bool = False) -> bool:
        """Whether :meth:`purify_rows` can treat images of a training set without learning for long first.

        Args:
            whole: the training set.
            patience_s: learning that takes no longer than this does not count.
            finished: what is learned must be complete, because another defence learns from the treated set. Otherwise
                unfinished work will do where it can be looked at.
        """
        return self.seconds_before(whole) <= patience_s

    def state_words(self, whole: ImageSet) -> str:
        """Which state of its work on a training set :meth:`purify_rows` shows; empty where there is one only."""
        return ""

    def displacements(self) -> Displacements | None:
        """The random displacements that this defence consists of; None when it is anything else, and Θ undefined."""
        return None

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

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation | None:
        """This defence for a browser that repeats it while its first parameter is dragged; None where it takes more
        than a few lines, or where the parameter as it is set does not decide alone what happens.

        Args:
            shape: (N, C, H, W) of the images.
            rng: as for :meth:`augment`; what is drawn from it must be what that draws.
        """
        return None

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
