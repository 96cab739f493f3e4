"""Staged training: nothing without alarms, rates by depth, rollback, freezing, readings, resume."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.test_hook import equal, same, weights
from tests.training.test_loop import Stop, image_set, job, network, plan, untimed
from ued_core.attacks import RegionNoise
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.defenses.staged_training import StagedTraining, Stages, watched_rows
from ued_core.errors import Cancelled
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet
from ued_core.training import Job, Setup, TrainingControl, train
from ued_core.training.activation_clusters import activation_clusters, fisher_ratio
from ued_core.training.evaluation import layer_fields

SEED = 3


def staged(
    method: StagedTraining, hook: type[Stages] = Stages, epochs: int = 3, model: str = "small_cnn", **more: Any
) -> tuple[Stages, list[dict[str, float]], Network]:
    """Trains the quarters under a method; its hook, the history without times, the network."""
    net = (
        network()
        if model == "small_cnn"
        else MODELS.build(model, width=8).build((3, 12, 12), 4, torch.Generator().manual_seed(0))
    )
    base = job(network=net, plan=plan(epochs=epochs, learning_rate=0.02), **more)
    stages = hook(method, Setup(base.train, net, base.plan, Context(seed=SEED)))
    rows = train(replace(base, hooks=[stages]), Context(seed=SEED)).rows
    return stages, untimed(rows), net


def own(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """The rows without the hook's numbers."""
    return [{k: v for k, v in row.items() if not k.startswith("staged ")} for row in rows]


@pytest.mark.parametrize(
    "method", [StagedTraining(threshold=100.0), StagedTraining(reaction="none", threshold=0.0)], ids=["never", "none"]
)
def test_without_a_reaction_it_is_plain_training_bit_for_bit(method: StagedTraining) -> None:
    stages, rows, net = staged(method)
    plain = job(plan=plan(epochs=3, learning_rate=0.02))
    assert own(rows) == untimed(train(plain, Context(seed=SEED)).rows)
    assert equal(weights(net), weights(plain.network))
    assert stages.alarms == 0
    assert len(stages.checks) == 1 + 2 * 3


class Watched(Stages):
    """Notes, around every check, what a check must not touch, and every learning rate."""

    def __init__(self, method: StagedTraining, setup: Setup) -> None:
        super().__init__(method, setup)
        self.rates: list[list[float]] = []

    def after_step(self, control: TrainingControl) -> None:
        self.rates.append([group["lr"] / group["peak"] for group in control.optimizer.param_groups])
        super().after_step(control)

    def _measured(self, control: TrainingControl) -> dict[str, float]:
        before = weights(control.network)
        gradients = [None if p.grad is None else p.grad.clone() for p in control.network.parameters()]
        modes = [module.training for module in control.network.modules()]
        found = super()._measured(control)
        assert equal(weights(control.network), before), "weights or statistics moved"
        for old, p in zip(gradients, control.network.parameters(), strict=True):
            assert old is p.grad is None or torch.equal(old, p.grad)
        control.training_mode()
        assert [module.training for module in control.network.modules()] == modes
        return found


@pytest.mark.parametrize(
    ("reaction", "model"), [*((r, "small_cnn") for r in ("slow", "freeze", "reset", "fixed")), ("slow", "resnet18")]
)
def test_rates_grow_with_depth_and_slowings_never_shrink(reaction: str, model: str) -> None:
    method = StagedTraining(threshold=0.0, reaction=reaction, freeze_after=4, watched=4, deepen=True)
    stages, _, _ = staged(method, Watched, epochs=2, model=model)
    assert stages.alarms > 0 or reaction == "fixed"
    for rates in stages.rates:
        assert rates == sorted(rates)
        assert rates[-1] > 0
    for earlier, later in pairwise(stages.checks):
        assert all(later["rates"][name] <= earlier["rates"][name] for name in stages.layers)
    if reaction == "fixed":
        assert list(stages.checks[0]["rates"].values())[:4] == pytest.approx([0.027, 0.09, 0.3, 1.0])


def test_a_check_draws_nothing_and_changes_nothing() -> None:
    state = torch.get_rng_state()
    staged(StagedTraining(threshold=0.0, freeze_after=1, watched=4), Watched)
    assert torch.equal(torch.get_rng_state(), state)


class Rolled(Stages):
    """Compares training after every rollback with what was kept."""

    went_back = 0

    def _alarm(self, control: TrainingControl, found: dict[str, float], signal: float) -> None:
        kept, alarms = self._kept, self.alarms
        super()._alarm(control, found, signal)
        if self.alarms > alarms:
            self.went_back += 1
            assert control.step == kept.step
            assert equal(weights(control.network), kept.network)
            assert same(control.optimizer.state_dict()["state"], kept.optimizer["state"])


def test_an_alarm_takes_training_back_and_slows_the_shallow_layers() -> None:
    method = StagedTraining(threshold=0.0, most_alarms=5, watched=4, checks=3)
    stages, rows, _ = staged(method, Rolled)
    assert stages.went_back == stages.alarms == 5
    assert rows[-1]["learning_rate"] == plan(learning_rate=0.02).learning_rate * plan().rate(8, 9), (
        "accepted steps alone move the schedule"
    )
    accepted = [check["step"] for check in stages.checks if check["action"] in ("accepted", "noted")]
    assert accepted == list(range(1, 10)), "the accepted steps are all of the plan's"
    assert list(stages.checks[-1]["rates"].values()) == pytest.approx([0.3**5, 0.3**5, 0.3**5, 1.0])
    assert [check["stage"] for check in stages.checks] == sorted(check["stage"] for check in stages.checks)
    assert {check["action"] for check in stages.checks} == {"start", "rolled back", "noted"}


def test_frozen_layers_stay_as_they_are() -> None:
    start = weights(network())
    stages, _, net = staged(StagedTraining(threshold=0.0, reaction="freeze", watched=4, checks=1), epochs=2)
    assert list(stages.checks[-1]["rates"].values()) == [0.0, 0.0, 0.0, 1.0]
    after = weights(net)
    # Every alarm of the first epoch took it back, so the three frozen layers never moved.
    frozen = [name for name in start if name.startswith("body.") and int(name.split(".")[1]) < 12]
    assert len(frozen) == 18
    assert all(torch.equal(start[name], after[name]) for name in frozen)
    assert not torch.equal(start["body.12.weight"], after["body.12.weight"])


@pytest.mark.parametrize("freeze_after", [1, 3, 6])
def test_fixed_rates_never_freeze_and_answer_no_alarm(freeze_after: int) -> None:
    """The multipliers are γ³, γ², γ from the image on for the whole run; checks are noted and change nothing."""
    method = StagedTraining(threshold=0.0, reaction="fixed", freeze_after=freeze_after, factor=0.5, watched=4)
    start = weights(network())
    stages, _, net = staged(method, Watched)
    assert all(list(check["rates"].values()) == [0.125, 0.25, 0.5, 1.0] for check in stages.checks)
    assert stages.alarms == 0
    assert [check["action"] for check in stages.checks] == ["start", *["noted"] * 6]
    assert all(check["trapped"] for check in stages.checks[1:])
    moved = weights(net)
    assert not any(torch.equal(start[name], moved[name]) for name in start if name.endswith("weight")), (
        "every layer learns"
    )


def test_without_rollback_steps_stay_and_rates_fall() -> None:
    stages, _, _ = staged(StagedTraining(threshold=0.0, rollback=False, most_alarms=3, watched=4), Watched)
    assert len(stages.rates) == 9, "no step was taken twice"
    assert [check["action"] for check in stages.checks] == ["start", *["slowed"] * 3, *["noted"] * 3]


def test_reset_gives_shallow_layers_alone_their_weights_back() -> None:
    seen: list[tuple[bool, bool]] = []

    class Half(Stages):
        def _alarm(self, control: TrainingControl, found: dict[str, float], signal: float) -> None:
            kept, step = self._kept.network, control.step
            super()._alarm(control, found, signal)
            now = weights(control.network)
            back = {name: torch.equal(now[name], kept[name]) for name in now if "num_batches" not in name}
            shallow = [
                value for name, value in back.items() if name.startswith("body.") and int(name.split(".")[1]) < 12
            ]
            deep = [value for name, value in back.items() if name.startswith(("body.12", "body.13", "head"))]
            seen.append((all(shallow), any(deep)))
            assert control.step == step

    stages, _, _ = staged(StagedTraining(threshold=0.0, reaction="reset", most_alarms=4, watched=4), Half)
    assert seen[:4] == [(True, False)] * 4
    assert "reset" in {check["action"] for check in stages.checks}


def measured(net: Network, data: ImageSet) -> dict[str, dict[str, float]]:
    """All measures of all layers, from the measures' own functions."""
    scores, fields = layer_fields(net, data.images, Context())
    labels = data.labels.numpy()
    return {
        "acm": {name: activation_clusters(value.numpy(), labels) for name, value in fields.items()},
        "fisher": {name: fisher_ratio(value.numpy(), labels) for name, value in fields.items()},
        "loss": {"": float(torch.nn.functional.cross_entropy(scores, data.labels))},
    }


@pytest.mark.parametrize("signal", ["acm", "fisher", "gap", "loss"])
def test_signals_by_hand(signal: str) -> None:
    data = image_set()
    stages, rows, net = staged(StagedTraining(signal=signal, reaction="none", watched=24, checks=1), epochs=1)
    start, end = measured(network(), data), measured(net, data)

    def growth(kind: str, *names: str) -> float:
        return sum(end[kind][n] for n in names) / sum(start[kind][n] for n in names)

    expected = {
        "acm": growth("acm", "block 2", "block 3"),
        "fisher": growth("fisher", "block 2", "block 3"),
        "gap": growth("acm", "block 2", "block 3") / growth("acm", "penultimate"),
        "loss": start["loss"][""] / end["loss"][""],
    }[signal]
    assert rows[0]["staged signal"] == stages.checks[-1]["signal"] == pytest.approx(expected, rel=1e-5)
    assert rows[0]["staged acm block 2"] == pytest.approx(end["acm"]["block 2"], rel=1e-6)


def test_one_layer_more_once_all_are_frozen() -> None:
    values = {"threshold": 0.0, "freeze_after": 1, "checks": 1, "depth": 2, "watched": 4}
    plain, _, _ = staged(StagedTraining(**values), epochs=2)
    deeper, _, _ = staged(StagedTraining(**values, deepen=True), epochs=2)
    assert list(plain.checks[-1]["rates"].values()) == [0.0, 0.0, 1.0, 1.0]
    assert list(deeper.checks[-1]["rates"].values()) == [0.0, 0.0, 0.0, 0.0]
    assert deeper.alarms == 3


@pytest.mark.parametrize("signal", ["acm", "gap"])
@pytest.mark.parametrize("depth", [2, 3])
def test_one_layer_more_moves_the_signal_to_it(depth: int, signal: str) -> None:
    """At first all layers but the first of the slowed ones are measured; afterwards the new one alone."""
    values = {
        "threshold": 0.0,
        "freeze_after": 1,
        "checks": 1,
        "depth": depth,
        "watched": 4,
        "rollback": False,
        "signal": signal,
    }
    stages, _, _ = staged(StagedTraining(**values, deepen=True), epochs=4)
    start, *checks = stages.checks
    names = list(stages.layers)
    assert names == ["block 1", "block 2", "block 3", "penultimate"]

    def growth(check: dict[str, Any], layers: list[str]) -> float:
        return sum(check["acm"][n] for n in layers) / sum(start["acm"][n] for n in layers)

    # The first alarm freezes what may be frozen, the second one takes a layer more, and so on.
    measured_at = {2: [(1, 2), (1, 2), (2, 3), (3, 4)], 3: [(1, 3), (1, 3), (3, 4), (3, 4)]}[depth]
    others = []
    for check, (first, end) in zip(checks, measured_at, strict=True):
        shallow, deep = names[first:end], names[end:] or names[-1:]
        expected = growth(check, shallow) / (growth(check, deep) if signal == "gap" else 1)
        assert check["signal"] == pytest.approx(expected, rel=1e-6)
        others.append(growth(check, names[1:depth]))
    if signal == "acm":
        assert checks[0]["signal"] == pytest.approx(others[0])
        assert abs(checks[-1]["signal"] - others[-1]) > 0.01, "the old layers and the new one cannot be told apart here"


@cache
def scans(poisoned: bool) -> tuple[ImageSet, ImageSet]:
    split = load_split(DATASETS.build("digits"), Context(seed=1))
    data = split.train.take(torch.arange(300))
    return (RegionNoise().poison(data, Context(seed=1)).as_training_set() if poisoned else data), split.test


def test_class_wise_noise_rings_the_alarm_and_clean_scans_do_not() -> None:
    """300 scans without crop: clean ones reach a signal of 1.2, class-wise region noise 1.5 in three epochs."""
    alarms = {}
    for poisoned in (False, True):
        data, test = scans(poisoned)
        net = MODELS.build("small_cnn", width=8).build(data.shape, 10, torch.Generator().manual_seed(0))
        recipe = plan(epochs=3, batch_size=20, crop=0, flip="off", learning_rate=0.01)
        stages = Stages(
            StagedTraining(threshold=1.25, reaction="none", watched=20), Setup(data, net, recipe, Context(seed=1))
        )
        train(Job(data, test.take(torch.arange(50)), net, recipe, hooks=[stages]), Context(seed=1))
        alarms[poisoned] = sum(check["trapped"] for check in stages.checks)
    assert alarms[False] == 0 < alarms[True]


@pytest.mark.parametrize("reaction", ["slow", "reset"])
def test_a_resumed_run_equals_an_uninterrupted_one(reaction: str, tmp_path: Path) -> None:
    method = StagedTraining(threshold=0.9, reaction=reaction, watched=8, colours="jitter and grey")

    def prepared(**more: Any) -> tuple[Stages, Job]:
        base = job(plan=plan(epochs=4, learning_rate=0.02), augment=method.augment, **more)
        stages = Stages(method, Setup(base.train, base.network, base.plan, Context(seed=SEED)))
        return stages, replace(base, hooks=[stages])

    whole, base = prepared()
    counted: list[float] = []
    rows = train(base, Context(seed=SEED, on_report=lambda done, total, text: counted.append(done))).rows
    assert whole.alarms > 1
    # In the last epoch; earlier ones hold retries.
    stop = Stop(after=len(counted) - 1)
    cut, broken = prepared(checkpoint=tmp_path / "c.pt")
    with pytest.raises(Cancelled):
        train(broken, Context(seed=SEED, on_report=stop.report, stop=stop))
    again, resumed = prepared(checkpoint=tmp_path / "c.pt", network=network(seed=9))
    assert untimed(train(resumed, Context(seed=SEED)).rows) == untimed(rows)
    assert again.report() == whole.report()
    assert 1 < len(cut.checks) < len(whole.checks)


def test_watched_rows_are_balanced_rising_and_drawn_from_their_stream() -> None:
    data = image_set(count=90)
    rows = watched_rows(data, 5, torch.Generator().manual_seed(1))
    assert torch.equal(rows, rows.sort().values)
    assert data.labels[rows].bincount().tolist() == [5, 5, 5, 5]
    assert not torch.equal(rows, watched_rows(data, 5, torch.Generator().manual_seed(2)))
    assert len(watched_rows(data, 200, torch.Generator())) == 90


def test_an_alarm_of_another_one_goes_back_to_the_very_start() -> None:
    """The first one takes its snapshot before the second one has measured anything; that measure must outlive going
    back to it."""
    net = network()
    base = job(network=net, plan=plan(epochs=2, learning_rate=0.02))
    methods = [StagedTraining(threshold=0.0, most_alarms=3, watched=4), StagedTraining(threshold=100.0, watched=4)]
    first, second = (Stages(method, Setup(base.train, net, base.plan, Context(seed=SEED))) for method in methods)
    train(replace(base, hooks=[first, second]), Context(seed=SEED))
    assert first.alarms == 3
    assert second.start == first.start
    assert [check["action"] for check in second.checks] == ["start", *["accepted"] * 4]
