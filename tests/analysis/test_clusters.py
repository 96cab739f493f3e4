"""Cluster measures: by hand, by brute force, and at their two ends."""

from __future__ import annotations

import numpy as np
import pytest

from ued_core.analysis.clusters import activation_clusters, agreement, measures, purity, silhouette
from ued_core.errors import DataError


def blobs(distance: float, count: int = 120, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = np.eye(classes, 16) * distance
    return (centres[labels] + rng.normal(size=(count, 16))).astype(np.float32), labels


def test_silhouette_by_hand() -> None:
    # On a line: 0 and 2 of one class, 10 and 14 of another.
    points, labels = np.array([[0.0], [2.0], [10.0], [14.0]]), np.array([3, 3, 7, 7])
    expected = np.mean([(12 - 2) / 12, (10 - 2) / 10, (9 - 4) / 9, (13 - 4) / 13])
    assert silhouette(points, labels) == pytest.approx(expected)


def test_silhouette_of_a_sample_is_near_that_of_all() -> None:
    points, labels = blobs(4.0, 1500)
    whole, sampled = silhouette(points, labels, most=1500), silhouette(points, labels, most=400)
    assert sampled == pytest.approx(whole, abs=0.03)
    assert sampled != whole
    assert sampled == silhouette(points, labels, most=400), "the sample is drawn from its seed"


def test_purity_by_brute_force() -> None:
    points, labels = blobs(2.0)
    shares = []
    for i, point in enumerate(points):
        distances = np.linalg.norm(points - point, axis=1)
        distances[i] = np.inf
        shares.append((labels[np.argsort(distances)[:10]] == labels[i]).mean())
    assert purity(points, labels) == pytest.approx(np.mean(shares), abs=1e-9)


def test_purity_counts_no_point_as_its_own_neighbour() -> None:
    # Pairs of one point of each class: the nearest other point is always of the other class.
    points = np.repeat(np.arange(5.0)[:, None] * 10, 2, axis=0)
    points[1::2] += 0.1
    labels = np.arange(10) % 2
    assert purity(points, labels, neighbours=1) == 0.0


def test_small_classes_can_be_pure() -> None:
    points, labels = blobs(30.0, count=16)
    assert purity(points, labels) == 1.0, "three neighbours, as a class has three others"


def test_agreement_is_one_for_clusters_that_are_the_classes_whatever_their_names() -> None:
    points, labels = blobs(30.0)
    assert agreement(points, labels) == pytest.approx(1.0)
    assert agreement(points, (labels * 7 + 3) % 29) == pytest.approx(1.0)
    # Two classes that are one cluster each cannot be told from the other two: I = ln 2, H = ln 2 and ln 4.
    halves = np.array([[0.0], [0.0], [9.0], [9.0]] * 10)
    assert agreement(halves, np.arange(40) % 4) == pytest.approx(2 * np.log(2) / (np.log(2) + np.log(4)))


def test_activation_clusters_by_hand() -> None:
    # Means (0, 0), (6, 0), (0, 8): distances 6, 8 and 10; every image is 1 from its mean, of the last class 3.
    points = np.array([[0, 1], [0, -1], [7, 0], [5, 0], [3, 8], [-3, 8]], np.float32)
    labels = np.array([0, 0, 1, 1, 2, 2])
    assert activation_clusters(points, labels) == pytest.approx(8 / ((1 + 1 + 3) / 3))
    assert activation_clusters(points * 50 + 7, labels) == pytest.approx(8 / (5 / 3), rel=1e-6), "no scale, no shift"


def test_activation_clusters_weigh_classes_alike() -> None:
    points = np.array([[0, 1], [0, -1], [7, 0], [5, 0], [7, 0], [5, 0], [7, 0], [5, 0]], np.float32)
    labels = np.array([0, 0, 1, 1, 1, 1, 1, 1])
    assert activation_clusters(points, labels) == pytest.approx(activation_clusters(points[:4], labels[:4]))


def test_all_measures_rise_with_the_distance_of_the_classes() -> None:
    rows = [measures(*blobs(distance)).to_json() for distance in (0.0, 2.0, 4.0, 8.0)]
    for name in ("silhouette", "nmi", "purity", "acm"):
        values = [row[name] for row in rows]
        assert values == sorted(values)
        assert values[-1] > values[0] + 0.4
    assert rows[0]["purity"] == pytest.approx(0.25, abs=0.08)
    assert abs(rows[0]["silhouette"]) < 0.05


def test_the_fields_decide_the_activation_measure_alone() -> None:
    points, labels = blobs(4.0)
    other, _ = blobs(0.0, seed=1)
    plain, with_fields = measures(points, labels), measures(points, labels, other)
    assert with_fields.acm == activation_clusters(other, labels) != plain.acm
    assert with_fields.silhouette == plain.silhouette


@pytest.mark.parametrize(
    ("points", "labels", "words"),
    [
        (np.zeros((4, 2), np.float32), np.zeros(4, int), "1 classes"),
        (np.zeros((4, 2), np.float32), np.arange(4), "4 classes"),
        (np.zeros((4, 2), np.float32), np.zeros(3, int), "M labels"),
        (np.full((4, 2), np.nan, np.float32), np.arange(4) % 2, "not finite"),
    ],
)
def test_what_forms_no_clusters_is_refused(points: np.ndarray, labels: np.ndarray, words: str) -> None:
    for measure in (silhouette, agreement, purity, activation_clusters):
        with pytest.raises(DataError, match=words):
            measure(points, labels)


def test_equal_features_are_no_failure() -> None:
    points, labels = np.zeros((8, 3), np.float32), np.arange(8) % 2
    found = measures(points, labels)
    assert (found.acm, found.silhouette, found.nmi) == (0.0, 0.0, 0.0)
