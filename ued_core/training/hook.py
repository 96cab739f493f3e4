"""The third moment of a defence: a hook that training asks at every loss and after every step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ued_core.context import Context
from ued_core.errors import RunError, UnknownName
from ued_core.models import Network
from ued_core.records import ImageSet
from ued_core.training.batches import Batch
from ued_core.training.objective import Tally
from ued_core.training.plan import Plan


@dataclass(frozen=True)
class Setup:
    """What a defence knows when it makes its hook.

    Attributes:
        data: what will be trained on, purified, labels as given.
        network: the network, weights drawn; the training moves it to the device.
        plan: the recipe.
        ctx: seed, device, progress and cancellation; random numbers come from its named streams.
    """

    data: ImageSet
    network: Network
    plan: Plan
    ctx: Context


@dataclass(frozen=True)
class Graded:
    """What came out of a batch; losses and scores with gradient.

    Attributes:
        losses: float32 (N,), one per image; training minimises their mean.
        scores: float (N, K), from which the training accuracy is counted.
        targets: int64 (N,) or float (N, K), the labels that the scores were compared with: a batch that was drawn anew
            may have others.
    """

    losses: torch.Tensor
    scores: torch.Tensor
    targets: torch.Tensor


@dataclass(frozen=True)
class Moment:
    """Where training stands while a loss is computed.

    Attributes:
        network: the network, in training mode; whoever changes its mode changes it back.
        rng: the epoch's generator, on the device.
        progress: share of the steps that lie behind, 0..1.
        dtype: the arithmetic of the plan.
        forward: the network, compiled where the plan says so.
    """

    network: Network
    rng: torch.Generator
    progress: float
    dtype: torch.dtype
    forward: Callable[[torch.Tensor], torch.Tensor]

    def autocast(self) -> AbstractContextManager[Any]:
        """The plan's arithmetic, as the loop's own forward pass has it."""
        return torch.autocast(self.rng.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Scores, float32 (N, K), of float images (N, C, H, W) in the plan's arithmetic."""
        with self.autocast():
            return self.forward(images.contiguous(memory_format=torch.channels_last)).float()

    def grade(self, batch: Batch) -> Graded:
        """Cross-entropy of every image: the innermost loss."""
        scores = self.scores(batch.images)
        return Graded(F.cross_entropy(scores, batch.targets, reduction="none"), scores, batch.targets)


class TrainingHook:
    """What a defence does while the network is trained; every method does nothing unless overridden.

    The hooks of a stack wrap each other's loss like the layers of an onion, the first defence outermost.
    """

    def loss(self, batch: Batch, inner: Callable[[Batch], Graded], moment: Moment) -> Graded:
        """The loss of one batch.

        Args:
            batch: the images and labels of this step.
            inner: the loss of everything further inside; may be called several times, on other images too.
            moment: where training stands.

        Returns:
            As many losses and rows of scores as the batch has images, in its order.
        """
        return inner(batch)

    def before_epoch(self, control: TrainingControl) -> None:
        """Called before the first step of every epoch, also of the first one after a resume."""

    def after_step(self, control: TrainingControl) -> None:
        """Called after every step of the optimiser. A step that an outer hook took back is not shown to the inner
        ones."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold for an exact resume: plain values and tensors in dicts and lists."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state` gave."""

    def row(self) -> dict[str, float]:
        """Numbers for the epoch's row of the history; asked once, at the end of each epoch."""
        return {}

    def report(self) -> dict[str, Any]:
        """What the finished run's result shows of this defence; JSON-ready."""
        return {}


def grade_all(hooks: Sequence[TrainingHook], batch: Batch, moment: Moment) -> Graded:
    """The loss of a batch under a stack of hooks, the first one outermost."""
    inner: Callable[[Batch], Graded] = moment.grade
    for hook in reversed(hooks):
        inner = _wrapped(hook, inner, moment)
    return inner(batch)


def _wrapped(hook: TrainingHook, inner: Callable[[Batch], Graded], moment: Moment) -> Callable[[Batch], Graded]:
    return lambda batch: hook.loss(batch, inner, moment)


def soft_labels(targets: torch.Tensor, classes: int) -> torch.Tensor:
    """Labels as shares: int64 (N,) → float32 (N, classes), ones and zeros; soft labels pass through."""
    return targets if targets.is_floating_point() else F.one_hot(targets, classes).float()


@dataclass(frozen=True)
class Snapshot:
    """Training after some step: weights, buffers, optimiser, the sums of the epoch and the hooks' states."""

    step: int
    network: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    tally: Tally
    hooks: tuple[dict[str, Any], ...]


class TrainingControl:
    """What hooks may change between two steps: learning rates, and a step back.

    The optimiser has one parameter group a layer, the head last. A rolled-back step counts for nothing: not for the
    schedule, not for the sums of the epoch. What is left of the epoch is then shown in a new order and with new draws,
    from streams named by the epoch and the retry, so that a run repeats itself bit for bit.

    Attributes:
        network: the network.
        optimizer: the optimiser of the plan.
        layers: names of the parameter groups, from the image to the head (:meth:`ued_core.models.Network.blocks`).
        step: accepted steps so far.
        steps: accepted steps of the whole training.
        epoch_steps: steps of one epoch.
    """

    def __init__(
        self,
        network: Network,
        optimizer: torch.optim.Optimizer,
        hooks: Sequence[TrainingHook],
        epoch_steps: int,
        steps: int,
    ) -> None:
        self.network, self.optimizer = network, optimizer
        self._blocks = network.blocks()
        self.layers = tuple(self._blocks)
        self.step, self.steps, self.epoch_steps = 0, steps, epoch_steps
        self.tally: Tally | None = None
        self._hooks = tuple(hooks)
        self._first = 0
        self._speaker: TrainingHook | None = None
        self._went_back = False
        self._apply_rates()

    @property
    def epoch_step(self) -> int:
        """Accepted steps of this epoch so far, 0..epoch_steps."""
        return self.step - self._first

    def rates(self) -> dict[str, float]:
        """Layer → factor on its learning rate; 0 is frozen."""
        return dict(zip(self.layers, (group["scale"] for group in self.optimizer.param_groups), strict=True))

    def set_rates(self, multipliers: Mapping[str, float]) -> None:
        """Change factors on the learning rates, from the next step on.

        A layer at 0 is frozen: no gradient, and its batch normalisation keeps its statistics and uses them.

        Raises:
            UnknownName: no such layer.
            RunError: a factor below 0, or nothing would be trained any more.
        """
        for name, factor in multipliers.items():
            if name not in self.layers:
                raise UnknownName("layer", name, self.layers)
            if not factor >= 0:
                raise RunError(f"The learning rate of {name!r} was to be multiplied by {factor}; it must be 0 or more.")
        wanted = {**self.rates(), **multipliers}
        if not any(wanted.values()):
            raise RunError(
                "Every layer would be frozen, so nothing would be trained.", "Leave the head its learning rate."
            )
        for name, group in zip(self.layers, self.optimizer.param_groups, strict=True):
            group["scale"] = float(wanted[name])
        self._apply_rates()

    def snapshot(self) -> Snapshot:
        """The present state, as tensors of its own."""
        return Snapshot(
            self.step,
            {name: value.detach().clone() for name, value in self.network.state_dict().items()},
            copy.deepcopy(self.optimizer.state_dict()),
            self.sums().copy(),
            tuple(copy.deepcopy(hook.state()) for hook in self._hooks),
        )

    def rollback(self, snapshot: Snapshot) -> None:
        """Go back: weights, buffers, optimiser with its rates, step counter, sums, and the states of the other hooks.

        The hook that calls this keeps its own state, for it has to remember that it went back.

        Raises:
            RunError: the snapshot is of an earlier epoch, whose row of the history is written already.
        """
        if snapshot.step < self._first:
            raise RunError(
                f"Step {snapshot.step} belongs to an epoch that is over, so it cannot be gone back to.",
                "Take a snapshot at the start of every epoch.",
            )
        self.network.load_state_dict(snapshot.network)
        # Copied again: the optimiser would write into the snapshot's tensors.
        self.optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
        self.step = snapshot.step
        sums = self.sums()
        self.tally = Tally.empty(sums.loss.device) if snapshot.step == self._first else snapshot.tally.copy()
        for hook, state in zip(self._hooks, snapshot.hooks, strict=True):
            if hook is not self._speaker:
                hook.restore(copy.deepcopy(state))
        self._went_back = True
        self._apply_rates()

    def restore_layers(self, snapshot: Snapshot, layers: Sequence[str]) -> None:
        """Take back weights, buffers and optimiser state of some layers alone; steps, rates and sums stay.

        Raises:
            UnknownName: no such layer.
        """
        names = {id(tensor): name for name, tensor in self.network.state_dict(keep_vars=True).items()}
        places = {id(p): i for i, p in enumerate(p for group in self.optimizer.param_groups for p in group["params"])}
        for layer in layers:
            if layer not in self._blocks:
                raise UnknownName("layer", layer, self.layers)
            for module in self._blocks[layer]:
                for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
                    with torch.no_grad():
                        tensor.copy_(snapshot.network[names[id(tensor)]])
                for parameter in module.parameters(recurse=False):
                    held = snapshot.optimizer["state"].get(places[id(parameter)])
                    self.optimizer.state.pop(parameter, None)
                    if held is not None:
                        self.optimizer.state[parameter] = copy.deepcopy(held)

    def begin_epoch(self, first: int, tally: Tally) -> None:
        """The loop's call before an epoch: its first step, its empty sums; hooks are asked."""
        self.step = self._first = first
        self.tally = tally
        self._went_back = False
        self.training_mode()
        for hook in self._hooks:
            self._speaker = hook
            hook.before_epoch(self)
        self._speaker = None
        self._apply_rates()

    def passed(self) -> bool:
        """The loop's call after a step of the optimiser; true when a hook took steps back."""
        self.step += 1
        self._went_back = False
        for hook in self._hooks:
            self._speaker = hook
            hook.after_step(self)
            if self._went_back:
                break
        self._speaker = None
        # Evaluation ends with the whole network in training mode, the frozen layers too.
        self._apply_rates()
        return self._went_back

    def sums(self) -> Tally:
        """The sums over the accepted steps of this epoch.

        Raises:
            RunError: training has not begun.
        """
        if self.tally is None:
            raise RunError("A snapshot was asked for before training began.", "Take it in before_epoch or after_step.")
        return self.tally

    def training_mode(self) -> None:
        """Training mode for every layer that is not frozen."""
        self.network.train()
        self._apply_rates()

    def release(self) -> None:
        """Let every weight have a gradient again, as it was before training."""
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)

    def _apply_rates(self) -> None:
        rates = self.rates()
        for name, modules in self._blocks.items():
            frozen = rates[name] == 0
            for module in modules:
                for parameter in module.parameters(recurse=False):
                    parameter.requires_grad_(not frozen)
                if frozen:
                    module.training = False
                elif self.network.training:
                    module.training = True


def layer_groups(network: Network) -> list[dict[str, Any]]:
    """Parameters for an optimiser: one group a layer, from the image to the head, each at its full rate."""
    return [
        {"params": [p for module in modules for p in module.parameters(recurse=False)], "scale": 1.0}
        for modules in network.blocks().values()
    ]


def overrides_loss(hook: TrainingHook) -> bool:
    """Whether a hook has a loss of its own; others need no per-image losses."""
    return type(hook).loss is not TrainingHook.loss
