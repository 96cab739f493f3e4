"""How clearly a layer's activations fall into classes, for code that watches a network while it is trained."""

from __future__ import annotations

import numpy as np

from ued_core.errors import DataError

GRID = 4
"""Fields a side over which activations are averaged for :func:`activation_clusters`."""


def activation_clusters(fields: np.ndarray, labels: np.ndarray) -> float:
    """Activation-cluster measure: mean distance between class means over mean distance to the own class mean.

    ``inter = 2/(K(K−1)) Σ_{c<c'} ‖μ_c − μ_c'‖``, ``intra = 1/K Σ_c 1/n_c Σ_i ‖a_i − μ_c‖``, ``ACM = inter / (intra +
    1e-12)``.
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
    groups, means = _groups(fields, labels)
    intra = np.mean([np.linalg.norm(group - mean, axis=1).mean() for group, mean in zip(groups, means, strict=True)])
    first, second = np.triu_indices(len(means), 1)
    inter = np.linalg.norm(means[first] - means[second], axis=1).mean()
    return float(inter / (intra + 1e-12))


def fisher_ratio(fields: np.ndarray, labels: np.ndarray) -> float:
    """Variance between class means over the mean variance inside classes, each summed over all dimensions.

    ``between = 1/K Σ_c ‖μ_c − μ‖²``, μ the mean of the class means; ``within = 1/K Σ_c 1/n_c Σ_i ‖a_i − μ_c‖²``.
    The squares weigh far classes and outliers more than :func:`activation_clusters` does.

    Args:
        fields, labels: as for :func:`activation_clusters`.

    Returns:
        ≥ 0, free of scale.

    Source:
        Fisher's criterion with traces in place of determinants, as in Fukunaga, "Statistical Pattern Recognition"
        (1990).
    """
    groups, means = _groups(fields, labels)
    within = np.mean([np.square(group - mean).sum(axis=1).mean() for group, mean in zip(groups, means, strict=True)])
    between = np.square(means - means.mean(axis=0)).sum(axis=1).mean()
    return float(between / (within + 1e-12))


def _groups(fields: np.ndarray, labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    points, classes = checked(fields, labels)
    points = points.astype(np.float64)
    groups = [points[classes == label] for label in np.unique(classes)]
    return groups, np.stack([group.mean(axis=0) for group in groups])


def checked(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels as arrays, refused where clusters mean nothing.

    Raises:
        DataError: wrong types or lengths, values that are not finite, fewer than two classes, or no class with two
            images.
    """
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
