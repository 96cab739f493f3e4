"""What defences declare of a training step, against what a training really does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.training.test_loop import image_set, network, plan
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense, DefenseStack, StepCost
from ued_core.training import Job, Setup, train

#: a step that is taken back is no part of what is declared
SETTINGS: dict[str, dict[str, Any]] = {"staged": {"most_alarms": 0}}


def counted(defenses: Sequence[Defense]) -> StepCost:
    """Passes and draws per step, counted over four epochs of two steps: forward is a third of a pass, backward two."""
    data, net, recipe, ctx = image_set(count=48), network(), plan(epochs=4, batch_size=24), Context(seed=2)
    passes, draws = [0.0], [0]

    def went_back(slope: torch.Tensor) -> None:
        passes[0] += 2 / 3

    def went_forward(module: torch.nn.Module, inputs: Any, scores: torch.Tensor) -> None:
        passes[0] += 1 / 3
        if scores.requires_grad:
            scores.register_hook(went_back)

    def blend(images: torch.Tensor, targets: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        draws[0] += 1
        return DefenseStack(defenses).blend(images, targets, data.classes, rng)

    net.register_forward_hook(went_forward)
    hooks = [hook for d in defenses if (hook := d.training(Setup(data, net, recipe, ctx))) is not None]
    train(Job(data, data, net, recipe, blend=blend, hooks=hooks), ctx)
    return StepCost(passes[0] / 8, draws[0] / 8)


@pytest.mark.parametrize("name", list(DEFENSES))
def test_every_defence_does_what_it_declares(name: str) -> None:
    defense = DEFENSES.build(name, **DEFENSES[name].quick_values()).with_values(**SETTINGS.get(name, {}))
    declared, found = DefenseStack([defense]).step_cost(), counted([defense])
    assert found.passes == pytest.approx(declared.passes)
    assert found.draws == declared.draws
    for built in (defense, DEFENSES.build(name)):
        usual, inside = DefenseStack([built]).step_cost(), built.step_cost(StepCost(2.5, 3.0))
        assert all(math.isfinite(value) and value >= 1 for value in (usual.passes, usual.draws))
        assert inside.passes >= 2.5
        assert inside.draws >= 3
        assert "training" in built.acts or (usual == StepCost() and inside == StepCost(2.5, 3.0))


def worst(steps: int) -> Defense:
    return DEFENSES.build("adversarial_training", steps=steps)


def trades(steps: int) -> Defense:
    return DEFENSES.build("trades", steps=steps)


def erased(draws: int, variant: str = "max") -> Defense:
    return DEFENSES.build("ueraser", variant=variant, draws=draws)


@pytest.mark.parametrize(
    ("defenses", "passes", "draws"),
    [
        ((), 1, 1),
        ((worst(10),), 11, 1),
        ((trades(3),), 3 + 1 / 3 + 2, 1),
        ((erased(3),), 3, 3),
        ((erased(5, "standard"),), 1 + 0.25 * 4, 2),
        ((erased(5, "lite"),), 1, 1),
        # Crafting looks at the network alone: what is further inside is asked once, on the crafted images.
        ((worst(2), erased(3)), 2 + 3, 3),
        ((erased(3), worst(2)), 3 * (2 + 1), 3),
        ((worst(2), trades(1)), 2 + 1 + 4 / 3 + 1, 1),
        ((trades(1), worst(2)), 1 + 4 / 3 + 2 + 1, 1),
        ((DEFENSES.build("coin"), worst(2), DEFENSES.build("jpeg")), 3, 1),
    ],
    ids=lambda value: "+".join(d.key for d in value) if isinstance(value, tuple) else None,
)
def test_stacks_by_hand(defenses: tuple[Defense, ...], passes: float, draws: float) -> None:
    assert DefenseStack(defenses).step_cost().passes == pytest.approx(passes)
    assert DefenseStack(defenses).step_cost().draws == pytest.approx(draws)
    found = counted(defenses)
    assert (found.passes, found.draws) == (pytest.approx(passes), pytest.approx(draws))
