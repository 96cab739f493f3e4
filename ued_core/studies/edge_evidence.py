"""The trained edge detector as a test of a suspicious set: it learns on poisons that were made for it, and judges other
images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from ued_core.analysis.detection import Evidence, Known
from ued_core.analysis.edge_detector import EdgeDetector, train_edge_detector
from ued_core.attacks import ATTACKS, Attack
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.records import ImageSet

LEAST_GAP = 0.2
"""By how much what it flags of its own attack and of clean images must differ, or a detector cannot tell anything."""
KEYS = 2**31
PARTS = 3
LEAST_IMAGES = 30
KNOWN = Known(
    "Trained edge detectors (EPD)",
    "One detector for each known convolution, trained on clean images and on that attack with a key of its own: does "
    "one of them flag "
    "more of these images than lies half-way between what it flags of clean ones and of its own attack with yet "
    "another key?",
    "It needs clean images of the same kind, which the other tests do without, and looks for convolutions alone. "
    "Reflection padding "
    "leaves it little to see, CUDA's filters darken no certain side and are often missed, and what else changes the "
    "brightness of frames, such as a blur of digits, can be taken for a convolution.",
    "Each attack against clean images, instead of against other attacks, and a bound for a whole set; the published "
    "penalty could not be read, ours is 1.",
)


@dataclass(frozen=True)
class OneDetector:
    """What EPD, trained on one known attack, calls that attack; all numbers are shares of images, 0..1.

    Attributes:
        attack: title of the attack.
        clean: of clean images: what a miss looks like.
        own: of images that the attack poisoned with another key: what a hit looks like.
        flagged: version → of its held-out images.
    """

    attack: str
    clean: float
    own: float
    flagged: Mapping[str, float]

    @property
    def bound(self) -> float:
        """Half-way between a miss and a hit."""
        return (self.clean + self.own) / 2

    @property
    def tells(self) -> bool:
        """Whether it knows its own attack from clean images."""
        return self.own - self.clean >= LEAST_GAP

    def beyond(self, version: str) -> float:
        """Where a version lies: 0 is a miss, 1 a hit, the bound at ½."""
        return (self.flagged[version] - self.clean) / (self.own - self.clean)


@dataclass(frozen=True)
class EdgeEvidence:
    """What the edge-pixel detectors say of some versions of the same images.

    Attributes:
        detectors: one a known attack.
        trained, held_out: how many images each of them learned from, and how many versions of others it judges.
    """

    detectors: tuple[OneDetector, ...]
    trained: int
    held_out: int

    def evidence(self, version: str) -> Evidence:
        """The outcome in the form of the other tests, of the detector that sees most; None as outcome where none can
        tell.

        ``value`` and ``bound`` are shares of images, ``chance`` is that of clean ones.
        """
        able = [one for one in self.detectors if one.tells]
        if not able:
            best = max(self.detectors, key=lambda one: one.own - one.clean)
            return Evidence("edges", best.flagged[version], best.bound, None, None, best.clean)
        best = max(able, key=lambda one: one.beyond(version))
        return Evidence(
            "edges", best.flagged[version], best.bound, best.flagged[version] > best.bound, None, best.clean
        )


def convolutions() -> list[Attack]:
    """The attacks, at their defaults, that EPD looks for: those that work by class kernels."""
    made = [ATTACKS.build(name) for name in ATTACKS if not ATTACKS[name].needs_whole_set]
    return [attack for attack in made if attack.kernels(2, 0) is not None]


def edge_evidence(clean: ImageSet, versions: Mapping[str, torch.Tensor], seed: int) -> EdgeEvidence:
    """Train a detector for each attack on a third of the images, set its bound on the next third, judge versions of the
    last one.

    No version of an image that they learned from or that set a bound is judged, and no key is used twice. Takes a
    fraction of a second for 1,000 images of 3×32×32.

    Args:
        clean: the control: images of the same kind that nobody attacked.
        versions: name → uint8, shape of ``clean.images``; row i is a version of image i.
        seed: of the parting and of the keys.

    Raises:
        DataError: fewer than 30 images, or shapes differ.

    Source:
        EPD: :mod:`ued_core.analysis.edge_detector`. Ours: one detector an attack, and the bound for a set.
    """
    if len(clean) < LEAST_IMAGES:
        raise DataError(f"The edge detectors are to learn from {len(clean)} images.", f"Take at least {LEAST_IMAGES}.")
    wrong = next((name for name, images in versions.items() if images.shape != clean.images.shape), None)
    if wrong is not None:
        raise DataError(
            f"The {wrong} images have shape {tuple(versions[wrong].shape)}, the clean ones {tuple(clean.images.shape)}."
        )
    ctx = Context(seed=seed)
    order = torch.randperm(len(clean), generator=ctx.generator("edge evidence", "parts"))
    size = len(order) // PARTS
    learn, bound, judge = clean.take(order[:size]), clean.take(order[size : 2 * size]), order[2 * size :]
    detectors = []
    for attack in convolutions():
        model = train_edge_detector(_made(attack, learn, ctx, "learn"), learn.images)
        own = _share(model, _made(attack, bound, ctx, "bound"))
        flagged = {name: _share(model, images[judge]) for name, images in versions.items()}
        detectors.append(OneDetector(attack.title, _share(model, bound.images), own, flagged))
    return EdgeEvidence(tuple(detectors), size, len(judge))


def _made(attack: Attack, images: ImageSet, ctx: Context, part: str) -> torch.Tensor:
    key = ctx.stream_seed("edge evidence", part, attack.key) % KEYS
    return attack.poison(images, Context(seed=key)).images


def _share(model: EdgeDetector, images: torch.Tensor) -> float:
    return float((model.score(images) > 0).mean())
