"""Layouts: exact neighbours, deterministic, and steady under small changes."""

import time

import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from ued_core.analysis.embedding import (
    align,
    aligned_umap_layouts,
    exact_neighbours,
    pca_layout,
    shared_pca_layouts,
    tsne_layout,
    umap_layout,
    warm_up,
)
from ued_core.errors import DataError

LABELS = np.arange(300) % 5


def clusters(spread: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise, centres = rng.normal(size=(300, 32)), rng.normal(size=(5, 32))
    return (noise * spread + 2 * centres[LABELS]).astype(np.float32)


def test_neighbours_equal_scikit_learns_also_across_blocks() -> None:
    points = np.random.default_rng(1).normal(size=(1500, 8)).astype(np.float32) + 100
    indices, distances = exact_neighbours(points, 7)
    expected, wanted = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(points).kneighbors(points)
    assert (indices.dtype, distances.dtype) == (np.int32, np.float32)
    np.testing.assert_array_equal(indices[:, 0], np.arange(1500))
    np.testing.assert_allclose(distances, expected, atol=2e-3)
    assert (indices == wanted).mean() > 0.999


def test_duplicates_keep_themselves_first() -> None:
    indices, distances = exact_neighbours(np.zeros((6, 3), np.float32), 6)
    np.testing.assert_array_equal(indices[:, 0], np.arange(6))
    assert (np.sort(indices, axis=1) == np.arange(6)).all()
    assert (distances == 0).all()


@pytest.mark.parametrize("k", [0, 7])
def test_impossible_neighbour_counts_are_refused(k: int) -> None:
    with pytest.raises(DataError, match="neighbours"):
        exact_neighbours(np.zeros((6, 3), np.float32), k)


def test_features_that_are_not_finite_are_refused() -> None:
    features = clusters()
    features[3, 4] = np.nan
    with pytest.raises(DataError, match="finite"):
        pca_layout(features)


@pytest.mark.parametrize("shape", [(60, 20), (20, 60)])
def test_pca_equals_the_singular_value_decomposition(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    centred = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    layout = pca_layout(features)
    np.testing.assert_allclose(np.abs(layout), np.abs(left[:, :2] * singular[:2]), atol=1e-3)
    peaks = layout[np.argmax(np.abs(layout), axis=0), [0, 1]]
    assert (peaks > 0).all(), "the sign is fixed"


def test_umap_separates_repeats_and_stays_put() -> None:
    warm_up()
    first = umap_layout(clusters())
    assert first.dtype == np.float32
    assert first.shape == (300, 2)
    np.testing.assert_array_equal(first, umap_layout(clusters()))
    assert not np.array_equal(first, umap_layout(clusters(), seed=1))
    assert silhouette_score(first, LABELS) > 0.6
    kept = first.copy()
    moved = umap_layout(clusters(1.3), previous=first)
    np.testing.assert_array_equal(first, kept, "the previous layout is not written to")
    np.testing.assert_array_equal(moved, umap_layout(clusters(1.3), previous=first))
    size = first.std(axis=0).mean()
    assert np.linalg.norm(moved - first, axis=1).mean() < 0.5 * size
    assert silhouette_score(moved, LABELS) > 0.5


def test_six_hundred_points_are_laid_out_again_in_time() -> None:
    warm_up()
    features = np.concatenate([clusters(), clusters(1.2)])
    first = umap_layout(features)
    start = time.process_time()
    umap_layout(features, previous=first)
    assert time.process_time() - start < 1.5


def test_umap_refuses_what_it_cannot_lay_out() -> None:
    with pytest.raises(DataError, match="four points"):
        umap_layout(np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="previous layout"):
        umap_layout(clusters(), previous=np.zeros((4, 2), np.float32))


def test_alignment_undoes_turn_mirror_shift_and_size() -> None:
    reference = np.random.default_rng(3).normal(size=(50, 2)).astype(np.float32)
    turn = np.array([[np.cos(2), -np.sin(2)], [np.sin(2), np.cos(2)]]) @ np.diag([1, -1])
    np.testing.assert_allclose(align(reference @ turn + 7, reference), reference, atol=1e-4)
    np.testing.assert_allclose(align(3 * reference @ turn - 1, reference, scale=True), reference, atol=1e-4)
    rigid = align(3 * reference @ turn, reference)
    np.testing.assert_allclose(rigid.std(), 3 * reference.std(), rtol=0.1)
    with pytest.raises(DataError):
        align(reference, reference[:4])


def test_unchanged_features_do_not_move_and_a_refresh_is_quick() -> None:
    """The promise of the feature page: 1,000 points of 128 features in at most 0.6 s, without a shake."""
    warm_up()
    rng = np.random.default_rng(5)
    labels = np.arange(1000) % 10
    features = (rng.normal(size=(1000, 128)) + rng.normal(size=(10, 128))[labels]).astype(np.float32)
    first = umap_layout(features)
    diameter = np.linalg.norm(np.ptp(first, axis=0))
    almost = (features + 0.01 * rng.normal(size=features.shape)).astype(np.float32)
    spent = []
    for now in (features, almost, almost):
        start = time.process_time()
        moved = align(umap_layout(now, previous=first, previous_features=features), first)
        spent.append(time.process_time() - start)
        assert np.linalg.norm(moved - first, axis=1).mean() < 0.02 * diameter
    assert np.median(spent) < 0.6
    shaken = align(umap_layout(features, previous=first, seed=1), first)
    assert np.linalg.norm(shaken - first, axis=1).mean() > 0, "without its features the start is optimised anew"


def drift(epochs: int = 5) -> list[np.ndarray]:
    """Five classes that come apart."""
    rng = np.random.default_rng(0)
    noise, centres = rng.normal(size=(150, 32)), rng.normal(size=(5, 32))
    return [(noise + step * centres[LABELS[:150]]).astype(np.float32) for step in np.linspace(0, 2, epochs)]


def test_epochs_share_one_layout_that_still_shows_each_of_them() -> None:
    warm_up()
    frames = drift()
    frames.append(frames[-1])
    layouts = aligned_umap_layouts(frames)
    assert (layouts.shape, layouts.dtype) == ((6, 150, 2), np.float32)
    np.testing.assert_array_equal(layouts, aligned_umap_layouts(frames))
    assert silhouette_score(layouts[0], LABELS[:150]) < 0.1
    assert silhouette_score(layouts[4], LABELS[:150]) > 0.6, "a warm start does not hold the clusters back"
    np.testing.assert_allclose(layouts[5], layouts[4], atol=1e-3)
    for before, after in zip(layouts, layouts[1:], strict=False):
        np.testing.assert_allclose(after, align(after, before), atol=1e-3)


def test_shared_components_are_one_basis_for_all_epochs() -> None:
    frames = drift()
    layouts = shared_pca_layouts(frames)
    stacked = np.concatenate(frames)
    centred = stacked - stacked.mean(axis=0)
    _, _, basis = np.linalg.svd(centred, full_matrices=False)
    by_hand = (centred @ basis[:2].T).reshape(5, 150, 2)
    np.testing.assert_allclose(np.abs(layouts), np.abs(by_hand), atol=2e-3)


def test_tsne_separates_repeats_and_knows_its_limit() -> None:
    layout = tsne_layout(clusters()[:150])
    assert (layout.shape, layout.dtype) == ((150, 2), np.float32)
    np.testing.assert_array_equal(layout, tsne_layout(clusters()[:150]))
    assert silhouette_score(layout, LABELS[:150]) > 0.4
    with pytest.raises(DataError, match="600"):
        tsne_layout(np.zeros((601, 3), np.float32))
    with pytest.raises(DataError, match="previous layout"):
        tsne_layout(clusters()[:150], previous=np.zeros((4, 2), np.float32))
