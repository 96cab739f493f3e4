"""Is a data set poisoned by convolution? The frame of the images tells, when the attack padded with zeros.

Two detectors. The edge-pixel detector (EPD) of the COIN paper (arXiv 2311.18403), as reviews of it
describe it: the sum of pixel values along each of the four edges for each channel, 12 numbers per
image, and a linear support vector machine with a penalty parameter. There it is trained to tell
convolution-based unlearnable examples from *other* unlearnable examples. Beside it a score of our
own that needs no training: how much darker the outermost line of pixels is than the one inside it.

Both look at what zero padding leaves behind. The same attack with reflection padding leaves nothing
of the kind, and evades them unless its filters shift content across a frame that was empty.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch

from ued_core.assets import asset
from ued_core.context import Context
from ued_core.data.border import border_score, ring_lines
from ued_core.errors import DataError, Unavailable
from ued_core.records import to_float

FILE = asset("results", "edge_detector.json")
COMMAND = "python -m benchmarks.edge_detector"
PENALTY = 1.0
MOST_POINTS = 200
# Between what was seen on clean sets and under attack in assets/results/edge_detector.json: at most 0.023 on clean
# shapes, digits and photographs, at least 0.23 under every zero-padded attack of the table and under CUDA with k = 9.
THRESHOLD = 0.1
DARK = 4 / 255

Finding = Literal["darkened", "not darkened", "cannot tell"]


def edge_sums(images: torch.Tensor) -> np.ndarray:
    """EPD's features: the sum of pixel values along every edge, for every channel.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        float64 (N, 4·C), pixel values in 0..1; the top edge's channels first, then bottom, left, right.
    """
    x = to_float(images)
    edges = (x[:, :, 0].sum(-1), x[:, :, -1].sum(-1), x[..., 0].sum(-1), x[..., -1].sum(-1))
    return torch.cat(edges, 1).double().numpy()


# ---- scores into numbers -----------------------------------------------------------------------


@dataclass(frozen=True)
class Roc:
    """A detector's trade-off.

    Attributes:
        false_alarms, hits: false- and true-positive rate at falling thresholds, float64 (T,), 0..1; at most 200 of
            them.
        auc: area under the full curve: how often a positive scores above a negative.
        positives, negatives: numbers of images.
    """

    false_alarms: np.ndarray
    hits: np.ndarray
    auc: float
    positives: int
    negatives: int

    def hits_at(self, false_alarms: float) -> float:
        """The largest stored true-positive rate with at most this false-positive rate."""
        return float(self.hits[self.false_alarms <= false_alarms].max(initial=0.0))


def roc(positive: np.ndarray, negative: np.ndarray) -> Roc:
    """The ROC curve of scores that should be higher for positives.

    Args:
        positive, negative: float (P,) and (N,), each at least one.

    Raises:
        DataError: one of the two is empty.
    """
    if len(positive) == 0 or len(negative) == 0:
        raise DataError("A ROC curve needs scores of both kinds.", "Give at least one positive and one negative.")
    from sklearn.metrics import roc_auc_score, roc_curve

    scores = np.concatenate([positive, negative])
    truth = np.concatenate([np.ones(len(positive)), np.zeros(len(negative))])
    alarms, hits, _ = roc_curve(truth, scores)
    kept = np.unique(np.linspace(0, len(alarms) - 1, min(len(alarms), MOST_POINTS)).round().astype(int))
    return Roc(alarms[kept], hits[kept], float(roc_auc_score(truth, scores)), len(positive), len(negative))


@dataclass(frozen=True)
class EdgeDetector:
    """A trained EPD.

    Attributes:
        weights: float64 (4·C,), of the edge sums.
        intercept: positive scores mean convolution.
    """

    weights: np.ndarray
    intercept: float

    def score(self, images: torch.Tensor) -> np.ndarray:
        """Signed score of every image, float64 (N,); above 0 it says "convolution"."""
        return edge_sums(images) @ self.weights + self.intercept


def train_edge_detector(positives: torch.Tensor, negatives: torch.Tensor, penalty: float = PENALTY) -> EdgeDetector:
    """Fit EPD's linear support vector machine.

    Args:
        positives: uint8 (P, C, H, W), poisoned by convolution.
        negatives: uint8 (N, C, H, W), anything else.
        penalty: C of the support vector machine; the published value could not be read, 1 is ours.
    """
    from sklearn.svm import LinearSVC

    features = np.concatenate([edge_sums(positives), edge_sums(negatives)])
    truth = np.concatenate([np.ones(len(positives)), np.zeros(len(negatives))])
    model = LinearSVC(C=penalty, dual=False, class_weight="balanced").fit(features, truth)
    return EdgeDetector(model.coef_[0].astype(np.float64), float(model.intercept_[0]))


@dataclass(frozen=True)
class Detection:
    """How well both detectors tell one stack of images from another.

    Attributes:
        trained: EPD, trained on one half of the images, on the other half.
        trained_accuracy: its balanced accuracy there, at the support vector machine's own threshold.
        free: the training-free score, on the same half.
    """

    trained: Roc
    trained_accuracy: float
    free: Roc

    def to_json(self) -> dict[str, Any]:
        """The numbers without the curves."""
        return {
            "trained_auc": self.trained.auc,
            "trained_accuracy": self.trained_accuracy,
            "free_auc": self.free.auc,
            "images": self.trained.positives,
        }


def detection(positives: torch.Tensor, negatives: torch.Tensor, seed: int = 0, penalty: float = PENALTY) -> Detection:
    """Train and score both detectors on two versions of the same images.

    The halves are halves of the *images*: no version of a test image was trained on.

    Args:
        positives, negatives: uint8 (N, C, H, W), N at least 4; row i of both is the same image.
        seed: of the halves.
        penalty: C of the support vector machine.

    Raises:
        DataError: shapes differ, or fewer than four images.
    """
    if positives.shape != negatives.shape or len(positives) < 4:
        raise DataError(
            f"A detection needs two versions of the same images, at least four, not {tuple(positives.shape)} and "
            f"{tuple(negatives.shape)}."
        )
    order = torch.randperm(
        len(positives), generator=Context(seed=seed).generator("edge detector", "halves", device="cpu")
    )
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    model = train_edge_detector(positives[train], negatives[train], penalty)
    found, spared = model.score(positives[test]), model.score(negatives[test])
    return Detection(
        trained=roc(found, spared),
        trained_accuracy=float(((found > 0).mean() + (spared <= 0).mean()) / 2),
        free=roc(border_score(positives[test]), border_score(negatives[test])),
    )


@dataclass(frozen=True)
class Verdict:
    """What the training-free score says of a whole data set.

    Attributes:
        finding: ``darkened`` when the mean score exceeds the threshold, ``not darkened`` when not,
            ``cannot tell`` when the frames are black in most images anyway.
        score: mean of :func:`border_score`.
        threshold: what it is compared with.
        flagged: share of the images that exceed the threshold on their own, 0..1.
        measurable: share of sides whose inner line is brighter than 4/255, 0..1.
    """

    finding: Finding
    score: float
    threshold: float
    flagged: float
    measurable: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def verdict(images: torch.Tensor, threshold: float = THRESHOLD) -> Verdict:
    """Judge a whole data set without training.

    The default threshold, 0.1, means frames a tenth darker than the line inside them. It lies between
    what the benchmark saw: at most 0.02 on clean shapes, digits and photographs, and at least 0.23
    under every zero-padded attack of its table. Poisoning a share of the images lowers the mean by
    that share.

    Args:
        images: uint8 (N, C, H, W).
        threshold: of the mean score.
    """
    scores = border_score(images)
    measurable = float((ring_lines(images, 1) > DARK).mean())
    score = float(scores.mean())
    finding: Finding = "darkened" if score > threshold else "cannot tell" if measurable < 0.5 else "not darkened"
    return Verdict(finding, score, threshold, float((scores > threshold).mean()), measurable)


def shipped_detections() -> dict[str, Any]:
    """The stored table of both detectors: ``command``, ``seed``, ``images``, ``clean`` verdicts and ``rows``.

    Raises:
        Unavailable: the file is not there.
    """
    if not FILE.exists():
        raise Unavailable("The shipped results of the edge detectors are missing.", f"Make them: {COMMAND}")
    return json.loads(FILE.read_text(encoding="utf-8"))
