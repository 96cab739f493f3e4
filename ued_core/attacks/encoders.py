"""Frozen image encoders for attacks that look at features and never at labels."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import nn

from ued_core.assets import asset
from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.models import MODELS, Network, PretrainedNet
from ued_core.models.feature_store import Identity, features_once
from ued_core.models.pretrained import digest_of, sized
from ued_core.records import ImageSet, to_float

EncoderName = Literal["embedded", "labelled", "lite0", "resnet50", "convnext_tiny", "clip"]
ASSETS = asset()
EMBEDDED_SIDE = 32
LITE0_SIDE = 96
PUBLISHED_SIDE = 224


class Encoder(nn.Module):
    """Images in [0, 1] of any size and one or three channels → features; frozen and in evaluation mode.

    Args:
        body: float (N, 3, side, side), normalised → features (N, D).
        side: the images are brought to this size first, so that a perturbation keeps the size of the images.
        mean, std: three numbers each; what normalisation subtracts and divides by.
        note: what it is, as one sentence for a result.
        proxy: whether it only stands in for the pre-trained encoders of the paper.
        identity: what decides its features, so that they can be kept; None where they are made quickly.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        body: nn.Module,
        side: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        note: str,
        proxy: bool,
        identity: Identity | None = None,
    ) -> None:
        super().__init__()
        self.body, self.side, self.note, self.proxy, self.identity = body, side, note, proxy, identity
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def train(self, mode: bool = True) -> Encoder:
        """It stays in evaluation mode, whatever contains it."""
        return super().train(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Features (N, D) of float images (N, C, H, W) in [0, 1]; C is 1 or 3, other numbers use the first three."""
        return self.body((sized(images, self.side) - self.mean) / self.std)


class _Body(nn.Module):
    """The features of one of our networks, whose normalisation lives inside."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network.features(images)


def encoder_for(name: EncoderName, data_name: str) -> Encoder:
    """The encoder of that name, on the CPU, to be used and not changed.

    Args:
        name: of the encoder.
        data_name: which data set it is for; only ``labelled`` looks at it.

    Raises:
        Unavailable: its file or its package is not here; the message names both.
    """
    makers: dict[str, Callable[[], Encoder]] = {
        "embedded": _embedded,
        "labelled": lambda: _labelled(
            data_name if (ASSETS / "reference" / f"{data_name}.safetensors").exists() else "shapes"
        ),
    }
    return makers[name]() if name in makers else _PUBLISHED[name].encoder()


@torch.no_grad()
def features_of(
    encoder: Encoder, data: ImageSet, ctx: Context, spend: Callable[[int], None] = lambda count: None
) -> torch.Tensor:
    """Features of every image, float32 (N, D) on the CPU; those of pre-trained encoders are computed once for a set.

    Args:
        encoder: on ``ctx.device``.
        data: its labels are not looked at.
        ctx: device and cancellation.
        spend: told the number of images after every batch, or of all of them where their features are kept; may raise
            to stop.
    """

    def made() -> torch.Tensor:
        size = max(1, (64 if ctx.device.type == "cpu" else 1024) * EMBEDDED_SIDE // encoder.side)
        found: list[torch.Tensor] = []
        for start in range(0, len(data), size):
            ctx.check()
            images = to_float(data.images[start : start + size].to(ctx.device))
            found.append(encoder(images).float().cpu())
            spend(len(images))
            told.append(len(images))
        return torch.cat(found)

    told: list[int] = []
    features = features_once(encoder.identity, data.images, torch.float32, made, ctx)
    if not told:
        spend(len(data))
    return features


# ---------------------------------------------------------------- shipped


@dataclass(frozen=True)
class _Shipped:
    folder: str
    name: str

    def card(self) -> dict[str, Any]:
        path = ASSETS / self.folder / f"{self.name}.json"
        if not path.exists():
            raise Unavailable(
                f"The encoder's card assets/{self.folder}/{path.name} is not there.",
                "It ships with the program; restore it, or make it again: python -m benchmarks.embedded_encoder."
                if self.folder == "encoder"
                else "It ships with the program; restore it, or make it again: python -m benchmarks.reference_models.",
            )
        return json.loads(path.read_text(encoding="utf-8"))

    def network(self) -> Network:
        card = self.card()
        model = MODELS.parse(card["model"] if "model" in card else card["spec"]["model"])
        classes = card["classes"] if "classes" in card else len(card["class_names"])
        network = model.build(tuple(card["shape"]), classes, Context().generator("shipped encoder", device="cpu"))
        state = load_file(ASSETS / self.folder / f"{self.name}.safetensors")
        network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()})
        return network


def embedded_card() -> dict[str, Any]:
    """What is known of the embedded encoder: recipe, seed, accuracy, ``nmi`` of its clusters with the classes of the
    embedded sets.

    Raises:
        Unavailable: the file is not there.
    """
    return _Shipped("encoder", "embedded").card()


@functools.lru_cache(maxsize=1)
def _kept_embedded() -> Network:
    return _Shipped("encoder", "embedded").network()


def _embedded() -> Encoder:
    forms = embedded_card()["classes"]
    note = (
        f"UC (proxy surrogate): the embedded encoder is a small CNN that tells {forms} drawn forms apart, "
        "not the ImageNet or CLIP encoder of the paper."
    )
    return encoder_of(_kept_embedded(), note)


def _labelled(name: str) -> Encoder:
    note = (
        "UC (labelled surrogate): the encoder is the shipped model that was trained on the labelled images of "
        f"{name!r}. "
        "On these data this is not label-agnostic. It is a control, not a bound: another encoder's noise may harm more."
    )
    return encoder_of(_Shipped("reference", name).network(), note)


def encoder_of(network: Network, note: str) -> Encoder:
    """A network of this program as an encoder: its features before the last layer, and where it comes from."""
    encoder = Encoder(_Body(network), EMBEDDED_SIDE, (0.0,) * 3, (1.0,) * 3, note, proxy=True)
    return encoder.to(memory_format=torch.channels_last)


# ---------------------------------------------------------------- published weights


@dataclass(frozen=True)
class _Published:
    model: str
    side: int | None
    told: str

    def configured(self) -> PretrainedNet:
        made = MODELS.build(self.model, **({} if self.side is None else {"side": self.side}))
        assert isinstance(made, PretrainedNet)
        return made

    def encoder(self) -> Encoder:
        net = self.configured()
        note = f"The encoder is {self.told}."
        return Encoder(net.tower(), net.pixels, net.mean, net.std, note, proxy=False, identity=net.identity())


_PUBLISHED: Mapping[str, _Published] = MappingProxyType(
    {
        "lite0": _Published("lite0", LITE0_SIDE, "EfficientNet-Lite0 pre-trained on ImageNet (UC with Lite0)"),
        "resnet50": _Published("imagenet_resnet50", PUBLISHED_SIDE, "torchvision's ResNet-50 pre-trained on ImageNet"),
        "convnext_tiny": _Published(
            "convnext_tiny", PUBLISHED_SIDE, "torchvision's ConvNeXt-Tiny pre-trained on ImageNet (UC with ConvNeXt)"
        ),
        "clip": _Published("clip_rn50", None, "the image tower of OpenAI's CLIP RN50 (UC-CLIP)"),
    }
)


def crafted_with(name: EncoderName) -> dict[str, str]:
    """File → SHA-256 of the weights that an encoder of that name consists of; files that are not here are left out."""
    files: dict[str, Callable[[], list[Path]]] = {
        "embedded": lambda: [ASSETS / "encoder" / "embedded.safetensors"],
        # Which of them is taken depends on the data set.
        "labelled": lambda: sorted((ASSETS / "reference").glob("*.safetensors")),
    }
    if name in files:
        return {path.name: digest_of(path) for path in files[name]() if path.is_file()}
    found = next((path for path in _PUBLISHED[name].configured().places() if path.is_file()), None)
    return {} if found is None else {found.name: digest_of(found)}
