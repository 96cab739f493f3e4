"""The models against their published sizes."""

import numpy as np
import pytest
import torch

from ued_core.errors import UnknownName
from ued_core.models import MODELS, PENULTIMATE, MlpMixer, Model, Network, ResNet18, SmallCnn, TinyVit
from ued_core.models.token_nets import _Attention, place_code


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
    network = ResNet18(width=8).build((3, 32, 32), 10, rng())
    sides: list[int] = []
    for block in network.body[3:11]:
        block.register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    network(torch.rand(2, 3, 32, 32))
    assert sides == [32, 32, 16, 16, 8, 8, 4, 4]


@pytest.mark.parametrize("name", list(MODELS.where(needs_download=False)))
def test_images_are_normalised_inside(name: str) -> None:
    """The body gets (x - 0.5) / 0.25."""
    network = MODELS.build(name, **MODELS[name].quick_values()).build((3, 32, 32), 4, rng())
    seen: list[torch.Tensor] = []
    network.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 32, 32)
    network(images)
    assert torch.equal(seen[0], (images - 0.5) / 0.25)
    assert float(images.max()) <= 1


@pytest.mark.parametrize("name", list(MODELS.where(needs_download=False)))
def test_scores_start_small(name: str) -> None:
    """First losses near the logarithm of the number of classes: no class is preferred before training."""
    network = MODELS.build(name, **MODELS[name].quick_values()).build((3, 32, 32), 10, rng(1))
    scores = network(torch.rand(64, 3, 32, 32, generator=rng(2)))
    assert scores.detach().abs().max() < 10
    assert network.head.bias.abs().max() == 0


@pytest.mark.parametrize("name", list(MODELS.where(needs_download=False)))
def test_layers_run_from_the_image_to_the_features(name: str) -> None:
    model = MODELS.build(name, **MODELS[name].quick_values())
    network = model.build((3, 32, 32), 4, rng()).eval()
    images = torch.rand(5, 3, 32, 32, generator=rng(1))
    assert model.layer_names() == tuple(network.layers)
    assert list(network.layers)[-1] == PENULTIMATE
    with torch.no_grad():
        found = network.activations(images, list(network.layers))
        assert list(found) == list(network.layers)
        assert torch.allclose(found[PENULTIMATE], network.features(images), atol=1e-6)
        assert len({values.double().sum() for values in found.values()}) == len(found), "each layer is another one"
        scores, means, fields = network.inside(images, PENULTIMATE, 2)
        assert torch.equal(scores, network(images))
        assert torch.allclose(means, network.features(images), atol=1e-6)
        assert torch.equal(fields, network.activations(images, [PENULTIMATE], 2)[PENULTIMATE])
        # Nothing stays behind: a second call sees the network as it was.
        assert all(not module._forward_hooks for module in network.modules())
        with pytest.raises(UnknownName, match="penultimate"):
            network.activations(images, ["blok 1"])
        assert all(not module._forward_hooks for module in network.modules())


def test_small_cnn_layers_by_hand() -> None:
    network = SmallCnn(width=4).build((3, 32, 32), 4, rng()).eval()
    images = torch.rand(2, 3, 32, 32, generator=rng(1))
    with torch.no_grad():
        x = (images - 0.5) / 0.25
        maps = {}
        for index, module in enumerate(network.body):
            x = module(x)
            maps[index] = x.clone()
        for name, index, side in (("block 1", 3, 16), ("block 2", 7, 8), ("block 3", 11, 4), (PENULTIMATE, 14, 4)):
            assert maps[index].shape[-1] == side
            assert torch.allclose(network.activations(images, [name])[name], maps[index].mean((2, 3)), atol=1e-6)
        fields = network.activations(images, ["block 1"], grid=4)["block 1"]
        by_hand = maps[3].reshape(2, 4, 4, 4, 4, 4).mean((3, 5)).flatten(1)
        assert torch.allclose(fields, by_hand, atol=1e-6), "sixteen fields of 4 × 4 places each"
        assert network.activations(torch.rand(2, 3, 8, 8), [PENULTIMATE], grid=4)[PENULTIMATE].shape == (2, 16)


def test_a_network_without_layers_has_its_features() -> None:
    network = Network(torch.nn.Flatten(), 12, 3)
    images = torch.rand(2, 3, 2, 2)
    assert list(network.layers) == [PENULTIMATE]
    assert torch.equal(network.activations(images, [PENULTIMATE])[PENULTIMATE], network.features(images))


# ---------------------------------------------------------------- networks of the ImageNet literature


@pytest.mark.parametrize(
    ("name", "whole", "features"),
    # torchvision's published sizes with 1,000 classes.
    [("efficientnet_b1", 7_794_184, 1280), ("regnetx_1_6gf", 9_190_136, 912)],
)
def test_networks_of_torchvision_have_the_published_size(name: str, whole: int, features: int) -> None:
    network = MODELS.build(name).build((3, 32, 32), 1000, rng())
    assert size(network) == whole
    assert network.head.in_features == features


@pytest.mark.parametrize("name", ["efficientnet_b1", "regnetx_1_6gf"])
def test_small_images_are_enlarged_inside(name: str) -> None:
    network = MODELS.build(name, side=64).build((1, 32, 16), 3, rng()).eval()
    sides: list[tuple[int, int]] = []
    network.body.enlarge.register_forward_hook(lambda module, inputs, output: sides.append(tuple(output.shape[-2:])))
    network.body[-3].register_forward_hook(lambda module, inputs, output: sides.append(tuple(output.shape[-2:])))
    with torch.no_grad():
        network(torch.rand(1, 1, 32, 16))
        network(torch.rand(1, 1, 96, 70))
    assert sides == [(64, 32), (2, 1), (96, 70), (3, 3)]


@pytest.mark.parametrize("name", ["efficientnet_b1", "regnetx_1_6gf"])
@pytest.mark.parametrize("training", [True, False])
def test_torchvision_draws_nothing(name: str, training: bool) -> None:
    """Stochastic depth and dropout would draw from the global state, and make two passes differ."""
    network = MODELS.build(name, side=32).build((3, 32, 32), 3, rng()).train(training)
    before = torch.get_rng_state()
    images = torch.rand(4, 3, 32, 32, generator=rng(1))
    with torch.no_grad():
        assert torch.equal(network(images), network(images))
    assert torch.equal(torch.get_rng_state(), before)


def test_grouped_convolutions_keep_the_size_of_what_passes_back() -> None:
    """He's rule for the outputs that an input reaches: with it, gradients of a depthwise convolution keep their
    power."""
    network = MODELS.build("regnetx_1_6gf").build((3, 32, 32), 3, rng())
    grouped = next(m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1)
    reached = 9 * grouped.out_channels // grouped.groups
    assert float(grouped.weight.detach().std()) == pytest.approx((2 / reached) ** 0.5, rel=0.03)


# ---------------------------------------------------------------- networks of patches


def test_tokens_by_hand() -> None:
    """A vision transformer and a mixer of one width, counted: embedding, blocks, last normalisation, head."""
    w, depth, places = 16, 2, 64
    embedding, norm, head = 3 * 16 * w + w, 2 * w, w * 10 + 10
    channels = 2 * norm + (w * 2 * w + 2 * w) + (2 * w * w + w)
    attention = (w * 3 * w + 3 * w) + (w * w + w)
    mixing = (places * 2 * places + 2 * places) + (2 * places * places + places)
    for model, own in ((TinyVit(width=w, depth=depth), attention), (MlpMixer(width=w, depth=depth), mixing)):
        assert size(model.build((3, 32, 32), 10, rng())) == embedding + depth * (channels + own) + norm + head


def test_codes_of_places_by_hand() -> None:
    code = place_code(8, 2, 3)
    assert code.shape == (8, 2, 3)
    row, column = 1, 2
    slow = 1e-4
    by_hand = [np.sin(row), np.sin(row * slow), np.cos(row), np.cos(row * slow)]
    by_hand += [np.sin(column), np.sin(column * slow), np.cos(column), np.cos(column * slow)]
    assert np.allclose(code[:, row, column], by_hand, atol=1e-6)
    assert len({tuple(code[:, y, x].tolist()) for y in range(2) for x in range(3)}) == 6


def test_attention_by_hand() -> None:
    """One head, weights that pass everything on: every place becomes the mean of all, weighed by likeness."""
    module = _Attention(4, 1)
    with torch.no_grad():
        module.ask.weight.copy_(torch.eye(4).repeat(3, 1))
        module.give.weight.copy_(torch.eye(4))
        module.ask.bias.zero_()
        module.give.bias.zero_()
        tokens = torch.randn(2, 5, 4, generator=rng())
        weights = torch.softmax(tokens @ tokens.transpose(1, 2) / 2.0, -1)
        assert torch.allclose(module(tokens), weights @ tokens, atol=1e-6)


def test_a_transformer_knows_places_and_not_only_patches() -> None:
    """Patches in another order give other features with codes of places, and the same without."""
    images = torch.rand(2, 3, 8, 8, generator=rng(3))
    swapped = torch.cat([images[..., 4:], images[..., :4]], -1)
    network = TinyVit(width=16, depth=2, heads=2).build((3, 8, 8), 3, rng()).eval()
    with torch.no_grad():
        assert not torch.allclose(network(images), network(swapped), atol=1e-4)
        network.body.patches.code.zero_()
        assert torch.allclose(network(images), network(swapped), atol=1e-5)


@pytest.mark.parametrize("model", [TinyVit(width=16, depth=2), MlpMixer(width=16, depth=2)])
def test_a_side_that_is_no_multiple_of_the_patch_is_filled_up(model: Model) -> None:
    network = model.build((3, 10, 7), 3, rng()).eval()
    images = torch.rand(2, 3, 10, 7, generator=rng(1))
    with torch.no_grad():
        inside = torch.nn.functional.pad((images - 0.5) / 0.25, (0, 1, 0, 2))
        assert network.body.patches(inside).shape == (2, 16, 3, 2)
        assert torch.allclose(network.features(images), network.body(inside), atol=1e-6)


def test_heads_that_do_not_divide_the_width_are_as_wide_as_they_can_be() -> None:
    network = TinyVit(width=24, depth=2, heads=5).build((3, 8, 8), 3, rng())
    first = network.body.block_1.places
    assert (first.ask.weight.shape, first.give.weight.shape) == ((3 * 20, 24), (24, 20))
    assert place_code(10, 2, 2)[8:].abs().max() == 0
    assert network(torch.rand(2, 3, 8, 8)).shape == (2, 3)
