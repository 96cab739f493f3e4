"""Layouts of features in the plane: principal components at once, UMAP when there is a second.

Nearest neighbours are exact and computed here, so that UMAP neither searches twice nor
approximately, and a refit starts from the previous layout, so that clusters move, not jump.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ued_core.errors import DataError

MOST_POINTS = 20_000
BLOCK = 1024
COLD_EPOCHS, WARM_EPOCHS = 200, 50
# From one training epoch to the next far more changes than from one place of a slider to the next.
EPOCH_FRAME_EPOCHS = 100
# Learning rate of a warm start: large enough to follow, small enough not to scatter what has not changed.
WARM_RATE = 0.5
# Share of new neighbours at which a warm start gets its full rate.
FULL_CHANGE = 0.5
MOST_TSNE_POINTS = 600
"""scikit-learn's t-SNE takes about two seconds for so many."""

Method = Literal["umap", "pca", "tsne"]


def _checked(features: np.ndarray) -> np.ndarray:
    array = np.asarray(features)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(f"Features must be floating point of shape (M, D), not {array.dtype} {array.shape}.")
    if not np.isfinite(array).all():
        raise DataError("The features hold values that are not finite.", "Look at the model that computed them.")
    return np.ascontiguousarray(array, np.float32)


def exact_neighbours(features: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest rows of every row, itself first, by brute force.

    Args:
        features: float (M, D), M ≤ 20,000.
        k: neighbours, itself included; 1 ≤ k ≤ M.

    Returns:
        Indices int32 (M, k) and Euclidean distances float32 (M, k), rising along each row.

    Raises:
        DataError: wrong shape or type, too many rows, or ``k`` outside its range.
    """
    points = _checked(features)
    count = len(points)
    if count > MOST_POINTS:
        raise DataError(f"{count:,} points are too many for exact neighbours.", f"Take {MOST_POINTS:,} or fewer.")
    if not 1 <= k <= count:
        raise DataError(f"{k} neighbours were asked for, but there are {count} points.")
    # Centred, or the difference of two large squares would eat the small distances.
    points = points - points.mean(axis=0)
    squares = np.einsum("md,md->m", points, points)
    indices = np.empty((count, k), np.int32)
    distances = np.empty((count, k), np.float32)
    for start in range(0, count, BLOCK):
        stop = min(start + BLOCK, count)
        squared = points[start:stop] @ points.T
        squared *= -2
        squared += squares
        squared += squares[start:stop, None]
        own = np.arange(stop - start)
        squared[own, own + start] = -1.0
        near = np.argpartition(squared, k - 1, axis=1)[:, :k] if k < count else np.tile(np.arange(count), (len(own), 1))
        found = np.take_along_axis(squared, near, axis=1)
        # Ties in a fixed order, or one data set would have two layouts.
        order = np.lexsort((near, found), axis=1)
        indices[start:stop] = np.take_along_axis(near, order, axis=1)
        distances[start:stop] = np.sqrt(np.maximum(np.take_along_axis(found, order, axis=1), 0))
    return indices, distances


def pca_layout(features: np.ndarray) -> np.ndarray:
    """The first two principal components, each of deterministic sign.

    Args:
        features: float (M, D).

    Returns:
        float32 (M, 2); constant features, or D = 1, leave the missing columns zero.
    """
    points = _checked(features)
    points = points - points.mean(axis=0)
    # The smaller of the two Gram matrices has the same non-zero spectrum.
    wide = points.shape[1] > points.shape[0]
    values, vectors = np.linalg.eigh((points @ points.T if wide else points.T @ points).astype(np.float64))
    layout = np.zeros((len(points), 2), np.float32)
    for column, value, vector in zip(range(2), values[::-1], vectors.T[::-1], strict=False):
        scores = vector * np.sqrt(max(value, 0.0)) if wide else points @ vector
        largest = scores[np.argmax(np.abs(scores))] if len(scores) else 0.0
        layout[:, column] = -scores if largest < 0 else scores
    return layout


def umap_layout(
    features: np.ndarray,
    *,
    neighbours: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
    previous: np.ndarray | None = None,
    previous_features: np.ndarray | None = None,
    epochs: int | None = None,
) -> np.ndarray:
    """UMAP in two dimensions, the same on every call with the same arguments.

    Args:
        features: float (M, D), 4 ≤ M ≤ 20,000.
        neighbours: how many points count as near, itself included.
        min_dist: how closely points may be packed in the picture.
        seed: of the optimisation's random draws.
        previous: float (M, 2), a layout of the same rows to start from; fewer epochs are
            enough then, and clusters stay where they were.
        previous_features: float (M, E), the features that ``previous`` shows. The fewer neighbours
            are new, the smaller are the steps: what has not changed does not move. The optimisation
            is random, and without this it would shake every layout a little.
        epochs: passes of the optimisation; 50 with ``previous``, else 200.

    Returns:
        float32 (M, 2).

    Raises:
        DataError: features that :func:`exact_neighbours` refuses, too few of them, or a
            ``previous`` layout of another length.

    Source:
        McInnes, Healy, Melville, "UMAP", arXiv:1802.03426, as implemented in umap-learn.
    """
    points = _checked(features)
    if len(points) < 4:
        raise DataError(f"UMAP needs at least four points, not {len(points)}.")
    if previous is not None and previous.shape != (len(points), 2):
        raise DataError(f"The previous layout is {previous.shape}, but there are {len(points)} points.")
    # The steps of umap.UMAP one by one: the class squeezes every start into a square, which
    # would move what should stay, and compiles a nearest-neighbour search that is not needed.
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import find_ab_params, fuzzy_simplicial_set, make_epochs_per_sample

    near = min(neighbours, len(points) - 1)
    indices, distances = exact_neighbours(points, near)
    draws = np.random.RandomState(seed)
    graph, _, _ = fuzzy_simplicial_set(points, near, draws, "euclidean", knn_indices=indices, knn_dists=distances)
    epochs = epochs or (WARM_EPOCHS if previous is not None else COLD_EPOCHS)
    edges = graph.tocoo()
    edges.sum_duplicates()
    edges.data[edges.data < edges.data.max() / epochs] = 0.0
    edges.eliminate_zeros()
    start = _spread(pca_layout(points)) if previous is None else np.array(previous, np.float32)
    rate = 1.0
    if previous is not None:
        rate = WARM_RATE * (
            1.0 if previous_features is None else min(1.0, _change(indices, previous_features) / FULL_CHANGE)
        )
        if rate == 0:
            return start
    stretch, power = find_ab_params(1.0, min_dist)
    return optimize_layout_euclidean(
        start,
        start,
        edges.row,
        edges.col,
        epochs,
        len(points),
        make_epochs_per_sample(edges.data, epochs),
        stretch,
        power,
        draws.randint(np.iinfo(np.int32).min + 1, np.iinfo(np.int32).max - 1, 3).astype(np.int64),
        1.0,
        rate,
        5.0,
        parallel=False,
        move_other=True,
    )


def _change(indices: np.ndarray, previous: np.ndarray) -> float:
    if len(previous) != len(indices):
        raise DataError(f"The previous features have {len(previous)} rows, but there are {len(indices)} points.")
    before, _ = exact_neighbours(previous, indices.shape[1])
    return 1.0 - float((indices[:, :, None] == before[:, None, :]).any(axis=2).mean())


def tsne_layout(features: np.ndarray, *, seed: int = 0, previous: np.ndarray | None = None) -> np.ndarray:
    """t-SNE in two dimensions, the same on every call with the same arguments.

    Args:
        features: float (M, D), 4 ≤ M ≤ 600.
        seed: of the optimisation's random draws.
        previous: float (M, 2), a layout of the same rows to start from; the principal components when left out.

    Returns:
        float32 (M, 2).

    Raises:
        DataError: too few or too many points, or a ``previous`` layout of another length.

    Source:
        van der Maaten and Hinton, "Visualizing Data using t-SNE", JMLR 9 (2008), as implemented in scikit-learn.
    """
    from sklearn.manifold import TSNE

    points = _checked(features)
    if not 4 <= len(points) <= MOST_TSNE_POINTS:
        raise DataError(
            f"t-SNE takes 4 to {MOST_TSNE_POINTS} points here, not {len(points):,}.", "Take fewer images, or UMAP."
        )
    if previous is not None and previous.shape != (len(points), 2):
        raise DataError(f"The previous layout is {previous.shape}, but there are {len(points)} points.")
    start = pca_layout(points) if previous is None else np.array(previous, np.float32)
    # A small start, as the method wants: far points are too slow to come together.
    start = start * (1e-4 / max(float(start[:, 0].std()), 1e-12))
    perplexity = min(30.0, (len(points) - 1) / 3)
    found = TSNE(2, perplexity=perplexity, init=start, learning_rate="auto", random_state=seed, n_jobs=1).fit_transform(
        points
    )
    return found.astype(np.float32)


def shared_pca_layouts(frames: Sequence[np.ndarray]) -> np.ndarray:
    """All epochs on the first two principal components of all of them together.

    Args:
        frames: one float (M, D) an epoch.

    Returns:
        float32 (epochs, M, 2).
    """
    return pca_layout(np.concatenate(frames)).reshape(len(frames), -1, 2)


def aligned_umap_layouts(frames: Sequence[np.ndarray], *, seed: int = 0) -> np.ndarray:
    """One UMAP an epoch, each started from the one before it and turned towards it.

    Args:
        frames: one float (M, D) an epoch, in order; row i is the same image in all of them.
        seed: of every optimisation's random draws.

    Returns:
        float32 (epochs, M, 2); points whose neighbours stay hardly move.

    Raises:
        DataError: what :func:`umap_layout` refuses, or frames of several lengths.
    """
    layouts: list[np.ndarray] = []
    for index, features in enumerate(frames):
        if not layouts:
            layouts.append(umap_layout(features, seed=seed))
            continue
        before = layouts[-1]
        found = umap_layout(
            features, seed=seed, previous=before, previous_features=frames[index - 1], epochs=EPOCH_FRAME_EPOCHS
        )
        layouts.append(align(found, before))
    return np.stack(layouts)


def _spread(layout: np.ndarray) -> np.ndarray:
    """Centred and scaled to ±10, the size at which UMAP's forces are balanced."""
    centred = layout - layout.mean(axis=0)
    largest = float(np.abs(centred).max())
    return (centred * (10.0 / largest) if largest > 0 else centred).astype(np.float32)


def align(points: np.ndarray, reference: np.ndarray, *, scale: bool = False) -> np.ndarray:
    """Turn, mirror and shift ``points`` so that they lie as close to ``reference`` as they can.

    Orthogonal Procrustes: distances within ``points`` stay as they are, or are all multiplied
    by one factor with ``scale``.

    Args:
        points, reference: float (M, 2), row i of one belongs to row i of the other.

    Returns:
        float32 (M, 2).

    Raises:
        DataError: shapes differ.
    """
    if points.shape != reference.shape or points.ndim != 2:
        raise DataError(f"Only layouts of one shape can be aligned, not {points.shape} and {reference.shape}.")
    source, target = points.astype(np.float64), reference.astype(np.float64)
    centre, goal = source.mean(axis=0), target.mean(axis=0)
    source, target = source - centre, target - goal
    left, singular, right = np.linalg.svd(source.T @ target)
    size = float((source**2).sum())
    factor = singular.sum() / size if scale and size > 0 else 1.0
    return (source @ (left @ right) * factor + goal).astype(np.float32)


def warm_up() -> None:
    """Import UMAP and compile what a layout needs, cold and warm; takes ten seconds once a process."""
    features = np.random.default_rng(0).normal(size=(48, 8)).astype(np.float32)
    layout = umap_layout(features, epochs=5)
    umap_layout(features, previous=layout, epochs=5)
