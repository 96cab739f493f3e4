"""Adversarial training and TRADES: the ball, the ascent on a known function, and what stays as it was."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.training.test_loop import image_set, job, network, plan
from ued_core.context import Context
from ued_core.defenses.adversarial_training import AdversarialTraining, Trades
from ued_core.models import MODELS
from ued_core.training import PLANS, train
from ued_core.training.ascent import climb, evaluating, into_ball
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


def test_start_by_hand():
    """Noise with the step as its spread, 2/255, unbounded; in L2 noise about as long as a step; or anywhere in the
    box."""
    images = torch.full((400, 3, 8, 8), 0.5)
    noise = torch.empty_like(images).normal_(0, 1, generator=rng(1))
    began = AdversarialTraining().begin(images, rng(1)) - images
    assert torch.allclose(began, noise * 2 / 255, atol=1e-7)
    assert float(began.std()) * 255 == pytest.approx(2, rel=0.01)
    assert float(began.abs().max()) * 255 > 8, "it may lie outside the ball"
    assert float(
        (AdversarialTraining(radius=4.0, step=0.2).begin(images, rng(1)) - images).std()
    ) * 255 == pytest.approx(0.8, rel=0.01)
    # 192 values of spread s are about s·√192 long.
    began = AdversarialTraining(norm="l2", radius=128.0).begin(images, rng(1)) - images
    assert torch.allclose(began, noise * 32 / 255 / 192**0.5, atol=1e-7)
    assert float(began.flatten(1).norm(dim=1).mean()) * 255 == pytest.approx(32, rel=0.01)
    box = (AdversarialTraining(start="uniform").begin(images, rng(1)) - images) * 255
    assert 7.9 < float(box.abs().max()) <= 8 + 1e-4
    assert float(box.std()) == pytest.approx(8 / 3**0.5, rel=0.01)
    assert torch.equal(AdversarialTraining(start="none").begin(images, rng(1)), images)


@pytest.mark.parametrize(("norm", "radius", "length"), [("linf", 8.0, 2.0), ("l2", 128.0, 32.0)])
def test_length_of_a_step_and_of_the_way(scene, norm, radius, length):
    """One step of a quarter of the radius: of every value, or of the whole image's change; six steps end at the
    radius."""
    _, batch, moment = scene
    batch = Batch(0.4 + 0.2 * batch.images, batch.targets, batch.redraw)

    def way(**more):
        change = (
            crafted_by(AdversarialTraining(norm=norm, radius=radius, start="none", **more), batch, moment)
            - batch.images
        ) * 255
        # A value that the loss does not depend on stays where it is.
        return change[change != 0].abs() if norm == "linf" else change.flatten(1).norm(dim=1)

    assert len(way(steps=1)) > 0.9 * (batch.images.numel() if norm == "linf" else 24)
    assert torch.allclose(way(steps=1), torch.tensor(length), rtol=1e-3)
    assert torch.allclose(way(steps=1, step=0.5), torch.tensor(2 * length), rtol=1e-3)
    assert length < float(way(steps=6).max()) <= radius * (1 + 1e-4)


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


class Slope(torch.nn.Module):
    """Two pixels, ten times brighter, as the scores of two classes."""

    def forward(self, images):
        return 10 * images.flatten(1)


def test_divergence_of_trades_by_hand():
    """Scores 6 and 4 on every image: p = σ(2). The worst neighbour within 0.05 has scores 6.5 and 3.5, or 5.5 and 4.5.

    Which of both depends on where the noise begins: the divergence grows away from the image on either side.
    """
    images, targets = torch.tensor([0.6, 0.4]).view(1, 1, 1, 2).repeat(20, 1, 1, 1), torch.zeros(20, dtype=torch.int64)
    network = Slope()
    noise = torch.empty_like(images).normal_(0, 1e-3, generator=rng(3)).flatten(1)
    moment = Moment(network, rng(3), 0.0, torch.float32, network)
    defence = Trades(weight=6.0, radius=0.05 * 255, step=1.0, steps=2)
    losses = hook_of(defence).loss(Batch(images, targets, None), moment.grade, moment).losses
    share = 1 / (1 + math.exp(-2))
    for loss, (first, second) in zip(losses.tolist(), noise.tolist(), strict=True):
        other = 1 / (1 + math.exp(-3 if first > second else -1))
        divergence = share * math.log(share / other) + (1 - share) * math.log((1 - share) / (1 - other))
        assert loss == pytest.approx(-math.log(share) + 6 * divergence, abs=1e-5)
    assert len({round(loss, 4) for loss in losses.tolist()}) == 2


@pytest.mark.parametrize(
    ("defence", "forward", "backward"),
    [
        (None, 1, 1),
        *((AdversarialTraining(steps=n), n + 1, n + 1) for n in (1, 3, 10)),
        *((Trades(steps=n), n + 2, n + 2) for n in (1, 3)),
    ],
    ids=["plain", "AT 1", "AT 3", "AT 10", "TRADES 1", "TRADES 3"],
)
def test_passes_of_an_epoch(defence, forward, backward):
    """Through the network with gradients, a batch: adversarial training takes its steps and one more.

    TRADES takes the clean images and the crafted ones in its last step, and asks once without gradients for the answer
    to keep.
    """
    data, net = image_set(count=48), network()
    passes = {"forward": 0, "backward": 0, "without gradients": 0, "in training mode": 0}

    def went(module, given):
        passes["forward" if torch.is_grad_enabled() else "without gradients"] += 1
        passes["in training mode"] += module.training

    def came_back(module, inner, outer):
        passes["backward"] += 1

    net.register_forward_pre_hook(went)
    net.head.register_full_backward_hook(came_back)
    hooks = [] if defence is None else [hook_of(defence)]
    train(
        job(train=data, test=image_set(count=8), network=net, plan=plan(epochs=1, batch_size=12), hooks=hooks),
        Context(),
    )
    batches, two = 4, isinstance(defence, Trades)
    assert passes["forward"] == batches * forward
    assert passes["backward"] == batches * backward
    assert passes["without gradients"] == batches * two
    assert passes["in training mode"] == batches * (1 + two), "what is crafted is crafted in evaluation mode"


def test_radius_zero_is_plain_training(scene):
    _, batch, moment = scene
    assert torch.allclose(crafted_by(AdversarialTraining(radius=0.0, steps=1), batch, moment), batch.images)


def test_the_same_generator_crafts_the_same(scene):
    network, batch, _ = scene
    network.eval()
    made = [
        crafted_by(AdversarialTraining(steps=1), batch, Moment(network, rng(s), 0.0, torch.float32, network))
        for s in (4, 4, 5)
    ]
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])
