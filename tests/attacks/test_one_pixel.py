"""OPS: the search against a loop over every place and colour, and what is painted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from ued_core.attacks import OnePixel, one_pixel
from ued_core.attacks.one_pixel import deviation_scores
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.records import ImageSet


def image_set(count: int = 60, classes: int = 3, shape: tuple[int, int, int] = (3, 5, 4), seed: int = 0) -> ImageSet:
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def by_loop(data: ImageSet) -> list[tuple[int, tuple[int, ...]]]:
    """Place and colour of every class, from the definition: one place, one colour, one class at a time."""
    images = data.images.flatten(2).double().numpy() / 255
    chosen: list[tuple[int, tuple[int, ...]]] = []
    for k in range(data.classes):
        own = images[data.labels.numpy() == k]
        best, found = -1.0, None
        for place in range(own.shape[2]):
            for colour in itertools.product((0, 1), repeat=own.shape[1]):
                values = np.abs(np.array(colour)[None] - own[:, :, place])
                score = values.mean() / values.std()
                if score > best and (place, colour) not in chosen:
                    best, found = score, (place, colour)
        assert found is not None
        chosen.append(found)
    return chosen


@pytest.mark.parametrize("compiler", [True, False])
@pytest.mark.parametrize("shape", [(3, 5, 4), (1, 3, 6)])
def test_moments_give_what_the_loop_gives(shape: tuple[int, int, int], compiler: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(one_pixel, "has_compiler", lambda: compiler)
    for seed in range(3):
        data = image_set(shape=shape, seed=seed)
        places, colours = OnePixel().choice(data)
        assert [
            (int(p), tuple((c // 255).tolist())) for p, c in zip(places[:, 0], colours[:, 0], strict=True)
        ] == by_loop(data)


def test_score_by_hand():
    # One channel, values 0.2 and 0.4: m = 0.3, s = 0.1. |0 − x| has mean 0.3, std 0.1; |1 − x| mean 0.7, std 0.1.
    scores = deviation_scores(np.array([[0.3]]), np.array([[0.1]]), np.array([[0.0], [1.0]]))
    assert scores == pytest.approx(np.array([[3.0, 7.0]]))


def test_one_place_and_one_pure_colour_a_class():
    data = image_set(90)
    poisoned = OnePixel().poison(data, Context())
    changed = (poisoned.delta != 0).any(1).flatten(1)
    assert (changed.sum(1) <= 1).all()
    places, colours = OnePixel().choice(data)
    assert len({(int(p), tuple(c.tolist())) for p, c in zip(places[:, 0], colours[:, 0], strict=True)}) == 3
    for k in range(3):
        painted = poisoned.images[data.labels == k].flatten(2)[:, :, places[k, 0]]
        assert (painted == colours[k, 0]).all()
    assert set(colours.unique().tolist()) <= {0, 255}


def test_second_class_cannot_take_the_same_pair():
    """Both classes are black but for one bright pixel that all images share: the same pair is best for both."""
    images = torch.full((4, 1, 2, 2), 128, dtype=torch.uint8)
    images[:, :, 0, 1] = 1
    data = ImageSet(images, torch.tensor([0, 0, 1, 1]), ("a", "b"), "equal")
    places, colours = OnePixel().choice(data)
    # Nothing varies, so the farthest colour is best: 254/255 at place 1; then 128/255 from black at the first grey
    # place.
    assert (int(places[0, 0]), int(colours[0, 0])) == (1, 255)
    assert (int(places[1, 0]), int(colours[1, 0])) == (0, 0)


def test_constant_pixels_are_no_trap():
    """A constant black margin is painted white, never black again, and no score is infinite or nan."""
    images = torch.randint(40, 200, (20, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[:, :, 0] = 0
    data = ImageSet(images, torch.arange(20) % 2, ("a", "b"), "margin")
    places, colours = OnePixel().choice(data)
    assert places[:, 0].tolist() == [0, 1]
    assert (colours == 255).all()
    assert (OnePixel().poison(data, Context()).delta != 0).flatten(1).any(1).all()
    flat = np.array([[0.0, 0.5]])
    assert np.isfinite(deviation_scores(flat, flat**2, np.array([[0.0], [1.0]]))).all()
    assert deviation_scores(flat, flat**2, np.array([[0.0], [1.0]]))[0, 0] == 0


def test_several_pixels_lie_at_different_places():
    data = image_set(shape=(3, 8, 8))
    places, _ = OnePixel(pixels=5).choice(data)
    assert all(len(set(row.tolist())) == 5 for row in places)
    one, _ = OnePixel().choice(data)
    assert int(places[0, 0]) == int(one[0, 0]), "the first class's first pixel is the best one either way"


def test_a_class_without_images_paints_nothing():
    data = image_set(40, 3)
    empty = ImageSet(data.images, data.labels * 0 + torch.arange(40) % 2 * 2, data.class_names, "no b")
    places, _ = OnePixel().choice(empty)
    assert places[1, 0] == -1
    shown = OnePixel().as_class(data.images, torch.ones(40, dtype=torch.int64), 3, 0, empty)
    assert torch.equal(shown, data.images)


def test_places_come_from_the_training_images():
    train, test = image_set(60), image_set(12, seed=9)
    shown = OnePixel().as_class(test.images, (test.labels + 1) % 3, 3, 0, train)
    places, colours = OnePixel().choice(train)
    for row in range(12):
        k = (row + 1) % 3
        assert torch.equal(shown[row].flatten(1)[:, places[k, 0]], colours[k, 0])
    assert OnePixel().as_class(test.images, test.labels, 3, 0) is None
    part = OnePixel().poison(train, Context(), poison_rate=0.3, poison_classes=[1])
    full = OnePixel().poison(train, Context())
    assert torch.equal(part.images[part.touched], full.images[part.touched])


def test_too_few_places():
    with pytest.raises(DataError, match="images of 2 pixels have too few"):
        OnePixel(pixels=3).poison(image_set(6, 2, (1, 1, 2)), Context())
    with pytest.raises(DataError, match="5 classes with 1 painted pixels"):
        OnePixel().poison(image_set(10, 5, (1, 1, 2)), Context())
