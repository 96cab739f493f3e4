"""A U-Net from images to images: what DeepConfuse draws its perturbations with."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

SCALES = (1, 2, 4, 8)
"""Channels of each level as multiples of the width; every level has half the side of the one above."""


class UNet(nn.Module):
    """Images of values in (−1, 1) from images: four levels of double convolutions, joined by skips.

    Average pooling on the way down, bilinear enlarging on the way up, a 1×1 convolution with batch normalisation and
    tanh at the end. Sides need not be even: what is enlarged takes the size of its skip.

    Args:
        channels: of its input and output.
        width: channels of the first level; the published one has 64.
        rng: a CPU generator; the weights are drawn from it as torch draws them by default, uniformly within 1/√fan-in.

    Source:
        Ronneberger et al., U-Net (arXiv 1505.04597), in the form of DeepConfuse (arXiv 1905.09027).
    """

    def __init__(self, channels: int, width: int, rng: torch.Generator) -> None:
        super().__init__()
        sizes = [width * scale for scale in SCALES]
        self.down = nn.ModuleList(
            _double(inside, outside) for inside, outside in zip([channels, *sizes], sizes, strict=False)
        )
        self.up = nn.ModuleList(_double(below + above, above) for above, below in zip(sizes, sizes[1:], strict=False))
        self.last = nn.Sequential(nn.Conv2d(width, channels, 1), nn.BatchNorm2d(channels), nn.Tanh())
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                reach = 1 / math.sqrt(module.weight[0].numel())
                nn.init.uniform_(module.weight, -reach, reach, generator=rng)
                if module.bias is not None:
                    nn.init.uniform_(module.bias, -reach, reach, generator=rng)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Float (N, channels, H, W) in [0, 1] → the same shape, in (−1, 1)."""
        x = (x - 0.5) / 0.25
        levels = [self.down[0](x)]
        for block in self.down[1:]:
            levels.append(block(F.avg_pool2d(levels[-1], 2, ceil_mode=True)))
        x = levels.pop()
        for block, skip in zip(reversed(self.up), reversed(levels), strict=True):
            x = block(
                torch.cat([skip, F.interpolate(x, size=skip.shape[-2:], mode="bilinear", align_corners=False)], 1)
            )
        return self.last(x)


def build_u_net(channels: int, width: int, rng: torch.Generator) -> UNet:
    """:class:`UNet` without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        return UNet(channels, width, rng).to(memory_format=torch.channels_last)


def _double(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inside, outside):
        layers += [
            nn.Conv2d(channels, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers)
