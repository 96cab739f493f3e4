"""The loss of D-VAE assembled by hand, its two hinges, and a loop that resumes and ends when told."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from ued_core.context import Context
from ued_core.errors import Cancelled, RunError
from ued_core.models.dvae import Disentangled, build_dvae
from ued_core.records import ImageSet, to_float
from ued_core.training.rate_constrained import (
    CAP,
    DvaeJob,
    batch_loss,
    cap_start,
    dvae_loss,
    rate_weight,
    separated,
    train_dvae,
)


def made_of(image: float, perturbation: float | None, mean: float) -> Disentangled:
    """Constant outputs for images of one pixel, and a latent of four channels with unit variance."""
    flat = torch.full((2, 3, 1, 1), 1.0)
    latent = torch.full((2, 4, 1, 1), mean, requires_grad=True)
    hat = None if perturbation is None else (flat * perturbation).requires_grad_(True)
    return Disentangled((flat * image).requires_grad_(True), hat, latent, torch.zeros(2, 4, 1, 1, requires_grad=True))


def image_set(count: int = 24, classes: int = 3, side: int = 12) -> ImageSet:
    """Smooth images: a slope of random brightness and direction."""
    draw = torch.Generator().manual_seed(0)
    grid = torch.linspace(-1, 1, side)
    slopes = torch.rand((count, 2, 1, 1), generator=draw) * 2 - 1
    flat = 128 + 100 * (slopes[:, :1] * grid.view(1, 1, 1, side) + slopes[:, 1:] * grid.view(1, 1, side, 1)) / 2
    return ImageSet(
        flat.expand(-1, 3, -1, -1).to(torch.uint8), torch.arange(count) % classes, tuple("abc"[:classes]), "slopes"
    )


def job(data: ImageSet | None = None, width: int = 4, **more: Any) -> DvaeJob:
    data = data or image_set()
    network = build_dvae(data.shape, data.classes, width, torch.Generator().manual_seed(0))
    return DvaeJob(**{"data": data, "network": network, "target": 1.0, "epochs": 4, "batch_size": 8, **more})


@torch.no_grad()
def test_loss_by_hand() -> None:
    """x = 0.5, x̂ = 0.3, p̂ = 0.1, four channels of mean 1: KLD 2 nats, above a target of 1."""
    images = torch.full((2, 3, 1, 1), 0.5)
    loss = dvae_loss(images, made_of(0.3, 0.1, 1.0), 1.0, capped=True)
    assert [float(part) for part in loss] == pytest.approx([0.04 + 0.01 + 0.01 * 2.0 + 0.01, 0.04, 0.01, 2.0, 0.01])
    assert float(dvae_loss(images, made_of(0.3, 0.1, 1.0), 1.0, capped=False).total) == pytest.approx(
        0.04 + 0.01 + 0.02
    )
    # A tight target weighs fifty times as much; the sum is clipped before it is compared.
    assert float(dvae_loss(images, made_of(0.3, 0.9, 1.0), 0.5, capped=False).total) == pytest.approx(
        0.04 + 0.25 + 0.5 * 2.0
    )
    # A loose target counts as itself, and so does the cap.
    assert float(dvae_loss(images, made_of(0.3, 0.01, 1.0), 3.0, capped=True).total) == pytest.approx(
        0.04 + 0.19**2 + 0.03 + CAP
    )
    plain = dvae_loss(images, made_of(0.3, None, 1.0), 1.0, capped=True)
    assert float(plain.total) == pytest.approx(0.04 + 0.02)
    assert (float(plain.joint), float(plain.energy)) == (float(plain.image), 0.0)


@pytest.mark.parametrize(("target", "pulls"), [(1.9, True), (2.1, False)])
def test_no_gradient_below_the_target(target: float, pulls: bool) -> None:
    images, made = torch.full((2, 3, 1, 1), 0.5), made_of(0.3, 0.1, 1.0)
    dvae_loss(images, made, target, capped=False).total.backward()
    assert bool((made.mean.grad != 0).all()) is pulls
    if pulls:
        # λ·∂KLD/∂μ = 0.01·μ ÷ 2 images.
        assert torch.allclose(made.mean.grad, torch.full_like(made.mean, 0.005))
    else:
        assert torch.equal(made.mean.grad, torch.zeros_like(made.mean))
        assert torch.equal(made.log_variance.grad, torch.zeros_like(made.mean))


@pytest.mark.parametrize(("size", "pulls"), [(0.05, True), (0.04, False)])
def test_no_gradient_below_the_cap(size: float, pulls: bool) -> None:
    """0.05² = 0.0025 is above 0.002, 0.04² = 0.0016 below; x̂ + p̂ = x, so only the cap can pull."""
    images, made = torch.full((2, 3, 1, 1), 0.5), made_of(0.5 - size, size, 0.0)
    dvae_loss(images, made, 1.0, capped=True).total.backward()
    assert bool((made.perturbation.grad.abs() > 1e-6).all()) is pulls
    again = made_of(0.5 - size, size, 0.0)
    dvae_loss(images, again, 1.0, capped=False).total.backward()
    assert float(again.perturbation.grad.abs().max()) < 1e-7


def test_the_joint_term_trains_everything() -> None:
    data, network = image_set(), job().network
    loss = dvae_loss(to_float(data.images), network(to_float(data.images), data.labels, torch.Generator()), 1.0, True)
    grads = torch.autograd.grad(
        loss.joint, [network.to_image[0].weight, network.to_perturbation[0].weight, network.encoder[0].weight]
    )
    assert all(float(g.abs().sum()) > 0 for g in grads)


def test_weight_of_the_rate() -> None:
    assert [rate_weight(t) for t in (0.3, 0.99, 1.0, 3.0)] == [0.5, 0.5, 0.01, 0.01]


def test_the_cap_begins_after_a_sixth() -> None:
    assert [cap_start(n) for n in (60, 100, 20, 25, 6, 1)] == [11, 18, 4, 5, 2, 1]


def test_the_cap_acts_from_its_epoch_on() -> None:
    """The network's p̂ is made large: the loss of the epochs before the cap lacks its energy."""
    start = job(epochs=6)
    with torch.no_grad():
        start.network.to_perturbation[-1].bias.fill_(1.0)
    rows = train_dvae(start, Context(seed=1))
    assert cap_start(6) == 2
    for row in rows:
        without = row["image_mse"] + row["joint_mse"] + 0.01 * max(row["rate"], 1.0)
        assert row["energy"] > CAP
        assert row["loss"] - without == pytest.approx(
            row["energy"] if row["epoch"] > 2 else 0.0, abs=2e-3 * row["energy"]
        )


def test_the_cap_is_an_amplitude() -> None:
    """A mean square of 0.002 is 11.4 levels of 255, above noise of ±8 levels."""
    amplitude = 255 * CAP**0.5
    assert amplitude == pytest.approx(11.4, abs=0.01)
    noise = torch.full((1, 3, 4, 4), 8 / 255)
    noise[..., ::2] *= -1
    loss = dvae_loss(
        torch.zeros(1, 3, 4, 4),
        Disentangled(torch.zeros(1, 3, 4, 4), noise, *torch.zeros(2, 1, 4, 2, 2)),
        1.0,
        capped=True,
    )
    assert float(loss.energy) == pytest.approx(0.00098, abs=1e-5)
    assert float(loss.energy) < CAP


def steep(**more: Any) -> DvaeJob:
    """A training whose first gradients are far longer than 5: the latent's mean is 30 everywhere."""
    start = job(image_set(24), epochs=2, batch_size=12, target=0.1, **more)
    with torch.no_grad():
        start.network.to_mean.bias.fill_(30.0)
    return start


def test_adam_and_the_longest_gradient_by_hand() -> None:
    """Four steps with Adam's formulas (β 0.9 and 0.999, no decay), the cosine and the clipping at 5 written out."""
    ctx, trained, own = Context(seed=1), steep(), steep()
    train_dvae(trained, ctx)
    network, (images, labels) = own.network.train(), (to_float(own.data.images), own.data.labels)
    moments = {name: (torch.zeros_like(p), torch.zeros_like(p)) for name, p in network.named_parameters()}
    lengths = []
    for step in range(4):
        epoch, half = divmod(step, 2)
        if half == 0:
            latent, order = ctx.generator("latent", epoch), torch.randperm(24, generator=ctx.generator("order", epoch))
        rows = order[12 * half : 12 * half + 12]
        network.zero_grad()
        given = images[rows]
        dvae_loss(given, network(given, labels[rows], latent), 0.1, capped=epoch == 1).total.backward()
        lengths.append(float(torch.cat([p.grad.flatten() for p in network.parameters()]).norm()))
        rate = 0.005 * (1 + math.cos(math.pi * epoch / 2)) / 2
        with torch.no_grad():
            for name, p in network.named_parameters():
                slope = p.grad * min(1.0, 5.0 / lengths[-1])
                first, second = moments[name]
                first.mul_(0.9).add_(0.1 * slope)
                second.mul_(0.999).add_(0.001 * slope**2)
                p -= rate * (first / (1 - 0.9 ** (step + 1))) / ((second / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    assert min(lengths) > 20, "nothing was clipped"
    for (name, expected), found in zip(network.named_parameters(), trained.network.parameters(), strict=True):
        if name in ("to_image.1.bias", "to_image.4.bias", "to_perturbation.1.bias", "to_perturbation.4.bias"):
            # The normalisation that follows takes a bias off again: its slope is rounding alone.
            assert float(expected.grad.norm()) < 1e-6 * lengths[-1], name
            continue
        # A slope of rounding alone moves its weight by a whole step to either side.
        assert float(((found - expected).abs() < 1e-4).float().mean()) > 0.97, name


def test_what_the_optimiser_is_given() -> None:
    """Every step's gradient has a length of 5 where it was longer, and is left alone where it was shorter."""
    seen: list[tuple[torch.optim.Optimizer, float]] = []

    def note(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        grads = [p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]
        seen.append((optimizer, float(torch.cat(grads).norm())))

    handle = register_optimizer_step_pre_hook(note)
    try:
        train_dvae(steep(), Context(seed=1))
        train_dvae(job(image_set(24), epochs=1, batch_size=24, target=100.0), Context(seed=1))
    finally:
        handle.remove()
    assert [length for _, length in seen[:4]] == pytest.approx([5.0] * 4, rel=1e-4)
    free = job(image_set(24))
    images, labels = to_float(free.data.images), free.data.labels
    order = torch.randperm(24, generator=Context(seed=1).generator("order", 0))
    made = free.network.train()(images[order], labels[order], Context(seed=1).generator("latent", 0))
    slopes = torch.autograd.grad(
        dvae_loss(images[order], made, 100.0, False).total, list(free.network.parameters()), allow_unused=True
    )
    length = float(torch.cat([g.flatten() for g in slopes if g is not None]).norm())
    assert seen[4][1] == pytest.approx(length, rel=1e-4)
    assert length < 5
    for optimizer, _ in seen:
        assert type(optimizer) is torch.optim.Adam
        told = {name: optimizer.defaults[name] for name in ("betas", "weight_decay", "amsgrad", "eps")}
        assert told == {"betas": (0.9, 0.999), "weight_decay": 0, "amsgrad": False, "eps": 1e-8}


def test_rows_and_learning_rate() -> None:
    seen: list[dict[str, float]] = []
    reports: list[tuple[float, float]] = []
    ctx = Context(seed=1, on_report=lambda done, total, text: reports.append((done, total)))
    rows = train_dvae(job(image_set(27), on_epoch=seen.append), ctx)
    assert rows == seen
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    # 27 images: three batches of 8 an epoch, the remainder waits.
    assert reports == [(float(step), 12) for step in range(12)]
    assert [row["learning_rate"] for row in rows] == pytest.approx(
        [0.0025 * (1 + math.cos(math.pi * e / 4)) for e in range(4)]
    )
    for row in rows:
        assert row["psnr"] == pytest.approx(-10 * math.log10(row["image_mse"]))
        assert row["seconds"] > 0


def test_the_rate_comes_down_to_its_target() -> None:
    rows = train_dvae(job(image_set(24), epochs=30, batch_size=12, target=0.5), Context(seed=1))
    assert rows[0]["rate"] > 1.0
    assert rows[-1]["rate"] < 0.55
    assert rows[-1]["psnr"] > rows[0]["psnr"] + 1


def weights(start: DvaeJob) -> list[torch.Tensor]:
    return [value.clone() for value in start.network.state_dict().values()]


def test_resume_is_exact() -> None:
    whole = job(epochs=3)
    rows = train_dvae(whole, Context(seed=1))
    states: list[dict[str, Any]] = []
    ended = job(epochs=3, on_state=lambda state: states.append({k: v for k, v in state().items()}), enough=lambda: True)
    first = train_dvae(ended, Context(seed=1))
    assert len(first) == 1
    again = job(epochs=3, resume=states[0])
    second = train_dvae(again, Context(seed=1))
    untimed = [[{k: v for k, v in row.items() if k != "seconds"} for row in some] for some in (rows, second)]
    assert untimed[0] == untimed[1]
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(again), strict=True))


def test_a_state_of_an_older_version_is_resumed() -> None:
    """It holds the moments of Adam channels first, where the weights are channels last now."""
    states: list[dict[str, Any]] = []
    train_dvae(
        job(width=16, epochs=3, on_state=lambda state: states.append(copy.deepcopy(state())), enough=lambda: True),
        Context(seed=1),
    )
    expected = job(width=16, epochs=3, resume=copy.deepcopy(states[0]))
    train_dvae(expected, Context(seed=1))
    first = {
        number: {name: value.contiguous() for name, value in state.items()}
        for number, state in states[0]["optimizer"]["state"].items()
    }
    before = [s["exp_avg"].stride() for s in states[0]["optimizer"]["state"].values()]
    assert before != [s["exp_avg"].stride() for s in first.values()]
    old = states[0] | {"optimizer": states[0]["optimizer"] | {"state": first}}
    again = job(width=16, epochs=3, resume=old)
    train_dvae(again, Context(seed=1))
    assert all(torch.equal(a, b) for a, b in zip(weights(expected), weights(again), strict=True))


def test_bfloat16_of_the_steps() -> None:
    """The loss is that of float32 but for the digits that bfloat16 lacks; weights stay float32."""
    data, network = image_set(), job().network
    images = to_float(data.images)

    @torch.no_grad()
    def total(arithmetic: Any) -> float:
        rng = torch.Generator().manual_seed(0)
        return float(batch_loss(network, images, data.labels, rng, 0.1, True, arithmetic).total)

    exact, half = total("float32"), total("bfloat16")
    with torch.no_grad():
        made = network(images, data.labels, torch.Generator().manual_seed(0))
    assert exact == pytest.approx(float(dvae_loss(images, made, 0.1, capped=True).total), rel=1e-5)
    # Draws of the latent are others in bfloat16.
    assert half == pytest.approx(exact, rel=0.05)
    assert half != exact
    trained, other = job(arithmetic="bfloat16"), job()
    rows = train_dvae(trained, Context(seed=1))
    train_dvae(other, Context(seed=1))
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert {value.dtype for value in trained.network.parameters()} == {torch.float32}
    assert not torch.equal(trained.network.embedding.weight, other.network.embedding.weight)


def test_enough_is_asked_between_epochs_only() -> None:
    asked: list[int] = []
    rows: list[dict[str, float]] = []

    def enough() -> bool:
        asked.append(len(rows))
        return len(rows) == 3

    assert len(train_dvae(job(on_epoch=rows.append, enough=enough), Context())) == 3
    assert asked == [1, 2, 3]


def test_draws_belong_to_the_seed() -> None:
    results = []
    for seed in (1, 1, 2):
        start = job(epochs=1)
        torch.manual_seed(seed + len(results))
        train_dvae(start, Context(seed=seed))
        results.append(weights(start))
    assert all(torch.equal(a, b) for a, b in zip(results[0], results[1], strict=True))
    assert not torch.equal(results[0][0], results[2][0])


def test_cancelling_and_numbers_that_leave() -> None:
    with pytest.raises(Cancelled):
        train_dvae(job(), Context(stop=lambda: True))
    broken = job()
    with torch.no_grad():
        broken.network.to_mean.bias.fill_(float("nan"))
    with pytest.raises(RunError, match="became nan in epoch 1"):
        train_dvae(broken, Context())


def test_fewer_images_than_a_batch() -> None:
    assert len(train_dvae(job(image_set(5), epochs=1), Context())) == 1


def test_separated_by_hand() -> None:
    data, network = image_set(300), job().network
    network.eval()
    with torch.no_grad():
        expected = network(to_float(data.images), data.labels)
    image, perturbation = separated(network.train(), data.images, data.labels, Context())
    assert torch.allclose(image, expected.image, atol=1e-6)
    assert torch.allclose(perturbation, expected.perturbation, atol=1e-6)
