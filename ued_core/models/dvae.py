"""The network of D-VAE: a rate-limited autoencoder with a second decoder that is told the class."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.errors import DataError
from ued_core.models.resnet18 import BasicBlock

DEEP_FROM = 128
"""Images of at least this side take the published ImageNet variant: latent stride 8 instead of 2."""

NARROW = 16
"""Networks of at least this width are laid out channels last; see :attr:`DvaeNetwork.layout`."""

Sees = Literal["image_and_class", "class_alone"]
Places = Literal["spatial", "broadcast"]


class Disentangled(NamedTuple):
    """What the network makes of a batch.

    Attributes:
        image: x̂, float (N, C, H, W) in (0, 1).
        perturbation: p̂, the same shape, any sign; None when the network has no second decoder.
        mean, log_variance: of the Gaussian latent, float (N, L, h, w).
    """

    image: torch.Tensor
    perturbation: torch.Tensor | None
    mean: torch.Tensor
    log_variance: torch.Tensor


class TransposedConv(nn.ConvTranspose2d):
    """A transposed 3×3 convolution of stride 1, computed as the convolution that it is.

    The same weights in the same layout; torch's own form takes a slow path on a processor.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__(inside, outside, 3, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # the size is always that of x
        """Maps (N, inside, H, W) → (N, outside, H, W)."""
        return F.conv2d(x, self.weight.transpose(0, 1).flip(2, 3), self.bias, padding=1)


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation, on a processor computed as group normalisation with a group per channel.

    The same function up to rounding, which is about 1e-6 where a channel's mean is no large multiple of its deviation.
    torch has a kernel for channels-last images of the one, and none of the other.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (N, C, H, W) → the same shape and dtype."""
        # In bfloat16, and on a GPU, torch's group normalisation is no quicker.
        if x.device.type == "cpu" and x.dtype == torch.float32:
            return F.group_norm(x, x.shape[1], eps=self.eps)
        return super().forward(x)


class DvaeNetwork(nn.Module):
    """Encoder, Gaussian latent, one decoder for the image and one for the perturbation.

    The encoder is the front of a CIFAR ResNet-18. Both decoders read the same sample z of the latent; the second one
    reads z + u_y, where u_y is a free vector of the class that no rate limits. Weights are not yet drawn:
    :func:`build_dvae`.

    Args:
        shape: (C, H, W) of an image; both sides multiples of :attr:`stride`.
        classes: K.
        width: channels of the stem, even; the published network has 64.
        sees: what the second decoder is given: ``image_and_class`` z + u_y, ``class_alone`` u_y.
        places: ``spatial`` gives every position of the latent its own part of u_y, ``broadcast`` one vector to all. The
            deep variant always broadcasts: the published size does not fit it, and one that fits would have 40 million
                numbers.
        disentangles: false leaves the second decoder and u_y out; what remains is a plain rate-limited VAE.

    Attributes:
        stride: pixels that a latent position stands for along each axis: 2, or 8 from a side of 128 pixels.

    Raises:
        DataError: a side is no multiple of the stride.

    Source:
        D-VAE, arXiv 2405.01460 (ICML 2024), and the authors' release.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        width: int,
        sees: Sees = "image_and_class",
        places: Places = "spatial",
        disentangles: bool = True,
    ) -> None:
        super().__init__()
        channels, height, wide = shape
        deep = min(height, wide) >= DEEP_FROM
        self.stride = 8 if deep else 2
        if height % self.stride or wide % self.stride:
            raise DataError(
                f"D-VAE halves the sides of an image, but {height}×{wide} cannot be divided by {self.stride}.",
                f"Choose images whose sides are multiples of {self.stride}.",
            )
        self.shape, self.classes, self.sees, self.disentangles = shape, classes, sees, disentangles
        self.width = width
        top = 8 * width if deep else 2 * width
        self.encoder = _encoder(channels, width, deep)
        self.to_mean = nn.Conv2d(top, 4 * width, 1)
        self.to_log_variance = nn.Conv2d(top, 4 * width, 1)
        self.after = nn.Conv2d(4 * width, top, 1)
        self.to_image = nn.Sequential(*_decoder(channels, width, deep), nn.Sigmoid())
        if disentangles:
            self.to_perturbation = nn.Sequential(*_decoder(channels, width, deep))
            self.own = (
                (top, 1, 1) if deep or places == "broadcast" else (top, height // self.stride, wide // self.stride)
            )
            self.embedding = nn.Embedding(classes, math.prod(self.own))

    @property
    def layout(self) -> torch.memory_format:
        """Of weights and images: channels last, which is quicker, but for narrow networks, with which it corrupts the
        memory of a processor (torch 2.15: crashes with widths 4 and 8 within some steps, none in thousands from 12
        on)."""
        return torch.channels_last if self.width >= NARROW else torch.contiguous_format

    @property
    def bits_a_nat(self) -> float:
        """Bits per pixel that one nat per latent position amounts to."""
        return bits_per_pixel(1.0, self.stride)

    def of_class(self, labels: torch.Tensor) -> torch.Tensor:
        """u_y of int64 labels (N,): float (N, channels, h or 1, w or 1)."""
        return self.embedding(labels).view(-1, *self.own)

    def forward(self, images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator | None = None) -> Disentangled:
        """Encode, sample, decode twice.

        Args:
            images: float (N, C, H, W) in [0, 1].
            labels: int64 (N,).
            rng: on the images' device; the latent is drawn with it. None takes the latent's mean.
        """
        found = self.encoder(images)
        mean, log_variance = self.to_mean(found), self.to_log_variance(found)
        sample = mean
        if rng is not None:
            noise = torch.randn(mean.shape, generator=rng, device=mean.device, dtype=mean.dtype)
            sample = mean + (0.5 * log_variance).exp() * noise
        code = self.after(sample)
        perturbation = None
        if self.disentangles:
            own = self.of_class(labels)
            perturbation = self.to_perturbation(code + own if self.sees == "image_and_class" else own.expand_as(code))
        return Disentangled(self.to_image(code), perturbation, mean, log_variance)

    def class_perturbations(self) -> torch.Tensor:
        """p̂ of every class on a neutral latent (z' = 0): float (K, C, H, W).

        Raises:
            DataError: the network has no second decoder.
        """
        if not self.disentangles:
            raise DataError("A plain VAE has no class embedding to decode.", "Choose a variant with a second decoder.")
        labels = torch.arange(self.classes, device=self.embedding.weight.device)
        own = self.of_class(labels)
        _, height, wide = self.shape
        if self.sees == "class_alone":
            code = torch.zeros((), device=own.device)
        else:
            code = self.after(torch.zeros((1, self.after.in_channels, 1, 1), device=own.device))
        return self.to_perturbation((code + own).expand(-1, -1, height // self.stride, wide // self.stride))


def rate(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of the latent from N(0, 1), in nats per latent position, a scalar.

    Args:
        mean, log_variance: float (N, L, h, w). Summed over the L channels, averaged over images and positions.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def bits_per_pixel(nats: float, stride: int) -> float:
    """A rate in nats per latent position → bits per pixel."""
    return nats / (stride**2 * math.log(2))


def build_dvae(
    shape: tuple[int, int, int], classes: int, width: int, rng: torch.Generator, sees: Sees = "image_and_class",
    places: Places = "spatial", disentangles: bool = True,
) -> DvaeNetwork:  # fmt: skip
    """:class:`DvaeNetwork` with weights drawn from ``rng`` (a CPU generator) as torch draws them by default, on the
    CPU, channels last.

    The global random state is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        network = DvaeNetwork(shape, classes, width, sees, places, disentangles)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            # Both kinds store their fan-in as torch counts it: the second axis times the kernel's area.
            reach = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -reach, reach, generator=rng)
            if module.bias is not None:
                nn.init.uniform_(module.bias, -reach, reach, generator=rng)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, generator=rng)
    # After the draws: they fill memory in its order.
    return network.to(memory_format=network.layout)


def _encoder(channels: int, width: int, deep: bool) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(channels, width, 3, 1, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    ]
    layers += [BasicBlock(width, width, 1), BasicBlock(width, width, 1), BasicBlock(width, 2 * width, 2)]
    if deep:
        layers += [BasicBlock(2 * width, 2 * width, 1), BasicBlock(2 * width, 4 * width, 2)]
        layers += [BasicBlock(4 * width, 4 * width, 1), BasicBlock(4 * width, 8 * width, 2)]
    return nn.Sequential(*layers)


def _decoder(channels: int, width: int, deep: bool) -> list[nn.Module]:
    top = 8 * width if deep else 2 * width
    # A doubling is followed by the next convolution at once; only the 3×3 ones are normalised.
    layers: list[nn.Module] = [nn.ConvTranspose2d(top, top // 2, 4, 2, 1)]
    if not deep:
        return [
            *layers,
            *_normalised(width, width),
            *_normalised(width, width // 2),
            TransposedConv(width // 2, channels),
        ]
    layers += [*_normalised(4 * width, 2 * width), nn.ConvTranspose2d(2 * width, width, 4, 2, 1)]
    return [*layers, *_normalised(width, width // 2), nn.ConvTranspose2d(width // 2, channels, 4, 2, 1)]


def _normalised(inside: int, outside: int) -> list[nn.Module]:
    return [TransposedConv(inside, outside), InstanceNorm(outside), nn.ReLU(inplace=True)]
