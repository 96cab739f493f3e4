"""Whether a model learned something of use on clean images, judged by two accuracies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ued_core.analysis.confidence import ENOUGH, share_interval

# Both accuracies are measured from guessing upwards: a = (accuracy - 1/classes) / (1 - 1/classes).
# Their ratio says how much of what the model learned in training is of use on clean images. The
# thresholds are thirds: a convention of this program, stated on the page, and no test of significance.
FITTED = 0.5
LOST, KEPT = 1 / 3, 2 / 3
Kind = Literal["unlearnable", "partly", "learnable", "unfitted", "generalises", "overfits", "border", "few"]


@dataclass(frozen=True)
class Judgement:
    """What two accuracies mean.

    Attributes:
        kind: ``unlearnable``, ``partly``, ``learnable``, ``unfitted``; ``generalises`` or
            ``overfits`` for training images that nobody attacked; ``border`` where the interval of the test
            accuracy reaches from one of them into another, ``few`` where it rests on too few test images.
        between: the kinds at both ends of that interval; equal unless ``kind`` is ``border``.
    """

    kind: Kind
    between: tuple[Kind, Kind]


def judge(train: float, test: float, classes: int, attacked: bool, images: int) -> Judgement:
    """What follows from the measurement, and whether another draw of test images could change it.

    Args:
        train: training accuracy over the last epoch, as trained, 0..1.
        test: clean test accuracy after the last epoch, 0..1.
        classes: number of classes.
        attacked: whether the training images were poisoned.
        images: how many test images the accuracy was counted on.
    """
    kind = _kind(train, test, classes, attacked)
    if kind == "unfitted":
        return Judgement(kind, (kind, kind))
    if images < ENOUGH:
        return Judgement("few", (kind, kind))
    low, high = share_interval(test, images)
    ends = _kind(train, low, classes, attacked), _kind(train, high, classes, attacked)
    return Judgement(kind if ends[0] == ends[1] else "border", ends)


def _kind(train: float, test: float, classes: int, attacked: bool) -> Kind:
    chance = 1 / max(classes, 2)
    learned, left = ((value - chance) / (1 - chance) for value in (train, test))
    if learned < FITTED:
        return "unfitted"
    share = left / learned
    if not attacked:
        return "generalises" if share >= KEPT else "overfits"
    return "unlearnable" if share < LOST else "partly" if share < KEPT else "learnable"
