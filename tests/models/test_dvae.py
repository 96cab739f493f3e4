"""The network of D-VAE: published sizes, ranges, what each part may see, and the formula of the rate."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from ued_core.errors import DataError
from ued_core.models.dvae import DvaeNetwork, InstanceNorm, TransposedConv, bits_per_pixel, build_dvae, rate


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(**more: object) -> DvaeNetwork:
    return build_dvae((3, 12, 10), 4, 4, rng(1), **more).eval()


def batch(count: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand((count, 3, 12, 10), generator=rng(seed)), torch.arange(count) % 4


@pytest.mark.parametrize(
    ("classes", "width", "expected"), [(10, 64, 1_181_382), (100, 64, 4_130_502), (10, 16, 136_374), (10, 8, 54_942)]
)
def test_published_number_of_parameters(classes: int, width: int, expected: int) -> None:
    with torch.device("meta"):
        network = DvaeNetwork((3, 32, 32), classes, width)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert network.embedding.weight.shape == (classes, 2 * width * 16 * 16)


def test_parameters_by_hand() -> None:
    """Layer by layer at width 4, RGB, 8×8, three classes."""
    stem = 3 * 4 * 9 + 2 * 4
    same, down = 2 * (4 * 4 * 9 + 2 * 4), 4 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 4 * 8 + 16
    heads, after = 2 * (8 * 16 + 16), 16 * 8 + 8
    decoder = (8 * 4 * 16 + 4) + (4 * 4 * 9 + 4) + (4 * 2 * 9 + 2) + (2 * 3 * 9 + 3)
    network = DvaeNetwork((3, 8, 8), 3, 4)
    assert (
        sum(p.numel() for p in network.parameters())
        == stem + 2 * same + down + heads + after + 2 * decoder + 3 * 8 * 4 * 4
    )
    plain = DvaeNetwork((3, 8, 8), 3, 4, disentangles=False)
    assert sum(p.numel() for p in plain.parameters()) == stem + 2 * same + down + heads + after + decoder


def multiplications(network: DvaeNetwork, *given: torch.Tensor) -> int:
    """Multiply-adds of all convolutions in one pass, counted where they happen."""
    found: list[int] = []

    def count(module: nn.Conv2d | nn.ConvTranspose2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        # A convolution gathers for every value of its output, a transposed one scatters every value of its input.
        places = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        found.append(places.numel() * module.weight[0].numel())

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    network(*given)
    for hook in hooks:
        hook.remove()
    return sum(found)


@pytest.mark.parametrize(("width", "millions"), [(64, 419), (16, 26.8)])
def test_published_number_of_multiplications(width: int, millions: float) -> None:
    """One 32×32 image through everything; the published network and that of a CPU."""
    with torch.device("meta"):
        network = DvaeNetwork((3, 32, 32), 10, width)
        found = multiplications(network, torch.empty(1, 3, 32, 32), torch.zeros(1, dtype=torch.int64))
    assert found == pytest.approx(millions * 1e6, rel=2e-3)


def test_multiplications_by_hand() -> None:
    """Layer by layer at width 4, RGB, 8×8, so 4×4 positions of the latent."""
    stem = 3 * 4 * 9 * 64
    same, down = 2 * 4 * 4 * 9 * 64, (4 * 8 * 9 + 8 * 8 * 9 + 4 * 8) * 16
    heads, after = 2 * 8 * 16 * 16, 16 * 8 * 16
    decoder = 8 * 4 * 16 * 16 + (4 * 4 + 4 * 2 + 2 * 3) * 9 * 64
    found = multiplications(DvaeNetwork((3, 8, 8), 3, 4), torch.zeros(1, 3, 8, 8), torch.zeros(1, dtype=torch.int64))
    assert found == stem + 2 * same + down + heads + after + 2 * decoder


def test_shapes_and_ranges() -> None:
    images, labels = batch()
    with torch.no_grad():
        made = small()(images, labels, rng(3))
    assert made.image.shape == made.perturbation.shape == images.shape
    assert 0 < float(made.image.min()) < float(made.image.max()) < 1
    assert float(made.perturbation.min()) < 0 < float(made.perturbation.max())
    assert made.mean.shape == made.log_variance.shape == (5, 16, 6, 5)


def test_imagenet_variant() -> None:
    with torch.device("meta"):
        network = DvaeNetwork((3, 224, 224), 100, 64)
        made = network(torch.empty(2, 3, 224, 224), torch.zeros(2, dtype=torch.int64))
        encoded = network.encoder(torch.empty(2, 3, 224, 224))
    assert (network.stride, encoded.shape) == (8, (2, 512, 28, 28))
    assert made.mean.shape == made.log_variance.shape == (2, 256, 28, 28)
    assert made.image.shape == made.perturbation.shape == (2, 3, 224, 224)
    assert network.embedding.weight.shape == (100, 512)
    # Channels of the decoder's layers as published.
    sizes = [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
        for m in network.to_image
        if isinstance(m, nn.ConvTranspose2d)
    ]
    assert sizes == [(512, 256, 4, 2), (256, 128, 3, 1), (128, 64, 4, 2), (64, 32, 3, 1), (32, 3, 4, 2)]
    assert sum(isinstance(m, nn.InstanceNorm2d) for m in network.to_image) == 2
    # ResNet-18 has 11,173,962 parameters with a CIFAR stem and 10 classes; without its head and its last block:
    last = 2 * 512 * 512 * 9 + 2 * 1024
    assert sum(p.numel() for p in network.encoder.parameters()) == 11_173_962 - (512 * 10 + 10) - last


def test_layers_of_the_published_decoder() -> None:
    with torch.device("meta"):
        network = DvaeNetwork((3, 32, 32), 10, 64)
    for decoder in (network.to_image, network.to_perturbation):
        sizes = [
            (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0])
            for m in decoder
            if isinstance(m, nn.ConvTranspose2d)
        ]
        assert sizes == [(128, 64, 4, 2), (64, 64, 3, 1), (64, 32, 3, 1), (32, 3, 3, 1)]
    assert isinstance(network.to_image[-1], nn.Sigmoid)
    assert isinstance(network.to_perturbation[-1], TransposedConv), "p̂ has no bound"
    assert not any(m.affine or m.track_running_stats for m in network.modules() if isinstance(m, nn.InstanceNorm2d))


def test_transposed_convolution_is_torchs_own() -> None:
    ours, images = TransposedConv(5, 3), torch.rand((2, 5, 7, 6), generator=rng())
    theirs = nn.ConvTranspose2d(5, 3, 3, 1, 1)
    theirs.load_state_dict(ours.state_dict())
    assert torch.allclose(ours(images), theirs(images), atol=1e-6)


def test_rate_is_the_divergence_from_the_standard_normal() -> None:
    mean, log_variance = torch.randn((3, 8, 5, 4), generator=rng(1)), torch.randn((3, 8, 5, 4), generator=rng(2))
    each = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0))
    assert float(rate(mean, log_variance)) == pytest.approx(float(each.sum(1).mean()), rel=1e-5)


def test_rate_by_hand() -> None:
    """One position: means 2 and 0, variances 1 and 4: (4 + 1 − 1 − 0 + 0 + 4 − 1 − ln 4) ÷ 2; the other one has
    nothing."""
    mean, log_variance = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    mean[0, 0, 0, 0], log_variance[0, 1, 0, 0] = 2, math.log(4)
    assert float(rate(mean, log_variance)) == pytest.approx((7 - math.log(4)) / 2 / 2)


def test_bits_per_pixel() -> None:
    assert [round(bits_per_pixel(k, 2), 2) for k in (0.3, 1.0, 3.0)] == [0.11, 0.36, 1.08]
    assert bits_per_pixel(1.0, 8) == pytest.approx(1 / (64 * math.log(2)))


@pytest.mark.parametrize("target", [1.0, 3.0])
def test_nats_of_a_whole_image(target: float) -> None:
    """A 32×32 image has 256 positions, so a rate of k nats per position is 256·k nats, or 256·k/(1024·ln 2) bits a
    pixel."""
    with torch.device("meta"):
        made = DvaeNetwork((3, 32, 32), 10, 64)(torch.empty(1, 3, 32, 32), torch.zeros(1, dtype=torch.int64))
    # Every one of 256 channels 2k/256 above a divergence of 0: μ² ÷ 2 each.
    mean = torch.full(made.mean.shape, (2 * target / 256) ** 0.5)
    whole = kl_divergence(Normal(mean, 1.0), Normal(0.0, 1.0)).sum()
    assert float(whole) == pytest.approx(256 * target, rel=1e-5)
    assert float(rate(mean, torch.zeros_like(mean))) == pytest.approx(target, rel=1e-5)
    assert bits_per_pixel(target, 2) == pytest.approx(256 * target / (1024 * math.log(2)))


def test_sample_by_hand() -> None:
    """z' = μ + exp(log σ² ÷ 2)·ε: with μ = 2 and σ² = 9 everywhere it is 2 + 3 ε; both decoders are given it."""
    network, (images, labels) = small(), batch()
    codes: list[torch.Tensor] = []
    network.after.register_forward_pre_hook(lambda module, given: codes.append(given[0]))
    with torch.no_grad():
        for head, value in ((network.to_mean, 2.0), (network.to_log_variance, math.log(9))):
            head.weight.zero_()
            head.bias.fill_(value)
        made = network(images, labels, rng(3))
        network(images, labels)
        noise = torch.randn((5, 16, 6, 5), generator=rng(3))
        assert torch.allclose(codes[0], 2 + 3 * noise, atol=1e-5)
        assert torch.equal(codes[1], torch.full_like(noise, 2))
        code = network.after(codes[0])
        assert torch.allclose(made.image, network.to_image(code), atol=1e-6)
        assert torch.allclose(made.perturbation, network.to_perturbation(code + network.of_class(labels)), atol=1e-5)


def test_the_latent_is_drawn_only_when_asked() -> None:
    network, (images, labels) = small(), batch()
    assert torch.equal(network(images, labels).image, network(images, labels).image)
    assert torch.equal(network(images, labels, rng(1)).image, network(images, labels, rng(1)).image)
    assert not torch.equal(network(images, labels, rng(1)).image, network(images, labels, rng(2)).image)


def test_what_the_decoders_see() -> None:
    """x̂ knows nothing of the class; p̂ knows the class, and the image only through the latent."""
    network, (images, labels) = small(), batch()
    made, other = network(images, labels), network(images, (labels + 1) % 4)
    assert torch.equal(made.image, other.image)
    assert not torch.allclose(made.perturbation, other.perturbation)
    with torch.no_grad():
        network.to_mean.weight.zero_()
    blind = network(images, torch.zeros(5, dtype=torch.int64)).perturbation
    assert torch.allclose(blind, blind[:1].expand_as(blind), atol=1e-6), "p̂ sees the image past the rate limit"
    alone = small(sees="class_alone")
    first, second = alone(images, labels).perturbation, alone(images.flip(0), labels).perturbation
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_class_vector_is_added_to_the_latent() -> None:
    network, (images, labels) = small(), batch()
    made = network(images, labels)
    code = network.after(made.mean)
    by_hand = network.to_perturbation(code + network.embedding.weight[labels].view(5, 8, 6, 5))
    assert torch.allclose(made.perturbation, by_hand, atol=1e-6)


def test_broadcast_class_vector() -> None:
    network = small(places="broadcast")
    assert network.embedding.weight.shape == (4, 8)
    assert network(*batch()).perturbation.shape == (5, 3, 12, 10)


@pytest.mark.parametrize("sees", ["image_and_class", "class_alone"])
@pytest.mark.parametrize("places", ["spatial", "broadcast"])
def test_class_perturbations_are_those_of_an_empty_latent(sees: str, places: str) -> None:
    network = small(sees=sees, places=places)
    with torch.no_grad():
        network.to_mean.weight.zero_()
        network.to_mean.bias.zero_()
        expected = network(batch(4)[0], torch.arange(4)).perturbation
        assert torch.allclose(network.class_perturbations(), expected, atol=1e-6)


def test_plain_vae() -> None:
    network = small(disentangles=False)
    made = network(*batch())
    assert made.perturbation is None
    assert not [name for name in network.state_dict() if "embedding" in name or "perturbation" in name]
    with pytest.raises(DataError, match="no class embedding"):
        network.class_perturbations()


@pytest.mark.parametrize(("shape", "number"), [((3, 9, 12), 2), ((1, 12, 9), 2), ((3, 130, 132), 8)])
def test_sides_must_be_halved(shape: tuple[int, int, int], number: int) -> None:
    with torch.device("meta"), pytest.raises(DataError, match=f"cannot be divided by {number}"):
        DvaeNetwork(shape, 2, 4)


def test_weights_are_torchs_default_draws_from_the_generator() -> None:
    before = torch.get_rng_state()
    first, same, other = (build_dvae((3, 16, 16), 10, 8, rng(s)).state_dict() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    drawn = [name for name, value in first.items() if value.ndim > 1]
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in drawn)
    # torch's defaults: uniform within 1/√fan-in for convolutions, N(0, 1) for embeddings.
    down, up = first["to_image.0.weight"], first["encoder.0.weight"]
    assert (down.shape, up.shape) == ((16, 8, 4, 4), (8, 3, 3, 3))
    assert 0.9 * (8 * 16) ** -0.5 < float(down.abs().max()) <= (8 * 16) ** -0.5
    assert 0.9 * 27**-0.5 < float(up.abs().max()) <= 27**-0.5
    assert float(first["embedding.weight"].std()) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_instance_norm_is_torchs_own(layout: torch.memory_format) -> None:
    """Values and slopes, for channels whose mean is up to four times their deviation, as in trained networks."""
    scale, shift = torch.tensor([0.25, 1.0, 5.0]).view(3, 1, 1), torch.tensor([-1.0, 0.0, 2.0]).view(3, 1, 1)
    images = (torch.randn((4, 3, 12, 10), generator=rng()) * scale + shift).contiguous(memory_format=layout)
    towards = torch.randn(images.shape, generator=rng(1))
    found, slopes = [], []
    for norm in (InstanceNorm(3), nn.InstanceNorm2d(3)):
        given = images.clone().requires_grad_(True)
        made = norm(given)
        (made * towards).sum().backward()
        found.append(made.detach())
        slopes.append(given.grad)
    assert torch.allclose(found[0], found[1], atol=2e-5)
    assert torch.allclose(slopes[0], slopes[1], rtol=1e-4, atol=1e-5)
    # Mean 0 and variance 1 per image and channel.
    assert torch.allclose(found[0].mean((2, 3)), torch.zeros(4, 3), atol=1e-5)
    assert torch.allclose(found[0].var((2, 3), unbiased=False), torch.ones(4, 3), atol=1e-3)


def test_instance_norm_in_bfloat16_and_without_numbers() -> None:
    images = torch.randn((2, 3, 4, 4), generator=rng())
    half = InstanceNorm(3)(images.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, nn.InstanceNorm2d(3)(images.bfloat16()))
    assert InstanceNorm(3)(images.to("meta")).shape == images.shape


def plainly_normalised(network: DvaeNetwork) -> DvaeNetwork:
    """The same weights as networks had them before: torch's own instance normalisation, channels first."""
    own = network.state_dict()
    for decoder in (network.to_image, network.to_perturbation):
        for place, layer in enumerate(decoder):
            if isinstance(layer, InstanceNorm):
                decoder[place] = nn.InstanceNorm2d(layer.num_features)
    assert list(network.state_dict()) == list(own)
    return network.to(memory_format=torch.contiguous_format)


def test_layout_and_norm_change_nothing_but_the_last_digits() -> None:
    images, labels = torch.rand((5, 3, 32, 32), generator=rng()), torch.arange(5)
    ours, before = (build_dvae((3, 32, 32), 10, 16, rng(1)).eval() for _ in range(2))
    plainly_normalised(before)
    with torch.no_grad():
        found = ours(images.contiguous(memory_format=torch.channels_last), labels, rng(3))
        expected = before(images, labels, rng(3))
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_networks_are_channels_last_but_for_narrow_ones() -> None:
    """Narrow ones corrupt memory there (torch 2.15), which a test can only meet by chance."""
    network = build_dvae((3, 12, 10), 4, 16, rng())
    assert network.layout == torch.channels_last
    assert network.encoder[0].weight.is_contiguous(memory_format=torch.channels_last)
    made = network(*batch())
    assert made.image.is_contiguous(memory_format=torch.channels_last)
    for width in (4, 8, 12):
        narrow = build_dvae((3, 12, 10), 4, width, rng())
        assert narrow.layout == torch.contiguous_format
        assert all(p.is_contiguous() for p in narrow.parameters())
