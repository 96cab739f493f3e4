"""Strong augmentation: random resized crops, colours and grey, alone or with adversarial noise."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F

from ued_core.compiled import one_thread
from ued_core.context import Context
from ued_core.defenses.base import Defense
from ued_core.defenses.learned import LearnedDefense
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training.ascent import climb
from ued_core.training.colour import jitter, random_grey
from ued_core.training.crop import random_resized_crop

BATCH = 128
LEARNING_RATE = 0.01
MOMENTUM = 0.9
# Multiply-adds a second that one slow core reaches in these matrix products.
SPEED = 8e9


def augment_strongly(images: torch.Tensor, strength: float, rng: torch.Generator) -> torch.Tensor:
    """Resized crop, colour jitter and grey, each growing with the strength; one draw per image.

    Args:
        images: float (N, C, H, W) in [0, 1], C 1 or 3.
        strength: s in 0..1: areas from 1 − 0.9 s, colours by 0.4 s (hue 0.1 s) with chance 0.8 s, grey with chance 0.2
            s.
        rng: generator on the same device.
    """
    images = random_resized_crop(images, 1 - 0.9 * strength, rng)
    reach = 0.4 * strength
    images = jitter(
        images, rng, chance=0.8 * strength, brightness=reach, contrast=reach, saturation=reach, hue=0.1 * strength
    )
    return random_grey(images, rng, chance=0.2 * strength)


_STRENGTH_HELP = (
    "Strength s of the augmentation: at 1 a crop keeps 10 to 100 % of the area and colours change by up "
    "to 40 %; 0 is none."
)


class StrongAugmentation(Defense):
    """Cuts, enlarges and recolours every image at random, anew in every epoch.

    Class-wise noise stays recognisable on a plain crop, less so on a tenth of the image enlarged, in other colours or
    in grey. Learning takes longer, on clean images too.

    Source:
        The augmentation of SDA (in arXiv 2312.08898), which is that of contrastive learning (SimCLR, arXiv 2002.05709):
        resized crops from 1 − 0.9 s of the area, colour jitter 0.4 s (hue 0.1 s) with probability 0.8 s, grey with 0.2
        s.

    Differs:
        It acts after the plan's own crop and flip. A crop's proportions are cut at the image's sides instead of being
        drawn again; colours change in a fixed order.
    """

    key: ClassVar[str] = "strong_augmentation"
    title: ClassVar[str] = "Strong augmentation"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(1.0, _STRENGTH_HELP, label="strength s", ge=0.0, le=1.0, step=0.05)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return augment_strongly(images, self.strength, rng)


class SdaAn(LearnedDefense):
    """Strong augmentation on images with adversarial noise against a small network on top of their poison.

    A network of two layers is trained, robustly, on the poisoned images; what it has learned there is mostly the
    shortcut. Noise that fools it is added to every image once, so that the shortcut no longer tells the truth.

    Source:
        SDA+AN, arXiv 2312.08898 (AAAI 2024): a two-layer network under adversarial training (8/255, 10 steps of 2/255),
        its noise (8/255, 10 steps of 1/255) on every image, then augmentation of strength 1.

    Differs:
        Sized for a CPU: 128 hidden values and 20 epochs, where the official code has 3,072 and 100. Steps begin at the
        image itself. The noise is added once and stored with 8 bits, as there.
    """

    key: ClassVar[str] = "sda_an"
    title: ClassVar[str] = "SDA+AN"
    acts: ClassVar[frozenset[str]] = frozenset({"purify", "augment"})
    learned_from: ClassVar[tuple[str, ...]] = ("epsilon", "steps", "epochs", "width")

    strength: float = param(1.0, _STRENGTH_HELP, label="strength s", ge=0.0, le=1.0, step=0.05)
    epsilon: float = param(
        8.0, "Largest change of a value by the noise.", label="ε", unit="1/255", ge=0.0, le=32.0, step=0.5
    )
    steps: int = param(10, "Gradient steps towards adversarial images.", ge=1, le=100, quick=2)
    epochs: int = param(20, "Epochs of the small network; the official code takes 100.", ge=1, le=200, quick=1)
    width: int = param(
        128, "Hidden values of the small network; the official code takes 3,072.", ge=8, le=4096, quick=16
    )

    def learn(self, data: ImageSet, ctx: Context) -> dict[str, torch.Tensor]:
        draws = Context(seed=0).generator("sda_an", device="cpu")
        inside, radius = data.images[0].numel(), self.epsilon / 255
        sizes = ((self.width, inside), (data.classes, self.width))
        layers = [torch.empty(size).normal_(0, (2 / size[1]) ** 0.5, generator=draws).to(ctx.device) for size in sizes]
        network = {"first": layers[0], "second": layers[1]} | {
            f"{name}_bias": torch.zeros(size[0], device=ctx.device)
            for name, size in zip(("first", "second"), sizes, strict=True)
        }
        for tensor in network.values():
            tensor.requires_grad_(True)
        optimizer = torch.optim.SGD(network.values(), LEARNING_RATE, MOMENTUM)
        steps = -(-len(data) // BATCH)
        for epoch in range(self.epochs):
            order = torch.randperm(len(data), generator=draws)
            for index in range(steps):
                ctx.report(
                    epoch * steps + index,
                    steps * self.epochs,
                    f"{self.title}: small network, epoch {epoch + 1} of {self.epochs}",
                )
                rows = order[index * BATCH : (index + 1) * BATCH]
                images, labels = to_float(data.images[rows].to(ctx.device)), data.labels[rows].to(ctx.device)
                with one_thread():
                    worst = self._uphill(network, images, labels, radius / 4)
                    optimizer.zero_grad(set_to_none=True)
                    F.cross_entropy(small_scores(network, worst), labels).backward()
                    optimizer.step()
        return {name: tensor.detach().cpu() for name, tensor in network.items()}

    def treat(self, images: torch.Tensor, labels: torch.Tensor, learned: dict[str, torch.Tensor]) -> torch.Tensor:
        return to_bytes(self._uphill(learned, to_float(images), labels, self.epsilon / 255 / 8))

    def _uphill(
        self, network: dict[str, torch.Tensor], images: torch.Tensor, labels: torch.Tensor, step: float
    ) -> torch.Tensor:
        def loss(given: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(small_scores(network, given), labels, reduction="sum")

        return climb(images, images, loss, "linf", self.epsilon / 255, step, self.steps)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return augment_strongly(images, self.strength, rng)

    def seconds_for(self, data: ImageSet) -> float:
        passes = len(data) * (self.epochs * (2 * self.steps + 3) + 2 * self.steps)
        return passes * data.images[0].numel() * self.width / SPEED


def small_scores(network: dict[str, torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Scores, float (N, K), of two layers with rectification between them."""
    # Centred as in the networks that are trained later; all-positive values would switch most hidden ones off for good.
    hidden = F.relu(F.linear((images.flatten(1) - 0.5) / 0.25, network["first"], network["first_bias"]))
    return F.linear(hidden, network["second"], network["second_bias"])
