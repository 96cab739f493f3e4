"""Groups of images by their features, found without labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ued_core.context import Context
from ued_core.errors import DataError

STARTS = 10
MOST_ROUNDS = 300
MOST_WORK = 1.5e10
"""Multiplications of one uninterrupted stretch of k-means: about a second, so that a wish to stop is heard."""


@dataclass(frozen=True)
class Clusters:
    """A partition of feature vectors.

    Attributes:
        assignment: int64 (N,), 0..p-1; every number occurs.
        centres: float32 (p, D).
        inertia: sum of squared distances to the own centre.
    """

    assignment: torch.Tensor
    centres: torch.Tensor
    inertia: float

    def __len__(self) -> int:
        return len(self.centres)


def find_clusters(features: torch.Tensor, count: int, ctx: Context, starts: int = STARTS) -> Clusters:
    """Euclidean k-means with k-means++, the best of several starts, as scikit-learn computes it with ``n_init=10``.

    Args:
        features: float32 (N, D) on the CPU.
        count: clusters wanted; fewer when there are fewer distinct rows.
        ctx: its stream ``clusters`` decides the starts; it is asked for cancellation at least once a second or so.
        starts: of which the one with the least inertia is kept.

    Raises:
        DataError: features that are not finite.
        Cancelled: the user stopped.

    Source:
        Arthur and Vassilvitskii, k-means++ (SODA 2007), as implemented in scikit-learn; on one thread, whose sums have
        one order.
    """
    from sklearn.cluster import KMeans, kmeans_plusplus
    from threadpoolctl import threadpool_limits

    points = features.numpy()
    if not np.isfinite(points).all():
        raise DataError("The encoder's features hold values that are not finite.", "Choose another encoder.")
    ctx.check()
    wanted = min(count, len(np.unique(points, axis=0)))
    middle = points.mean(axis=0)
    points = points - middle
    rounds = int(min(MOST_ROUNDS, max(1, MOST_WORK // (points.size * wanted))))
    draws = np.random.RandomState(ctx.stream_seed("clusters") % 2**32)
    tried: list[KMeans] = []
    with threadpool_limits(1):
        for _ in range(starts):
            ctx.check()
            centres, _ = kmeans_plusplus(points, wanted, random_state=draws)
            done = 0
            while done < MOST_ROUNDS:
                found = KMeans(wanted, init=centres, n_init=1, max_iter=rounds, random_state=0).fit(points)
                centres, done = found.cluster_centers_, done + found.n_iter_
                ctx.check()
                if found.n_iter_ < rounds:
                    break
            tried.append(found)
    best = min(tried, key=lambda found: found.inertia_)
    # A cluster may end up empty in rare cases; numbers without an image are left out.
    kept, assignment = np.unique(best.labels_, return_inverse=True)
    centres = torch.from_numpy((best.cluster_centers_[kept] + middle).astype(np.float32))
    return Clusters(torch.from_numpy(assignment.astype(np.int64)), centres, float(best.inertia_))


def anchors(count: int, offset: int) -> list[int]:
    """The cluster to whose centre the images of each cluster are moved: ``offset`` further on in a circle.

    Args:
        count: of clusters that were found; the only one of one is its own anchor.
        offset: as asked for. Fewer clusters than were asked for can make it a whole turn; it is then 1, so that none
            keeps its own.
    """
    shift = offset % count or 1
    return [(number + shift) % count for number in range(count)]


def agreement_with(assignment: torch.Tensor, labels: torch.Tensor) -> float:
    """Normalised mutual information of clusters and labels: for looking at, never for making anything.

    Args:
        assignment, labels: int64 (N,).

    Returns:
        0..1; 1 when they say the same, divided by the arithmetic mean of the two entropies.
    """
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels.numpy(), assignment.numpy()))
