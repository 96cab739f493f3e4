"""How clearly features fall into classes: four measures, each blind to something that another sees.

A class-wise perturbation shows up in *shallow* layers as clusters that clean images do not form there.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from ued_core.analysis.embedding import exact_neighbours
from ued_core.errors import DataError

MOST_PAIRED = 1000
"""Rows beyond this many are sampled where every pair is looked at."""
NEIGHBOURS = 10
GRID = 4
"""Fields a side over which activations are averaged for :func:`activation_clusters`."""


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


def measures(features: np.ndarray, labels: np.ndarray, fields: np.ndarray | None = None, seed: int = 0) -> ClusterMeasures:
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

    points, classes = _checked(features, labels)
    if len(points) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(points), most, replace=False))
        points, classes = _checked(points[chosen], classes[chosen])
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

    points, classes = _checked(features, labels)
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
    points, classes = _checked(features, labels)
    smallest = int(np.unique(classes, return_counts=True)[1].min())
    near = max(1, min(neighbours, smallest - 1))
    indices, _ = exact_neighbours(points, near + 1)
    return float((classes[indices[:, 1:]] == classes[:, None]).mean())


def activation_clusters(fields: np.ndarray, labels: np.ndarray) -> float:
    """Activation-cluster measure: mean distance between class means over mean distance to the own class mean.

    ``inter = 2/(K(K−1)) Σ_{c<c'} ‖μ_c − μ_c'‖``, ``intra = 1/K Σ_c 1/n_c Σ_i ‖a_i − μ_c‖``, ``ACM = inter / (intra + 1e-12)``.
    Large: images of a class excite the layer alike, and classes excite it differently. A shallow
    layer gets there when it follows a cue that a class-wise perturbation put in. Compare with its
    own value before training: the absolute value depends on the data.

    Args:
        fields: float (M, D), activations averaged over 4 × 4 fields.
        labels: int (M,).

    Returns:
        ≥ 0, free of scale.

    Source:
        Named in Dang et al., "Progressive Staged Training", arXiv:2306.02064.
    Differs:
        The paper's formula was not at hand; this is our reading of the name, see the formula above.
    """
    points, classes = _checked(fields, labels)
    points = points.astype(np.float64)
    groups = [points[classes == label] for label in np.unique(classes)]
    means = np.stack([group.mean(axis=0) for group in groups])
    intra = np.mean([np.linalg.norm(group - mean, axis=1).mean() for group, mean in zip(groups, means, strict=True)])
    first, second = np.triu_indices(len(means), 1)
    inter = np.linalg.norm(means[first] - means[second], axis=1).mean()
    return float(inter / (intra + 1e-12))


def _checked(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, classes = np.asarray(features), np.asarray(labels)
    if points.ndim != 2 or points.dtype.kind != "f" or classes.shape != (len(points),):
        given = f"{points.dtype} {points.shape} and {classes.shape}"
        raise DataError(f"Clusters need floating-point features (M, D) and M labels, not {given}.")
    if not np.isfinite(points).all():
        raise DataError("The features hold values that are not finite.", "Look at the model that computed them.")
    count = len(np.unique(classes))
    if not 2 <= count < len(points):
        what = f"{len(points)} images of {count} classes form no clusters to measure."
        raise DataError(what, "Take at least two classes and more images.")
    return points, classes
