"""Features of clean, poisoned and defended copies of some images, laid out in the plane."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ued_core.analysis.embedding import align, pca_layout, umap_layout
from ued_core.analysis.reference import reference_network
from ued_core.attacks import Attack
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.errors import Unavailable
from ued_core.records import Embedding, ImageSet, PoisonedSet
from ued_core.training import features

COPIES = ("clean", "poisoned", "defended")


def copies(
    chosen: ImageSet,
    attack: Attack | PoisonedSet | None,
    attack_seed: int,
    defenses: DefenseStack,
    seed: int,
    whole: ImageSet | None = None,
) -> dict[str, ImageSet]:
    """Clean, poisoned and defended copies of the given images.

    Args:
        chosen: the images to look at.
        attack: what makes the poisoned copies, or these copies themselves; None leaves them equal to the clean ones.
        attack_seed: the private key.
        defenses: applied to the poisoned copy, as training would in one epoch.
        seed: of the defences' draws.
        whole: the poisoned training set, for defences that must see all of it.

    Raises:
        Unavailable: a defence must see the whole set, and it is not given.
    """
    learner = next((defense for defense in defenses if defense.needs_whole_set), None)
    if learner is not None and whole is None:
        raise Unavailable(
            f"{learner.title} learns from the whole training set, so it cannot treat these {len(chosen)} images by "
            "themselves.",
            "Look at it on the page Defence, or choose another defence here.",
        )
    if attack is None:
        poisoned = chosen
    else:
        made = attack if isinstance(attack, PoisonedSet) else attack.preview(chosen, attack_seed)
        poisoned = made.as_training_set()
    return {
        "clean": chosen,
        "poisoned": poisoned,
        "defended": defenses.preview(poisoned, Context(seed=seed), whole=whole),
    }


def lay_out(
    images: dict[str, torch.Tensor],
    labels: np.ndarray,
    rows: np.ndarray,
    reference: str,
    method: str,
    previous: np.ndarray | None = None,
) -> Embedding:
    """Features of every copy under a reference model, laid out together.

    Args:
        images: copy → uint8 (N, C, H, W); the same images in the same order.
        labels, rows: int (N,), class and place in the data set.
        reference: name of the reference model.
        method: ``umap`` or ``pca``.
        previous: float32 (copies·N, 2), the layout to start from or to turn towards.

    Returns:
        Points in the order of the copies; their features' source is the reference model's name.
    """
    network = reference_network(reference)
    vectors = np.concatenate([features(network, stack, Context()).numpy() for stack in images.values()])
    if previous is not None and len(previous) != len(vectors):
        previous = None
    points = umap_layout(vectors, previous=previous) if method == "umap" else pca_layout(vectors)
    if previous is not None:
        points = align(points, previous)
    repeats = len(images)
    return Embedding(
        points=points,
        rows=np.tile(rows, repeats),
        labels=np.tile(labels, repeats),
        group=np.repeat(np.array(list(images)), len(rows)),
        method=method,
        source=reference,
    )


def lay_out_copies(
    chosen: ImageSet,
    attack: Attack | PoisonedSet | None,
    attack_seed: int,
    defenses: DefenseStack,
    seed: int,
    rows: np.ndarray,
    reference: str,
    method: str,
    previous: np.ndarray | None = None,
    whole: ImageSet | None = None,
) -> Embedding:
    """:func:`lay_out` of :func:`copies`: everything between a choice and its picture, in one call.

    Args:
        chosen, attack, attack_seed, defenses, seed, whole: as in :func:`copies`.
        rows, reference, method, previous: as in :func:`lay_out`.
    """
    stacks = {name: data.images for name, data in copies(chosen, attack, attack_seed, defenses, seed, whole).items()}
    return lay_out(stacks, chosen.labels.numpy(), rows, reference, method, previous)


def summary_of(embedding: Embedding) -> dict[str, Any]:
    """Mean distance of each copy's points from their clean partners, in units of the layout's diameter."""
    count = int((embedding.group == embedding.group[0]).sum())
    blocks = embedding.points.reshape(-1, count, 2)
    diameter = float(np.linalg.norm(np.ptp(embedding.points, axis=0)))
    names = embedding.group[::count]
    return {
        str(n): float(np.linalg.norm(b - blocks[0], axis=1).mean()) / diameter
        for n, b in zip(names, blocks, strict=True)
    }
