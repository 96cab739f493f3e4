"""The image tower of CLIP RN50, with the names of the published weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

EXPANSION = 4


class PooledBottleneck(nn.Module):
    """A bottleneck block that shrinks by averaging, before its last convolution and on its shortcut, never by a stride.

    Args:
        inside: channels that come in.
        middle: channels of the 3×3 convolution; four times as many go out.
        stride: side of the averaged fields, 1 or 2.
    """

    def __init__(self, inside: int, middle: int, stride: int) -> None:
        super().__init__()
        outside = EXPANSION * middle
        self.conv1, self.bn1 = nn.Conv2d(inside, middle, 1, bias=False), nn.BatchNorm2d(middle)
        self.conv2, self.bn2 = nn.Conv2d(middle, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle)
        self.conv3, self.bn3 = nn.Conv2d(middle, outside, 1, bias=False), nn.BatchNorm2d(outside)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module | None = None
        if stride > 1 or inside != outside:
            # Named, for the published weights call the convolution 0 and its normalisation 1.
            shortcut = nn.Sequential()
            shortcut.add_module("pool", self.pool)
            shortcut.add_module("0", nn.Conv2d(inside, outside, 1, bias=False))
            shortcut.add_module("1", nn.BatchNorm2d(outside))
            self.downsample = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, inside, H, W) → (N, 4·middle, H/stride, W/stride)."""
        found = torch.relu(self.bn1(self.conv1(x)))
        found = self.pool(torch.relu(self.bn2(self.conv2(found))))
        found = self.bn3(self.conv3(found))
        return torch.relu(found + (x if self.downsample is None else self.downsample(x)))


class AttentionPool(nn.Module):
    """The mean of all places asks, every place and the mean itself answer: one step of multi-head attention.

    Args:
        places: of a feature map.
        channels: of a feature map.
        heads: of the attention.
        outside: features.
    """

    def __init__(self, places: int, channels: int, heads: int, outside: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.zeros(places + 1, channels))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))
        self.c_proj = nn.Linear(channels, outside)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps (N, channels, h, w), h·w = places → features (N, outside)."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1) + self.positional_embedding
        asked, keys, values = self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens)
        split = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (asked, keys, values)]
        return self.c_proj(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)[:, 0])


class ClipTower(nn.Module):
    """CLIP's ResNet: three convolutions as a stem, averaging instead of strides, attention instead of the last pooling.

    Args:
        width: channels after the stem; 64 as published.
        blocks: of the four stages; 3, 4, 6, 3 as published.
        side: of the images; 224 as published.
        heads: of the attention; 32 as published.
        features: 1024 as published.

    Source:
        Radford et al., CLIP (arXiv 2103.00020), its RN50.
    """

    def __init__(
        self,
        width: int = 64,
        blocks: tuple[int, int, int, int] = (3, 4, 6, 3),
        side: int = 224,
        heads: int = 32,
        features: int = 1024,
    ) -> None:
        super().__init__()
        half = width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, 2, 1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, 1, 1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        inside = width
        for stage, count in enumerate(blocks):
            layers = []
            for block in range(count):
                layers.append(PooledBottleneck(inside, width * 2**stage, 2 if stage > 0 and block == 0 else 1))
                inside = EXPANSION * width * 2**stage
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.attnpool = AttentionPool((side // 32) ** 2, inside, heads, features)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (N, 3, side, side) → features (N, features), not normalised."""
        found = images
        for number in (1, 2, 3):
            found = torch.relu(getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(found)))
        found = F.avg_pool2d(found, 2)
        for number in (1, 2, 3, 4):
            found = getattr(self, f"layer{number}")(found)
        return self.attnpool(found)
