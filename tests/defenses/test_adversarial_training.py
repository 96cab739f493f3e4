"""Adversarial training and TRADES: the ball, the ascent on a known function, and what stays as it was."""

import math

import pytest
import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.defenses.adversarial_training import AdversarialTraining, Trades, climb, evaluating, into_ball
from ued_core.models import MODELS
from ued_core.training import PLANS
from ued_core.training.hook import Batch, Moment, Setup, grade_all


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def scene():
    """A network with running statistics, a batch, and the moment of a step."""
    network = MODELS.build("small_cnn", width=4).build((3, 12, 12), 4, rng())
    images = torch.rand(24, 3, 12, 12, generator=rng(1))
    for _ in range(3):
        network(images)
    moment = Moment(network, rng(2), 0.0, torch.float32, network)
    batch = Batch(images, torch.arange(24) % 4, lambda: pytest.fail("nobody asked for new draws"))
    return network, batch, moment


def hook_of(defence):
    return defence.training(Setup(None, None, PLANS.build("adamw"), Context()))


def crafted_by(defence, batch, moment):
    """The images that the inner loss was asked about."""
    seen = []

    def inner(given):
        seen.append(given.images)
        return moment.grade(given)

    hook_of(defence).loss(batch, inner, moment)
    return seen[0]


def test_ball_by_hand():
    clean = torch.tensor([[0.5, 0.0], [0.99, 0.2]]).view(1, 1, 2, 2)
    moved = clean + torch.tensor([[0.3, -0.2], [0.05, 0.0]]).view(1, 1, 2, 2)
    assert torch.allclose(into_ball(moved, clean, "linf", 0.1).flatten(), torch.tensor([0.6, 0.0, 1.0, 0.2]))
    length = math.hypot(0.3, 0.2, 0.05)
    expected = torch.tensor([0.5 + 0.03 / length, 0.0, min(1.0, 0.99 + 0.005 / length), 0.2])
    assert torch.allclose(into_ball(moved, clean, "l2", 0.1).flatten(), expected)
    assert torch.equal(into_ball(moved, clean, "l2", 1.0), moved.clamp(0, 1))
    assert torch.equal(into_ball(clean, clean, "l2", 0.0), clean)


def test_ascent_of_a_linear_function():
    """The optimum in the ball is known: the corner (L∞), or the gradient's direction (L2)."""
    clean, slope = torch.full((2, 1, 2, 2), 0.5), torch.tensor([3.0, -1.0, 0.5, -2.0]).view(1, 1, 2, 2)
    best = climb(clean, clean, lambda x: (x * slope).sum(), "linf", 0.1, 0.03, 4)
    assert torch.allclose(best, clean + 0.1 * slope.sign())
    best = climb(clean, clean, lambda x: (x * slope).sum(), "l2", 0.1, 0.03, 4)
    assert torch.allclose(best, clean + 0.1 * slope / slope.norm())
    once = climb(clean, clean, lambda x: (x * slope).sum(), "l2", 0.1, 0.03, 1)
    assert float((once - clean)[0].norm()) == pytest.approx(0.03)


@pytest.mark.parametrize("start", ["gaussian", "uniform", "none"])
@pytest.mark.parametrize(("norm", "radius"), [("linf", 8.0), ("l2", 100.0)])
def test_crafted_images_stay_in_the_ball_and_raise_the_loss(scene, norm, radius, start):
    network, batch, moment = scene
    worst = crafted_by(AdversarialTraining(norm=norm, radius=radius, start=start, steps=4), batch, moment)
    change = (worst - batch.images) * 255
    size = change.abs().amax() if norm == "linf" else change.flatten(1).norm(dim=1).amax()
    assert 0.9 * radius < float(size) <= radius * (1 + 1e-4)
    assert 0 <= float(worst.min()) <= float(worst.max()) <= 1
    assert not worst.requires_grad
    with evaluating(network), torch.no_grad():
        before, after = (F.cross_entropy(network(x), batch.targets, reduction="none") for x in (batch.images, worst))
    assert float(after.mean()) > float(before.mean())
    assert float((after >= before).float().mean()) > 0.9


@pytest.mark.parametrize("defence", [AdversarialTraining(steps=2), Trades(steps=2)], ids=["AT", "TRADES"])
def test_crafting_leaves_the_network_as_it_was(scene, defence):
    network, batch, moment = scene
    network.train()
    network.body[1].training = False
    network.body[0].weight.requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    statistics = []

    def inner(given):
        statistics.append({name: value.clone() for name, value in network.state_dict().items()})
        assert not network.body[1].training
        assert network.body[5].training
        return moment.grade(given)

    graded = hook_of(defence).loss(batch, inner, moment)
    # Batch normalisation counts the batches it has seen; only the training passes may.
    assert all(torch.equal(before[name], value) for name, value in statistics[0].items())
    assert all(p.grad is None for p in network.parameters())
    assert not network.body[0].weight.requires_grad
    assert network.body[4].weight.requires_grad
    graded.losses.mean().backward()
    assert network.body[0].weight.grad is None
    assert float(network.body[4].weight.grad.abs().sum()) > 0


def test_training_on_crafted_images_alone(scene):
    network, batch, moment = scene
    graded = grade_all([hook_of(AdversarialTraining(steps=3))], batch, moment)
    clean = moment.grade(batch)
    assert (graded.losses.shape, graded.scores.shape) == ((24,), (24, 4))
    assert float(graded.losses.detach().mean()) > float(clean.losses.detach().mean())
    # In evaluation mode, so that the statistics do not move between the two.
    network.eval()
    soft = Batch(batch.images, F.one_hot(batch.targets, 4).float(), batch.redraw)
    again = Moment(network, rng(9), 0.0, torch.float32, network)
    hard = crafted_by(AdversarialTraining(start="none", steps=1), batch, moment)
    assert torch.equal(crafted_by(AdversarialTraining(start="none", steps=1), soft, again), hard)


def test_trades_by_hand(scene):
    network, batch, moment = scene
    network.eval()
    plain = moment.grade(batch).losses
    losses = {}
    for weight in (0.0, 3.0, 6.0):
        own = Moment(network, rng(5), 0.0, torch.float32, network)
        losses[weight] = hook_of(Trades(weight=weight, steps=2)).loss(batch, own.grade, own).losses
    assert torch.equal(losses[0.0], plain)
    gap = ((losses[6.0] - plain) / 6).detach()
    assert float(gap.min()) >= -1e-6
    assert float(gap.max()) > 1e-4
    assert torch.allclose(losses[3.0], plain + 3 * gap, atol=1e-5)


def test_radius_zero_is_plain_training(scene):
    _, batch, moment = scene
    assert torch.allclose(crafted_by(AdversarialTraining(radius=0.0, steps=1), batch, moment), batch.images)


def test_the_same_generator_crafts_the_same(scene):
    network, batch, _ = scene
    network.eval()
    made = [crafted_by(AdversarialTraining(steps=1), batch, Moment(network, rng(s), 0.0, torch.float32, network)) for s in (4, 4, 5)]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
