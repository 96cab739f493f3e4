"""Layouts of features in the plane: principal components at once, UMAP when there is a second.

Nearest neighbours are exact and computed here, so that UMAP neither searches twice nor
approximately, and a refit starts from the previous layout, so that clusters move, not jump.
"""

from __future__ import annotations

import numpy as np

from ued_core.errors import DataError

MOST_POINTS = 20_000
BLOCK = 1024
COLD_EPOCHS, WARM_EPOCHS = 200, 50
# Learning rate of a warm start: large enough to follow, small enough not to scatter what has not changed.
WARM_RATE = 0.5


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
        1.0 if previous is None else WARM_RATE,
        5.0,
        parallel=False,
        move_other=True,
    )


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
