"""LSP: blocks of colour drawn from linearly separable clouds, one cloud a class."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch

from ued_core.attacks.base import AdditiveAttack, Bound, rounding_param, row_normals
from ued_core.attacks.region import distinct_signs
from ued_core.context import Context
from ued_core.params import param
from ued_core.records import ImageSet, Rounding


class SynPer(AdditiveAttack):
    """Every image gets a mosaic of coloured patches; a linear classifier can read the class off the mosaic.

    The colours of the patches are a point of a high-dimensional cloud around the class's own corner of a
    hypercube, so the clouds of two classes are linearly separable, and no two images of a class get the
    same mosaic. Each mosaic is scaled to the same length, ε·√(3·H·W): ε is its root mean square, not its
    largest value. No model and no training is needed.

    Source:
        Availability Attacks Create Shortcuts, arXiv 2111.00898 (KDD 2022), and its release
        (dayu11/Availability-Attacks-Create-Shortcuts), where it is called LSP or synthetic perturbation.

    Differs:
        The clouds follow the recipe of scikit-learn's make_classification, which the release calls, with our own
        draws and without its permutation of features. Exactly as many points as images are drawn, so classes may
        have any size. The release cuts off instead of rounding: choose that under rounding. When the side of an
        image is no multiple of the patch, the last patches are cut.
    """

    key: ClassVar[str] = "synper"
    title: ClassVar[str] = "LSP"

    epsilon: float = param(
        6.0, "Root mean square of the perturbation; single values reach about three times as much.",
        label="ε (root mean square)", unit="1/255", ge=1.0, le=32.0, step=0.5,
    )  # fmt: skip
    patch: int = param(
        8,
        "Side of one patch. The release uses 8 for 32×32 and 32 for 224×224.",
        label="patch size",
        unit="px",
        ge=2,
        le=64,
    )
    separation: float = param(
        10.0, "Distance of a class's centre from the origin along every axis; at 0 all clouds have one centre, and "
              "nothing separates them.",
        label="class separation", ge=0.0, le=20.0, step=0.5,
    )  # fmt: skip
    rounding: Rounding = rounding_param()

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        channels, height, width = shape
        return Bound("l2", self.epsilon * (channels * height * width) ** 0.5)

    def grid(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """Channels, patches down, patches across."""
        channels, height, width = shape
        return channels, -(-height // self.patch), -(-width // self.patch)

    def codes(self, labels: torch.Tensor, normals: torch.Tensor, classes: int, seed: int) -> torch.Tensor:
        """Points of the class clouds.

        Args:
            labels: int64 (M,).
            normals: float32 (M, F), the draw of each point.
            classes: how many there are.
            seed: the private key.

        Returns:
            float32 (M, F): ``normals @ A_k + separation · corner_k`` for the class k of each row.
        """
        corners, maps = _clouds(classes, normals.shape[1], seed)
        result = torch.empty_like(normals)
        for k in labels.unique().tolist():
            own = labels == k
            result[own] = normals[own] @ maps[k] + self.separation * corners[k]
        return result

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        channels, down, across = self.grid(data.shape)
        normals = row_normals(rows, channels * down * across, ctx, self.key, "points")
        cells = self.codes(data.labels[rows], normals, data.classes, ctx.seed).view(-1, channels, down, across)
        at_row, at_column = (torch.arange(side) // self.patch for side in data.shape[1:])
        area = torch.bincount(at_row)[:, None] * torch.bincount(at_column)
        length = cells.square().mul_(area).sum((1, 2, 3), keepdim=True).sqrt_()
        cells *= self.bound(data.shape).size / length
        return cells[:, :, at_row][..., at_column]


@functools.lru_cache(maxsize=4)
def _clouds(classes: int, features: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre directions, float32 (classes, F) of ±1, no two equal, and linear maps, float32 (classes, F, F) in
    −1..1."""
    ctx = Context(seed=seed)
    corners = distinct_signs(classes, features, ctx.generator("synper", "corners")).to(torch.float32)
    maps = torch.rand((classes, features, features), generator=ctx.generator("synper", "maps")).mul_(2).sub_(1)
    return corners, maps
