"""The models against their published sizes."""

import pytest
import torch

from ued_core.models import MODELS, Network, ResNet18, SmallCnn


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def size(network: Network) -> int:
    return sum(p.numel() for p in network.parameters())


def test_resnet18_has_the_published_size() -> None:
    # 11,173,962 weights is the known size of the CIFAR variant with ten classes.
    network = ResNet18().build((3, 32, 32), 10, rng())
    assert size(network) == 11_173_962
    assert network.head.in_features == 512


def test_small_cnn_by_hand() -> None:
    w = 8
    convolutions = 9 * (3 * w + w * 2 * w + 2 * w * 2 * w + 2 * w * 4 * w)
    normalisations = 2 * (w + 2 * w + 2 * w + 4 * w)
    assert size(SmallCnn(width=w).build((3, 32, 32), 10, rng())) == convolutions + normalisations + 4 * w * 10 + 10


def test_resnet18_halves_the_side_three_times() -> None:
    network = ResNet18(width=4).build((3, 32, 32), 10, rng())
    sides: list[int] = []
    for block in network.body[3:11]:
        block.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    network(torch.rand(2, 3, 32, 32))
    assert sides == [32, 32, 16, 16, 8, 8, 4, 4]


@pytest.mark.parametrize("name", list(MODELS))
def test_images_are_normalised_inside(name: str) -> None:
    """The body gets (x - 0.5) / 0.25."""
    network = MODELS.build(name, **MODELS[name].quick_values()).build((3, 32, 32), 4, rng())
    seen: list[torch.Tensor] = []
    network.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 32, 32)
    network(images)
    assert torch.equal(seen[0], (images - 0.5) / 0.25)
    assert float(images.max()) <= 1


@pytest.mark.parametrize("name", list(MODELS))
def test_scores_start_small(name: str) -> None:
    """First losses near the logarithm of the number of classes: no class is preferred before training."""
    network = MODELS.build(name, **MODELS[name].quick_values()).build((3, 32, 32), 10, rng(1))
    scores = network(torch.rand(64, 3, 32, 32, generator=rng(2)))
    assert scores.detach().abs().max() < 10
    assert network.head.bias.abs().max() == 0
