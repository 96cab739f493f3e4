"""How many clean images undo a poison: on networks whose features are known, and on sets that are counted by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from ued_core.analysis import recovery
from ued_core.analysis.recovery import KNOWN, RATES, RecoveryTest, known_images, tuning_plan
from ued_core.context import Context
from ued_core.errors import Cancelled, DataError
from ued_core.models import Network, SmallCnn
from ued_core.records import ImageSet
from ued_core.training import AdamW, Plan, SimClr

PLAN = AdamW(epochs=1, batch_size=20, learning_rate=0.03, crop=0, flip="off")


def coloured(count: int, seed: int, brightness: int = 60) -> ImageSet:
    """Three classes in turn whose brightest channel is the class."""
    labels = torch.arange(count) % 3
    images = torch.randint(0, 120, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    images[torch.arange(count), labels] += brightness
    return ImageSet(images, labels, tuple("abc"), "coloured")


def seeing(head: torch.Tensor) -> Network:
    """A network whose features are the mean colours, through weights that can learn."""
    mean = nn.Conv2d(3, 3, 1, bias=False)
    network = Network(nn.Sequential(mean, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 3, 3)
    with torch.no_grad():
        mean.weight.copy_(torch.eye(3).view(3, 3, 1, 1))
        network.head.weight.copy_(head)
        network.head.bias.zero_()
    return network


def blank() -> Network:
    """The same before training: its head says nothing."""
    return seeing(torch.zeros(3, 3))


WRONG = torch.eye(3)[[1, 2, 0]]
"""A head that answers with the next class."""


def made(network: Network, build: Callable[[], Network] = blank, plan: Plan = PLAN, **more: object) -> RecoveryTest:
    given = {"steps": 40, "test": coloured(90, 9), "ctx": Context(seed=3), "mirrored": False, **more}
    return RecoveryTest(network, build, plan, **given)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what is known


def test_known_images_are_balanced_and_fewer_are_a_part_of_more() -> None:
    clean, ctx = coloured(60, 0), Context(seed=5)
    few, more = known_images(clean, 8, ctx), known_images(clean, 31, ctx)
    assert torch.bincount(few.labels).sort().values.tolist() == [2, 3, 3]
    assert torch.bincount(more.labels).sort().values.tolist() == [10, 10, 11]
    assert torch.equal(more.images[:8], few.images)
    assert torch.equal(known_images(clean, 8, ctx).images, few.images)
    assert not torch.equal(known_images(clean, 8, Context(seed=6)).images, few.images)


def test_a_class_without_further_images_is_passed_over() -> None:
    labels = torch.tensor([0] * 10 + [1] * 2)
    clean = ImageSet(torch.zeros(12, 1, 8, 8, dtype=torch.uint8), labels, ("a", "b"), "uneven")
    assert torch.bincount(known_images(clean, 8, Context()).labels).tolist() == [6, 2]
    assert len(known_images(clean, 12, Context())) == 12


@pytest.mark.parametrize("count", [1, 13])
def test_so_many_images_are_not_there(count: int) -> None:
    clean = ImageSet(torch.zeros(12, 1, 8, 8, dtype=torch.uint8), torch.zeros(12, dtype=torch.int64), ("a",), "few")
    with pytest.raises(DataError, match=rf"{count} known images .* from 2 to 12"):
        known_images(clean, count, Context())


# ---------------------------------------------------------------- what they give


def test_features_that_see_come_back_with_a_new_last_layer() -> None:
    found = made(seeing(WRONG)).at(known_images(coloured(300, 0), 30, Context()), RecoveryTest.alone)
    assert found.refitted == 1.0
    assert (found.known, found.classes) == (30, 3)


def test_features_that_are_blind_do_not() -> None:
    network = seeing(torch.eye(3))
    nn.init.zeros_(network.body[0].weight)  # type: ignore[arg-type]  # a tensor
    assert made(network).refitted(coloured(30, 0)) == pytest.approx(1 / 3)


def test_the_network_stays_as_it_is() -> None:
    network = seeing(WRONG)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    test = made(network)
    first = test.at(coloured(60, 0), RecoveryTest.alone)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert test.at(coloured(60, 0), RecoveryTest.alone) == first
    assert test.as_trained() == 0.0


def test_one_epoch_begins_where_training_ended_and_its_control_where_it_began() -> None:
    test = made(seeing(torch.eye(3)), build=lambda: seeing(WRONG))
    assert test.tuned(coloured(60, 0))[0] == 1.0
    assert test.alone_one_epoch(coloured(60, 0), 1e-6) == 0.0


def test_the_control_trains_as_long_as_the_network_was_trained() -> None:
    test = made(seeing(WRONG))
    # 12 images are one step of 12, 50 are three steps of at most 20: 40 steps are 40 epochs, or 13 of three.
    assert test.alone(coloured(12, 0))[1] == 40
    accuracy, steps = test.alone(coloured(50, 0))
    assert (accuracy, steps) == (1.0, 39)


def test_the_control_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "MOST_EPOCHS", 7)
    assert made(seeing(WRONG)).alone(coloured(12, 0))[1] == 7


def test_test_images_do_not_choose_the_rate() -> None:
    tests = [coloured(90, 9), coloured(90, 8, brightness=0)]
    rates = {made(seeing(WRONG), test=test).best_rate(coloured(60, 0)) for test in tests}
    # From a wrong head, the fastest rate leaves the least loss on what was held out.
    assert rates == {max(RATES)}


def test_too_few_known_images_take_the_middle_rate() -> None:
    assert made(seeing(WRONG)).best_rate(coloured(14, 0)) == sorted(RATES)[1]
    assert made(seeing(WRONG)).best_rate(coloured(15, 0)) != sorted(RATES)[1]


def test_the_epoch_is_of_batches_of_ten_at_a_falling_rate() -> None:
    plan = tuning_plan(0.003, coloured(4, 0))
    assert (plan.epochs, plan.batch_size, plan.learning_rate, plan.crop) == (1, 10, 0.003, 1)
    assert [plan.rate(step, 2) for step in (0, 1)] == pytest.approx([1.0, 0.5])
    assert tuning_plan(0.003, ImageSet(torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64),
                                       ("a",), "large")).crop == 4  # fmt: skip


def test_a_network_of_the_catalogue_whose_weights_were_stored_without_gradients() -> None:
    def build() -> Network:
        return SmallCnn(width=4).build((3, 8, 8), 3, torch.Generator().manual_seed(0))

    network = build().eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    found = made(network, build).at(coloured(30, 0), RecoveryTest.alone)
    assert found.alone_one_epoch == found.tuned, "it was not trained, so both begin with the same weights"
    assert found.alone > found.alone_one_epoch
    assert set(found.to_json()) == {
        "known", "classes", "refitted", "tuned", "rate", "alone", "alone_steps", "alone_one_epoch"
    }  # fmt: skip


# ---------------------------------------------------------------- what is refused


def test_other_classes_are_refused() -> None:
    two = ImageSet(torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]), ("a", "b"), "two")
    with pytest.raises(DataError, match="3 scores, but 'two' has 2 classes"):
        made(seeing(WRONG), test=two)
    with pytest.raises(DataError, match="have other classes than the test images"):
        made(seeing(WRONG)).at(two, RecoveryTest.alone)


def test_a_plan_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="learns without labels"):
        made(seeing(WRONG), plan=SimClr())


def test_it_can_be_stopped() -> None:
    with pytest.raises(Cancelled):
        made(seeing(WRONG), ctx=Context(stop=lambda: True)).at(coloured(30, 0), RecoveryTest.alone)


def test_what_is_asked_for_rises() -> None:
    assert list(KNOWN) == sorted(KNOWN)
