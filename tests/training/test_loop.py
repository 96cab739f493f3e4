"""The training loop: numbers by hand, exact resume, and how it ends when it cannot go on."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.defenses import Coin
from ued_core.errors import Cancelled, DataError, RunError
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet, to_float
from ued_core.training import PLANS, Job, Plan, accuracy, features, predict, train

TIMES = ("seconds", "images_per_s")


def image_set(count: int = 96, classes: int = 4, seed: int = 0, size: int = 12) -> ImageSet:
    """Classes that can be learned: each brightens its own quarter."""
    images = torch.randint(
        0, 160, (count, 3, size, size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )
    labels = torch.arange(count) % classes
    half = size // 2
    for label in range(classes):
        top, left = half * (label // 2), half * (label % 2)
        images[labels == label, :, top : top + half, left : left + half] += 70
    return ImageSet(images, labels, tuple("abcd"[:classes]), "quarters")


def network(seed: int = 0) -> Network:
    return MODELS.build("small_cnn", width=4).build((3, 12, 12), 4, torch.Generator().manual_seed(seed))


def plan(name: str = "adamw", **values: Any) -> Plan:
    return PLANS.build(name, **{"epochs": 4, "batch_size": 32, "crop": 2, "precision": "float32", **values})


def job(**more: Any) -> Job:
    return Job(
        **{"train": image_set(), "test": image_set(seed=1, count=40), "network": network(), "plan": plan(), **more}
    )


def untimed(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in rows]


class Stop:
    """Cancels once the work has reported more often than allowed."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.reports = 0

    def report(self, done: float, total: float, text: str) -> None:
        self.reports += 1

    def __call__(self) -> bool:
        return self.reports >= self.after


# ---------------------------------------------------------------- exact resume


def coin(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    return Coin().augment(images, rng)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("cancelled_in", [2, 3, 4])
def test_resumed_run_equals_an_uninterrupted_one(name: str, cancelled_in: int, tmp_path: Path) -> None:
    """Bit for bit: with COIN, random crops and flips, both optimisers, cancelled in the middle of an epoch."""
    base = job(plan=plan(name, learning_rate=0.05 if name == "sgd" else 0.01), augment=coin)
    whole = train(base, Context(seed=7))
    checkpoint = tmp_path / "checkpoint.pt"
    steps = 3
    stop = Stop(after=steps * (cancelled_in - 1) + 2)
    with pytest.raises(Cancelled):
        train(
            replace(base, network=network(), checkpoint=checkpoint), Context(seed=7, on_report=stop.report, stop=stop)
        )
    kept = torch.load(checkpoint, weights_only=True)["history"]
    assert 1 <= len(kept) < cancelled_in
    rows: list[dict[str, float]] = []
    # Other weights at the start: everything must come from the checkpoint.
    again = replace(base, network=network(seed=99), checkpoint=checkpoint, on_epoch=rows.append)
    resumed = train(again, Context(seed=7))
    assert untimed(resumed.rows) == untimed(whole.rows)
    assert [row["epoch"] for row in rows] == list(range(len(kept) + 1, 5))
    for key, value in base.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[key]), key


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    base = job(checkpoint=tmp_path / "c.pt")
    first = train(base, Context(seed=1))
    again = replace(base, network=network(seed=5), on_epoch=lambda row: pytest.fail("trained an epoch too many"))
    assert train(again, Context(seed=1)).rows == first.rows
    assert torch.equal(again.network.head.weight, base.network.head.weight)


def test_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    base = job(checkpoint=tmp_path / "c.pt")
    train(base, Context())
    with pytest.raises(RunError, match="written under the plan.*Start a new run"):
        train(replace(base, plan=plan(learning_rate=0.1)), Context())


def test_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    base = job(checkpoint=tmp_path / "c.pt")
    train(base, Context())
    wide = MODELS.build("small_cnn", width=8).build((3, 12, 12), 4, torch.Generator())
    with pytest.raises(RunError, match="cannot be used.*Delete it"):
        train(replace(base, network=wide), Context())


@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"not a checkpoint", lambda b: b[:-40] + b"x" * 40]
)
def test_corrupt_checkpoint_is_a_clear_error(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "c.pt"
    base = job(checkpoint=path)
    train(base, Context())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"c\.pt cannot be used.*Delete it"):
        train(replace(base, network=network()), Context())


def test_checkpoint_that_would_execute_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    torch.save({"plan": Evil()}, tmp_path / "c.pt")
    with pytest.raises(RunError, match="cannot be used"):
        train(job(checkpoint=tmp_path / "c.pt"), Context())
    assert not (tmp_path / "executed").exists()


# ---------------------------------------------------------------- numbers by hand


def test_one_epoch_by_hand() -> None:
    """Loss, accuracies and weights against a loop written out, without any augmentation."""
    recipe = plan("sgd", epochs=1, crop=0, flip="off", schedule="constant", learning_rate=0.1)
    data, test, ctx = image_set(), image_set(seed=1, count=40), Context(seed=2)
    rows = train(job(train=data, test=test, plan=recipe, network=(trained := network())), ctx).rows
    own = network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(own.parameters(), lr=0.1, momentum=0.9, weight_decay=0.0005, nesterov=True)
    order = torch.randperm(len(data), generator=ctx.generator("order", 0))
    losses, right = [], 0
    for start in (0, 32, 64):
        rows_now = order[start : start + 32]
        scores = own((data.images[rows_now].float() / 255).contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(scores, data.labels[rows_now])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        right += int((scores.argmax(1) == data.labels[rows_now]).sum())
    assert rows[0]["loss"] == pytest.approx(sum(losses) / 3, rel=1e-6)
    assert rows[0]["train_accuracy"] == right / 96
    assert rows[0]["learning_rate"] == 0.1
    assert rows[0]["images_per_s"] == pytest.approx(96 / rows[0]["seconds"])
    for a, b in zip(own.parameters(), trained.parameters(), strict=True):
        assert torch.equal(a, b)
    own.eval()
    with torch.no_grad():
        guesses = own(test.images.float() / 255).argmax(1)
    assert rows[0]["test_accuracy"] == pytest.approx(float((guesses == test.labels).float().mean()))


def test_it_learns() -> None:
    rows = train(job(plan=plan(epochs=8, crop=0, flip="off", learning_rate=0.02)), Context()).rows
    assert rows[-1]["test_accuracy"] >= 0.9
    assert rows[-1]["loss"] < rows[0]["loss"] / 2


def test_learning_rate_of_the_last_step_is_reported() -> None:
    recipe = plan("sgd", epochs=3, learning_rate=0.5)
    rows = train(job(plan=recipe), Context()).rows
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.5 * recipe.rate(last, 9) for last in (2, 5, 8)])


def test_accuracy_and_features_by_hand() -> None:
    data, net = image_set(count=30), network()
    net.eval()
    with torch.no_grad():
        scores = net(to_float(data.images))
        expected = net.features(to_float(data.images))
    net.train()
    assert torch.equal(predict(net, data.images, Context()), scores.argmax(1))
    assert accuracy(net, data, Context()) == pytest.approx(sum((scores.argmax(1) == data.labels).tolist()) / 30)
    assert torch.allclose(features(net, data.images, Context()), expected, atol=1e-5)
    assert net.training, "the network's mode must be given back"


def test_evaluation_does_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    data, net = image_set(count=30), network()
    whole = features(net, data.images, Context())
    monkeypatch.setattr("ued_core.training.evaluation.CHUNK", 7)
    assert torch.allclose(features(net, data.images, Context()), whole, atol=1e-5)


# ---------------------------------------------------------------- what is shown to the network


def watched(**more: Any) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The batches that the network saw in training and in evaluation, in [0, 1]."""
    training, testing = [], []
    net = network()
    net.body.register_forward_pre_hook(
        lambda module, inputs: (training if net.training else testing).append(inputs[0].detach().clone() * 0.25 + 0.5)
    )
    train(job(network=net, **more), Context(seed=3))
    return training, testing


def test_test_images_are_never_augmented() -> None:
    test = image_set(seed=1, count=40)
    training, testing = watched(
        test=test, augment=lambda images, rng: torch.zeros_like(images), plan=plan(flip="on", crop=4)
    )
    assert all(float(batch.abs().max()) < 1e-6 for batch in training)
    assert len(testing) == 4
    for batch in testing:
        assert torch.allclose(batch, to_float(test.images), atol=1e-6)


def test_every_image_is_seen_once_an_epoch_in_another_order() -> None:
    data = image_set()
    training, _ = watched(train=data, plan=plan(epochs=2, crop=0, flip="off"))
    epochs = [torch.cat(training[:3]), torch.cat(training[3:])]
    keys = [[image.mul(255).round().to(torch.uint8).numpy().tobytes() for image in epoch] for epoch in epochs]
    assert sorted(keys[0]) == sorted(keys[1]) == sorted(image.numpy().tobytes() for image in data.images)
    assert keys[0] != keys[1]


@pytest.mark.parametrize(
    ("flip", "job_flip", "mirrors"),
    [("auto", True, True), ("auto", False, False), ("on", False, True), ("off", True, False)],
)
def test_flip_follows_the_plan_and_the_data(flip: str, job_flip: bool, mirrors: bool) -> None:
    data = image_set()
    training, _ = watched(train=data, flip=job_flip, plan=plan(epochs=1, crop=0, flip=flip))
    plain = {image.numpy().tobytes() for image in data.images}
    seen = [image.mul(255).round().to(torch.uint8).numpy().tobytes() for image in torch.cat(training)]
    assert any(key not in plain for key in seen) == mirrors


def test_a_last_batch_of_one_image_is_left_out() -> None:
    data = image_set(count=65)
    training, _ = watched(train=data, plan=plan(epochs=2, batch_size=32))
    assert [len(batch) for batch in training] == [32, 32, 32, 32]
    history = train(job(train=data, plan=plan(epochs=1, batch_size=64)), Context())
    assert np.isfinite(history.column("loss")).all()
    training, _ = watched(train=image_set(count=66), plan=plan(epochs=1, batch_size=32))
    assert [len(batch) for batch in training] == [32, 32, 2]


def test_one_image_cannot_be_trained_on() -> None:
    with pytest.raises(DataError, match="at least 2 images"):
        train(job(train=image_set(count=1)), Context())


# ---------------------------------------------------------------- ends, reports, randomness


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_ends_the_run(bad: float, tmp_path: Path) -> None:
    broken = job(augment=lambda images, rng: images * bad, checkpoint=tmp_path / "c.pt")
    with pytest.raises(RunError, match="epoch 1.*Lower the learning rate"):
        train(broken, Context())
    assert not (tmp_path / "c.pt").exists()


def test_cancelling_takes_effect_before_the_next_batch() -> None:
    for allowed in (1, 2, 5):
        batches: list[int] = []
        stop = Stop(after=allowed)
        with pytest.raises(Cancelled):
            train(
                job(augment=lambda images, rng, seen=batches: seen.append(len(images)) or images),
                Context(on_report=stop.report, stop=stop),
            )
        assert len(batches) == allowed


def test_evaluation_can_be_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Cancelled):
        predict(network(), image_set().images, Context(stop=lambda: True))


def test_reports_only_rise_and_name_the_epoch() -> None:
    seen: list[tuple[float, float, str]] = []
    train(job(plan=plan(epochs=3)), Context(on_report=lambda *report: seen.append(report)))
    done = [report[0] / report[1] for report in seen]
    assert done == sorted(done)
    assert all(0 <= share <= 1 for share in done)
    assert {report[2] for report in seen} == {"epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"}


def test_global_random_states_are_left_alone() -> None:
    before = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())  # noqa: NPY002
    train(job(augment=coin), Context(seed=1))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]


def test_the_seed_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = untimed(train(job(augment=coin), Context(seed=1)).rows)
    torch.manual_seed(2)
    assert untimed(train(job(augment=coin), Context(seed=1)).rows) == first
    assert untimed(train(job(augment=coin), Context(seed=2)).rows) != first


def test_data_are_not_changed() -> None:
    data, test = image_set(), image_set(seed=1, count=40)
    hashes = (data.content_hash, test.content_hash)
    kept = (data.images.clone(), test.images.clone())
    train(job(train=data, test=test, augment=coin), Context())
    assert torch.equal(data.images, kept[0])
    assert torch.equal(test.images, kept[1])
    assert (data.content_hash, test.content_hash) == hashes


def test_bfloat16_trains_too() -> None:
    history = train(job(plan=plan(precision="bfloat16", epochs=8, crop=0, flip="off", learning_rate=0.02)), Context())
    assert history.rows[-1]["test_accuracy"] >= 0.8
    assert next(iter(network().parameters())).dtype == torch.float32
