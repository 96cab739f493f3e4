"""Progressive staged training: shallow layers are slowed whenever they begin to follow the perturbation."""

from __future__ import annotations

import copy
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from ued_core.defenses.base import Defense
from ued_core.models import HEAD
from ued_core.params import param
from ued_core.records import ImageSet
from ued_core.training.activation_clusters import activation_clusters, fisher_ratio
from ued_core.training.colour import jitter, random_grey
from ued_core.training.evaluation import layer_fields
from ued_core.training.hook import Setup, Snapshot, TrainingControl, TrainingHook

Signal = Literal["acm", "fisher", "gap", "loss"]
Reaction = Literal["slow", "freeze", "reset", "fixed", "none"]


class StagedTraining(Defense):
    """Slows the shallow layers, layer by layer, whenever they seem to be trapped by the perturbation.

    At every check the activations of a few training images are measured at each layer. When the signal has grown past
    the threshold, training goes back to the last good check and goes on with slower shallow layers: a new stage.

    Source:
        Dang et al., "Progressive Staged Training", arXiv 2306.02064: only the abstracts were at hand. They name the
        shallow layers that turn to the perturbation first, a measure of activation clusters (ACM) and a self-adaptive
        schedule of layer-wise learning rates; no code was published.

    Differs:
        Every formula and number here is our reading. Signal "acm" is the ratio of distances between and inside classes
        at the shallow layers, divided by its value before training; "fisher" takes variances instead of distances;
        "gap" divides the growth at the shallow layers by that at the deeper ones; "loss" is the mean factor by which
        the loss on the watched images fell per epoch. Reaction "slow" multiplies the rates of the shallow layers by
        the factor, "freeze" stops one more layer from the image on, "reset" slows and gives the shallow layers alone
        their last good weights back, while the deep ones keep what they learned; "fixed" slows from the start, most at
        the image, and neither freezes nor answers an alarm (our ST-lite; its checks are only noted, for the charts);
        "none" only watches. With colours "jitter and grey" it is our ST-full. Colour jitter acts in a fixed order
        instead of a random one. The threshold of 1.1 was found on one run (LSP on digits): the activations of small
        networks spread so little that 2 is hardly ever reached, and training would then be what it is without a
        defence.
    """

    key: ClassVar[str] = "staged"
    page: ClassVar[str] = "staged"
    title: ClassVar[str] = "Staged training (ST)"
    acts: ClassVar[frozenset[str]] = frozenset({"augment", "training"})
    beyond_step_cost: ClassVar[str] = (
        "Every check of staged training passes the watched images through the network once, and an alarm that takes "
        "training back repeats the steps since the last good check."
    )

    signal: Signal = param(
        "acm", "What is taken as a sign of the trap, at the shallow layers, relative to before training."
    )
    threshold: float = param(
        1.1, "The alarm rings when the signal exceeds this; 1 is no change since the start. One that is never "
             "exceeded changes nothing.",
        ge=0.0, le=100.0, step=0.05, quick=0.0,
    )  # fmt: skip
    reaction: Reaction = param("slow", "What an alarm does to the shallow layers.")
    rollback: bool = param(
        True, "Whether an alarm takes back the steps since the last good check (reactions slow and freeze)."
    )
    factor: float = param(0.3, "Learning rate of the slowed layers, per alarm.", ge=0.01, le=1.0, step=0.01)
    freeze_after: int = param(
        6, "After so many slowings a layer is frozen, its batch normalisation too. The reaction fixed freezes nothing.",
        unit="alarms", ge=1, le=20, quick=2,
    )  # fmt: skip
    depth: int = param(
        3, "How many layers, counted from the image, may be slowed; all but the first of them are watched.", ge=1, le=8
    )
    deepen: bool = param(
        False, "Once all of these are frozen and the signal still exceeds the threshold, take one layer more."
    )
    checks: int = param(2, "Checks an epoch.", ge=1, le=20, quick=1)
    most_alarms: int = param(20, "Alarms that are answered; later ones are only noted.", ge=0, le=100, quick=3)
    watched: int = param(
        30, "Training images of every class that are measured at each check.", unit="images", ge=2, le=200, quick=4
    )
    colours: Literal["off", "jitter", "jitter and grey"] = param(
        "off", "Colour jitter on four of five images, and grey on one of five.", quick="jitter and grey"
    )

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if self.colours == "off":
            return images
        images = jitter(images, rng)
        return random_grey(images, rng) if self.colours == "jitter and grey" else images

    def training(self, setup: Setup) -> TrainingHook:
        return Stages(self, setup)

    def rate(self, slowings: int) -> float:
        """Factor on a layer's learning rate after so many slowings; 0 is frozen."""
        frozen = slowings >= self.freeze_after and self.reaction != "fixed"
        return 0.0 if frozen else self.factor**slowings


def watched_rows(data: ImageSet, count: int, rng: torch.Generator) -> torch.Tensor:
    """Rows of at most ``count`` images of every class, int64, rising; drawn from a CPU generator."""
    order = torch.randperm(len(data), generator=rng)
    labels = data.labels[order]
    picked = [order[labels == label][:count] for label in range(data.classes)]
    return torch.cat(picked).sort().values


class Stages(TrainingHook):
    """The hook of :class:`StagedTraining`: its checks, its alarms and the rates that they led to.

    Args:
        method: the parameters.
        setup: data, network and seed of the training.
    """

    def __init__(self, method: StagedTraining, setup: Setup) -> None:
        self.method, self.ctx = method, setup.ctx
        # The head is neither watched nor slowed.
        self.layers = tuple(name for name in setup.network.blocks() if name != HEAD)
        self.watched = setup.data.take(
            watched_rows(setup.data, method.watched, setup.ctx.generator("staged watch", device="cpu"))
        )
        self.depth = min(method.depth, len(self.layers))
        self.first_watched = min(1, self.depth - 1)
        self.slowings = dict.fromkeys(self.layers, 0)
        self.alarms = 0
        self.start: dict[str, float] | None = None
        self.checks: list[dict[str, Any]] = []
        self._kept: Snapshot | None = None
        self._begun: dict[str, Any] = {}

    # ------------------------------------------------------------ what the loop calls

    def before_epoch(self, control: TrainingControl) -> None:
        if self.start is None:
            self.start = self._measured(control)
            if self.method.reaction == "fixed":
                self.slowings = {name: max(0, self.depth - place) for place, name in enumerate(self.layers)}
            self._note(control, self.start, 1.0, "start")
            self._begun = copy.deepcopy(self.state())
        self._apply(control)
        self._keep(control)

    def after_step(self, control: TrainingControl) -> None:
        if self._kept is None:
            self._keep(control)
        if control.epoch_step not in self._when(control.epoch_steps):
            return
        found = self._measured(control)
        signal = self._signal(found, control)
        if signal <= self.method.threshold:
            self._note(control, found, signal, "accepted")
            self._keep(control)
        else:
            self._alarm(control, found, signal)

    def state(self) -> dict[str, Any]:
        return {
            "slowings": dict(self.slowings),
            "depth": self.depth,
            "first_watched": self.first_watched,
            "alarms": self.alarms,
            "start": self.start,
            "checks": list(self.checks),
        }

    def restore(self, state: dict[str, Any]) -> None:
        if state["start"] is None:
            # Another hook's snapshot of the very start, taken before this one looked at it.
            state = copy.deepcopy(self._begun)
        for name, value in state.items():
            setattr(self, name, value)
        # What was kept may lie after the step that another hook went back to.
        self._kept = None

    def row(self) -> dict[str, float]:
        last = self.checks[-1]
        return {
            "staged signal": last["signal"],
            "staged alarms": float(self.alarms),
            **{f"staged acm {name}": last["acm"][name] for name in self.layers},
            **{f"staged rate {name}": self.method.rate(self.slowings[name]) for name in self.layers},
        }

    def report(self) -> dict[str, Any]:
        """``layers``, ``alarms`` answered and how many more would have been (``alarms_left``), and ``checks``.

        Of each check: accepted ``step`` and ``epoch`` (a share) before it, ``acm`` (layer → value), ``signal``,
        ``threshold`` crossed or not (``trapped``), what was done (``action``: start, accepted, rolled back, slowed,
        reset, or noted), the ``stage`` after it (0…) and the ``rates`` (layer → factor) from then on.
        """
        left = self.method.most_alarms - self.alarms
        return {"layers": list(self.layers), "alarms": self.alarms, "alarms_left": left, "checks": self.checks}

    # ------------------------------------------------------------ measuring

    def _when(self, steps: int) -> frozenset[int]:
        """Steps of the epoch after which to look; the last one is always among them."""
        return frozenset(max(1, round(steps * (i + 1) / self.method.checks)) for i in range(self.method.checks))

    def _measured(self, control: TrainingControl) -> dict[str, float]:
        scores, fields = layer_fields(control.network, self.watched.images, self.ctx)
        labels = self.watched.labels
        found = {f"acm {name}": activation_clusters(value.numpy(), labels.numpy()) for name, value in fields.items()}
        if self.method.signal == "fisher":
            found |= {f"fisher {name}": fisher_ratio(value.numpy(), labels.numpy()) for name, value in fields.items()}
        return {**found, "loss": float(F.cross_entropy(scores, labels))}

    def _signal(self, found: dict[str, float], control: TrainingControl) -> float:
        """How much the sign of the trap has grown since before training; 1 is not at all."""
        # Measured before the first step.
        assert self.start is not None
        if self.method.signal == "loss":
            return (self.start["loss"] / max(found["loss"], 1e-12)) ** (control.epoch_steps / control.step)
        shallow = self.layers[self.first_watched : self.depth]
        if self.method.signal == "gap":
            deep = self.layers[self.depth :] or self.layers[-1:]
            return self._growth(found, "acm", shallow) / max(self._growth(found, "acm", deep), 1e-12)
        return self._growth(found, self.method.signal, shallow)

    def _growth(self, found: dict[str, float], measure: str, layers: tuple[str, ...]) -> float:
        assert self.start is not None
        now, before = (sum(values[f"{measure} {name}"] for name in layers) for values in (found, self.start))
        return now / max(before, 1e-12)

    def _note(self, control: TrainingControl, found: dict[str, float], signal: float, action: str) -> None:
        self.checks.append(
            {
                "step": control.step,
                "epoch": control.step / control.epoch_steps,
                "acm": {name: found[f"acm {name}"] for name in self.layers},
                "signal": signal,
                "trapped": action != "start" and signal > self.method.threshold,
                "action": action,
                "stage": self.alarms,
                "rates": {name: self.method.rate(self.slowings[name]) for name in self.layers},
            }
        )

    # ------------------------------------------------------------ reacting

    def _alarm(self, control: TrainingControl, found: dict[str, float], signal: float) -> None:
        method = self.method
        can = method.reaction in ("slow", "freeze", "reset") and self.alarms < method.most_alarms
        open_ones = [name for name in self.layers[: self.depth] if self.slowings[name] < method.freeze_after]
        if can and not open_ones and method.deepen and self.depth < len(self.layers):
            self.depth += 1
            self.first_watched = self.depth - 1
            open_ones = [self.layers[self.first_watched]]
        if not (can and open_ones):
            self._note(control, found, signal, "noted")
            self._keep(control)
            return
        self.alarms += 1
        if method.reaction == "freeze":
            self.slowings[open_ones[0]] = method.freeze_after
        else:
            for name in open_ones:
                self.slowings[name] += 1
        goes_back = method.reaction != "reset" and method.rollback
        self._note(
            control, found, signal, "rolled back" if goes_back else {"reset": "reset"}.get(method.reaction, "slowed")
        )
        # Kept by every reaction that answers an alarm.
        assert self._kept is not None
        if goes_back:
            control.rollback(self._kept)
        elif method.reaction == "reset":
            control.restore_layers(self._kept, self.layers[: self.depth])
        self._apply(control)
        if not goes_back:
            self._keep(control)

    def _apply(self, control: TrainingControl) -> None:
        control.set_rates({name: self.method.rate(slowings) for name, slowings in self.slowings.items()})

    def _keep(self, control: TrainingControl) -> None:
        if self.method.reaction in ("slow", "freeze", "reset"):
            self._kept = control.snapshot()
