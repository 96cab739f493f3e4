"""The default model: four convolutions, trained in about a minute on a CPU."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from ued_core.models.base import PENULTIMATE, Model, Network
from ued_core.params import param


def _block(inside: int, outside: int, pool: bool) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    ]
    return [*layers, nn.MaxPool2d(2)] if pool else layers


LIGHT = 16
"""Width up to which a training of some thousand images takes seconds."""


class SmallCnn(Model):
    """Small CNN: four 3×3 convolutions with batch normalisation, then global average pooling.

    Source:
        Ours; sized so that ten epochs over 5,000 32×32 images take about 48 s of one AVX2 core.
    """

    key: ClassVar[str] = "small_cnn"
    title: ClassVar[str] = "Small CNN"

    width: int = param(
        24,
        "Channels of the first layer; the others have two, two and four times as many.",
        ge=4,
        le=256,
        step=4,
        quick=8,
    )

    @property
    def light(self) -> bool:
        return self.width <= LIGHT

    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        w = self.width
        layers = [
            *_block(shape[0], w, True),
            *_block(w, 2 * w, True),
            *_block(2 * w, 2 * w, True),
            *_block(2 * w, 4 * w, False),
        ]
        body = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        return Network(body, 4 * w, classes, {"block 1": "3", "block 2": "7", "block 3": "11", PENULTIMATE: "14"})
