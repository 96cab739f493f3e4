"""What an epoch costs under a stack: worked by hand, and measured on defences whose time is known."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from tests.training.test_loop import image_set, plan
from ued_core.context import Context
from ued_core.defenses import DEFENSES, DefenseStack, StepCost
from ued_core.defenses.base import Defense
from ued_core.models import MODELS
from ued_core.records import ImageSet
from ued_core.studies.epoch_cost import EpochCost, Treatment, epoch_cost, plain_seconds, treatment_of

WORK = 0.01


def compute(seconds: float) -> None:
    """Take as much of a core as is asked for."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


class Busy(Defense):
    """Computes in every batch, and three times as long before training."""

    key = "busy"
    title = "Busy"
    acts = frozenset({"purify", "augment"})

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        compute(3 * WORK)
        return data

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        compute(WORK)
        return images


def test_parts_by_hand() -> None:
    """3 passes of 2 ms and 2 draws of 1 ms: 8 ms per image, a quarter of them augmentation."""
    cost = EpochCost(StepCost(3, 2), 0.002, Treatment(augment_s=0.001, purify_s=0.01, learn_s=5.0))
    assert cost.image_s == pytest.approx(0.008)
    assert cost.augmenting_share == pytest.approx(0.25)
    assert cost.once_s(200) == pytest.approx(7.0)
    assert epoch_cost(
        DefenseStack([DEFENSES.build("ueraser", variant="max", draws=4)]), 0.002, cost.treatment
    ).image_s == pytest.approx(0.012)


def test_treatment_is_measured_an_image() -> None:
    data = image_set(count=20)
    found = treatment_of(data, DefenseStack([Busy()]))
    assert 20 * found.augment_s == pytest.approx(WORK, rel=0.3)
    assert 20 * found.purify_s == pytest.approx(3 * WORK, rel=0.3)
    assert found.learn_s == 0
    assert treatment_of(data, DefenseStack([DEFENSES.build("adversarial_training")])) == Treatment(0.0, 0.0, 0.0), (
        "nothing is done to the images"
    )


def test_learning_is_said_though_it_was_done_before(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    whole, projection = (
        image_set(count=96),
        DEFENSES.build("orthogonal_projection", **DEFENSES["orthogonal_projection"].quick_values()),
    )
    projection.purify(whole, Context())
    assert projection.seconds_before(whole) == 0
    assert (
        treatment_of(whole.take(torch.arange(8)), DefenseStack([projection]), whole=whole).learn_s
        == projection.seconds_for(whole)
        > 0
    )


def test_a_defence_that_trains_costs_its_training_alone(tmp_path, monkeypatch) -> None:
    """Looking its finished work up is nothing that a run does; what comes after it is measured on its images."""
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    whole, separation = image_set(count=48), DEFENSES.build("dvae", **DEFENSES["dvae"].quick_values())
    separation.purify(whole, Context())
    found = treatment_of(whole.take(torch.arange(20)), DefenseStack([separation, Busy()]), whole=whole)
    assert found.learn_s > 0
    assert 20 * found.purify_s == pytest.approx(3 * WORK, rel=0.3)
    assert 20 * found.augment_s == pytest.approx(WORK, rel=0.3)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine are time of the processor, too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_plain_step_is_timed_on_the_model_that_is_trained(one_thread: None) -> None:
    # The best of three: another process may take the processor for a while.
    small, large = (
        min(
            plain_seconds(image_set(count=64), MODELS.build("small_cnn", width=width), plan(batch_size=64))
            for _ in range(3)
        )
        for width in (4, 48)
    )
    assert 0 < small < large
