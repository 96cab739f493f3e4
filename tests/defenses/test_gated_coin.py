"""COIN on detected images: which images move, in previews and in training, on a set that is poisoned in part."""

import pytest
import torch

from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data.border import border_score
from ued_core.defenses import Coin, DefenseStack
from ued_core.defenses.gated_coin import GatedCoin
from ued_core.defenses.squeezing import Jpeg
from ued_core.models import MODELS
from ued_core.records import ImageSet, to_float
from ued_core.training import PLANS, Job, train


def photos(count=120, side=16):
    """Smooth random pictures with no preference for their border."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(coarse, size=(side + 6, side + 6), mode="bicubic")[..., 3:-3, 3:-3]
    return ImageSet((large.clamp(0.2, 1) * 255).to(torch.uint8), torch.arange(count) % 4, tuple("abcd"), "photos")


@pytest.fixture
def mixed():
    return ATTACKS.build("cuda").poison(photos(), Context(seed=1), poison_rate=0.5)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_frame_decides(mixed):
    data = mixed.as_training_set()
    marks = GatedCoin().chosen(data)
    assert torch.equal(marks, torch.from_numpy(border_score(data.images) > 0.15))
    assert float(marks[mixed.touched].float().mean()) > 0.95
    assert float(marks[~mixed.touched].float().mean()) < 0.2
    assert (
        int(GatedCoin(threshold=-0.5).chosen(data).sum())
        > int(marks.sum())
        > int(GatedCoin(threshold=1.0).chosen(data).sum())
    )


def test_reflection_padding_is_not_noticed():
    clean = photos()
    hidden = ATTACKS.build("cuda", padding="reflect").poison(clean, Context(seed=1)).as_training_set()
    assert float(GatedCoin().chosen(hidden).float().mean()) < 0.3


def test_only_marked_images_move(mixed):
    data = mixed.as_training_set()
    marks = GatedCoin().chosen(data)
    shown = DefenseStack([GatedCoin()]).preview(data, Context(seed=2))
    same = (shown.images == data.images).flatten(1).all(1)
    assert torch.equal(same, ~marks)
    # Those that move do what COIN does with the same draws.
    batch, labels = to_float(data.images), data.labels
    made = DefenseStack([GatedCoin()]).blend(batch, labels, 4, rng(7), marks[:, None])[0]
    assert torch.equal(made[marks], Coin().augment(batch[marks], rng(7)))
    assert torch.equal(made[~marks], batch[~marks])


def test_marks_of_a_stack(mixed):
    data = mixed.as_training_set()
    assert DefenseStack([Coin(), Jpeg()]).marks(data) is None
    marks = DefenseStack([Coin(), GatedCoin()]).marks(data)
    assert marks.shape == (120, 2)
    assert marks[:, 0].all()
    batch = to_float(data.images)
    first = Coin().augment(batch, draws := rng(3))
    expected = first.clone()
    expected[marks[:, 1]] = Coin().augment(first[marks[:, 1]], draws)
    assert torch.equal(DefenseStack([Coin(), GatedCoin()]).blend(batch, data.labels, 4, rng(3), marks)[0], expected)
    nobody = torch.zeros(120, 1, dtype=torch.bool)
    assert DefenseStack([GatedCoin()]).blend(batch, data.labels, 4, rng(), nobody)[0] is batch


def test_marks_follow_their_images_through_training(mixed):
    """Crops hide the frame, and every epoch has another order; still the same images move."""
    data, ctx = mixed.as_training_set(), Context(seed=4)
    marks = DefenseStack([GatedCoin()]).marks(data)
    plan = PLANS.build("adamw", epochs=2, batch_size=50, crop=2, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, 4, rng())
    moved = []

    def blend(images, targets, draws, own):
        made, targets = DefenseStack([GatedCoin()]).blend(images, targets, 4, draws, own)
        moved.append(((made != images).flatten(1).any(1), own[:, 0]))
        return made, targets

    train(Job(data, data, network, plan, blend=blend, marks=marks), ctx)
    assert len(moved) == 6
    for changed, own in moved:
        assert torch.equal(changed, own)
    for epoch in range(2):
        order = torch.randperm(120, generator=ctx.generator("order", epoch))
        assert torch.equal(torch.cat([own for _, own in moved[3 * epoch : 3 * epoch + 3]]), marks[order, 0])
