"""A generator of images from fixed noise: what Unlearnable Clusters draws its perturbations with."""

from __future__ import annotations

import math

import torch
from torch import nn

LEAST_SIDE = 8
"""Two halvings must leave two pixels to reflect at the border."""


class ResidualBlock(nn.Module):
    """Two reflect-padded 3×3 convolutions with batch normalisation and an identity; nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(
                nn.ReflectionPad2d(1),
                nn.Conv2d(channels, channels, 3, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            ),
            *(nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=False), nn.BatchNorm2d(channels)),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, channels, H, W) → the same shape."""
        return x + self.body(x)


class ResNetGenerator(nn.Module):
    """Images of values in (−1, 1) from images: two strided convolutions, residual blocks, two transposed convolutions,
    tanh.

    Args:
        channels: of its input and output.
        width: channels of the first layer; the residual blocks have four times as many. The published one has 64.
        blocks: residual blocks; the published one has 6.
        rng: a CPU generator; the weights are drawn from it as torch draws them by default, uniformly within 1/√fan-in.

    Source:
        Johnson et al., Perceptual losses (arXiv 1603.08155), in the form that Unlearnable Clusters (arXiv 2301.01217)
        takes.
    """

    def __init__(self, channels: int, width: int, blocks: int, rng: torch.Generator) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(channels, width, 7, bias=False), *_active(width)]
        for inside in (width, 2 * width):
            layers += [nn.Conv2d(inside, 2 * inside, 3, 2, 1, bias=False), *_active(2 * inside)]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for inside in (4 * width, 2 * width):
            layers += [
                nn.ConvTranspose2d(inside, inside // 2, 3, 2, 1, output_padding=1, bias=False),
                *_active(inside // 2),
            ]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, channels, 7), nn.Tanh()]
        self.body = nn.Sequential(*layers)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                # Both kinds store their fan-in as torch counts it: the second axis times the kernel's area.
                reach = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.weight, -reach, reach, generator=rng)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -reach, reach, generator=rng)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float (N, channels, H, W), H and W multiples of 4 and at least 8 → the same shape, in (−1, 1)."""
        return self.body(x)


def build_generator(channels: int, width: int, blocks: int, rng: torch.Generator) -> ResNetGenerator:
    """:class:`ResNetGenerator` without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        return ResNetGenerator(channels, width, blocks, rng)


def fitting_side(side: int) -> int:
    """The smallest side of at least ``side`` that the generator can make."""
    return max(LEAST_SIDE, 4 * math.ceil(side / 4))


def _active(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
