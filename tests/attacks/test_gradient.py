"""Sign-gradient steps by hand on a linear model, and the noise of a whole set."""

import pytest
import torch
from torch import nn

from tests.attacks.toy_set import toy_set
from ued_core.attacks.gradient import LEVEL, Effort, Noise, published
from ued_core.context import Context
from ued_core.errors import Cancelled
from ued_core.models import Network
from ued_core.training.ascent import descend, frozen, input_gradient, project


def linear() -> Network:
    """Two scores of four pixels: score 1 minus score 0 is 2·x₀ - 4·x₁ + 0·x₂ + x₃ before normalisation."""
    network = Network(nn.Flatten(), 4, 2)
    with torch.no_grad():
        network.head.weight.copy_(torch.tensor([[-1.0, 2.0, 0.0, 0.0], [1.0, -2.0, 0.0, 1.0]]))
        network.head.bias.zero_()
    return network


def test_steps_by_hand():
    clean = torch.full((1, 1, 2, 2), 0.5)
    label = torch.tensor([1])
    with frozen(linear()) as network:
        down = descend(network, clean, clean, label, epsilon=0.1, step=0.04, steps=2)
        up = descend(network, clean, clean, label, epsilon=0.1, step=0.04, steps=4, uphill=True)
    # Down the loss of class 1 is up its score: signs +, -, 0, +. Four steps of 0.04 leave the ball of 0.1.
    assert torch.allclose(down.flatten() - 0.5, torch.tensor([0.08, -0.08, 0.0, 0.08]), atol=1e-6)
    assert torch.allclose(up.flatten() - 0.5, torch.tensor([-0.1, 0.1, 0.0, -0.1]), atol=1e-6)


def test_gradient_equals_finite_differences():
    network, image, label = linear().double(), torch.rand((1, 1, 2, 2), dtype=torch.float64), torch.tensor([0])
    slope = input_gradient(network, image, label).flatten()
    for i in range(4):
        loss = []
        for side in (1e-5, -1e-5):
            moved = image.clone()
            moved.view(-1)[i] += side
            loss.append(nn.functional.cross_entropy(network(moved), label).item())
        assert (loss[0] - loss[1]) / 2e-5 == pytest.approx(float(slope[i]), abs=1e-6)


def test_projection():
    clean = torch.tensor([0.0, 0.5, 1.0])
    assert torch.allclose(project(torch.tensor([-1.0, 0.9, 2.0]), clean, 0.1), torch.tensor([0.0, 0.6, 1.0]))


def test_frozen_gives_the_network_back():
    network = linear().train()
    network.head.bias.requires_grad_(False)
    with frozen(network):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
    assert network.training
    assert network.head.weight.requires_grad
    assert not network.head.bias.requires_grad


@pytest.mark.parametrize("epsilon", [1, 8, 32])
def test_noise_keeps_its_values_and_the_bound(epsilon):
    data, device = toy_set(40), torch.device("cpu")
    data.images[:4], data.images[4:8] = 0, 255
    noise = Noise(data, epsilon * LEVEL)
    delta = (2 * torch.rand(data.images.shape, generator=torch.Generator().manual_seed(1)) - 1) * epsilon * LEVEL
    noise.put(slice(0, 40), delta)
    assert float((noise.delta(slice(0, 40), device) - delta).abs().max()) <= epsilon * LEVEL / 254 + 1e-7
    kept = noise.delta(slice(0, 40), device)
    stored = noise.stored()
    assert torch.equal(stored, published(data.images, kept))
    assert int((stored.short() - data.images.short()).abs().max()) == epsilon
    assert stored.data_ptr() == noise.values.data_ptr()


def test_positive_part_only():
    data = toy_set(8)
    noise = Noise(data, 8 * LEVEL)
    noise.put(slice(0, 4), torch.full((4, *data.shape), -8 * LEVEL))
    noise.put(slice(4, 8), torch.full((4, *data.shape), 8 * LEVEL))
    change = noise.stored(positive_only=True).short() - data.images.short()
    assert (change[:4] == 0).all()
    assert (change[4:] == 8).all()


def test_effort_never_goes_back_or_beyond():
    seen = []
    effort = Effort(Context(on_report=lambda done, total, text: seen.append((done, total))), 100)
    part = effort.part(40, "training")
    part.report(0, 10, "a")
    part.report(5, 10, "b")
    part.report(10, 10, "c")
    effort.spend(40, "trained")
    effort.spend(30, "steps")
    effort.finish("done")
    assert [done for done, _ in seen] == [0, 20, 40, 40, 70, 100]
    assert {total for _, total in seen} == {100}
    with pytest.raises(Cancelled):
        Effort(Context(stop=lambda: True), 10).spend(1, "")
