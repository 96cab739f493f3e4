"""How suspicious is a data set? Tests that need nothing but the images and their labels.

None of them proves anything. Each says what it saw, what the same test says of shuffled labels, and where it
is known to be wrong; :mod:`benchmarks.detection` measures that for every attack.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import nn

from ued_core.analysis.edge_detector import verdict
from ued_core.assets import asset
from ued_core.context import Context
from ued_core.errors import DataError, Unavailable
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet
from ued_core.training import Job, Sgd, accuracy, train

FILE = asset("results", "detection.json")
COMMAND = "python -m benchmarks.detection"
BOUND = 0.7
"""Accuracy on held-out images above which the published tests call a set unlearnable."""
MOST_IMAGES = 1000
HELD_OUT = 0.2
SHIFT = 0.5
HIDDEN = 128
Test = Literal["linear", "mlp", "bias_shift", "border", "edges"]
"""``edges`` is no test of :func:`examine`: it needs attacks that are known (:mod:`ued_core.studies.edge_evidence`)."""


@dataclass(frozen=True)
class Known:
    """What a test asks, where it is known to fail, and how it differs from the published one; texts for people."""

    title: str
    asks: str
    fails: str
    differs: str = ""

    @property
    def short(self) -> str:
        """The title inside a sentence, without its abbreviation."""
        return self.title.partition(" (")[0].lower()


TESTS: Mapping[Test, Known] = MappingProxyType(
    {
        "linear": Known(
            "Linear model",
            "Does a linear model on pixels already classify held-out images of this set?",
            "Easy data are linear without any poison; noise that depends on the image (autoregressive, convolutions) "
            "is not linear.",
            "1,000 images at most instead of all, 30 epochs instead of 100, and a rate that falls along a cosine "
            "instead of in two steps.",
        ),
        "mlp": Known(
            "Two-layer network",
            "Does a small fully connected network already classify held-out images of this set?",
            "The same two errors as the linear model; the bound must be judged against clean images of the same kind.",
            "As for the linear model; also 128 hidden units instead of 3,072, and images are moved but not mirrored.",
        ),
        "bias_shift": Known(
            "Bias shift",
            "Does a network that was trained on images darkened by one half still recognise the images as they are?",
            "Convolutional networks with batch normalisation can pass it on clean images whose shapes are clear.",
            "A small CNN of width 8 for 8 epochs on 1,000 images at most, instead of a ResNet-18 on all.",
        ),
        "border": Known(
            "Dark border",
            "Are the frames of the images darker than the line inside them, as after a convolution with zeros beyond "
            "the border?",
            "Sees convolutions with zero padding alone; reflection padding evades it, black margins hide it.",
        ),
    }
)


@dataclass(frozen=True)
class Evidence:
    """What one test saw.

    Attributes:
        test: its name, a key of :data:`TESTS`.
        value: held-out accuracy, 0..1; for ``border`` the mean border score.
        bound: above it the set counts as suspicious.
        suspicious: the outcome; None when the test cannot tell.
        control: the same with shuffled labels, 0..1, which must be near chance; None where labels play no part.
        chance: share of the largest class in the held-out images, 0..1.
    """

    test: Test
    value: float
    bound: float
    suspicious: bool | None
    control: float | None
    chance: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Examination:
    """All tests on one set.

    Attributes:
        evidence: one entry per test, in the order of :data:`TESTS`.
        images: how many images were looked at, a fifth of them held out.
        seed: of the choice, the parting, the networks.
    """

    evidence: tuple[Evidence, ...]
    images: int
    seed: int

    @property
    def held_out(self) -> int:
        """About how many images the accuracies were counted on."""
        return int(HELD_OUT * self.images)

    @property
    def alarms(self) -> int:
        """How many tests find the set suspicious."""
        return sum(bool(e.suspicious) for e in self.evidence)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"evidence": [e.to_json() for e in self.evidence], "images": self.images, "seed": self.seed}


def examine(data: ImageSet, ctx: Context) -> Examination:
    """Put a labelled set to every test; some seconds for 1,000 images of 3×32×32 on one slow core.

    Args:
        data: the suspicious set; beyond 1,000 images, 1,000 are drawn, as many of each class as it goes.
        ctx: seed, device, progress, cancellation.

    Raises:
        DataError: a class has fewer than five images.

    Source:
        Simple networks and bias shift: Zhu et al., arXiv 2312.08898 (AAAI 2024); the border score is ours, see
        :mod:`ued_core.analysis.edge_detector`.

    Differs:
        Sized for seconds. Simple networks: at most 1,000 images instead of all, 30 epochs with a cosine instead of 100
        with two steps to a tenth; 128 hidden units instead of 3,072; crops without mirroring for the network with a
        hidden layer, as the shape of a class may not survive a mirror, and none for the linear one. Momentum is
        Nesterov's. Bias shift: a small CNN of width 8 for 8 epochs instead of a ResNet-18; darkened by one half alone;
        at the rate of 0.1 that the release means but sets too late. Shuffled labels as a control are ours.
    """
    chosen = _some(data, ctx)
    held, kept = _parts(chosen, ctx)
    mixed = ImageSet(
        chosen.images,
        chosen.labels[torch.randperm(len(chosen), generator=ctx.generator("shuffled", device="cpu"))],
        chosen.class_names,
        chosen.name,
    )
    chance = float(torch.bincount(chosen.labels[held]).max() / len(held))
    found: list[Evidence] = []
    steps: list[tuple[Test, float]] = [("linear", 0.0), ("mlp", 0.25), ("bias_shift", 0.7)]
    for test, start in steps:
        quiet = Context(seed=ctx.seed, device=ctx.device, stop=ctx.stop)
        ctx.report(start, 1, TESTS[test].title)
        value = _held_out(test, chosen, kept, held, quiet)
        control = None if test == "bias_shift" else _held_out(test, mixed, kept, held, quiet)
        found.append(Evidence(test, value, BOUND, value > BOUND, control, chance))
    seen = verdict(chosen.images)
    cannot = seen.finding == "cannot tell"
    found.append(
        Evidence("border", seen.score, seen.threshold, None if cannot else seen.finding == "darkened", None, chance)
    )
    ctx.report(1, 1, "examined")
    return Examination(tuple(found), len(chosen), ctx.seed)


def _some(data: ImageSet, ctx: Context) -> ImageSet:
    counts = torch.bincount(data.labels, minlength=data.classes)
    least = int(counts[counts > 0].min())
    if least < 5:
        raise DataError(
            f"{data.name!r} has a class with {least} images, but the tests hold out a fifth of each.",
            "Take at least 5 of each class.",
        )
    order = torch.randperm(len(data), generator=ctx.generator("chosen", device="cpu"))
    each = max(5, MOST_IMAGES // int((counts > 0).sum()))
    rows = torch.cat([order[data.labels[order] == k][:each] for k in range(data.classes)])
    return data.take(rows.sort().values)


def _parts(data: ImageSet, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that are held out, a fifth of each class, and the others."""
    order = torch.randperm(len(data), generator=ctx.generator("held out", device="cpu"))
    held = []
    for label in data.labels.unique():
        own = order[data.labels[order] == label]
        held.append(own[: max(1, int(HELD_OUT * len(own)))])
    rows = torch.cat(held).sort().values
    rest = torch.ones(len(data), dtype=torch.bool)
    rest[rows] = False
    return rows, rest.nonzero()[:, 0]


def _held_out(test: Test, data: ImageSet, kept: torch.Tensor, held: torch.Tensor, ctx: Context) -> float:
    """Accuracy on the held-out images of a model trained on the others."""
    shape, classes = data.shape, data.classes
    rng = ctx.generator("weights", test, device="cpu")
    crop = min(4, min(shape[1:]) // 8)
    shifted = test == "bias_shift"
    if shifted:
        network = MODELS.build("small_cnn", width=8).build(shape, classes, rng)
        plan = Sgd(epochs=8, batch_size=64, learning_rate=0.1, crop=crop, flip="off", precision="float32")
    else:
        network = simple_network(shape, classes, HIDDEN if test == "mlp" else 0, rng)
        # A linear model has no use for moved images: every pixel has its own weight.
        crop = crop if test == "mlp" else 0
        plan = Sgd(
            epochs=30, batch_size=128, learning_rate=0.01, schedule="cosine", crop=crop, flip="off", precision="float32"
        )
    move = (lambda images, _: images - SHIFT) if shifted else (lambda images, _: images)
    train(
        Job(train=data.take(kept), test=data.take(held[:1]), network=network, plan=plan, augment=move, flip=False), ctx
    )
    return accuracy(network, data.take(held), ctx)


def simple_network(shape: tuple[int, int, int], classes: int, hidden: int, rng: torch.Generator) -> Network:
    """A fully connected classifier.

    Args:
        shape: of the images, (C, H, W).
        classes: number of scores.
        hidden: units of the hidden layer, with ReLU; 0 for a linear model.
        rng: a CPU generator that draws the weights.
    """
    values = shape[0] * shape[1] * shape[2]
    with torch.random.fork_rng(devices=[]):
        layers = [nn.Linear(values, hidden), nn.ReLU()] if hidden else []
        network = Network(nn.Sequential(nn.Flatten(), *layers), hidden or values, classes)
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5, generator=rng)
            nn.init.zeros_(module.bias)
    return network


def shipped_examinations() -> dict[str, Any]:
    """The stored table: ``command``, ``seed`` and ``rows`` (``dataset``, ``attack`` or None, ``evidence``).

    Raises:
        Unavailable: the file is not there.
    """
    if not FILE.exists():
        raise Unavailable("The shipped results of the detectors are missing.", f"Make them: {COMMAND}")
    return json.loads(FILE.read_text(encoding="utf-8"))
