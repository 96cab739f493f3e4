"""What the result of one run means, in sentences; withheld where too few images were looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pages.frame.guard import plain
from pages.state.run_words import percent
from ued_core.analysis.confidence import ENOUGH, LEVEL, share_interval
from ued_core.analysis.learnability import Kind, judge
from ued_core.results.parts import Probe

RULE = (
    "Both accuracies are counted from guessing upwards (0 = guessing, 1 = everything right). If less than one third of "
    "the training value is left on clean test images, the data is called *unlearnable for this model*; from two thirds "
    "on *still learnable*; between them *partly learnable*. If the training value itself is below one half, the model "
    "has not fitted its training images, and no verdict is given. The thirds are this program's convention, applied to "
    "the accuracy after the last epoch, for one model, one recipe and one seed. In brackets stands the "
    f"{100 * LEVEL:.0f} % interval of the test accuracy (Wilson): what another draw of as many test images may show. "
    "Where its two ends "
    f"fall into different thirds, the sentence says so; below {ENOUGH} test images no verdict is given."
)
SAID: Mapping[Kind, str] = {
    "unlearnable": "the data is unlearnable for this model",
    "partly": "the data is partly learnable: the attack costs accuracy, but does not hide the images from this model",
    "learnable": "the data is still learnable for this model",
    "generalises": "on images that nobody attacked, what it learned carries over",
    "overfits": "no attack was involved, so the gap is overfitting: too few images, too many epochs, or too "
    "large a model",
    "unfitted": "the model has not fitted its training images, so this run does not say what can be learned from them. "
    "More epochs or another plan may",
}
SHORT: Mapping[Kind, str] = {
    "unlearnable": "unlearnable",
    "partly": "partly learnable",
    "learnable": "still learnable",
    "generalises": "carrying over",
    "overfits": "overfitting",
}


@dataclass(frozen=True)
class Verdict:
    """What a result means.

    Attributes:
        kind: as in :class:`ued_core.analysis.learnability.Judgement`.
        sentence: for people.
    """

    kind: Kind
    sentence: str


def accuracy_words(accuracy: float, images: int) -> str:
    """``80 % on 10 clean test images (49 to 94 %)``: an accuracy, what it was counted on, and its interval."""
    low, high = share_interval(accuracy, images)
    return f"{percent(accuracy)} on {images:,} clean test images ({100 * low:.0f} to {percent(high)})"


def verdict(train: float, test: float, classes: int, attacked: bool, images: int) -> Verdict:
    """The sentence that follows the measurement.

    Args:
        train: training accuracy over the last epoch, as trained, 0..1.
        test: clean test accuracy after the last epoch, 0..1.
        classes: number of classes.
        attacked: whether the training images were poisoned.
        images: how many test images the accuracy was counted on.
    """
    numbers = f"{percent(train)} in training, {accuracy_words(test, images)}"
    judged = judge(train, test, classes, attacked, images)
    if judged.kind == "few":
        return Verdict(
            "few", f"{numbers}: no verdict, because one image is "
                   f"{percent(1 / max(images, 1), 0 if images <= 50 else 1)} of the accuracy. "
            f"Test on at least {ENOUGH} images."
        )  # fmt: skip
    if judged.kind == "border":
        low, high = judged.between
        return Verdict(
            "border",
            f"{numbers}: between *{SHORT[low]}* and *{SHORT[high]}*; {images:,} test images cannot tell which.",
        )
    return Verdict(judged.kind, f"{numbers}: {SAID[judged.kind]}.")


def histogram_words(shares: Sequence[float], class_names: Sequence[str], images: int) -> str:
    """What to look at in the histogram of predictions on so many clean test images."""
    top = max(range(len(shares)), key=shares.__getitem__)
    even, most = 1 / len(shares), shares[top]
    never = sum(share == 0 for share in shares)
    name = plain(class_names[top])
    text = f"The most frequent answer is *{name}*: {percent(most)} of the answers; even would be {percent(even)}."
    if never:
        text += f" {never} of {len(shares)} classes {'is' if never == 1 else 'are'} never answered."
    if images < ENOUGH:
        return text + f" Do not read much into it: it counts {images} images."
    if most > 3 * even:
        return text + " Look at the tall bars: clean images all look to the model like a few classes."
    return text + " Look for tall bars: a model that lost its cue answers a few classes for everything."


def probe_words(probe: Probe) -> str:
    """What to look at in the bars of the shortcut probe."""
    followed, true, images = probe.wrong_perturbation_rate, probe.wrong_true_rate, probe.images
    clean, own = probe.clean_accuracy, probe.own_accuracy
    text = (
        "Look at the lowest bar: with another class's perturbation the model answers that class in "
        f"{percent(followed)} and the true class in {percent(true)} of {images:,} images."
    )
    if images < ENOUGH:
        low, high = share_interval(followed, images)
        return (
            text + f" So few cannot tell what it follows: the first share may be anything from {100 * low:.0f} to "
            f"{percent(high)}."
        )
    if followed + true < 0.5:
        text += " Mostly it answers neither: it has learned too little of both to say."
    elif followed > 2 * max(true, 1e-9):
        text += " It follows the perturbation far more than the object."
    elif true > 2 * max(followed, 1e-9):
        text += " It follows the object far more than the perturbation."
    else:
        text += " It uses both."
    if own - clean > 0.2:
        text += f" With the right perturbation it is right in {percent(own)}, on clean images in {percent(clean)}"
        if true - clean > 0.2:
            # Measured on convolution attacks: the objects are learned, but only as they look when filtered.
            text += ", fewer even than with a wrong one: it knows the objects, but only in perturbed images."
        else:
            text += ": it needs the perturbation to recognise a class."
    return text
