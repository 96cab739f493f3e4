"""Networks that see an image as a grid of patches: a small vision transformer and an MLP-mixer."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.models.base import PENULTIMATE, Model, Network
from ued_core.params import param


class Patches(nn.Module):
    """Cuts images into patches and maps each to a token; an image whose side is no multiple gets zeros at its end.

    Args:
        inside: channels of the image.
        width: channels of a token.
        patch: side of a patch.
        grid: rows and columns of patches.
        positions: add the code of each patch's place, which a network needs that treats all places alike.
    """

    def __init__(self, inside: int, width: int, patch: int, grid: tuple[int, int], positions: bool) -> None:
        super().__init__()
        self.patch = patch
        self.embed = nn.Conv2d(inside, width, patch, patch)
        code = place_code(width, *grid) if positions else torch.zeros(1, 1, 1)
        self.register_buffer("code", code, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) → tokens (N, width, rows, columns)."""
        down, across = (-side % self.patch for side in x.shape[-2:])
        return self.embed(F.pad(x, (0, across, 0, down)) if down or across else x) + self.code


def place_code(width: int, rows: int, columns: int) -> torch.Tensor:
    """Sines and cosines of a place's row and column, as float32 (width, rows, columns).

    A quarter of the channels each holds sin and cos of the row and of the column, at frequencies from 1 down to
    1/10,000 radians per patch; channels that no quarter has stay 0.

    Args:
        width: channels, at least 4.
        rows, columns: of patches.

    Source:
        Better plain ViT baselines for ImageNet-1k, arXiv 2205.01580.
    """
    frequencies = 10_000.0 ** -(torch.arange(width // 4) / max(1, width // 4 - 1))
    down = torch.arange(rows)[None, :, None] * frequencies[:, None, None]
    across = torch.arange(columns)[None, None, :] * frequencies[:, None, None]
    shape = (width // 4, rows, columns)
    parts = [part.expand(shape) for part in (down.sin(), down.cos(), across.sin(), across.cos())]
    return torch.cat([*parts, torch.zeros(width % 4, rows, columns)])


class _Block(nn.Module):
    """Mixes places, then channels, each behind a normalisation and beside a shortcut; takes and gives maps."""

    def __init__(self, width: int, places: nn.Module, inner: int) -> None:
        super().__init__()
        self.before_places, self.before_channels = nn.LayerNorm(width), nn.LayerNorm(width)
        self.places = places
        self.channels = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens (N, width, rows, columns) → the same shape."""
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.places(self.before_places(tokens))
        tokens = tokens + self.channels(self.before_channels(tokens))
        return tokens.transpose(1, 2).reshape(x.shape)


class _Attention(nn.Module):
    """Every place looks at every other one, with several heads of equal width, at least 1."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, inner = heads, heads * max(1, width // heads)
        self.ask, self.give = nn.Linear(width, 3 * inner), nn.Linear(inner, width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, places, width) → the same shape."""
        count, places, _ = tokens.shape
        parts = self.ask(tokens).view(count, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        return self.give(found.transpose(1, 2).flatten(2))


class _BetweenPlaces(nn.Module):
    """One perceptron over all places, the same for every channel."""

    def __init__(self, places: int, inner: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Linear(places, inner), nn.GELU(), nn.Linear(inner, places))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, places, width) → the same shape."""
        return self.mix(tokens.transpose(1, 2)).transpose(1, 2)


class _ChannelNorm(nn.Module):
    """Normalises each place over its channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, width, rows, columns) → the same shape."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class TokenNet(Model):
    """A network of equal blocks over the patches of an image."""

    patch: int = param(4, "Side of a patch; each becomes one token.", label="patch size", unit="px", ge=1, le=64)
    width: int = param(64, "Channels of a token.", ge=8, le=768, step=8, quick=16)
    depth: int = param(3, "Blocks, one after another.", ge=2, le=24, quick=2)

    positions: ClassVar[bool] = False

    @property
    def recommended_plan(self) -> Mapping[str, Any]:
        """Smaller batches, so four times as many steps: with those of the CNN these networks hardly learn."""
        return MappingProxyType({"batch_size": 32})

    @abstractmethod
    def block(self, places: int) -> nn.Module:
        """One block for so many patches, from maps to maps of the same shape."""

    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        grid = (-(-shape[1] // self.patch), -(-shape[2] // self.patch))
        parts: list[tuple[str, nn.Module]] = [
            ("patches", Patches(shape[0], self.width, self.patch, grid, self.positions)),
            *((f"block_{number + 1}", self.block(grid[0] * grid[1])) for number in range(self.depth)),
            ("norm", _ChannelNorm(self.width)),
            ("pool", nn.AdaptiveAvgPool2d(1)),
            ("flat", nn.Flatten()),
        ]
        middle = {f"block {number}": f"block_{number}" for number in range(1, self.depth + 1)}
        layers = {"patches": "patches", **middle, PENULTIMATE: "norm"}
        return Network(nn.Sequential(OrderedDict(parts)), self.width, classes, layers)


class TinyVit(TokenNet):
    """A vision transformer of a size that trains in a minute on a processor: attention between patches.

    Source:
        An image is worth 16×16 words, arXiv 2010.11929; fixed codes of places and the mean over all patches in place
        of a class token as in Better plain ViT baselines, arXiv 2205.01580.

    Differs:
        Sized for 32×32 images and two cores: patches of 4, 64 channels, three blocks.
    """

    key: ClassVar[str] = "vit"
    title: ClassVar[str] = "Tiny ViT"
    positions: ClassVar[bool] = True

    heads: int = param(4, "Attention heads; the channels are divided among them.", ge=1, le=24, quick=2)

    def block(self, places: int) -> nn.Module:
        return _Block(self.width, _Attention(self.width, self.heads), 2 * self.width)


class MlpMixer(TokenNet):
    """An MLP-mixer: perceptrons over the places and over the channels in turn, no convolution, no attention.

    Source:
        MLP-Mixer, arXiv 2105.01601.

    Differs:
        Sized for 32×32 images and two cores: patches of 4, 64 channels, three blocks.
    """

    key: ClassVar[str] = "mixer"
    title: ClassVar[str] = "MLP-mixer"

    def block(self, places: int) -> nn.Module:
        return _Block(self.width, _BetweenPlaces(places, 2 * places), 2 * self.width)
