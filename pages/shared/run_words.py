"""What is said about a run: states, durations, and the sentence that follows from its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pages.shared.guard import plain
from ued_core.params import Method
from ued_core.runs import RunRecord
from ued_core.runs.estimate import duration


@dataclass(frozen=True)
class StateWords:
    """How a state is shown: icon, word, colour of its badge, and what it means."""

    icon: str
    word: str
    colour: str
    meaning: str


STATE_WORDS: Mapping[str, StateWords] = MappingProxyType(
    {
        "queued": StateWords(
            "○", "Queued", "gray", "waits for a free processor or GPU; runs start in the order of submission"
        ),
        "running": StateWords(
            "▶", "Running", "blue", "is being computed by a process of its own; closing this page does not stop it"
        ),
        "finished": StateWords("✔", "Finished", "green", "trained to the last epoch and measured"),
        "failed": StateWords(
            "✖", "Failed", "red", "stopped with an error, which its page explains; resume it once that is mended"
        ),
        "cancelled": StateWords("■", "Cancelled", "gray", "you stopped it; it can be resumed from its last checkpoint"),
        "interrupted": StateWords(
            "▲",
            "Interrupted",
            "orange",
            "its process died (power, memory, kill); it can be resumed from its last checkpoint",
        ),
    }
)


def state_text(record: RunRecord) -> str:
    """Icon and word of the run's state."""
    words = STATE_WORDS[record.state]
    if record.cancelling:
        return f"{words.icon} Cancelling"
    if not record.responding:
        return f"{words.icon} Not responding"
    return f"{words.icon} {words.word}"


def percent(value: float | None, digits: int = 0) -> str:
    """``0.214`` as ``21 %``; a dash for what is not known."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def progress_of(record: RunRecord) -> float:
    """Share of the training that is done, 0..1: of all epochs when they are known."""
    if record.state == "finished":
        return 1.0
    by_epochs = record.epoch / record.epochs if record.epochs else 0.0
    # Reports within an epoch count steps of the whole training.
    inside = record.fraction if record.text.startswith("epoch") else 0.0
    return min(1.0, max(by_epochs, inside))


def time_left(record: RunRecord) -> str:
    """The time that a running run still needs; empty while nobody knows."""
    if record.state != "running" or record.seconds_left is None:
        return ""
    return f"{duration(record.seconds_left)} left"


def seed_of(spec: Mapping[str, Any]) -> int | None:
    """The spec's seed; None when the spec is unreadable."""
    return spec.get("seed") if isinstance(spec.get("seed"), int) else None


def short_id(run_id: str) -> str:
    """The last four characters, which :func:`ued_core.runs.run` accepts."""
    return run_id.rpartition("-")[2]


# ---- the verdict ---------------------------------------------------------------------------
#
# Both accuracies are measured from guessing upwards: a = (accuracy - 1/classes) / (1 - 1/classes).
# Their ratio says how much of what the model learned in training is of use on clean images. The
# thresholds are thirds: a convention of this program, stated on the page, and no test of significance.

FITTED = 0.5
LOST, KEPT = 1 / 3, 2 / 3
RULE = (
    "Both accuracies are counted from guessing upwards (0 = guessing, 1 = everything right). If less than one third of "
    "the training value is left on clean test images, the data is called *unlearnable for this model*; from two thirds "
    "on *still learnable*; between them *partly learnable*. If the training value itself is below one half, the model "
    "has not fitted its training images, and no verdict is given. The thirds are this program's convention, applied to "
    "the accuracy after the last epoch, for one model, one recipe and one seed."
)


@dataclass(frozen=True)
class Verdict:
    """What a result means.

    Attributes:
        kind: ``unlearnable``, ``partly``, ``learnable``, ``unfitted``; ``generalises`` or
            ``overfits`` for training images that nobody attacked.
        sentence: for people.
    """

    kind: str
    sentence: str


def verdict(train: float, test: float, classes: int, attacked: bool) -> Verdict:
    """The sentence that follows the measurement.

    Args:
        train: training accuracy over the last epoch, as trained, 0..1.
        test: clean test accuracy after the last epoch, 0..1.
        classes: number of classes.
        attacked: whether the training images were poisoned.
    """
    chance = 1 / max(classes, 2)
    learned, left = ((value - chance) / (1 - chance) for value in (train, test))
    numbers = f"{percent(train)} in training, {percent(test)} on clean test images"
    if learned < FITTED:
        return Verdict("unfitted", f"{numbers}: the model has not fitted its training images, so this run does not say "
                       "what can be learned from them. More epochs or another plan may.")  # fmt: skip
    share = left / learned
    if not attacked:
        if share >= KEPT:
            return Verdict("generalises", f"{numbers}: on images that nobody attacked, what it learned carries over.")
        return Verdict("overfits", f"{numbers}: no attack was involved, so the gap is overfitting: too few images, too "
                       "many epochs, or too large a model.")  # fmt: skip
    if share < LOST:
        return Verdict("unlearnable", f"{numbers}: the data is unlearnable for this model.")
    if share < KEPT:
        return Verdict("partly", f"{numbers}: the data is partly learnable: the attack costs accuracy, but does not "
                       "hide the images from this model.")  # fmt: skip
    return Verdict("learnable", f"{numbers}: the data is still learnable for this model.")


def histogram_words(shares: Sequence[float], class_names: Sequence[str]) -> str:
    """What to look at in the histogram of predictions."""
    top = max(range(len(shares)), key=shares.__getitem__)
    even, most = 1 / len(shares), shares[top]
    never = sum(share == 0 for share in shares)
    name = plain(class_names[top])
    text = f"The most frequent answer is *{name}*: {percent(most)} of the answers; even would be {percent(even)}."
    if never:
        text += f" {never} of {len(shares)} classes {'is' if never == 1 else 'are'} never answered."
    if most > 3 * even:
        return text + " Look at the tall bars: clean images all look to the model like a few classes."
    return text + " Look for tall bars: a model that lost its cue answers a few classes for everything."


def probe_words(probe: Mapping[str, float]) -> str:
    """What to look at in the bars of the shortcut probe."""
    followed, true = probe["wrong_perturbation_rate"], probe["wrong_true_rate"]
    clean, own = probe["clean_accuracy"], probe["own_accuracy"]
    text = (
        "Look at the lowest bar: with another class's perturbation the model answers that class in "
        f"{percent(followed)} and the true class in {percent(true)} of the images."
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


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Every parameter of a spec by its path, as text: what comparing and the protocol show.

    ``{"plan": {"name": "sgd", "epochs": 3}}`` becomes ``{"plan": "sgd", "plan · epochs": "3"}``.
    """
    found: dict[str, str] = {}
    for name, entry in value.items():
        path = f"{prefix} · {name}" if prefix else name
        path = path.replace("_", " ")
        if isinstance(entry, Mapping):
            found[path] = str(entry.get("name", ""))
            found |= flat({k: v for k, v in entry.items() if k != "name"}, path)
        elif isinstance(entry, list | tuple):
            names = [str(part.get("name", "")) if isinstance(part, Mapping) else str(part) for part in entry]
            found[path] = " → ".join(names) or "none"
            for part in entry:
                if isinstance(part, Mapping):
                    found |= flat({k: v for k, v in part.items() if k != "name"}, f"{path} · {part.get('name', '')}")
        else:
            found[path] = "none" if entry is None else f"{entry:g}" if isinstance(entry, float) else str(entry)
    return found


def method_words(method: Method) -> str:
    """A configured method in a few words: its title, and what is not at its default."""
    declared = {p.name: p for p in method.parameters()}
    changed = {name: value for name, value in method.model_dump().items() if value != declared[name].default}
    parts = []
    for name, value in changed.items():
        text = f"{value:g}" if isinstance(value, float) else str(value)
        parts.append(f"{declared[name].label} {text} {declared[name].unit}".rstrip())
    return f"{method.title} ({', '.join(parts)})" if parts else method.title


def differing(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One dict a spec with the parameters in which they are not all alike.

    A method that only some of them have counts as one difference, not as one for each of its
    parameters: those are listed only where two specs have the method and disagree. What a spec
    lacks is shown by a dash.
    """
    tables = [flat({k: v for k, v in spec.items() if k not in ("note", "device")}) for spec in specs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    chosen = [name for name in names if len({table[name] for table in tables if name in table}) > 1]
    return [{name: table.get(name, "–") for name in chosen} for table in tables]


# What titles and columns of their own say already.
_SAID = frozenset({"dataset", "attack", "defenses", "model", "seed"})
_SHORT = {"attack_seed": "private key"}
# What people vary comes first: a table cuts long words off.
_FIRST = ("defenses", "attack", "poison", "plan", "model")


def _rank(path: str) -> int:
    return next((place for place, start in enumerate(_FIRST) if path.startswith(start)), len(_FIRST))


def told_apart(records: Sequence[RunRecord]) -> list[str]:
    """For each run, in which parameters it differs from the others of the same title; empty where there is nothing to tell apart."""
    words = dict.fromkeys((record.id for record in records), "")
    for title in {record.title for record in records}:
        alike = [record for record in records if record.title == title]
        for record, parameters in zip(alike, differing([record.spec for record in alike]), strict=True):
            own = {name: parameters[name] for name in sorted(parameters, key=_rank) if name not in _SAID and parameters[name] != "–"}
            words[record.id] = ", ".join(
                f"{_SHORT.get(name, name.rpartition(' · ')[2].replace('_', ' '))} {value}" for name, value in own.items()
            )
    return [words[record.id] for record in records]
