"""Does a model follow the shape or the perturbation? Predictions in, rates out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ShortcutProbe:
    """How a trained model answers on clean and on wrongly perturbed test images.

    Attributes:
        clean_histogram: share of the clean test images predicted as each class.
        clean_accuracy: share predicted as their label.
        own_accuracy: the same after each image got its own class's perturbation.
        wrong_true_rate: with another class's perturbation, share predicted as the true class.
        wrong_perturbation_rate: … as the class whose perturbation it got.
        wrong_other_rate: … as neither.
        images: number of test images.
    """

    clean_histogram: tuple[float, ...]
    clean_accuracy: float
    own_accuracy: float
    wrong_true_rate: float
    wrong_perturbation_rate: float
    wrong_other_rate: float
    images: int

    def to_json(self) -> dict[str, Any]:
        """Plain values, equal to what is read back from a file."""
        return {**asdict(self), "clean_histogram": list(self.clean_histogram)}


def wrong_classes(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """For every label another class, uniformly; int64 (N,)."""
    return (labels + rng.integers(1, classes, size=len(labels))) % classes


def shortcut_probe(
    labels: np.ndarray, wrong: np.ndarray, clean: np.ndarray, own: np.ndarray, crossed: np.ndarray, classes: int
) -> ShortcutProbe:
    """Summarise three sets of predictions on the same test images.

    Args:
        labels: int (N,), true classes.
        wrong: int (N,), the other class whose perturbation each image got.
        clean: int (N,), predictions on the clean images.
        own: int (N,), predictions with the own class's perturbation.
        crossed: int (N,), predictions with the perturbation of ``wrong``.
        classes: number of classes.
    """
    true_rate, followed = float((crossed == labels).mean()), float((crossed == wrong).mean())
    histogram = np.bincount(clean, minlength=classes) / len(clean)
    return ShortcutProbe(
        clean_histogram=tuple(float(v) for v in histogram),
        clean_accuracy=float((clean == labels).mean()),
        own_accuracy=float((own == labels).mean()),
        wrong_true_rate=true_rate,
        wrong_perturbation_rate=followed,
        wrong_other_rate=max(0.0, 1.0 - true_rate - followed),
        images=len(labels),
    )
