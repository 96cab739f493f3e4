"""UEraser: its operations by hand, and the worst of several draws."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.test_loop import image_set, job, network, plan
from ued_core.context import Context
from ued_core.defenses import random_operations as operations
from ued_core.defenses import ueraser
from ued_core.defenses.ueraser import UEraser
from ued_core.errors import DataError
from ued_core.training import train
from ued_core.training.hook import Batch, Graded, Moment, Setup


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def at(value, count=1):
    return torch.full((count,), float(value))


# ---------------------------------------------------------------- operations


def test_clouds_are_smooth_and_use_the_whole_range():
    made = operations.cloud((50, 32, 24), torch.linspace(0.3, 0.7, 50), rng())
    assert torch.allclose(made.amin((1, 2)), torch.zeros(50), atol=1e-6)
    assert torch.allclose(made.amax((1, 2)), torch.ones(50), atol=1e-6)
    steps = (made[:, 1:] - made[:, :-1]).abs().mean((1, 2))
    assert float(steps[25:].mean()) > 1.3 * float(steps[:25].mean()), "rougher fields have steeper steps"
    assert float(steps.mean()) < 0.1, "neighbours are alike"
    noise = torch.rand(50, 32, 24, generator=rng())
    assert float(steps.mean()) < 0.4 * float((noise[:, 1:] - noise[:, :-1]).abs().mean())


def test_uneven_brightness_by_hand():
    """x + i(2m − 1): a half of the cloud changes nothing, its ends darken and brighten by i."""
    image = torch.tensor([[0.2, 0.5], [0.5, 0.8]]).expand(2, 3, 2, 2)
    field = torch.tensor([[0.0, 0.5], [1.0, 0.6]]).expand(2, 1, 2, 2)
    made = operations.uneven_brightness(image, field, torch.tensor([0.1, 0.5]))
    assert torch.allclose(made[0], torch.tensor([[0.1, 0.5], [0.6, 0.82]]).expand(3, 2, 2))
    assert torch.allclose(made[1], torch.tensor([[0.0, 0.5], [1.0, 0.9]]).expand(3, 2, 2))
    assert float(operations.uneven_brightness(image, field, at(0.9, 2)).max()) == 1.0


def test_uneven_contrast_by_hand():
    """(x − 0.5)·4m + 0.5: a quarter of the cloud changes nothing, none of it makes grey, all of it is four times as
    steep."""
    image = torch.tensor([[0.2, 0.4], [0.6, 0.55]]).expand(1, 3, 2, 2)
    field = torch.tensor([[0.25, 0.0], [0.5, 1.0]]).view(1, 1, 2, 2)
    assert torch.allclose(
        operations.uneven_contrast(image, field), torch.tensor([[0.2, 0.5], [0.7, 0.7]]).expand(1, 3, 2, 2)
    )
    steep = operations.uneven_contrast(image, torch.ones_like(field))
    assert torch.allclose(steep, torch.tensor([[0.0, 0.1], [0.9, 0.7]]).expand(1, 3, 2, 2))


def test_light_and_contrast_follow_clouds_of_their_own(monkeypatch):
    """With everything else off, image by image: intensities from 0.5 to 1, roughness from 0.3 to 0.7."""
    drawn = []
    monkeypatch.setattr(ueraser, "one_operation", lambda images, rng: images)
    monkeypatch.setattr(ueraser, "shuffled_channels", lambda images, rng: images)
    real = {name: getattr(operations, name) for name in ("cloud", "uneven_brightness", "uneven_contrast")}
    for name in real:
        monkeypatch.setattr(ueraser, name, lambda *given, name=name: drawn.append((name, given)) or real[name](*given))
    images = torch.rand(500, 3, 4, 4, generator=rng())
    made = UEraser(clouds=1.0).augment(images, rng(1))
    (_, first), (_, second), (lit, light), (steep, depth) = drawn
    assert (lit, steep) == ("uneven_brightness", "uneven_contrast")
    assert torch.equal(light[0], images)
    assert torch.equal(depth[0], real["uneven_brightness"](*light))
    assert torch.equal(made, real["uneven_contrast"](*depth))
    assert not torch.equal(light[1], depth[1])
    for roughness in (first[1], second[1]):
        assert 0.3 <= float(roughness.min()) < 0.31 < 0.69 < float(roughness.max()) <= 0.7
    assert 0.5 <= float(light[2].min()) < 0.51 < 0.99 < float(light[2].max()) <= 1


def test_levels_of_posterise():
    every = (torch.arange(256) / 255).view(1, 1, 16, 16)
    assert torch.allclose(operations.posterise(every, at(0)), every)
    for magnitude, bits in ((1.0, 2), (0.5, 5)):
        levels = (operations.posterise(every, at(magnitude)) * 255).round().unique()
        assert levels.tolist() == [n * 2 ** (8 - bits) for n in range(2**bits)]


def test_solarise_and_auto_contrast():
    image = torch.tensor([0.1, 0.4, 0.6, 0.9]).view(1, 1, 2, 2)
    assert torch.allclose(operations.solarise(image, at(0.5)).flatten(), torch.tensor([0.1, 0.4, 0.4, 0.1]))
    assert torch.equal(operations.solarise(image, at(0)), image)
    assert torch.allclose(operations.solarise(image, at(1)), 1 - image)
    stretched = operations.auto_contrast(image, at(0.3))
    assert torch.allclose(stretched.flatten(), torch.tensor([0, 0.375, 0.625, 1]))
    flat = torch.full((1, 3, 2, 2), 0.3)
    assert torch.equal(operations.auto_contrast(flat, at(0)), flat)


@pytest.mark.parametrize(
    "name",
    ["brightness", "contrast", "saturation", "sharpness", "rotation", "shear_x", "shear_y", "shift_x", "shift_y"],
)
def test_the_middle_magnitude_changes_nothing(name):
    images = torch.rand(4, 3, 9, 12, generator=rng())
    assert torch.allclose(getattr(operations, name)(images, at(0.5, 4)), images, atol=1e-5)
    assert not torch.allclose(getattr(operations, name)(images, at(0.9, 4)), images, atol=1e-2)


def test_factors():
    image = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert torch.allclose(operations.brightness(image, at(1)), image * 1.99)
    assert torch.allclose(operations.brightness(image, at(0)), image * 0.01)
    grey = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.6
    assert torch.allclose(operations.saturation(image, at(0))[0, :, 0, 0], grey + 0.01 * (image[0, :, 0, 0] - grey))
    assert torch.allclose(operations.contrast(image, at(0)), operations.saturation(image, at(0)), atol=1e-6)
    assert torch.allclose(operations.sharpness(image, at(1)), image, atol=1e-6)


def test_shifts_and_turns():
    image = torch.zeros(1, 1, 10, 10)
    image[..., 4, 4] = 1.0
    # 0.3 of ten pixels are three; the window moves one way, what it shows the other.
    assert float(operations.shift_x(image, at(1))[0, 0, 4, 1]) == pytest.approx(1, abs=1e-4)
    assert float(operations.shift_y(image, at(0))[0, 0, 7, 4]) == pytest.approx(1, abs=1e-4)
    wide = torch.zeros(1, 1, 41, 81)
    wide[..., 20, 60] = 1.0
    # The point is 20 pixels right of the middle; after 30° it is 20·cos 30° and 20·sin 30° away.
    turned = operations.rotation(wide, at(1))[0, 0]
    row, column = divmod(int(turned.argmax()), 81)
    assert (abs(row - 20), column - 40) == (10, 17)


def test_channels_are_shuffled_whole():
    images = torch.rand(300, 3, 4, 4, generator=rng())
    made = operations.shuffled_channels(images, rng(1))
    orders = set()
    for before, after in zip(images, made, strict=True):
        order = tuple(next(c for c in range(3) if torch.equal(channel, before[c])) for channel in after)
        orders.add(order)
    assert len(orders) == 6
    grey = images[:, :1]
    assert torch.equal(operations.shuffled_channels(grey, rng()), grey)


def test_jpeg_of_every_image_is_pillows():
    images = torch.rand(9, 3, 16, 24, generator=rng())
    quality = torch.tensor([10, 20, 30, 40, 50, 60, 70, 80, 99])
    made = operations.jpeg(images, quality)
    for n in (0, 4, 8):
        file = io.BytesIO()
        pixels = (images[n] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=int(quality[n]), subsampling="4:2:0")
        assert np.array_equal(
            (made[n] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy(), np.asarray(Image.open(file))
        )
    leaf = images.clone().requires_grad_(True)
    again = operations.jpeg(leaf, quality)
    assert torch.allclose(again.detach(), made, atol=1e-6)
    (again * 3).sum().backward()
    assert torch.equal(leaf.grad, torch.full_like(leaf, 3.0)), "the gradient passes straight through"
    with pytest.raises(DataError, match="2 channels"):
        operations.jpeg(images[:, :2], quality)


def test_one_operation_reaches_all_of_them():
    images = torch.rand(600, 3, 8, 8, generator=rng())
    made = operations.one_operation(images, rng(1))
    which = torch.randint(len(operations.OPERATIONS), (600,), generator=rng(1))
    assert set(which.tolist()) == set(range(len(operations.OPERATIONS)))
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    unchanged = (made == images).flatten(1).all(1)
    assert torch.equal(made[which == 0], images[which == 0])
    assert float(unchanged.float().mean()) < 0.3


# ---------------------------------------------------------------- the hook


def hook_of(defence):
    return defence.training(Setup(None, None, None, Context()))


def moment(progress=0.0):
    return Moment(None, rng(), progress, torch.float32, None)


def drawn_losses(values):
    """A batch whose draws have the given losses, one row per draw, and an inner loss that reads them."""
    rows = iter(values)

    def batch_of(row):
        return Batch(torch.tensor(row), torch.zeros(len(row), dtype=torch.int64), lambda: batch_of(next(rows)))

    return batch_of(next(rows)), lambda batch: Graded(
        batch.images * 1.0, batch.images[:, None] * torch.ones(2), batch.targets
    )


def test_worst_of_three_draws_image_by_image():
    values = [[1.0, 5.0, 2.0], [3.0, 4.0, 2.0], [2.0, 6.0, 1.0]]
    graded = hook_of(UEraser(variant="max", draws=3)).loss(*drawn_losses(values), moment(0.99))
    assert graded.losses.tolist() == [3.0, 6.0, 2.0]
    assert graded.scores[:, 0].tolist() == [3.0, 6.0, 2.0]


def test_standard_searches_early_and_lite_never():
    values = [[1.0], [3.0], [2.0]]
    standard = hook_of(UEraser(draws=3, early=0.4))
    assert standard.loss(*drawn_losses(values), moment(0.39)).losses.tolist() == [3.0]
    assert standard.loss(*drawn_losses(values), moment(0.4)).losses.tolist() == [1.0]
    assert hook_of(UEraser(variant="lite")) is None
    assert hook_of(UEraser(variant="max", draws=1)) is None


@pytest.mark.parametrize(
    ("variant", "forward"), [("max", [5, 5, 5, 5]), ("standard", [5, 1, 1, 1]), ("lite", [1, 1, 1, 1])]
)
def test_draws_of_an_epoch(variant, forward):
    """Every batch goes through the network once a draw, in training mode."""
    defence, net, seen = UEraser(variant=variant), network(), []
    net.register_forward_pre_hook(lambda module, given: seen.append(given[0]) if module.training else None)
    base = job(train=image_set(count=48), network=net, plan=plan(epochs=1, batch_size=12), augment=defence.augment)
    hook = hook_of(defence)
    train(replace(base, hooks=[hook] if hook else []), Context())
    assert len(seen) == sum(forward)
    assert len({images.numpy().tobytes() for images in seen}) == len(seen), "every draw is a new one"


def test_gradient_flows_through_the_worst_draw_only():
    weight = torch.tensor([2.0], requires_grad=True)
    batch, _ = drawn_losses([[1.0, 4.0], [3.0, 2.0]])
    graded = hook_of(UEraser(variant="max", draws=2)).loss(
        batch, lambda b: Graded(b.images * weight, b.images[:, None] * weight, b.targets), moment()
    )
    graded.losses.sum().backward()
    assert weight.grad.tolist() == [7.0]


def test_more_draws_are_never_easier():
    images = torch.rand(40, 3, 12, 12, generator=rng())
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 4))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network[1].reset_parameters()
    losses = []
    for draws in (1, 2, 4):
        defence, stream = UEraser(variant="max", draws=draws), rng(5)

        def draw(defence=defence, stream=stream):
            return Batch(defence.augment(images, stream), torch.arange(40) % 4, draw)

        def inner(batch):
            scores = network(batch.images)
            return Graded(
                torch.nn.functional.cross_entropy(scores, batch.targets, reduction="none"), scores, batch.targets
            )

        hook = hook_of(defence)
        losses.append((hook.loss(draw(), inner, moment()) if hook else inner(draw())).losses.detach())
    # The same stream: the first draws are shared.
    assert (losses[1] >= losses[0]).all()
    assert (losses[2] >= losses[1]).all()
    assert float(losses[2].mean()) > float(losses[0].mean())


def test_parts_can_be_turned_off():
    images = torch.rand(300, 3, 8, 8, generator=rng())
    # Without clouds every second image keeps its channels, and one operation in fourteen is none.
    untouched = (UEraser(clouds=0.0).augment(images, rng(2)) == images).flatten(1).all(1).float().mean()
    assert 0.01 < float(untouched) < 0.2
    clouded = (UEraser(clouds=1.0).augment(images, rng(2)) == images).flatten(1).all(1).float().mean()
    assert float(clouded) < 0.01


def test_labels_of_the_worst_draw_go_with_it():
    """Images that were mixed anew with others have other labels."""
    soft = [torch.eye(2), torch.eye(2).flip(0)]
    draws = iter([[1.0, 5.0], [3.0, 4.0]])

    def draw(number):
        return Batch(torch.tensor(next(draws)), soft[number], lambda: draw(1))

    graded = hook_of(UEraser(variant="max", draws=2)).loss(
        draw(0), lambda b: Graded(b.images, b.images[:, None], b.targets), moment()
    )
    assert torch.equal(graded.targets, torch.stack([soft[1][0], soft[0][1]]))


def test_declared_ranges_are_those_of_the_operations():
    """What differs from the release is said in numbers; here they are read off the operations at both ends of their
    magnitudes."""
    told = UEraser.section("Differs")
    grey = torch.full((1, 3, 5, 5), 0.5)
    for operation in (operations.brightness, operations.contrast, operations.saturation, operations.sharpness):
        image = torch.rand(1, 3, 5, 5, generator=rng())
        still = operation(image, at(0.5))
        slope = [
            float(((operation(image, at(m)) - still) / (operation(image, at(0.75)) - still)).median()) / 2
            for m in (0, 1)
        ]
        assert [1 + 0.99 * s for s in slope] == pytest.approx([0.01, 1.99], abs=1e-3), operation.__name__
    assert [float(operations.brightness(grey, at(m)).mean()) / 0.5 for m in (0, 1)] == pytest.approx([0.01, 1.99])
    assert "factors of 0.01 to 1.99 here, 0.1 to 1.9 there" in told
    wide = torch.zeros(1, 1, 1, 100)
    wide[..., 50] = 1
    assert abs(int(operations.shift_x(wide, at(1))[0, 0, 0].argmax()) - 50) == 30
    assert "0.3 of the side here, to 0.5 there" in told
    levels = torch.arange(256).view(1, 1, 16, 16) / 255
    assert [len(operations.posterise(levels, at(m)).unique()) for m in (0, 1)] == [2**8, 2**2]
    assert "8 to 2 bits" in told
    assert f"among the {len(operations.OPERATIONS)} operations here" in told
    assert {operations.saturation, operations.identity} < set(operations.OPERATIONS)


def test_every_image_gets_an_operation_of_its_own():
    """The release draws one operation for the whole batch; here a batch of one image many times gets many."""
    images = torch.rand(1, 3, 8, 8, generator=rng()).expand(200, -1, -1, -1).contiguous()
    made = operations.one_operation(images, rng(2))
    assert float(made.eq(images).flatten(1).all(1).float().mean()) == pytest.approx(1 / 13, abs=0.08)
    assert len({m.numpy().tobytes() for m in made}) > 100
