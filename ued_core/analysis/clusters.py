"""How clearly features fall into classes: four measures, each blind to something that another sees.

A class-wise perturbation shows up in *shallow* layers as clusters that clean images do not form there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ued_core.analysis.embedding import exact_neighbours
from ued_core.training.activation_clusters import GRID, activation_clusters, checked

MOST_PAIRED = 1000
"""Rows beyond this many are sampled where every pair is looked at."""
NEIGHBOURS = 10

__all__ = ["GRID", "ClusterMeasures", "activation_clusters", "agreement", "measures", "purity", "silhouette"]


@dataclass(frozen=True)
class ClusterMeasures:
    """All measures of one set of features.

    Attributes:
        silhouette: −1..1, :func:`silhouette`.
        nmi: 0..1, :func:`agreement`.
        purity: 0..1, :func:`purity`.
        acm: ≥ 0, :func:`activation_clusters`.
    """

    silhouette: float
    nmi: float
    purity: float
    acm: float

    def to_json(self) -> dict[str, float]:
        """Plain values."""
        return asdict(self)


def measures(
    features: np.ndarray, labels: np.ndarray, fields: np.ndarray | None = None, seed: int = 0
) -> ClusterMeasures:
    """All four measures.

    Args:
        features: float (M, D), one vector an image.
        labels: int (M,).
        fields: float (M, 16·C), the activations over :data:`GRID` × :data:`GRID` fields, for the
            activation-cluster measure; ``features`` themselves when left out.
        seed: of sampling and of k-means.

    Raises:
        DataError: what the single measures refuse.
    """
    return ClusterMeasures(
        silhouette(features, labels, seed=seed),
        agreement(features, labels, seed=seed),
        purity(features, labels),
        activation_clusters(features if fields is None else fields, labels),
    )


def silhouette(features: np.ndarray, labels: np.ndarray, *, most: int = MOST_PAIRED, seed: int = 0) -> float:
    """Mean silhouette: (b − a) / max(a, b), a the mean distance to the own class, b to the nearest other one.

    Args:
        features: float (M, D).
        labels: int (M,), at least two classes, one of them with two images.
        most: with more rows, a sample of so many is taken.
        seed: of the sample.

    Returns:
        −1..1; about 0 for classes that lie in each other.

    Source:
        Rousseeuw, "Silhouettes", J. Comput. Appl. Math. 20 (1987), as implemented in scikit-learn.
    """
    from sklearn.metrics import silhouette_score

    points, classes = checked(features, labels)
    if len(points) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
        points, classes = checked(points[chosen], classes[chosen])
    return float(silhouette_score(points, classes))


def agreement(features: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> float:
    """Normalised mutual information of k-means clusters (k = number of classes) and the labels.

    Returns:
        0..1: 1 when the clusters are the classes; divided by the arithmetic mean of the two entropies.

    Source:
        Strehl and Ghosh, "Cluster ensembles", JMLR 3 (2002), as implemented in scikit-learn.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    points, classes = checked(features, labels)
    distinct = len(np.unique(points, axis=0))
    wanted = min(len(np.unique(classes)), distinct)
    found = KMeans(wanted, n_init=4, random_state=seed).fit_predict(points)
    return float(normalized_mutual_info_score(classes, found))


def purity(features: np.ndarray, labels: np.ndarray, *, neighbours: int = NEIGHBOURS) -> float:
    """Mean share of an image's nearest neighbours that are of its own class, itself not counted.

    Args:
        neighbours: how many; fewer when the smallest class has not so many others, so that 1 can be reached.

    Returns:
        0..1; the largest class's share is what chance reaches.
    """
    points, classes = checked(features, labels)
    smallest = int(np.unique(classes, return_counts=True)[1].min())
    near = max(1, min(neighbours, smallest - 1))
    indices, _ = exact_neighbours(points, near + 1)
    return float((classes[indices[:, 1:]] == classes[:, None]).mean())
