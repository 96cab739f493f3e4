"""Mixup and CutMix: each image gets a part of another one, and so does its label."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import torch

from ued_core.context import exact_generator
from ued_core.defenses.base import Defense
from ued_core.params import param
from ued_core.training.hook import soft_labels

Labels = Literal["mixed", "kept"]
_ALPHA_HELP = (
    "Both parameters of the beta distribution of the shares: 1 is uniform, smaller values mix less, larger "
    "ones more evenly."
)
_LABELS_HELP = (
    "Whether the label takes part (a share for both classes), or stays that of the image as in Unlearnable "
    "Clusters' release."
)


def beta(count: int, alpha: float, rng: torch.Generator) -> torch.Tensor:
    """Draws of Beta(α, α), float32 (count,), on the generator's device."""
    # torch.distributions would draw from the global generator; two gamma variables make a beta variable.
    draws = exact_generator(rng)
    pair = torch._standard_gamma(
        torch.full((2, count), alpha, dtype=torch.float64, device=draws.device), generator=draws
    ).clamp_(min=1e-300)
    return (pair[0] / pair.sum(0)).float().to(rng.device)


class Blending(Defense):
    """A defence that mixes each image with another one of the batch; subclasses say how."""

    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    alpha: float = param(1.0, _ALPHA_HELP, label="α", ge=0.1, le=8.0, step=0.1)
    probability: float = param(1.0, "Chance of an image to be mixed at all.", ge=0.0, le=1.0, step=0.05)
    labels: Labels = param("mixed", _LABELS_HELP)

    @abstractmethod
    def mixed(
        self, images: torch.Tensor, others: torch.Tensor, share: torch.Tensor, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images of which about ``share`` is their own.

        Args:
            images, others: float (N, C, H, W); not changed.
            share: float (N,), 0..1; exactly 1 leaves an image as it is.

        Returns:
            The mixture, and the share that is really its own, float (N,).
        """

    def shares(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """How much of an image is its own, where it is mixed; float32 (count,)."""
        return beta(count, self.alpha, rng)

    def blend(
        self, images: torch.Tensor, targets: torch.Tensor, classes: int, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count, device = len(images), images.device
        partner = torch.randperm(count, generator=rng, device=device)
        chosen = torch.rand(count, generator=rng, device=device) < self.probability
        share = torch.where(chosen, self.shares(count, rng), 1.0)
        made, own = self.mixed(images, images[partner], share, rng)
        if self.labels == "kept":
            return made, targets
        soft, own = soft_labels(targets, classes), own[:, None]
        return made, own * soft + (1 - own) * soft[partner]


class Mixup(Blending):
    """Lays another image of the batch over each image, like a double exposure; the label becomes both.

    A network must then see both classes in proportion, so a shortcut that says one thing loudly is no longer enough.

    Source:
        Mixup, arXiv 1710.09412, with α = 1 as in the baselines of EM (arXiv 2101.04898) and ISS (arXiv 2301.13838).

    Differs:
        Each image has a share of its own, where the paper draws one for the batch. EM's and ISS's code mixes up to two
        times, each with probability one half. "Constant" with labels kept is the form in the release of Unlearnable
        Clusters.
    """

    key: ClassVar[str] = "mixup"
    title: ClassVar[str] = "Mixup"

    weight: Literal["drawn", "constant"] = param(
        "drawn", "How much is the image's own: drawn from Beta(α, α), or always nine tenths."
    )

    def shares(self, count: int, rng: torch.Generator) -> torch.Tensor:
        return super().shares(count, rng) if self.weight == "drawn" else torch.full((count,), 0.9, device=rng.device)

    def mixed(
        self, images: torch.Tensor, others: torch.Tensor, share: torch.Tensor, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        own = share.view(-1, 1, 1, 1)
        return (own * images + (1 - own) * others).clamp_(0, 1), share


class CutMix(Blending):
    """Pastes a rectangle of another image of the batch into each image; the label is shared by area.

    Source:
        CutMix, arXiv 1905.04899: sides √(1−λ) of the image's, λ from Beta(1, 1), middle anywhere, cut off at the
        border; an image is mixed with probability one half, as on CIFAR there and in the code of orthogonal projection.

    Differs:
        Each image has a rectangle and a partner of its own, where the paper draws one rectangle for the batch.
        "Constant" with labels kept is the form in the release of Unlearnable Clusters: a square of a tenth of the area.
    """

    key: ClassVar[str] = "cutmix"
    title: ClassVar[str] = "CutMix"

    probability: float = param(0.5, "Chance of an image to be mixed at all.", ge=0.0, le=1.0, step=0.05)
    area: Literal["drawn", "constant"] = param(
        "drawn", "How much of the image is pasted: drawn from Beta(α, α), or always a tenth."
    )

    def shares(self, count: int, rng: torch.Generator) -> torch.Tensor:
        return super().shares(count, rng) if self.area == "drawn" else torch.full((count,), 0.9, device=rng.device)

    def mixed(
        self, images: torch.Tensor, others: torch.Tensor, share: torch.Tensor, rng: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        count, _, height, width = images.shape
        inside = rectangles((count, height, width), 1 - share, rng)
        own = 1 - inside.flatten(1).float().mean(1)
        return torch.where(inside[:, None], others, images), own


def rectangles(shape: tuple[int, int, int], area: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """True inside one rectangle an image, of the image's proportions, its middle anywhere; cut off at the border.

    Args:
        shape: (N, H, W).
        area: float (N,), share of the image before cutting off, 0..1; sides are rounded down to whole pixels.
        rng: generator on the same device.

    Returns:
        bool (N, H, W).
    """
    count, *sides = shape
    inside = []
    for side in sides:
        # A little is added, because the root of an exact square may fall short of it.
        length = (area.sqrt() * side + 1e-4).floor().long()[:, None]
        middle = torch.randint(side, (count, 1), generator=rng, device=area.device)
        first = middle - length // 2
        place = torch.arange(side, device=area.device)
        inside.append((place >= first) & (place < first + length))
    return inside[0][:, :, None] & inside[1][:, None, :]
