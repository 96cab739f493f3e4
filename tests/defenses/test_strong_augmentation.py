"""Resized crops, strong augmentation and SDA+AN."""

import colorsys

import pytest
import torch

from ued_core.context import Context
from ued_core.defenses import strong_augmentation
from ued_core.defenses.strong_augmentation import SdaAn, StrongAugmentation, augment_strongly, small_scores
from ued_core.records import ImageSet, to_float
from ued_core.training.crop import random_resized_crop


@pytest.fixture(autouse=True)
def fresh_home(tmp_path, monkeypatch):
    monkeypatch.setenv("UED_HOME", str(tmp_path))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def ramp(count, height=20, width=30):
    """Channel 0 is the place from left to right, channel 1 from top to bottom, both 0..1."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)]).expand(count, -1, -1, -1).contiguous()


def test_window_of_a_ramp_is_a_ramp():
    """A linear picture tells which window it is: its slope is the window's side, its values the place."""
    images = ramp(3000)
    made = random_resized_crop(images, 0.25, rng(1))
    step = torch.tensor([1 / 29, 1 / 19])
    sides = torch.stack(
        [(made[:, 0, 10, 15] - made[:, 0, 10, 14]) / step[0], (made[:, 1, 11, 15] - made[:, 1, 10, 15]) / step[1]], 1
    )
    area, ratio = sides.prod(1), sides[:, 0] / sides[:, 1]
    assert float(sides.max()) <= 1 + 1e-4
    assert 0.25 * 0.999 <= float(area.min()) < 0.27
    assert 0.9 < float(area.max()) <= 1.001
    # Uncut windows have areas drawn uniformly, and proportions up to 4:3.
    uncut = sides.amax(1) < 0.999
    assert 0.74 < float(ratio.min()) < 0.8 < 1.25 < float(ratio.max()) < 1.34
    assert float(area[uncut & (area < 0.7)].mean()) == pytest.approx(0.475, abs=0.02)
    corner = made[:, :2, 0, 0]
    assert float(corner.min()) >= 0
    assert float(corner.max()) > 0.4
    assert torch.allclose(made[:, 2], torch.ones_like(made[:, 2])), "nothing comes in from outside"


def test_whole_window_is_the_image():
    """The control's help promises that strength 0 is none; torchvision's crop finds no other proportions in a whole
    image either."""
    images = torch.rand(5, 3, 8, 11, generator=rng())
    assert torch.equal(random_resized_crop(images, 1.0, rng()), images)
    assert torch.equal(StrongAugmentation(strength=0.0).augment(images, rng(3)), images)


def test_strength_grows():
    images = torch.rand(200, 3, 8, 8, generator=rng())
    change = [float((augment_strongly(images, s, rng(1)) - images).square().mean()) for s in (0.0, 0.5, 1.0)]
    assert change == sorted(change)
    grey = augment_strongly(images, 1.0, rng(2))
    alike = ((grey[:, 0] - grey[:, 1]).abs().amax((1, 2)) < 1e-6).float().mean()
    # A fifth of the images, within four standard deviations.
    assert abs(float(alike) - 0.2) < 0.12
    assert torch.equal(StrongAugmentation(strength=0.5).augment(images, rng(4)), augment_strongly(images, 0.5, rng(4)))


def flat(*colour, count=4000):
    """Images of one colour: whatever window is cut out of them looks the same."""
    return torch.tensor(colour).view(1, -1, 1, 1).repeat(count, 1, 3, 3)


@pytest.mark.parametrize("strength", [0.5, 0.25])
def test_chances_and_reach_grow_with_the_strength(strength):
    """Jitter with chance 0.8 s and grey with 0.2 s; factors within 1 ± 0.4 s, hues within ± 0.1 s of the circle."""
    images = flat(0.5, 0.3, 0.25)
    made = augment_strongly(images, strength, rng(1))[:, :, 1, 1]
    grey = made.amax(1) - made.amin(1) < 1e-6
    same = (made - images[:, :, 1, 1]).abs().amax(1) < 1e-5
    spread = 4 * (0.25 / 4000) ** 0.5
    assert float(grey.float().mean()) == pytest.approx(0.2 * strength, abs=spread)
    assert float(same[~grey].float().mean()) == pytest.approx(1 - 0.8 * strength, abs=spread)
    start = colorsys.rgb_to_hsv(0.5, 0.3, 0.25)[0]
    turns = [(colorsys.rgb_to_hsv(*pixel)[0] - start + 0.5) % 1 - 0.5 for pixel in made[~grey & ~same].tolist()]
    for end in (min(turns), max(turns)):
        assert 0.095 * strength < abs(end) <= 0.1 * strength + 1e-4
    # Of flat grey images nothing but the brightness can change.
    factors = augment_strongly(flat(0.5), strength, rng(2))[:, 0, 1, 1] / 0.5
    assert 1 - 0.4 * strength - 1e-4 <= float(factors.min()) < 1 - 0.39 * strength
    assert 1 + 0.39 * strength < float(factors.max()) <= 1 + 0.4 * strength + 1e-4


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_windows_grow_smaller_with_the_strength(strength, monkeypatch):
    """Areas from 1 − 0.9 s on, by the slopes of a ramp."""
    monkeypatch.setattr(strong_augmentation, "jitter", lambda images, rng, **_: images)
    monkeypatch.setattr(strong_augmentation, "random_grey", lambda images, rng, **_: images)
    made = augment_strongly(ramp(3000, 30, 30), strength, rng(1))
    area = (made[:, 0, 15, 15] - made[:, 0, 15, 14]) * (made[:, 1, 15, 15] - made[:, 1, 14, 15]) * 29**2
    least = 1 - 0.9 * strength
    assert least * 0.999 <= float(area.min()) < least + 0.02


def easy_set(count=80):
    """Two classes that differ by a faint pattern."""
    labels = torch.arange(count) % 2
    images = torch.full((count, 3, 8, 8), 120, dtype=torch.uint8) + torch.randint(
        0, 8, (count, 3, 8, 8), generator=rng()
    ).to(torch.uint8)
    images[labels == 1, :, :, ::2] += 12
    return ImageSet(images, labels, ("plain", "striped"), "easy")


def test_noise_is_bounded_and_fools_the_small_network():
    data, defence = easy_set(), SdaAn(epochs=40, width=16, steps=4, epsilon=6.0)
    made = defence.purify(data, Context())
    change = made.images.int() - data.images.int()
    assert 0 < int(change.abs().max()) <= 6
    learned = defence.learned(data, Context())
    hidden = [small_scores(learned, to_float(x)) for x in (data.images, made.images)]
    right = [float((h.argmax(1) == data.labels).float().mean()) for h in hidden]
    losses = [torch.nn.functional.cross_entropy(h, data.labels, reduction="none") for h in hidden]
    assert right[0] > 0.95
    assert right[1] <= right[0]
    assert float((losses[1] > losses[0]).float().mean()) > 0.95


@pytest.mark.parametrize("epsilon", [8.0, 16.0])
def test_steps_are_a_quarter_and_an_eighth_of_the_noise(epsilon, monkeypatch):
    """The small network is trained against steps of ε/4, the stored noise has steps of ε/8: one of them moves a value
    by one or two."""
    data, defence, steps = easy_set(), SdaAn(epochs=2, width=8, steps=1, epsilon=epsilon), []
    real = strong_augmentation.climb

    def climb(clean, start, loss, norm, radius, step, count):
        steps.append((norm, round(255 * radius, 6), round(255 * step, 6), count))
        return real(clean, start, loss, norm, radius, step, count)

    monkeypatch.setattr(strong_augmentation, "climb", climb)
    learned = defence.learn(data, Context())
    assert steps == [("linf", epsilon, epsilon / 4, 1)] * 2
    made = defence.treat(data.images, data.labels, learned)
    assert steps[2:] == [("linf", epsilon, epsilon / 8, 1)]
    assert set((made.int() - data.images.int()).abs().unique().tolist()) <= {0, int(epsilon / 8)}
    far = SdaAn(epochs=2, width=8, steps=10, epsilon=epsilon).treat(data.images, data.labels, learned)
    # Ten steps of an eighth reach the bound.
    assert int((far.int() - data.images.int()).abs().max()) == epsilon


def test_learned_once_whatever_the_augmentation(monkeypatch):
    data = easy_set()
    first = SdaAn(epochs=1, width=8, steps=1).purify(data, Context(seed=1))
    monkeypatch.setattr(SdaAn, "learn", lambda *_: pytest.fail("it was learned before"))
    assert torch.equal(
        SdaAn(epochs=1, width=8, steps=1, strength=0.3).purify(data, Context(seed=2)).images, first.images
    )


def test_time_grows_with_the_work():
    data = easy_set()
    assert SdaAn(epochs=20).seconds_for(data) > 1.5 * SdaAn(epochs=10).seconds_for(data) > 0
