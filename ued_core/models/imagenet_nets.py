"""Networks of the ImageNet literature as torchvision builds them: poisons are tried on them to see whether they
transfer."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.models.base import PENULTIMATE, Model, Network
from ued_core.params import param


class Enlarge(nn.Module):
    """Small images are enlarged, so that a stride of 32 leaves something to see; large ones stay.

    Args:
        side: what the longer side is brought to, bilinearly.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Float (N, C, H, W) → the same with a longer side of at least ``side``."""
        height, width = images.shape[-2:]
        longer = max(height, width)
        if longer >= self.side:
            return images
        size = (max(1, round(height * self.side / longer)), max(1, round(width * self.side / longer)))
        return F.interpolate(images, size, mode="bilinear", align_corners=False)


class ImageNetNet(Model):
    """A network that was made for 224 pixels and divides the side by 32; subclasses implement :meth:`stages`."""

    side: int = param(
        64,
        "Images are enlarged to this side inside the network; the paper trains at 224.",
        unit="px",
        ge=32,
        le=256,
        step=16,
        quick=32,
    )

    @abstractmethod
    def stages(self, channels: int) -> tuple[OrderedDict[str, nn.Module], int]:
        """Stages from the image to the last feature map, named as layers, and the number of their last channels.

        Args:
            channels: of the images.
        """

    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        stages, features = self.stages(shape[0])
        names = {name: name.replace(" ", "_") for name in stages}
        parts = OrderedDict((names[name], stage) for name, stage in stages.items())
        body = nn.Sequential(
            OrderedDict(enlarge=Enlarge(self.side), **parts, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
        )
        return Network(body, features, classes, {**names, PENULTIMATE: "flat"})


class EfficientNetB1(ImageNetNet):
    """EfficientNet-B1: inverted bottlenecks with squeeze-and-excitation; one of the targets of Unlearnable Clusters.

    Source:
        EfficientNet, arXiv 1905.11946, as torchvision builds it; a target model of arXiv 2301.01217.

    Differs:
        No pre-trained weights. No dropout and no stochastic depth: torch draws them from its global random state. The
        strides stay and small images are enlarged instead, to 64 pixels rather than the published 240.
    """

    key: ClassVar[str] = "efficientnet_b1"
    title: ClassVar[str] = "EfficientNet-B1"

    def stages(self, channels: int) -> tuple[OrderedDict[str, nn.Module], int]:
        from torchvision.models import efficientnet_b1

        built = efficientnet_b1(weights=None, stochastic_depth_prob=0.0).features
        built[0][0] = _first(built[0][0], channels)
        names = ["stem", *(f"stage {number}" for number in range(1, 8)), "last maps"]
        return OrderedDict(zip(names, built.children(), strict=True)), built[-1].out_channels


class RegNetX(ImageNetNet):
    """RegNetX-1.6GF: plain bottlenecks with grouped convolutions; one of the targets of Unlearnable Clusters.

    Source:
        Designing network design spaces, arXiv 2003.13678, as torchvision builds it; a target model of arXiv 2301.01217.

    Differs:
        No pre-trained weights. The strides stay and small images are enlarged instead, to 64 pixels rather than the
        published 224.
    """

    key: ClassVar[str] = "regnetx_1_6gf"
    title: ClassVar[str] = "RegNetX-1.6GF"

    def stages(self, channels: int) -> tuple[OrderedDict[str, nn.Module], int]:
        from torchvision.models.regnet import BlockParams, RegNet

        # Its widths are read out of tensors, which a network without memory (device "meta") would not have.
        with torch.device("cpu"):
            widths = BlockParams.from_init_params(depth=18, w_0=80, w_a=34.01, w_m=2.25, group_width=24)
        built = RegNet(widths)
        built.stem[0] = _first(built.stem[0], channels)
        stages = {f"stage {number}": stage for number, stage in enumerate(built.trunk_output.children(), 1)}
        return OrderedDict({"stem": built.stem, **stages}), built.fc.in_features


def _first(made: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A first convolution of the same form for images of so many channels."""
    # torch declares these pairs as tuples of any length.
    kernel, stride, padding = (cast("tuple[int, int]", pair) for pair in (made.kernel_size, made.stride, made.padding))
    return nn.Conv2d(channels, made.out_channels, kernel, stride, padding, bias=False)
