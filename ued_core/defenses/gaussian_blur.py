"""Gaussian blur, and the published setting of it that changes nothing."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F

from ued_core.defenses.fixed import FixedTransform
from ued_core.defenses.live import LiveOperation
from ued_core.errors import DataError, ParameterError
from ued_core.params import param
from ued_core.records import to_bytes, to_float


def gaussian_weights(size: int, sigma: float) -> torch.Tensor:
    """A Gaussian sampled at whole pixels around its middle, with sum 1.

    Args:
        size: odd number of weights.
        sigma: standard deviation, in pixels.

    Returns:
        float64 (size,).
    """
    away = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-0.5 * (away / sigma) ** 2)
    return weights / weights.sum()


def blur(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The same weights along rows and columns; the border is reflected.

    Args:
        images: float (N, C, H, W).
        weights: float (k,), k odd.

    Raises:
        DataError: the images are too small to be reflected that far.
    """
    reach = len(weights) // 2
    height, width = images.shape[-2:]
    if reach >= min(height, width):
        raise DataError(
            f"A blur over {len(weights)} px cannot reflect {height}×{width} images.", "Take a smaller kernel."
        )
    padded = F.pad(images, (reach,) * 4, mode="reflect")
    steps = list(enumerate(weights.tolist()))
    rows = sum(padded[:, :, k : k + height] * w for k, w in steps)
    return sum(rows[..., k : k + width] * w for k, w in steps)


class GaussianBlur(FixedTransform):
    """Blurs every image with a Gaussian.

    Fine patterns are lost, together with some detail of the image. Attacks that are blurs themselves
    (CUDA) only become stronger.

    Source:
        A baseline of ISS (arXiv 2301.13838) and APBench (arXiv 2308.03258), 3×3, border reflected.

    Differs:
        σ is 1 px. The published σ of 0.1 px is numerically the identity; it is a defence of its own here.
    """

    key: ClassVar[str] = "gaussian_blur"
    title: ClassVar[str] = "Gaussian blur"

    sigma: float = param(
        1.0,
        "Standard deviation of the blur. Below 0.2 px it changes nothing.",
        label="σ",
        unit="px",
        ge=0.1,
        le=5.0,
        step=0.1,
    )
    size: int = param(
        3,
        "Side length of the kernel; odd. 3 cuts a wide Gaussian off.",
        label="kernel size",
        unit="px",
        ge=3,
        le=15,
        step=2,
    )

    def model_post_init(self, _context: object) -> None:
        if self.size % 2 == 0:
            raise ParameterError(
                f"{self.title}: size is {self.size}, but it must be odd so that the kernel has a middle.",
                f"Take {self.size - 1} or {self.size + 1}.",
            )

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        return to_bytes(blur(to_float(images), gaussian_weights(self.size, self.sigma)))

    def live(self, shape: tuple[int, int, int, int], rng: torch.Generator) -> LiveOperation | None:
        fits = self.size // 2 < min(shape[-2:])
        return LiveOperation("blur", "sigma", settings={"size": self.size}) if fits else None


class GaussianAsPublished(FixedTransform):
    """Changes nothing: the 3×3 blur with σ 0.1 px that two benchmarks call "Gaussian".

    The side weights of that kernel are 2e-22, so every image comes back as it was. Published columns
    "Gaussian" are a second measurement of no defence; this entry makes them repeatable.

    Source:
        ISS (arXiv 2301.13838) and APBench (arXiv 2308.03258), whose code sets σ to 0.1.
    """

    key: ClassVar[str] = "gaussian_as_published"
    title: ClassVar[str] = "Gaussian as published (changes nothing)"

    def transform(self, images: torch.Tensor) -> torch.Tensor:
        return to_bytes(blur(to_float(images), gaussian_weights(3, 0.1)))
