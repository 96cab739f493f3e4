"""What a network makes of clean, poisoned and defended copies: one epoch, or a whole run.

Functions here run in the side process: they take and return plain records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ued_core.analysis.clusters import GRID, ClusterMeasures, measures
from ued_core.analysis.embedding import (
    Method,
    align,
    aligned_umap_layouts,
    pca_layout,
    shared_pca_layouts,
    tsne_layout,
    umap_layout,
)
from ued_core.analysis.feature_quality import FeatureQuality, feature_quality
from ued_core.analysis.layout_store import layout_key, store_layout, stored_layout
from ued_core.analysis.reference import encoder_network, reference_network
from ued_core.attacks import Attack
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.defenses import DefenseStack
from ued_core.models import MODELS, Network
from ued_core.records import Embedding, ImageSet, PoisonedSet
from ued_core.runs.client import folder
from ued_core.runs.spec import RunSpec
from ued_core.runs.weights import network_at
from ued_core.studies.layout import copies
from ued_core.training import inside

Origin = Literal["stored", "recomputed"]
MOST_FRAMES = 21
"""So many epochs of a run are shown at most; more are thinned out evenly."""


@dataclass(frozen=True)
class CopyFeatures:
    """What a network makes of G copies of N images; arrays hold copy after copy.

    Attributes:
        vectors: float32 (G·N, D), a layer's activations averaged over the image.
        predictions: int64 (G·N,), the predicted class.
        confidence: float32 (G·N,), its softmax probability, 0..1.
        measures: name of the copy → how clearly its features fall into classes.
    """

    vectors: np.ndarray
    predictions: np.ndarray
    confidence: np.ndarray
    measures: dict[str, ClusterMeasures]


@dataclass(frozen=True)
class FeatureView:
    """Features of copies and their picture.

    Attributes:
        look: features, predictions and measures.
        embedding: the layout, in the same order.
        origin: whether the layout was found in the store of layouts or computed now.
    """

    look: CopyFeatures
    embedding: Embedding
    origin: Origin


def network_of(source: str, epoch: int | None, clean: ImageSet) -> Network:
    """A reference model or pre-trained encoder by its name, or the network of a run after ``epoch`` epochs.

    Args:
        source: name of a reference model or of a pre-trained model of the catalogue, or a run's id.
        epoch: None for a reference model or an encoder.
        clean: images to which an encoder's answers are fitted.

    Raises:
        Unavailable, RunError: it is not there.
    """
    if epoch is not None:
        return network_at(folder(source), epoch)
    return encoder_network(source, clean, Context()) if source in MODELS else reference_network(source)


def look(stacks: dict[str, torch.Tensor], labels: np.ndarray, network: Network, layer: str) -> CopyFeatures:
    """Run copies of images through a network.

    Args:
        stacks: name of the copy → uint8 (N, C, H, W), the same images in the same order.
        labels: int (N,).
        network: in evaluation mode.
        layer: one of its layers.
    """
    vectors, predictions, confidence, found = [], [], [], {}
    for name, images in stacks.items():
        scores, means, fields = inside(network, images, layer, Context(), GRID)
        sure, answer = scores.softmax(1).max(1)
        vectors.append(means.numpy())
        predictions.append(answer.numpy())
        confidence.append(sure.numpy())
        found[name] = measures(means.numpy(), labels, fields.numpy())
    return CopyFeatures(np.concatenate(vectors), np.concatenate(predictions), np.concatenate(confidence), found)


def lay_out_vectors(
    vectors: np.ndarray, method: Method, previous: np.ndarray | None = None, previous_vectors: np.ndarray | None = None
) -> tuple[np.ndarray, Origin]:
    """One picture of features: the stored one when the same was asked for before.

    Args:
        vectors: float32 (M, D).
        method: how.
        previous: float32 (M, 2), the layout shown until now; the new one starts there or is turned towards it.
        previous_vectors: float32 (M, E), what it shows.

    Returns:
        float32 (M, 2), and where it comes from.

    Raises:
        DataError: what the methods refuse.
    """
    if previous is not None and len(previous) != len(vectors):
        previous = previous_vectors = None
    if method == "pca":
        points = pca_layout(vectors)
        return (points if previous is None else align(points, previous)), "recomputed"
    key = layout_key([vectors], method)
    origin: Origin
    stored = stored_layout(key)
    if stored is not None and stored.shape == (len(vectors), 2):
        points, origin = stored, "stored"
    else:
        if method == "umap":
            points = umap_layout(vectors, previous=previous, previous_features=previous_vectors)
        else:
            points = tsne_layout(vectors, previous=previous)
        store_layout(key, points)
        origin = "recomputed"
    return (points if previous is None else align(points, previous)), origin


def feature_room(
    chosen: ImageSet,
    attack: Attack | PoisonedSet | None,
    attack_seed: int,
    defenses: DefenseStack,
    seed: int,
    rows: np.ndarray,
    source: str,
    epoch: int | None,
    layer: str,
    method: Method,
    previous: np.ndarray | None = None,
    previous_vectors: np.ndarray | None = None,
) -> FeatureView:
    """Everything between a choice and its picture, in one call.

    Args:
        chosen, attack, attack_seed, defenses, seed: as in :func:`ued_core.studies.layout.copies`.
        rows: int (N,), the images' places in the data set.
        source, epoch: as in :func:`network_of`.
        layer: of the network.
        method, previous, previous_vectors: as in :func:`lay_out_vectors`.
    """
    stacks = {name: data.images for name, data in copies(chosen, attack, attack_seed, defenses, seed).items()}
    labels = chosen.labels.numpy()
    seen = look(stacks, labels, network_of(source, epoch, chosen), layer)
    points, origin = lay_out_vectors(seen.vectors, method, previous, previous_vectors)
    embedding = Embedding(
        points=points,
        rows=np.tile(rows, len(stacks)),
        labels=np.tile(labels, len(stacks)),
        group=np.repeat(np.array(list(stacks)), len(rows)),
        method=method,
        source=source,
    )
    return FeatureView(seen, embedding, origin)


def frame_epochs(stored: Sequence[int], most: int = MOST_FRAMES) -> tuple[int, ...]:
    """Which of the stored epochs an animation shows: all, or evenly thinned out with the first and the last."""
    if len(stored) <= most:
        return tuple(stored)
    places = np.linspace(0, len(stored) - 1, most).round().astype(int)
    return tuple(stored[place] for place in places)


def look_at_epochs(
    chosen: ImageSet,
    attack: Attack | PoisonedSet | None,
    attack_seed: int,
    defenses: DefenseStack,
    seed: int,
    run: str,
    epochs: Sequence[int],
    layer: str,
) -> list[CopyFeatures]:
    """The same copies seen by a run's network after each of some epochs.

    Args:
        chosen, attack, attack_seed, defenses, seed: as in :func:`ued_core.studies.layout.copies`.
        run: its id.
        epochs: of those whose weights are stored.
        layer: of the network.
    """
    stacks = {name: data.images for name, data in copies(chosen, attack, attack_seed, defenses, seed).items()}
    labels = chosen.labels.numpy()
    return [look(stacks, labels, network_of(run, epoch, chosen), layer) for epoch in epochs]


def lay_out_epochs(frames: Sequence[np.ndarray], method: Literal["umap", "pca"]) -> tuple[np.ndarray, Origin]:
    """One aligned layout for all epochs: the stored one when the same was asked for before.

    Args:
        frames: float32 (M, D), one per epoch.
        method: UMAP, each epoch started from the one before, or principal components of all epochs together.

    Returns:
        float32 (epochs, M, 2), and where it comes from.
    """
    if method == "pca":
        return shared_pca_layouts(frames), "recomputed"
    key = layout_key(frames, method, {"aligned": True})
    found = stored_layout(key)
    if found is not None and found.shape == (len(frames), len(frames[0]), 2):
        return found, "stored"
    points = aligned_umap_layouts(frames)
    store_layout(key, points)
    return points, "recomputed"


def quality_at(run: str, epoch: int) -> FeatureQuality:
    """What the features of a run's network are worth on clean images: its last layer is refitted on the run's clean
    training images.

    Args:
        run: its id; it was trained on the classes of its data set.
        epoch: one whose weights are stored. The control is the same network before training.

    Raises:
        DataError, RunError, Unavailable: data or weights are not there.
    """
    where = folder(run)
    data = load_split(RunSpec.read(where.spec_path).dataset, Context())
    return feature_quality(network_at(where, epoch), network_at(where, 0), data.train, data.test, Context())
