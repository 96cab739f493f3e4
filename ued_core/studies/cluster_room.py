"""What Unlearnable Clusters sees and does: groups of images, and where its noise takes their features.

Functions here run in the side process: they take and return plain records.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from ued_core.attacks.encoders import EMBEDDED_SIDE, EncoderName, encoder_for, features_of
from ued_core.attacks.feature_clusters import agreement_with, find_clusters
from ued_core.context import Context
from ued_core.records import Embedding, ImageSet
from ued_core.studies.feature_room import Origin, lay_out_vectors

SLICE = 8192
"""Images of 32 × 32 pixels that an encoder looks at in one piece of work, so that other readers get their turn."""
NEAREST = 3
"""Images of each cluster that stand for it."""
COPIES = ("clean", "poisoned")
CENTRE = "centre"


@dataclass(frozen=True)
class Grouping:
    """The clusters of a training set, and what they have to do with its labels.

    Attributes:
        assignment: int64 (N,), 0..p-1.
        centres: float32 (p, D).
        nearest: p tuples of rows, the images nearest to the centre of their own cluster, at most :data:`NEAREST` each.
        counts: int64 (p, K), images of each cluster and label.
        nmi: 0..1, agreement of clusters and labels.
    """

    assignment: np.ndarray
    centres: np.ndarray
    nearest: tuple[tuple[int, ...], ...]
    counts: np.ndarray
    nmi: float

    def __len__(self) -> int:
        return len(self.centres)

    def compared_with(self, data: ImageSet) -> Grouping:
        """The same clusters beside other labels.

        Args:
            data: the clustered images in their order; only labels and classes are looked at.
        """
        nmi = agreement_with(torch.from_numpy(self.assignment), data.labels)
        return replace(
            self, counts=label_counts(self.assignment, data.labels.numpy(), len(self), data.classes), nmi=nmi
        )

    @property
    def guessed_rate(self) -> float:
        """How often the most common label of an image's cluster is its label, 0..1."""
        return float(self.counts.max(1).sum() / self.counts.sum())

    @property
    def gathered_rate(self) -> float:
        """How often an image is in the cluster that holds most images of its label, 0..1."""
        return float(self.counts.max(0).sum() / self.counts.sum())

    @property
    def blind_rate(self) -> float:
        """How often the most common label of all is an image's label, 0..1."""
        return float(self.counts.sum(0).max() / self.counts.sum())


@dataclass(frozen=True)
class Picture:
    """Features of some images of every cluster in the plane, and the centres that they are nearest to.

    Attributes:
        embedding: the images copy after copy, then the centres. ``labels`` are clusters, also a centre's own; ``group``
            is ``clean``, ``poisoned`` or ``centre``; ``rows`` of centres are −1.
        nearest: copy → int64 (M,), the nearest centre by Euclidean distance of features.
        likest: copy → int64 (M,), the centre of least KL divergence of softmax profiles, which the generators follow.
        origin: whether the layout was found in the store of layouts or computed now.
    """

    embedding: Embedding
    nearest: dict[str, np.ndarray]
    likest: dict[str, np.ndarray]
    origin: Origin

    def rates(self, copy: str, anchors: list[int], by: Literal["nearest", "likest"] = "nearest") -> np.ndarray:
        """Where the images of every cluster lie.

        Args:
            copy: ``clean`` or ``poisoned``.
            anchors: of every cluster.
            by: distance or profile.

        Returns:
            float64 (p, 3): shares at the anchor, at the own centre, at another one; nan for a cluster without images.
        """
        at = getattr(self, by)[copy]
        own = self.embedding.labels[: len(at)]
        aims = np.array(anchors)[own]
        where = np.where(at == aims, 0, np.where(at == own, 1, 2))
        counts = np.zeros((len(anchors), 3))
        np.add.at(counts, (own, where), 1)
        totals = counts.sum(1, keepdims=True)
        return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


@functools.lru_cache(maxsize=16)
def slice_size(encoder: EncoderName, data_name: str) -> int:
    """How many images the encoder takes in one piece of work.

    Raises:
        Unavailable: the encoder is not here.
    """
    side = encoder_for(encoder, data_name).side
    # Whole batches of the encoder, so that a slice gives what the whole set gives.
    return max(64, SLICE * EMBEDDED_SIDE**2 // side**2 // 64 * 64)


def surrogate_features(images: ImageSet, encoder: EncoderName) -> np.ndarray:
    """What an encoder holds of images; labels are not looked at.

    Returns:
        float32 (N, D).

    Raises:
        Unavailable: the encoder is not here.
    """
    return features_of(encoder_for(encoder, images.name), images, Context()).numpy()


def group_images(features: np.ndarray, labels: np.ndarray, classes: int, clusters: int, seed: int) -> Grouping:
    """The clusters that the attack would make.

    Args:
        features: float32 (N, D), of the whole training set.
        labels: int (N,); for comparing only.
        classes: how many labels there are.
        clusters: wanted.
        seed: the private key.

    Raises:
        DataError: features that are not finite.
    """
    found = find_clusters(torch.from_numpy(features), clusters, Context(seed=seed))
    assignment, centres = found.assignment.numpy(), found.centres.numpy()
    counts = label_counts(assignment, labels, len(found), classes)
    away = np.linalg.norm(features - centres[assignment], axis=1)
    nearest = []
    for cluster in range(len(found)):
        own = np.flatnonzero(assignment == cluster)
        nearest.append(tuple(own[np.argsort(away[own], kind="stable")[:NEAREST]].tolist()))
    return Grouping(
        assignment, centres, tuple(nearest), counts, agreement_with(found.assignment, torch.from_numpy(labels))
    )


def label_counts(assignment: np.ndarray, labels: np.ndarray, clusters: int, classes: int) -> np.ndarray:
    """How many images each cluster and label have in common, int64 (clusters, classes)."""
    counts = np.zeros((clusters, classes), np.int64)
    np.add.at(counts, (assignment, labels), 1)
    return counts


def cluster_picture(
    chosen: ImageSet,
    published: torch.Tensor | None,
    rows: np.ndarray,
    assignment: np.ndarray,
    centres: np.ndarray,
    encoder: EncoderName,
    method: Literal["umap", "pca"],
) -> Picture:
    """Clean and published copies of some images with the centres, in one layout.

    Args:
        chosen: clean images.
        published: uint8 (M, C, H, W), the same images with their noise; None before there is any.
        rows: int (M,), their places in the training set.
        assignment: int (M,), their clusters.
        centres: float32 (p, D), of clean features.
        encoder: what sees the images.
        method: how they are laid out.

    Raises:
        Unavailable: the encoder is not here.
        DataError: what the layouts refuse.
    """
    stacks = {"clean": chosen} if published is None else {"clean": chosen, "poisoned": chosen.with_images(published)}
    seen = {copy: surrogate_features(images, encoder) for copy, images in stacks.items()}
    points, origin = lay_out_vectors(np.concatenate([*seen.values(), centres]), method)
    count = len(centres)
    embedding = Embedding(
        points=points,
        rows=np.concatenate([np.tile(rows, len(seen)), np.full(count, -1)]),
        labels=np.concatenate([np.tile(assignment, len(seen)), np.arange(count)]),
        group=np.concatenate([np.repeat(list(seen), len(rows)), np.repeat(CENTRE, count)]),
        method=method,
        source=encoder,
    )
    middles = torch.from_numpy(centres)
    nearest, likest = {}, {}
    for copy, vectors in seen.items():
        features = torch.from_numpy(vectors)
        nearest[copy] = torch.cdist(features, middles).argmin(1).numpy()
        likest[copy] = profile_distances(features, middles).argmin(1).numpy()
    return Picture(embedding, nearest, likest, origin)


def profile_distances(features: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """KL(softmax of a centre ‖ softmax of features) for every pair.

    Args:
        features: float (M, D).
        centres: float (p, D).

    Returns:
        Float (M, p), ≥ 0 up to rounding; what :func:`ued_core.attacks.unlearnable_clusters.profile_distance` is for one
        centre.
    """
    wanted, given = torch.log_softmax(centres, 1), torch.log_softmax(features, 1)
    return (wanted.exp() * wanted).sum(1) - given @ wanted.exp().T
