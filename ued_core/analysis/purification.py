"""What a purification did to a perturbation that we know, because we made it; the defence never sees these numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ued_core.analysis.perturbation import class_means, difference
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.models.dvae import DvaeNetwork, bits_per_pixel, rate
from ued_core.records import ImageSet, to_float
from ued_core.training.rate_constrained import separated

FLOOR = 1e-12
CHUNK = 256
MEASURED = 1000
"""Of a larger set a run measures only some images: their number decides the error, not the set's."""


def psnr(images: torch.Tensor, reference: torch.Tensor) -> float:
    """Peak signal-to-noise ratio in dB, peak 1, of the mean square over all values of all images; ``inf`` for equal
    ones.

    Args:
        images, reference: float (N, C, H, W) in [0, 1], or uint8.
    """
    if images.shape != reference.shape:
        raise DataError(f"PSNR compares stacks of one shape, not {tuple(images.shape)} and {tuple(reference.shape)}.")
    total = 0.0
    for start in range(0, len(images), CHUNK):
        pair = [x[start : start + CHUNK] for x in (images, reference)]
        first, second = (to_float(x) if x.dtype == torch.uint8 else x for x in pair)
        total += float((first - second).double().square().sum())
    return float("inf") if total == 0 else -10 * float(np.log10(total / images.numel()))


def surviving(without: torch.Tensor, carrying: torch.Tensor, delta: torch.Tensor) -> float:
    """Which share of a perturbation is still there: ⟨carrying − without, δ⟩ ÷ ⟨δ, δ⟩.

    1 when all of it is, 0 when nothing along δ is left, negative when it was overdone.

    Args:
        without, carrying: float (N, C, H, W): what became of the clean and of the poisoned images. With the clean
            images themselves as ``without``, everything else that was changed counts as far as it points along δ.
        delta: float (N, C, H, W), poisoned minus clean, in the same units.

    Returns:
        nan when there is no perturbation.
    """
    energy = float(delta.double().square().sum())
    return float(((carrying - without).double() * delta.double()).sum()) / energy if energy > 0 else float("nan")


def pattern_correlation(found: torch.Tensor, delta: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Pearson correlation between the class means of p̂ and of the true perturbation, for every pair of classes.

    Args:
        found, delta: (N, C, H, W), any real type.
        labels: int64 (N,).

    Returns:
        float64 (K, K) for the classes that occur: rows are classes of ``found``, columns of ``delta``. The diagonal is
        how well each class's pattern was found; the rest is what it shares with other classes' patterns. 0 for a
        constant pattern.
    """
    patterns = []
    for values in (found, delta):
        means = class_means(values, labels)[1]
        means = means.reshape(len(means), -1)
        means = means - means.mean(1, keepdims=True)
        patterns.append(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), FLOOR))
    return patterns[0] @ patterns[1].T


@dataclass(frozen=True)
class Purification:
    """How near a purified set is to what it was made of, and to what that was made of.

    Attributes:
        psnr_clean: of the purified images against the clean ones, in dB; ``inf`` for equal ones.
        psnr_input: against the images that the defence was given.
    """

    psnr_clean: float
    psnr_input: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_purification(clean: torch.Tensor, given: torch.Tensor, made: torch.Tensor) -> Purification:
    """Compare purified images with the clean ones and with those that were purified.

    Args:
        clean, given, made: uint8 (N, C, H, W), row by row the same images.
    """
    return Purification(psnr_clean=psnr(made, clean), psnr_input=psnr(made, given))


@dataclass(frozen=True)
class Separation:
    """What one stage's network makes of poisoned images, through the mean of its latent.

    Attributes:
        nats, bits_per_pixel: the rate, per latent position and per pixel.
        psnr_input: of x̂ against the poisoned images it was given, in dB.
        psnr_clean: of x̂ against the clean images.
        psnr_joint: of clip(x̂ + p̂) against the poisoned images.
        surviving: share of the perturbation that passes through the autoencoder, ⟨x̂(x+δ) − x̂(x), δ⟩ ÷ ⟨δ, δ⟩.
        found: mean over classes of the correlation of p̂'s class mean with the perturbation's.
        found_elsewhere: the same against the perturbations of other classes; what is not about the class.
            These three are nan where nothing was poisoned.
    """

    nats: float
    bits_per_pixel: float
    psnr_input: float
    psnr_clean: float
    psnr_joint: float
    surviving: float
    found: float
    found_elsewhere: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measured_rows(count: int) -> torch.Tensor:
    """Rows of a set of so many images on which a run measures: int64, at most :data:`MEASURED`, at equal distances."""
    return torch.arange(count)[:: -(-count // MEASURED)]


def measure_separation(
    network: DvaeNetwork, clean: torch.Tensor, poisoned: ImageSet, ctx: Context, told: torch.Tensor | None = None
) -> Separation:
    """Measure a trained network against the perturbation that is known.

    Args:
        network: of stage 1, or of stage 2 with the output of stage 1 as ``poisoned``.
        clean: uint8, shape of ``poisoned.images``.
        poisoned: what the network was trained on, or rows of it, with true labels.
        ctx: device and cancellation.
        told: int64 (N,), the labels that the network is given; None: the true ones.
    """
    told = poisoned.labels if told is None else told
    image, perturbation = separated(network, poisoned.images, told, ctx)
    delta = difference(clean, poisoned.images).float() / 255
    correlation = pattern_correlation(perturbation, delta, poisoned.labels)
    if not bool(delta.any()):
        correlation = np.full_like(correlation, np.nan)
    elsewhere = correlation[~np.eye(len(correlation), dtype=bool)]
    nats = _rate(network, poisoned.images, told, ctx)
    return Separation(
        nats=nats,
        bits_per_pixel=bits_per_pixel(nats, network.stride),
        psnr_input=psnr(image, poisoned.images),
        psnr_clean=psnr(image, clean),
        psnr_joint=psnr((image + perturbation).clamp(0, 1), poisoned.images),
        surviving=surviving(separated(network, clean, told, ctx)[0], image, delta),
        found=float(np.diag(correlation).mean()),
        found_elsewhere=float(elsewhere.mean()) if elsewhere.size else float("nan"),
    )


@dataclass(frozen=True)
class Recovery:
    """What an estimate of the perturbation is worth on images that are known to be poisoned, or known to be clean.

    Attributes:
        images: how many were looked at.
        recovered: ⟨p̂, δ⟩ ÷ ⟨δ, δ⟩ with δ what the attack does to these images, or would do to them: 1 when p̂ holds
            all of it.
        size: root mean square of p̂, in 1/255.
        before, after: PSNR to the clean images in dB, as published and without p̂; ``inf`` for equal ones.
    """

    images: int
    recovered: float
    size: float
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def measure_recovery(
    perturbation: torch.Tensor, published: torch.Tensor, clean: torch.Tensor, poisoned: torch.Tensor
) -> Recovery:
    """Compare p̂ with what the attack does.

    Args:
        perturbation: float (N, C, H, W), p̂ in units where pixels lie in 0..1.
        published: uint8, the images that p̂ was found on: for poisoned images ``poisoned``, for untouched ones
            ``clean``.
        clean: uint8, the images before the attack.
        poisoned: uint8, what the attack makes of them, or would make of them.
    """
    delta = difference(clean, poisoned).float() / 255
    return Recovery(
        images=len(published),
        recovered=surviving(torch.zeros_like(delta), perturbation, delta),
        size=255 * float(perturbation.double().square().mean().sqrt()),
        before=psnr(published, clean),
        after=psnr((to_float(published) - perturbation).clamp(0, 1), clean),
    )


@dataclass(frozen=True)
class Ground:
    """What stage 1 does to the ground of the images: their values of the lowest level.

    D-VAE learns x̂ + p̂, not how it is divided: brightness that x̂ leaves out may stand in p̂, and x − p̂ then lacks it. On
    black there is one thing more. Where p̂ takes more away than x̂ holds, clip(x̂ + p̂) is 0 whatever p̂ is, so the loss
    does not pull p̂ back; but x − p̂ is brighter than x.

    Attributes:
        level: the lowest value of the clean images, 0..255.
        share: values of this level, of all values of the clean images, 0..1.
        estimate, image: means of p̂ and of x̂ on them, in 1/255.
        hidden: share of them where x̂ + p̂ < 0, 0..1.
        published, subtracted: means of the published images and of clip(x − p̂, 0, 1) on them, in 1/255; right would be
            ``level``.
    """

    level: int
    share: float
    estimate: float
    image: float
    hidden: float
    published: float
    subtracted: float


def measure_ground(
    clean: torch.Tensor, published: torch.Tensor, image: torch.Tensor, perturbation: torch.Tensor
) -> Ground:
    """Look at stage 1 where the clean images have their lowest level.

    Args:
        clean, published: uint8 (N, C, H, W), row by row the same images, at least one.
        image, perturbation: float (N, C, H, W), x̂ and p̂ in units where pixels lie in 0..1.
    """
    level = int(clean.min())
    ground = clean == level
    given = to_float(published)

    def mean(values: torch.Tensor) -> float:
        return float(values.double().mean())

    return Ground(
        level=level,
        share=mean(ground),
        estimate=255 * mean(perturbation[ground]),
        image=255 * mean(image[ground]),
        hidden=mean(image[ground] + perturbation[ground] < 0),
        published=255 * mean(given[ground]),
        subtracted=255 * mean((given - perturbation).clamp(0, 1)[ground]),
    )


@torch.no_grad()
def _rate(network: DvaeNetwork, images: torch.Tensor, labels: torch.Tensor, ctx: Context) -> float:
    total = 0.0
    for start in range(0, len(images), CHUNK):
        part = slice(start, start + CHUNK)
        made = network(to_float(images[part].to(ctx.device)), labels[part].to(ctx.device))
        total += float(rate(made.mean, made.log_variance)) * len(made.mean)
    return total / len(images)
