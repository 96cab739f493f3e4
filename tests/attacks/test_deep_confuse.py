"""DeepConfuse: the imagined step, the generator, what judges it, and that a model is confused."""

import copy

import pytest
import torch
import torch.nn.functional as F

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import ATTACKS, DeepConfuse
from ued_core.attacks.deep_confuse import _Crafting, loss_after_step, noisy, parted
from ued_core.attacks.gradient import LEVEL
from ued_core.attacks.surrogate import build_network
from ued_core.context import Context
from ued_core.errors import Cancelled
from ued_core.models.u_net import build_u_net
from ued_core.records import to_float
from ued_core.training.ascent import frozen

SMALL = DeepConfuse(surrogate_width=8, loops=2, epochs=1, generator_rate=0.01)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network_and_images(seed: int = 0):
    data = toy_set(16)
    network = build_network(SMALL.model(), data, rng(seed)).train()
    return network, to_float(data.images), data.labels


def test_bound_after_storage():
    data = toy_set(60)
    data.images[:10], data.images[10:20] = 0, 255
    for epsilon in (8, 3):
        delta = SMALL.with_values(epsilon=epsilon).poison(data, Context()).delta
        assert epsilon // 2 < int(delta.abs().max()) <= epsilon
        assert delta.min() < 0 < delta.max()


def test_imagined_step_is_a_real_one():
    network, images, labels = network_and_images()
    poisoned = (images + 0.1 * torch.rand(images.shape, generator=rng())).clamp(0, 1)
    before = copy.deepcopy(network.state_dict())
    imagined = loss_after_step(network, poisoned, images, labels, 0.3)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), (
        "the network itself was changed"
    )
    optimizer = torch.optim.SGD(network.parameters(), lr=0.3)
    F.cross_entropy(network(poisoned), labels).backward()
    optimizer.step()
    with torch.no_grad():
        assert float(imagined.detach()) == pytest.approx(float(F.cross_entropy(network(images), labels)), rel=1e-4)


def test_slope_goes_through_the_step():
    """A finite difference, so small that no ReLU switches: there the loss after a step jumps, which no slope sees."""
    network, images, labels = network_and_images()
    network = network.double()
    images = images.double()
    leaf = (0.5 * images + 0.2).requires_grad_(True)
    along = torch.randn(images.shape, generator=rng(1), dtype=torch.float64)
    slope = torch.autograd.grad(loss_after_step(network, leaf, images, labels, 0.3), leaf)[0]
    losses = [
        float(loss_after_step(network, (leaf + t * along).detach(), images, labels, 0.3).detach())
        for t in (1e-7, -1e-7)
    ]
    assert float((slope * along).sum()) == pytest.approx((losses[0] - losses[1]) / 2e-7, rel=1e-4)
    assert float(slope.abs().max()) > 0


def test_noise_depends_on_the_image_and_on_no_other():
    data = toy_set(40)
    grey = data.with_images(data.images // 2 + 60)
    delta = SMALL.poison(grey, Context()).delta
    assert len({d.numpy().tobytes() for d in delta}) == 40
    generator, images = build_u_net(3, 8, rng()), to_float(data.images)
    with frozen(generator), torch.no_grad():
        assert torch.allclose(
            noisy(generator, images, 8 * LEVEL)[3:5], noisy(generator, images[3:5], 8 * LEVEL), atol=1e-6
        )


def test_only_held_out_training_images_judge(monkeypatch):
    for count in (1, 49, 50, 333):
        learned, held_out = parted(count, Context())
        assert sorted(torch.cat([learned, held_out]).unique().tolist()) == list(range(count))
        assert not set(learned.tolist()) & set(held_out.tolist()) or count < 50
    data, asked = toy_set(100), []
    inner = _Crafting.batches
    monkeypatch.setattr(
        _Crafting, "batches", lambda self, number: (asked.append(rows) or rows for rows in inner(self, number))
    )
    SMALL.craft(data, Context(), Draft())
    learned, held_out = parted(100, Context())
    assert set(torch.cat(asked).tolist()) == set(learned.tolist())
    assert len(held_out) == 10


def test_the_generator_with_the_largest_loss_is_taken(monkeypatch):
    losses = iter([0.5, 1.0, 3.0, 2.0])
    monkeypatch.setattr(_Crafting, "judge", lambda self, *args: {"clean_accuracy": 0.5, "clean_loss": next(losses)})
    used, inner = [], _Crafting.one_loop

    def spy(self, number, generator, words):
        used.append(copy.deepcopy(generator.state_dict()))
        return inner(self, number, generator, words)

    monkeypatch.setattr(_Crafting, "one_loop", spy)
    crafting = _Crafting(SMALL.with_values(loops=3), toy_set(60), Context(), Draft())
    log = crafting.craft().log
    assert "loop 2" in log["note"]
    assert log["converged"]
    assert all(torch.equal(value, used[2][name]) for name, value in crafting.generator.state_dict().items())
    assert not torch.equal(used[2]["last.0.weight"], used[3]["last.0.weight"])


@pytest.mark.slow
def test_a_new_model_is_worse_on_clean_images():
    """Cross-entropy on clean images of another draw, of models that learned from clean or from crafted ones."""
    data, other = toy_set(160), toy_set(160, seed=9)
    attack = DeepConfuse(surrogate_width=8, loops=8, epochs=5, generator_rate=0.005, epsilon=32)
    made = attack.poison(data, Context(seed=1)).images

    def clean_loss(images: torch.Tensor) -> float:
        network = build_network(attack.model(), data, rng(5)).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for epoch in range(8):
            for rows in torch.randperm(160, generator=rng(epoch)).split(32):
                optimizer.zero_grad()
                F.cross_entropy(network(to_float(images[rows])), data.labels[rows]).backward()
                optimizer.step()
        with frozen(network), torch.no_grad():
            return float(F.cross_entropy(network(to_float(other.images)), other.labels))

    assert clean_loss(made) > clean_loss(data.images) + 0.2


def test_progress_ends_at_what_was_announced():
    seen = []
    SMALL.craft(toy_set(100), Context(on_report=lambda done, total, text: seen.append((done, total))), Draft())
    assert {total for _, total in seen} == {SMALL.gradient_evaluations(100)}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert seen[-2][0] > 0.8 * seen[-1][1], "the announced total is far too large"


def test_goes_on_from_a_draft(tmp_path):
    data = toy_set(60)
    whole = SMALL.craft(data, Context(), Draft())

    def stop(done, total, text):
        if text.startswith("loop 2"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        SMALL.craft(data, Context(on_report=stop), Draft(tmp_path / "draft", every_s=0))
    seen = []
    again = SMALL.craft(data, Context(on_report=lambda done, total, text: seen.append(text)), Draft(tmp_path / "draft"))
    assert torch.equal(again.images, whole.images)
    assert again.log == whole.log
    assert not any(text.startswith("loop 1 ") for text in seen)


def test_estimate_of_the_time_grows_with_the_loops():
    data = toy_set(60)
    assert 0 < SMALL.seconds_for(data) < SMALL.with_values(loops=500).seconds_for(data)
    assert ATTACKS["deep_confuse"] is DeepConfuse


@pytest.mark.parametrize("shape", [(3, 12, 12), (1, 9, 17), (3, 1, 5)], ids=str)
def test_u_net_takes_any_size(shape):
    generator = build_u_net(shape[0], 8, rng())
    images = torch.rand(4, *shape, generator=rng(1))
    made = generator(images)
    assert made.shape == images.shape
    assert float(made.detach().abs().max()) < 1
    made.square().sum().backward()
    assert all(p.grad is not None for p in generator.parameters())


def test_u_net_by_hand():
    """Weights of the published width: down 64, 128, 256, 512; up on what is below and beside it; one 1 × 1 at the
    end."""
    double = lambda inside, outside: 9 * (inside * outside + outside * outside) + 4 * outside  # noqa: E731
    down = double(3, 64) + double(64, 128) + double(128, 256) + double(256, 512)
    up = double(512 + 256, 256) + double(256 + 128, 128) + double(128 + 64, 64)
    assert sum(p.numel() for p in build_u_net(3, 64, rng()).parameters()) == down + up + (64 * 3 + 3) + 2 * 3
