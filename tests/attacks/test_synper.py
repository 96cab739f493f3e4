"""LSP: patches, length, and clouds that a linear classifier tells apart on images it has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ued_core.attacks import SynPer
from ued_core.context import Context
from ued_core.records import ImageSet


def image_set(count: int = 400, classes: int = 10, shape: tuple[int, int, int] = (3, 32, 32)) -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def deltas(attack: SynPer, data: ImageSet, seed: int = 0) -> torch.Tensor:
    return attack.delta(data, torch.arange(len(data)), Context(seed=seed))


def held_out(values: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy of a linear classifier on the half that it was not fitted on."""
    half = len(values) // 2
    return LinearDiscriminantAnalysis().fit(values[:half], labels[:half]).score(values[half:], labels[half:])


def test_every_image_has_the_published_length():
    data = image_set()
    delta = deltas(SynPer(), data)
    length = (delta / 255).flatten(1).norm(dim=1)
    assert torch.allclose(length, torch.full((400,), 1.3041), atol=1e-4)
    largest = delta.flatten(1).abs().amax(1)
    # Measured on the release: 10.5 levels on average, at most 15 to 17; mean change 5.6.
    assert 9.5 < float(largest.mean()) < 12
    assert float(largest.max()) < 20
    assert 4.8 < float(delta.abs().mean()) < 6


@pytest.mark.parametrize(("shape", "patch"), [((3, 32, 32), 8), ((1, 20, 14), 8), ((3, 9, 17), 4)])
def test_constant_within_patches_and_length_on_any_shape(shape: tuple[int, int, int], patch: int):
    data = image_set(30, 3, shape)
    delta = deltas(SynPer(patch=patch), data)
    channels, height, width = shape
    for top in range(0, height, patch):
        for left in range(0, width, patch):
            cell = delta[:, :, top : top + patch, left : left + patch]
            assert (cell == cell[:, :, :1, :1]).all()
    cells = channels * -(-height // patch) * -(-width // patch)
    assert all(len(one.unique()) == cells for one in delta)
    size = 6 * (channels * height * width) ** 0.5
    assert torch.allclose(delta.flatten(1).norm(dim=1), torch.tensor(size), rtol=1e-5)


def test_codes_by_hand():
    """With no draw, a point is its class's centre; with one unit of axis f, it is off by row f of the class's map."""
    attack = SynPer(separation=10)
    labels, nothing = torch.tensor([0, 1, 2]), torch.zeros(3, 6)
    centres = attack.codes(labels, nothing, 3, seed=4)
    assert centres.abs().unique().tolist() == [10.0]
    assert len(centres.unique(dim=0)) == 3
    unit = nothing.clone()
    unit[:, 2] = 1
    once, twice = attack.codes(labels, unit, 3, seed=4) - centres, attack.codes(labels, 2 * unit, 3, seed=4) - centres
    assert torch.allclose(2 * once, twice, atol=1e-5)
    assert float(once.abs().max()) <= 1
    assert not torch.allclose(once[0], once[1]), "classes have maps of their own"
    assert torch.equal(SynPer(separation=0).codes(labels, nothing, 3, seed=4), nothing)


def test_linearly_separable_on_images_not_seen():
    data = image_set(1000)
    delta, labels = deltas(SynPer(), data), data.labels.numpy()
    codes = delta[:, :, ::8, ::8].flatten(1).numpy()
    assert held_out(codes, labels) == 1.0
    assert held_out(codes, np.random.default_rng(0).permutation(labels)) < 0.2
    assert held_out(deltas(SynPer(separation=0), data)[:, :, ::8, ::8].flatten(1).numpy(), labels) < 0.5


def test_images_of_a_class_differ_and_the_key_changes_everything():
    data = image_set(60, 2)
    delta = deltas(SynPer(), data)
    assert len({one.numpy().tobytes() for one in delta}) == 60
    other = deltas(SynPer(), data, seed=1)
    assert (delta != other).flatten(1).any(1).all()


def test_class_sizes_may_differ():
    data = image_set(50, 3)
    labels = torch.tensor([0] * 47 + [1, 1, 2])
    poisoned = SynPer().poison(ImageSet(data.images, labels, data.class_names, "uneven"), Context())
    assert (poisoned.delta != 0).flatten(1).any(1).all()
