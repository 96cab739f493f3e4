"""How a stored poison becomes images: our rule, and what each released loader does.

Our rule, for everything: the noise keeps its sign, is added to the stored image, the sum is clipped
to 0..1 and rounded to the nearest of 256 levels. Released loaders differ in exactly these points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch

from ued_core.errors import DataError
from ued_core.records import to_bytes, to_float

# Of lhfowl/adversarial_poisons, in whose normalised units its noise is saved.
CIFAR10_STD = (0.24703224, 0.24348514, 0.26158786)

NOISE_SCALES: Mapping[str, str] = MappingProxyType(
    {
        "unit": "fractions of 1 (images in 0..1)",
        "levels": "levels of 1/255",
        "std": "units of CIFAR-10's channel standard deviations",
    }
)
AFTERWARDS = "Crops and flips come after it, when the victim trains."
"""All these loaders put the noise into the stored images, so augmentation moves noise and image together."""
IMAGE_SCALES: Mapping[str, str] = MappingProxyType({"0..1": "0..1", "0..255": "0..255", "-1..1": "−1..1"})


def unit(values: torch.Tensor, scale: str) -> torch.Tensor:
    """Noise in fractions of 1, or images in 0..1; floating point, shape (N, C, H, W) as given."""
    values = values if values.is_floating_point() else values.to(torch.float32)
    match scale:
        case "levels" | "0..255":
            return values / 255
        case "std":
            return values * torch.tensor(CIFAR10_STD, dtype=values.dtype).view(1, 3, 1, 1)
        case "-1..1":
            return (values + 1) / 2
    return values


def levels(values: torch.Tensor, scale: str) -> torch.Tensor:
    """Noise in levels of 1/255; floating point."""
    if scale == "levels":
        return values if values.is_floating_point() else values.to(torch.float32)
    return unit(values, scale) * 255


@dataclass(frozen=True)
class Rule:
    """What one loader does.

    Attributes:
        key: short name.
        title: for choices.
        words: what happens to a value, in order.
        source: the released code that does so.
        content: ``noise`` or ``images``.
        apply: (clean uint8, stored values, scale, radius in 1/255 or None) → uint8; all (N, C, H, W).
            ``clean`` is not looked at for images.
    """

    key: str
    title: str
    words: str
    source: str
    content: str
    apply: Callable[[torch.Tensor, torch.Tensor, str, float | None], torch.Tensor]


def _clamped(noise: torch.Tensor, radius: float | None) -> torch.Tensor:
    return noise if radius is None else noise.clamp(-radius / 255, radius / 255)


def signed(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    """Our rule for noise: sign kept, clipped, rounded."""
    return to_bytes(to_float(clean) + _clamped(unit(values, scale), radius))


def rounded(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    """Our rule for whole images: rounded to the nearest level."""
    return values if values.dtype == torch.uint8 else to_bytes(unit(values, scale))


def _positive(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    return (clean.to(torch.float32) + levels(values, scale).clamp(0, 255)).clamp_(0, 255).to(torch.uint8)


def _truncated(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    return (clean.to(torch.float32) + levels(values, scale).clamp(-255, 255)).clamp_(0, 255).to(torch.uint8)


def _integers(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    if values.is_floating_point():
        raise DataError("REM's loader takes int8 noise only, and this noise is fractional.", "Choose another loader.")
    return (clean.to(torch.int16) + values.to(torch.int16)).clamp_(0, 255).to(torch.uint8)


def _half_up(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    sums = (to_float(clean) + _clamped(unit(values, scale), radius)).clamp_(0, 1)
    return (sums * 255 + 0.5).clamp_(0, 255).to(torch.uint8)


def _double_truncated(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    sums = (clean.to(torch.float64) / 255 + unit(values, scale).to(torch.float64)).clamp_(0, 1)
    return (sums * 255).to(torch.uint8)


def _stored(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    return (
        values if values.dtype == torch.uint8 else (unit(values, scale) * 255).clamp_(0, 255).round_().to(torch.uint8)
    )


def _image_truncated(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    return values if values.dtype == torch.uint8 else (unit(values, scale) * 255).clamp_(0, 255).to(torch.uint8)


def _image_wrapped(clean: torch.Tensor, values: torch.Tensor, scale: str, radius: float | None) -> torch.Tensor:
    if values.dtype == torch.uint8:
        return values
    # Numbers go to bytes before they are clipped there, so 256 becomes 0 (on the usual machines).
    return (unit(values, scale) * 255).to(torch.int64).remainder(256).to(torch.uint8)


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        rule.key: rule
        for rule in (
            Rule(
                "em",
                "EM's loader",
                "255·δ is clamped to 0..255 before it is added, so every negative entry becomes 0; the sum is clipped "
                "and truncated.",
                "HanxunH/Unlearnable-Examples, dataset.py; its issue 13",
                "noise",
                _positive,
            ),
            Rule(
                "em_signed",
                "learn-from-unlearnable's loader",
                "255·δ keeps its sign and is added; the sum is clipped and truncated, half a level down on average.",
                "psandovalsegura/learn-from-unlearnable",
                "noise",
                _truncated,
            ),
            Rule(
                "rem",
                "REM's loader",
                "Whole levels are added as integers and clipped; nothing is lost.",
                "fshp971/robust-unlearnable-examples",
                "noise",
                _integers,
            ),
            Rule(
                "tap",
                "TAP's export",
                "δ is added in 0..1, clipped, and rounded (0.5 added before truncation).",
                "lhfowl/adversarial_poisons; APBench's exporter",
                "noise",
                _half_up,
            ),
            Rule(
                "lsp",
                "LSP's loader",
                "δ is added in 0..1; 255 times the sum is clipped and truncated, half a level down on average.",
                "dayu11/Availability-Attacks-Create-Shortcuts; udp",
                "noise",
                _double_truncated,
            ),
            Rule(
                "uc",
                "Unlearnable Clusters' generator",
                "The saved noise is clamped to the radius, resized to the image by the nearest pixel, added, clipped "
                "and rounded.",
                "jiamingzhang94/Unlearnable-Clusters, main.py",
                "noise",
                _half_up,
            ),
            Rule("stored", "as stored", "The images are used as they are.", "APBench; UED Studio", "images", _stored),
            Rule(
                "pil",
                "PIL's loader",
                "Float images are multiplied by 255 and truncated, so a stored k/255 may come back as k − 1; bytes "
                "are used as they are.",
                "jinlinll/pil, tools.py; TLMichael/Delusive-Adversary trains on the floats",
                "images",
                _image_truncated,
            ),
            Rule(
                "ntga",
                "learn-from-unlearnable's NTGA loader",
                "255·x is truncated, so a stored k/255 may come back as k − 1.",
                "psandovalsegura/learn-from-unlearnable; lionelmessi6410/ntga itself trains on the floats",
                "images",
                _image_truncated,
            ),
            Rule(
                "coin",
                "COIN's and ECLIPSE's loader",
                "Bytes are used as they are; float images are multiplied by 255 and turned to bytes before clipping, "
                "so 256 becomes 0.",
                "the cifar10_training_data class of COIN and ECLIPSE",
                "images",
                _image_wrapped,
            ),
        )
    }
)
