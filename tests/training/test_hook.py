"""The training hook: nothing changes without it, the onion, rates, freezing, rollback and exact resume with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.training.test_loop import Stop, coin, image_set, job, network, plan, untimed
from ued_core.context import Context
from ued_core.defenses.ueraser import UEraser
from ued_core.errors import Cancelled, RunError, UnknownName
from ued_core.models import HEAD, MODELS, PENULTIMATE, Network
from ued_core.records import to_float
from ued_core.training import Batch, Graded, Moment, Setup, TrainingControl, TrainingHook, soft_labels, train
from ued_core.training.crop import random_crop, random_flip
from ued_core.training.hook import Snapshot


def weights(net: Network) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def same(a: Any, b: Any) -> bool:
    """Whether two nested states hold the same values."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


# ---------------------------------------------------------------- without hooks nothing changes


@pytest.mark.parametrize("name", ["adamw", "sgd"])
@pytest.mark.parametrize("hooks", [(), (TrainingHook(),)], ids=["no hook", "a hook that does nothing"])
def test_training_is_what_it_was_before_hooks(name: str, hooks: tuple[TrainingHook, ...]) -> None:
    """Two epochs with crop, flip and COIN against the loop as it was, written out: every bit of weights and losses."""
    recipe, ctx, data = plan(name, epochs=2, learning_rate=0.02), Context(seed=5), image_set()
    rows = train(job(train=data, plan=recipe, augment=coin, network=(trained := network()), hooks=hooks), ctx).rows
    own = network().to(memory_format=torch.channels_last)
    optimizer = recipe.optimizer(own.parameters())
    for epoch in range(2):
        rng, order = ctx.generator("train", epoch), torch.randperm(96, generator=ctx.generator("order", epoch))
        loss_sum, right = torch.zeros(()), torch.zeros(())
        for index in range(3):
            picked = order[32 * index : 32 * index + 32]
            batch = to_float(random_flip(random_crop(data.images[picked], 2, rng), rng))
            batch = coin(batch, rng).contiguous(memory_format=torch.channels_last)
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * recipe.rate(3 * epoch + index, 6)
            scores = own(batch)
            loss = F.cross_entropy(scores.float(), data.labels[picked])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach() * 32
            right += (scores.argmax(1) == data.labels[picked]).sum()
        assert rows[epoch]["loss"] == float(loss_sum) / 96
        assert rows[epoch]["train_accuracy"] == float(right) / 96
    assert equal(weights(trained), weights(own))


# ---------------------------------------------------------------- the onion of losses


class Told(TrainingHook):
    """Notes when it is entered and left, and scales the losses."""

    def __init__(self, name: str, log: list[str], factor: float = 1.0) -> None:
        self.name, self.log, self.factor = name, log, factor

    def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        self.log.append(f"into {self.name}")
        graded = inner(batch)
        self.log.append(f"out of {self.name}")
        return replace(graded, losses=graded.losses * self.factor)


def test_the_first_hook_is_outermost() -> None:
    log: list[str] = []
    recipe = plan(epochs=1, batch_size=96)
    plain = train(job(plan=recipe), Context()).rows[0]
    row = train(job(plan=recipe, hooks=[Told("a", log, 2.0), TrainingHook(), Told("b", log, 3.0)]), Context()).rows[0]
    assert log == ["into a", "into b", "out of b", "out of a"]
    assert row["loss"] == pytest.approx(6 * plain["loss"], rel=1e-6)
    assert row["train_accuracy"] == plain["train_accuracy"]


class Redraws(TrainingHook):
    """Draws each batch again and keeps both."""

    def __init__(self) -> None:
        self.seen: list[tuple[Batch, Batch, Batch, Moment]] = []

    def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        again = batch.redraw()
        self.seen.append((batch, again, again.redraw(), moment))
        return inner(again)


def test_redraw_is_the_same_crop_with_fresh_draws() -> None:
    data, ctx, hook = image_set(), Context(seed=2), Redraws()

    def blend(images: torch.Tensor, targets: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return images * torch.rand(len(images), 1, 1, 1, generator=rng), targets

    train(job(train=data, plan=plan(epochs=2, crop=2), blend=blend, hooks=[hook]), ctx)
    rng, picked = ctx.generator("train", 0), torch.randperm(96, generator=ctx.generator("order", 0))[:32]
    cropped = to_float(random_flip(random_crop(data.images[picked], 2, rng), rng))
    first, again, third, moment = hook.seen[0]
    for batch in (first, again, third):
        assert torch.equal(batch.images, blend(cropped, data.labels[picked], rng)[0])
        assert torch.equal(batch.targets, data.labels[picked])
    assert [round(6 * m.progress) for *_, m in hook.seen] == [0, 1, 2, 3, 4, 5]
    assert moment.rng.initial_seed() == rng.initial_seed()


def test_soft_labels_train_as_shares() -> None:
    """Mixed labels: the loss is the cross-entropy with shares; a plain and a layered run see the same numbers."""

    def blend(images: torch.Tensor, targets: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return images, 0.7 * soft_labels(targets, 4) + 0.3 * soft_labels(targets.roll(1), 4)

    recipe = plan("sgd", epochs=1, crop=0, flip="off", batch_size=96, learning_rate=0.01)
    row = train(job(plan=recipe, blend=blend), Context()).rows[0]
    layered = train(job(plan=recipe, blend=blend, hooks=[Told("a", [])]), Context()).rows[0]
    order = torch.randperm(96, generator=Context().generator("order", 0))
    data, net = image_set(), network().train()
    logs = net(to_float(data.images[order])).log_softmax(1)
    shares = blend(data.images, data.labels[order], torch.Generator())[1]
    assert row["loss"] == pytest.approx(float(-(shares * logs.detach()).sum(1).mean()), rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(float((logs.argmax(1) == data.labels[order]).float().mean()))
    assert layered["loss"] == pytest.approx(row["loss"], rel=1e-6)
    assert soft_labels(shares, 4) is shares


# ---------------------------------------------------------------- layers and rates


@pytest.mark.parametrize("name", list(MODELS.where(needs_download=False)))
def test_blocks_share_out_every_parameter_and_buffer_once(name: str) -> None:
    net = MODELS.build(name, **MODELS[name].quick_values()).build((3, 12, 12), 4, torch.Generator())
    blocks = net.blocks()
    assert list(blocks) == [*net.layers, HEAD]
    held = [p for modules in blocks.values() for m in modules for p in m.parameters(recurse=False)]
    assert [id(p) for p in held] == [id(p) for p in net.parameters()]
    buffers = [b for modules in blocks.values() for m in modules for b in m.buffers(recurse=False)]
    assert sorted(map(id, buffers)) == sorted(map(id, net.buffers()))
    # What pools and flattens at the end may be a layer of its own, with nothing to learn.
    learning = [HEAD] if net.frozen else [name for name in blocks if name != PENULTIMATE]
    assert all(any(True for m in blocks[name] for _ in m.parameters(recurse=False)) for name in learning)


class Steers(TrainingHook):
    """Calls a function before each epoch and after each step."""

    def __init__(
        self,
        before: Callable[[TrainingControl], None] = lambda c: None,
        after: Callable[[TrainingControl], None] = lambda c: None,
    ) -> None:
        self.before_epoch, self.after_step = before, after  # type: ignore[method-assign]


def test_a_frozen_layer_keeps_weights_and_statistics_and_a_slow_one_moves_less() -> None:
    start, moved = network(), network()
    hook = Steers(before=lambda control: control.set_rates({"block 1": 0.0, "block 2": 0.01}))
    recipe = plan("sgd", epochs=2, learning_rate=0.05)
    row = train(job(plan=recipe, network=moved, hooks=[hook]), Context()).rows[-1]
    free = network()
    train(job(plan=recipe, network=free), Context())
    before, after, unbound = weights(start), weights(moved), weights(free)
    frozen = [name for name in before if name.startswith(("body.0.", "body.1."))]
    assert len(frozen) == 6
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["body.5.running_mean"], after["body.5.running_mean"])
    assert (after["body.4.weight"] - before["body.4.weight"]).norm() < 0.1 * (
        unbound["body.4.weight"] - before["body.4.weight"]
    ).norm()
    assert row["learning_rate"] == pytest.approx(0.05 * recipe.rate(5, 6)), "the row names the plan's rate"
    assert all(p.requires_grad for p in moved.parameters()), "training ends with nothing frozen"


def test_rates_that_make_no_sense_are_refused() -> None:
    def run(rates: dict[str, float]) -> None:
        train(job(hooks=[Steers(before=lambda control: control.set_rates(rates))]), Context())

    with pytest.raises(UnknownName, match="blok 1"):
        run({"blok 1": 0.5})
    with pytest.raises(RunError, match="multiplied by -1"):
        run({"block 1": -1.0})
    with pytest.raises(RunError, match="Every layer would be frozen"):
        run(dict.fromkeys([*network().layers, HEAD], 0.0))


# ---------------------------------------------------------------- rollback


class Regrets(TrainingHook):
    """Goes back to the last snapshot at chosen calls; its state is the number of calls."""

    def __init__(self, when: tuple[int, ...], every: int = 1) -> None:
        self.when, self.every, self.calls, self.kept = when, every, 0, None
        self.states: list[tuple[int, int]] = []

    def before_epoch(self, control: TrainingControl) -> None:
        self.kept: Snapshot = control.snapshot()

    def after_step(self, control: TrainingControl) -> None:
        self.calls += 1
        self.states.append((control.step, control.epoch_step))
        if self.calls in self.when:
            control.rollback(self.kept)
            assert equal(weights(control.network), self.kept.network)
            assert same(control.optimizer.state_dict(), self.kept.optimizer)
        elif control.epoch_step % self.every == 0:
            self.kept = control.snapshot()

    def state(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def restore(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]


class Counts(TrainingHook):
    """Counts accepted steps in a state that a rollback takes back."""

    def __init__(self) -> None:
        self.count = torch.zeros((), dtype=torch.int64)

    def after_step(self, control: TrainingControl) -> None:
        self.count += 1

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]

    def row(self) -> dict[str, float]:
        return {"counted": float(self.count), "loss": -1.0}


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_rollback_restores_everything_and_only_accepted_steps_count(name: str) -> None:
    regrets, counts, rates = Regrets(when=(2, 3, 6), every=2), Counts(), []
    recipe = plan(name, epochs=2, learning_rate=0.02)
    watch = Steers(after=lambda control: rates.append(control.optimizer.param_groups[0]["lr"]))
    seen: list[int] = []
    order = [counts, regrets, watch]
    base = job(plan=recipe, hooks=order, augment=lambda images, rng: seen.append(rng.initial_seed()) or images)
    rows = train(base, Context(seed=3)).rows
    # Epoch 1: steps 1, 2 (back to 0), 1 (back to 0), 1, 2 kept, 3 (back to 2), 3. Epoch 2 undisturbed.
    assert regrets.states == [(1, 1), (2, 2), (1, 1), (1, 1), (2, 2), (3, 3), (3, 3), (4, 1), (5, 2), (6, 3)]
    assert [row["counted"] for row in rows] == [3, 6]
    assert all(row["loss"] > 0 for row in rows), "the loop's own numbers win"
    # The innermost hook is not shown the steps that were taken back; the schedule follows the accepted ones.
    assert rates == [0.02 * recipe.rate(step, 6) for step in (0, 0, 1, 2, 3, 4, 5)]
    streams = [
        Context(seed=3).stream_seed("train", 0, *more) for more in ((), ("retry", 1), ("retry", 2), ("retry", 3))
    ]
    assert seen[:7] == [streams[i] for i in (0, 0, 1, 2, 2, 2, 3)]


def test_a_retry_shows_the_rest_of_the_epoch_in_another_order() -> None:
    data, shown = image_set(), []
    net = network()
    net.body.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0].clone()) if net.training else None)
    recipe = plan(epochs=1, crop=0, flip="off", batch_size=16)
    train(job(train=data, network=net, plan=recipe, hooks=[Regrets(when=(4,), every=2)]), Context())

    def keys(batches: list[torch.Tensor]) -> list[bytes]:
        return [
            image.mul(0.25).add(0.5).mul(255).round().to(torch.uint8).numpy().tobytes()
            for batch in batches
            for image in batch
        ]

    assert len(shown) == 6 + 2
    accepted = keys([*shown[:2], *shown[4:]])
    assert sorted(accepted) == sorted(image.numpy().tobytes() for image in data.images)
    assert keys(shown[2:4]) != accepted[32:64]


def test_rollback_into_an_epoch_that_is_over_is_refused() -> None:
    first: list[Snapshot] = []

    def after(control: TrainingControl) -> None:
        first or first.append(control.snapshot())
        if control.step == 5:
            control.rollback(first[0])

    with pytest.raises(RunError, match="Step 1 belongs to an epoch that is over"):
        train(job(hooks=[Steers(after=after)]), Context())


@pytest.mark.parametrize("cancelled_after", [5, 8, 11])
def test_a_resumed_run_with_rollbacks_and_rates_equals_an_uninterrupted_one(
    cancelled_after: int, tmp_path: Path
) -> None:
    def hooks() -> list[TrainingHook]:
        slow = Steers(after=lambda control: control.set_rates({"block 1": 0.5 ** (control.step // 4)}))
        frozen = Steers(after=lambda control: control.set_rates({"block 2": float(control.step < 8)}))
        return [Regrets(when=(2, 5, 9, 12)), Counts(), slow, frozen, Told("loss", [])]

    base = job(plan=plan(learning_rate=0.02), augment=coin, hooks=hooks())
    whole = train(base, Context(seed=7))
    stop, checkpoint = Stop(after=cancelled_after), tmp_path / "c.pt"
    cut = replace(base, network=network(), checkpoint=checkpoint, hooks=hooks())
    with pytest.raises(Cancelled):
        train(cut, Context(seed=7, on_report=stop.report, stop=stop))
    again = replace(base, network=network(seed=9), checkpoint=checkpoint, hooks=hooks())
    assert untimed(train(again, Context(seed=7)).rows) == untimed(whole.rows)
    assert equal(weights(again.network), weights(base.network))


def test_checkpoint_of_other_hooks_is_refused(tmp_path: Path) -> None:
    base = job(checkpoint=tmp_path / "c.pt")
    train(replace(base, hooks=[Counts()]), Context())
    with pytest.raises(RunError, match="cannot be used"):
        train(replace(base, network=network()), Context())


def test_evaluation_by_a_hook_leaves_frozen_layers_in_evaluation_mode() -> None:
    modes: list[tuple[bool, bool]] = []

    def after(control: TrainingControl) -> None:
        control.network.eval()
        control.network.train()

    watch = network()
    watch.body.register_forward_pre_hook(
        lambda module, inputs: modes.append((watch.body[1].training, watch.body[5].training))
    )
    start = Steers(before=lambda control: control.set_rates({"block 1": 0.0}), after=after)
    train(job(network=watch, plan=plan(epochs=1), hooks=[start]), Context())
    assert modes == [(False, True)] * 3 + [(False, False)]


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft labels"])
def test_answers_are_counted_against_the_labels_of_the_draw(soft: bool) -> None:
    """Each draw of a batch moves the labels on by one class, as Mixup would with other partners."""
    draws, hook, right = [0], UEraser(variant="max", draws=3).training(Setup(None, None, None, Context())), [0]

    def blend(images: torch.Tensor, targets: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        draws[0] += 1
        moved = (targets + draws[0]) % 4
        return images, F.one_hot(moved, 4).float() if soft else moved

    class Counting(TrainingHook):
        def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
            kept: list[tuple[torch.Tensor, torch.Tensor]] = []

            def noting(given: Batch) -> Graded:
                graded = inner(given)
                labels = given.targets.argmax(1) if soft else given.targets
                kept.append((graded.losses.detach(), graded.scores.argmax(1) == labels))
                return graded

            graded = hook.loss(batch, noting, moment)
            losses, hits = (torch.stack(values) for values in zip(*kept, strict=True))
            right[0] += int(hits.gather(0, losses.argmax(0)[None]).sum())
            return graded

    row = train(job(plan=plan(epochs=1, batch_size=32), blend=blend, hooks=[Counting()]), Context()).rows[0]
    assert row["train_accuracy"] == right[0] / 96
