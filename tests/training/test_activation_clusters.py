"""The activation-cluster measure and its Fisher variant: algebra that any such measure must obey."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ued_core.training.activation_clusters import activation_clusters, fisher_ratio

Measure = Callable[[np.ndarray, np.ndarray], float]
both = pytest.mark.parametrize("measure", [activation_clusters, fisher_ratio], ids=["acm", "fisher"])


def cloud(distance: float = 3.0, spread: float = 1.0, count: int = 60, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 3
    centres = distance * np.eye(3, size)
    return centres[labels] + spread * rng.normal(size=(count, size)), labels


@both
def test_no_distance_between_class_means_is_zero(measure: Measure) -> None:
    half = np.random.default_rng(1).normal(size=(10, 4))
    assert measure(np.concatenate([half, half]), np.repeat([0, 1], 10)) == 0


@both
def test_scale_shift_order_and_rotation_change_nothing(measure: Measure) -> None:
    points, labels = cloud()
    plain = measure(points, labels)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(8, 8)))[0]
    order = np.random.default_rng(3).permutation(len(points))
    for other, names in (
        (points * 7 + 2, labels),
        (points[order], labels[order]),
        (points @ turn, labels),
        (points, 2 - labels),
    ):
        assert measure(other, names) == pytest.approx(plain, rel=1e-9)


@both
def test_it_grows_with_distance_and_shrinks_with_spread(measure: Measure) -> None:
    far = [measure(*cloud(distance=d)) for d in (1, 3, 9)]
    wide = [measure(*cloud(spread=s)) for s in (0.5, 1, 2)]
    assert far == sorted(far)
    assert wide == sorted(wide, reverse=True)


def test_two_isotropic_classes_by_formula() -> None:
    """Distance D, spread σ in m dimensions: about D / (σ √m), and D² / (4 m σ²) with variances."""
    size, distance, spread = 400, 30.0, 1.5
    labels = np.arange(400) % 2
    points = spread * np.random.default_rng(4).normal(size=(400, size))
    points[labels == 1, 0] += distance
    assert activation_clusters(points, labels) == pytest.approx(distance / (spread * size**0.5), rel=0.02)
    assert fisher_ratio(points, labels) == pytest.approx(distance**2 / (4 * size * spread**2), rel=0.03)


def test_fisher_by_hand() -> None:
    points = np.array([[0.0], [2.0], [10.0], [14.0]])
    # Means 1 and 12; their variance around 6.5 is 30.25; inside 1 and 4.
    assert fisher_ratio(points, np.array([0, 0, 1, 1])) == pytest.approx(30.25 / 2.5)
