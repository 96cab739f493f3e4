"""Can a linear model read the class off the perturbation alone?

Published tests (LSP, arXiv 2111.00898; orthogonal projection, arXiv 2305.19254) report the
*training* accuracy of a linear model on the perturbations. With fewer images than pixel values that
number is 100 % for any labels whatsoever, so here it stands only beside what it claims to be: the
accuracy on perturbations held out, and the same with shuffled labels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ued_core.context import Context
from ued_core.errors import DataError

MOST_IMAGES = 1000
PENALTY = 0.01
STEPS = 100


@dataclass(frozen=True)
class Fit:
    """Accuracies of one linear model, 0..1.

    Attributes:
        held_out: on the half that it has not seen.
        training: on the half that it was fitted to; says nothing when images are fewer than pixel values.
    """

    held_out: float
    training: float


@dataclass(frozen=True)
class Separability:
    """How well linear models tell the classes apart.

    Attributes:
        perturbation: fitted to perturbations and their labels.
        shuffled: fitted to perturbations and shuffled labels: the control.
        clean: fitted to the clean images and their labels, for comparison.
        chance: share of the largest class in the held-out half: what guessing gives.
        images: number of images, half of them held out.
        values: number of pixel values of an image.
    """

    perturbation: Fit
    shuffled: Fit
    clean: Fit
    chance: float
    images: int
    values: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def separability(clean: torch.Tensor, poisoned: torch.Tensor, labels: torch.Tensor, seed: int = 0) -> Separability:
    """Fit three linear models on half of the images and score them on the other half.

    Multinomial logistic regression on all pixel values, centred and scaled by one number; the model is
    fitted in the span of the training half, which holds the optimum of every ridge-penalised linear
    model, so no value is dropped. About 2 s for 1,000 images of 3×32×32 on one slow core.

    Args:
        clean, poisoned: uint8 (N, C, H, W); beyond 1,000 images a random thousand is used.
        labels: int64 (N,).
        seed: of the halves and of the shuffled labels.

    Raises:
        DataError: shapes differ, or fewer than two classes have two images each.
    """
    if clean.shape != poisoned.shape or len(labels) != len(clean):
        raise DataError(
            f"Separability needs clean and poisoned images of one shape and a label each, "
            f"not {tuple(clean.shape)}, {tuple(poisoned.shape)} and {len(labels)} labels."
        )
    ctx = Context(seed=seed)
    order = torch.randperm(len(labels), generator=ctx.generator("separability", "images", device="cpu"))[:MOST_IMAGES]
    names = labels[order].numpy()
    train, test = halves(names)
    if len(np.unique(names[train])) < 2 or len(test) == 0:
        raise DataError("Separability needs at least two classes with two images each.", "Take more images.")
    mixed = torch.randperm(len(order), generator=ctx.generator("separability", "labels", device="cpu")).numpy()
    before = clean[order].flatten(1).float().numpy()
    delta = poisoned[order].flatten(1).float().numpy() - before
    rotated = _in_span(delta, train)
    return Separability(
        perturbation=_fit(rotated, names, train, test),
        shuffled=_fit(rotated, names[mixed], train, test),
        clean=_fit(_in_span(before, train), names, train, test),
        chance=float(np.unique(names[test], return_counts=True)[1].max() / len(test)),
        images=len(order),
        values=before.shape[1],
    )


def halves(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every second row of each class, in the given order, and the others; int64."""
    first: list[np.ndarray] = []
    second: list[np.ndarray] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        first.append(own[::2])
        second.append(own[1::2])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))


def _in_span(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Coordinates of every row in an orthonormal basis of the training rows' span; at most as many as training rows."""
    centred = values - values[train].mean(0)
    scale = centred[train].std()
    if scale == 0:
        return np.zeros((len(values), 1), np.float32)
    centred /= scale
    basis, _ = np.linalg.qr(centred[train].T)
    return centred @ basis


def _fit(values: np.ndarray, labels: np.ndarray, train: np.ndarray, test: np.ndarray) -> Fit:
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=PENALTY, max_iter=STEPS)
    with warnings.catch_warnings():
        # The number of steps bounds the time; accuracy has settled long before.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(values[train], labels[train])
    return Fit(float(model.score(values[test], labels[test])), float(model.score(values[train], labels[train])))
