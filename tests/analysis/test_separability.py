"""Held-out separability: what is class-wise is found, what is not stays at chance, training accuracy lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ued_core.analysis.separability import halves, separability
from ued_core.errors import DataError

CLASSES = 5


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(60, 196, (count, 3, 12, 12), dtype=np.uint8))


def moved(clean: torch.Tensor, delta: np.ndarray) -> torch.Tensor:
    return (clean.int() + torch.from_numpy(delta)).clamp(0, 255).to(torch.uint8)


def test_class_wise_noise_is_separable_and_its_control_is_not() -> None:
    labels = torch.arange(300) % CLASSES
    clean = images(300)
    patterns = np.random.default_rng(1).integers(-8, 9, (CLASSES, 3, 12, 12))
    found = separability(clean, moved(clean, patterns[labels.numpy()]), labels)
    assert found.perturbation.held_out > 0.99
    assert found.shuffled.held_out < 0.35
    assert found.clean.held_out < 0.35, "the clean images are noise"
    assert found.chance == pytest.approx(0.2)
    assert (found.images, found.values) == (300, 432)


def test_training_accuracy_says_nothing() -> None:
    labels = torch.arange(300) % CLASSES
    clean = images(300)
    independent = np.random.default_rng(1).integers(-8, 9, (300, 3, 12, 12))
    found = separability(clean, moved(clean, independent), labels)
    assert found.perturbation.training > 0.99
    assert found.shuffled.training > 0.99
    assert found.perturbation.held_out < 0.35


def test_shuffled_labels_are_at_chance_over_seeds() -> None:
    labels = torch.arange(200) % 2
    clean = images(200)
    patterns = np.random.default_rng(1).integers(-8, 9, (2, 3, 12, 12))
    poisoned = moved(clean, patterns[labels.numpy()])
    rates = [separability(clean, poisoned, labels, seed).shuffled.held_out for seed in range(8)]
    assert abs(np.mean(rates) - 0.5) < 0.1
    assert len(set(rates)) > 1, "the seed draws other halves"


def test_nothing_changed_is_chance() -> None:
    labels = torch.arange(40) % 2
    found = separability(images(40), images(40), labels)
    assert found.perturbation.held_out == found.chance == 0.5


def test_a_thousand_images_at_most() -> None:
    labels = torch.arange(1200) % 2
    clean = images(1200)[:, :1, :4, :4]
    assert separability(clean, clean, labels).images == 1000


def test_halves_share_every_class() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2])
    first, second = halves(labels)
    assert sorted([*first, *second]) == list(range(6))
    assert labels[first].tolist() == [0, 0, 1, 2]
    assert labels[second].tolist() == [0, 1]


def test_refusals() -> None:
    with pytest.raises(DataError, match="one shape"):
        separability(images(4), images(5), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(DataError, match="two classes"):
        separability(images(4), images(4, 1), torch.zeros(4, dtype=torch.int64))
