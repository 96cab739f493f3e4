"""ResNet-18 with the CIFAR stem, the model of the papers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ued_core.models.base import PENULTIMATE, Model, Network
from ued_core.params import param


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; a 1×1 convolution where the shape changes."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inside, outside, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
            nn.Conv2d(outside, outside, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        same = stride == 1 and inside == outside
        self.shortcut = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, inside, H, W) → (N, outside, H/stride, W/stride)."""
        return torch.relu(self.residual(x) + self.shortcut(x))


class ResNet18(Model):
    """ResNet-18 with a 3×3 stem and no initial pooling, as used for 32×32 images.

    Source:
        Deep residual learning, arXiv 1512.03385; the 3×3 stem is the custom of the CIFAR literature.
    """

    key: ClassVar[str] = "resnet18"
    title: ClassVar[str] = "ResNet-18"

    # With 4 channels torch 2.15's channels-last backward pass crashed on a CPU.
    width: int = param(64, "Channels of the stem; the published network has 64.", ge=8, le=256, step=4, quick=8)

    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        w = self.width
        layers: list[nn.Module] = [
            nn.Conv2d(shape[0], w, 3, 1, 1, bias=False),
            nn.BatchNorm2d(w),
            nn.ReLU(inplace=True),
        ]
        inside = w
        for stage, blocks in enumerate((2, 2, 2, 2)):
            for block in range(blocks):
                outside = w * 2**stage
                layers.append(BasicBlock(inside, outside, 2 if stage > 0 and block == 0 else 1))
                inside = outside
        body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return Network(
            body, inside, classes, {"stem": "2", "stage 1": "4", "stage 2": "6", "stage 3": "8", PENULTIMATE: "10"}
        )
