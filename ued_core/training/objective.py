"""What a training minimises: the part of a step in which ways of training differ, and what an epoch adds up of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ued_core.training.batches import Batch, Batches, Sample

Parameters = Iterable[torch.nn.Parameter] | Iterable[dict[str, Any]]
"""What an optimiser is given: all parameters, or groups of them."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one batch.

    Attributes:
        loss: scalar, with gradient.
        right: bool (n,), which images were answered with their label; None where nothing is answered.
    """

    loss: torch.Tensor
    right: torch.Tensor | None = None


@dataclass
class Tally:
    """Sums over the accepted steps of one epoch."""

    loss: torch.Tensor
    right: torch.Tensor
    seen: int = 0

    @classmethod
    def empty(cls, device: torch.device) -> Tally:
        """Nothing seen yet."""
        return cls(torch.zeros((), device=device), torch.zeros((), device=device))

    def add(self, outcome: Outcome, count: int) -> None:
        """One step more, of ``count`` images."""
        self.loss += outcome.loss.detach() * count
        if outcome.right is not None:
            self.right += outcome.right.sum()
        self.seen += count

    def copy(self) -> Tally:
        """Its own tensors."""
        return Tally(self.loss.clone(), self.right.clone(), self.seen)


class Objective(ABC):
    """What one training minimises; :func:`ued_core.training.loop.run_epoch` turns it into steps of an optimiser.

    Attributes:
        module: all that has weights: it is trained, and checkpoints hold it.
        batches: the training images.
        longest_gradient: what the length of the gradient of all weights is cut to; None leaves it.
    """

    module: nn.Module
    batches: Batches
    longest_gradient: float | None = None

    def parameters(self) -> Parameters:
        """What the optimiser is given."""
        return self.module.parameters()

    def begin_epoch(self) -> None:
        """Called before the first step of every epoch."""
        self.module.train()

    def draw(self, sample: Sample) -> Batch:
        """The batch as the module is to see it; here the cropped images and their labels."""
        return Batch(sample.cropped(), sample.labels, lambda: self.draw(sample))

    @abstractmethod
    def outcome(self, batch: Batch, sample: Sample) -> Outcome:
        """The loss of a batch that :meth:`draw` made of ``sample``."""

    def counted(self, tally: Tally, rows: torch.Tensor) -> dict[str, float]:
        """Numbers for the epoch's row that follow from its steps.

        Args:
            tally: the sums of the epoch.
            rows: int64 (M,), the training images that it showed.
        """
        return {}

    def evaluated(self) -> dict[str, float]:
        """Numbers for the epoch's row that are measured after it; their time does not count as training."""
        return {}
