"""COIN where it is needed: only on images that look as if they had been convolved."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.border import Boundary
from ued_core.data.border import border_score
from ued_core.defenses.base import Defense
from ued_core.defenses.coin import Coin
from ued_core.params import param
from ued_core.records import ImageSet


class GatedCoin(Defense):
    """Moves the pixels of suspicious images alone: those whose outermost line is darker than the one inside it.

    Convolution with zero padding darkens the frame of an image. Each image is judged once, before training, by its own
    frame; COIN then shakes the suspicious ones anew in every epoch and leaves the others sharp. In a set that is
    poisoned in part, clean images keep their detail. An attack that pads by reflection is not noticed.

    Source:
        COIN, arXiv 2311.18403 (AAAI 2025), after its edge-pixel detector; the combination on mixed data is a question
        of its reviewers.

    Differs:
        The published detector is a support vector machine trained on known poisons; here it is our score that needs no
        training, the mean logarithm of the brightness ratio of the two outermost rings. Whole images are judged, as
        they are after the defences that act before training; the crops of training would hide the frame.
    """

    key: ClassVar[str] = "gated_coin"
    title: ClassVar[str] = "COIN on detected images"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(2.0, "Largest displacement of a pixel of a suspicious image, as in COIN.",
        label="strength α", unit="px", ge=0.0, le=6.0, step=0.05,
    )  # fmt: skip
    threshold: float = param(
        0.15, "Border score above which an image is suspicious: 0.15 means a frame about 14 % darker than the line "
              "inside it.",
        label="border score", ge=-0.5, le=2.0, step=0.05,
    )  # fmt: skip
    boundary: Boundary = param("periodic", "How positions beyond the border come back, as in COIN.")

    def chosen(self, data: ImageSet) -> torch.Tensor:
        return torch.from_numpy(border_score(data.images) > self.threshold)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """COIN on all the given images: whoever calls it gives the chosen ones."""
        return Coin(strength=self.strength, boundary=self.boundary).augment(images, rng)
