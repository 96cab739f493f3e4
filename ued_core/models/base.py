"""What a model is: a declaration that builds a network."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import nn

from ued_core.params import Method


class Network(nn.Module):
    """A classifier that takes images in [0, 1] and normalises them itself.

    Attributes:
        body: images → features (N, D).
        head: features → scores (N, classes).
    """

    def __init__(self, body: nn.Module, features: int, classes: int) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features, (N, D), of float images (N, C, H, W) in [0, 1]."""
        return self.body((images - 0.5) / 0.25)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores, (N, classes), of float images (N, C, H, W) in [0, 1]."""
        return self.head(self.features(images))


class Model(Method):
    """A network to be trained."""

    @abstractmethod
    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        """The network for images of shape (C, H, W), its weights not yet drawn."""

    def build(self, shape: tuple[int, int, int], classes: int, rng: torch.Generator) -> Network:
        """The network with weights drawn from ``rng`` (a CPU generator), on the CPU.

        The global random state is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            network = self.network(shape, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out" if isinstance(module, nn.Conv2d) else "fan_in", generator=rng)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(network.head.weight, std=network.head.in_features**-0.5, generator=rng)
        return network
