"""What the Clusters page computes: the attack's own clusters, its own distances, and shares by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import UnlearnableClusters
from ued_core.attacks.encoders import encoder_for
from ued_core.attacks.feature_clusters import anchors
from ued_core.attacks.unlearnable_clusters import profile_distance
from ued_core.context import Context
from ued_core.records import Embedding, to_float
from ued_core.studies import cluster_room
from ued_core.studies.cluster_room import (
    Grouping,
    Picture,
    cluster_picture,
    group_images,
    profile_distances,
    slice_size,
    surrogate_features,
)

ATTACK = UnlearnableClusters(clusters=5, offset=2, steps=1, generator_width=4, generator_blocks=1)


def grouping(data, seed: int = 3) -> Grouping:
    return group_images(surrogate_features(data, "embedded"), data.labels.numpy(), data.classes, ATTACK.clusters, seed)


def test_clusters_and_anchors_are_those_that_crafting_uses() -> None:
    data = toy_set(90)
    found, theirs = grouping(data), ATTACK.groups(data, Context(seed=3))
    assert np.array_equal(found.assignment, theirs.assignment.numpy())
    assert np.allclose(found.centres, theirs.centres.numpy())
    trace = ATTACK.craft(data, Context(seed=3), Draft()).log["trace"]
    assert [row["anchor"] for row in trace] == anchors(len(found), ATTACK.offset)
    assert [row["images"] for row in trace] == np.bincount(found.assignment).tolist()
    assert found.nmi == pytest.approx(ATTACK.agreement(data, Context(seed=3)))


@pytest.mark.parametrize("count", range(2, 9))
@pytest.mark.parametrize("offset", [1, 2, 3, 8, 63])
def test_no_cluster_keeps_its_own_centre(count: int, offset: int) -> None:
    aims = anchors(count, offset)
    assert sorted(aims) == list(range(count)), "every centre is the anchor of one cluster"
    assert all(aim != number for number, aim in enumerate(aims))
    assert aims[0] == (offset % count or 1)
    assert anchors(1, offset) == [0]


def test_slices_give_what_the_whole_set_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_room, "SLICE", 128)
    slice_size.cache_clear()
    data, size = toy_set(300), slice_size("embedded", "toy")
    assert size == 128
    parts = [surrogate_features(data.take(np.arange(s, min(s + size, 300))), "embedded") for s in range(0, 300, size)]
    assert np.array_equal(np.concatenate(parts), surrogate_features(data, "embedded"))
    slice_size.cache_clear()


def test_counts_nearest_and_rates_by_hand() -> None:
    centres = np.array([[0.0, 0.0], [10.0, 0.0]], np.float32)
    features = np.concatenate(
        [centres[[0, 0, 0, 0, 1, 1]] + np.array([[0, s] for s in (0.4, -0.1, 0.2, -0.5, 1, -1)], np.float32)]
    )
    found = group_images(features, np.array([0, 0, 0, 1, 1, 1]), 2, 2, 0)
    first = int(found.assignment[0])
    order = [first, 1 - first]
    assert found.counts[order].tolist() == [[3, 1], [0, 2]]
    assert found.nearest[first] == (1, 2, 0)
    assert len(found.nearest[1 - first]) == 2
    assert found.guessed_rate == pytest.approx(5 / 6)
    assert found.gathered_rate == pytest.approx(5 / 6)
    assert found.blind_rate == pytest.approx(1 / 2)


def test_profile_distances_are_what_the_generators_follow() -> None:
    data, encoder = toy_set(9), encoder_for("embedded", "toy")
    images = to_float(data.images)
    features = encoder(images)
    centres = features[:4] + 0.1
    expected = torch.stack(
        [profile_distance(encoder, images, torch.zeros(1, *data.shape), centre) for centre in centres], 1
    )
    assert torch.allclose(profile_distances(features, centres), expected, atol=1e-4)


def test_picture_of_clean_and_published_copies(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    data = toy_set(60)
    found = grouping(data)
    rows = np.array([4, 20, 31, 7, 59, 0])
    chosen, own = data.take(rows), found.assignment[rows]
    arguments = (rows, own, found.centres, "embedded", "pca")
    planned = cluster_picture(chosen, None, *arguments)
    assert list(planned.nearest) == ["clean"]
    assert np.array_equal(planned.nearest["clean"], own), "k-means has put every clean image to its nearest centre"
    assert planned.rates("clean", anchors(5, 2))[own, 1].tolist() == [1] * 6
    made = cluster_picture(chosen, 255 - chosen.images, *arguments)
    laid = made.embedding
    assert laid.group.tolist() == ["clean"] * 6 + ["poisoned"] * 6 + ["centre"] * 5
    assert laid.rows.tolist() == [*rows, *rows, *[-1] * 5]
    assert laid.labels.tolist() == [*own, *own, *range(5)]
    seen = torch.from_numpy(surrogate_features(chosen.with_images(255 - chosen.images), "embedded"))
    nearest = [int((seen[i] - torch.from_numpy(found.centres)).norm(dim=1).argmin()) for i in range(6)]
    assert made.nearest["poisoned"].tolist() == nearest


def test_rates_count_anchor_own_and_other() -> None:
    group = np.array(["clean"] * 6 + ["centre"] * 3)
    laid = Embedding(
        np.zeros((9, 2), np.float32), np.arange(9), np.array([0, 0, 0, 0, 1, 1, 0, 1, 2]), group, "pca", "x"
    )
    picture = Picture(laid, {"clean": np.array([1, 1, 0, 2, 2, 1])}, {"clean": np.array([1] * 6)}, "recomputed")
    rates = picture.rates("clean", [1, 2, 0])
    assert rates[0].tolist() == [0.5, 0.25, 0.25]
    assert rates[1].tolist() == [0.5, 0.5, 0]
    assert np.isnan(rates[2]).all(), "a cluster without images has no rate"
    assert picture.rates("clean", [1, 2, 0], "likest")[:2].tolist() == [[1, 0, 0], [0, 1, 0]]
