"""EfficientNet-Lite0: its stages, and the names that the published weights give to their parts."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

STEM, HEAD_CHANNELS = 32, 1280
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
"""Kernel, stride of the first block, expansion, channels and number of blocks of each stage."""
EPSILON = 1e-3


class SamePaddedConv(nn.Conv2d):
    """A convolution that pads as TensorFlow's "same": a side of n gives ⌈n / stride⌉, and an odd zero goes to the end.

    Args:
        inside, outside: channels.
        kernel: side of the kernel.
        stride: of both directions.
        groups: as of any convolution.
    """

    def __init__(self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # A stride of 1 needs equally many zeros on both sides, which the convolution itself can add.
        inner = kernel // 2 if stride == 1 else 0
        super().__init__(inside, outside, kernel, stride, inner, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, inside, H, W) → (N, outside, ⌈H/stride⌉, ⌈W/stride⌉)."""
        if self.stride[0] > 1:
            (top, bottom), (left, right) = (self._zeros(side) for side in x.shape[-2:])
            x = F.pad(x, (left, right, top, bottom))
        return super().forward(x)

    def _zeros(self, side: int) -> tuple[int, int]:
        step, kernel = self.stride[0], self.kernel_size[0]
        missing = max(0, (-(-side // step) - 1) * step + kernel - side)
        return missing // 2, missing - missing // 2


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel by itself, project; with a shortcut where the shape stays.

    Args:
        inside, outside: channels.
        kernel, stride: of the filter.
        expansion: so many times as many channels in between; 1 leaves the first step out.
    """

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.expand = _active(inside, middle, 1) if expansion > 1 else nn.Identity()
        self.filter = _active(middle, middle, kernel, stride, middle)
        self.project = nn.Sequential(SamePaddedConv(middle, outside, 1), nn.BatchNorm2d(outside, EPSILON))
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, inside, H, W) → (N, outside, ⌈H/stride⌉, ⌈W/stride⌉)."""
        found = self.project(self.filter(self.expand(x)))
        return found + x if self.shortcut else found


def lite0_stages() -> OrderedDict[str, nn.Module]:
    """The stages of EfficientNet-Lite0 from the normalised image to the last maps of 1,280 channels, named as layers.

    Source:
        EfficientNet-B0 (arXiv 1905.11946) in the Lite form that Google published in 2020: no squeeze-and-excitation,
        ReLU6 as activation.
    """
    stages: OrderedDict[str, nn.Module] = OrderedDict(stem=_active(3, STEM, 3, 2))
    inside = STEM
    for number, (kernel, stride, expansion, outside, count) in enumerate(STAGES, 1):
        blocks = [
            InvertedBottleneck(inside if first else outside, outside, kernel, stride if first else 1, expansion)
            for first in (block == 0 for block in range(count))
        ]
        stages[f"stage {number}"] = nn.Sequential(*blocks)
        inside = outside
    stages["last maps"] = _active(inside, HEAD_CHANNELS, 1)
    return stages


def lite0_names() -> dict[str, str]:
    """Where the published weights of each part are found.

    Returns:
        place of a part among the stages → its name in the PyTorch ports of EfficientNet, such as
        ``stage_1.0.filter.0`` → ``_blocks.0._depthwise_conv``.
    """
    names = {"stem.0": "_conv_stem", "stem.1": "_bn0", "last_maps.0": "_conv_head", "last_maps.1": "_bn1"}
    place = 0
    for number, (*_, expansion, _, count) in enumerate(STAGES, 1):
        for block in range(count):
            own, their = f"stage_{number}.{block}", f"_blocks.{place}"
            if expansion > 1:
                names |= {f"{own}.expand.0": f"{their}._expand_conv", f"{own}.expand.1": f"{their}._bn0"}
            names |= {f"{own}.filter.0": f"{their}._depthwise_conv", f"{own}.filter.1": f"{their}._bn1"}
            names |= {f"{own}.project.0": f"{their}._project_conv", f"{own}.project.1": f"{their}._bn2"}
            place += 1
    return names


def _active(inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        SamePaddedConv(inside, outside, kernel, stride, groups),
        nn.BatchNorm2d(outside, EPSILON),
        nn.ReLU6(inplace=True),
    )
