"""Surrogate models: trained on the clean images once, kept under the home, shared between attacks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch
from torch import nn

from ued_core.artefacts import SURROGATES
from ued_core.attacks.base import Bound
from ued_core.attacks.gradient import LEVEL, Effort
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.models import MODELS, Model, Network
from ued_core.params import fingerprint, param
from ued_core.records import ImageSet, to_float
from ued_core.training import AdamW, Job, Plan, accuracy, train
from ued_core.training.ascent import descend, frozen

#: raised whenever code changes how surrogates are trained
SURROGATE_VERSION = 1
BATCH = 128
SMALLEST_SIDE = 8
"""The small CNN halves the side three times; smaller images are framed with grey."""
ROBUST_STEPS = 3


def build_network(model: Model, data: ImageSet, rng: torch.Generator) -> Network:
    """The surrogate's network with weights drawn from ``rng``, for images of any size."""
    network = model.build(data.shape, data.classes, rng)
    short = max(0, SMALLEST_SIDE - min(data.shape[1:]))
    if short:
        network.body = nn.Sequential(nn.ZeroPad2d((short // 2, short - short // 2) * 2), network.body)
    return network.to(memory_format=torch.channels_last)


def at_least_two(rows: torch.Tensor) -> torch.Tensor:
    """The rows, a single one twice: batch normalisation needs two images."""
    return rows.repeat(2) if len(rows) == 1 else rows


@dataclass(frozen=True)
class Surrogate:
    """A model, a recipe and a seed; with a data set it names one artefact.

    Attributes:
        model: what is trained.
        epochs: passes over the training images, one-cycle AdamW, random crops, no flips (they would change digits).
        seed: weights, order, crops, held-out images.
        robust_radius: in 1/255; above zero it is trained on adversarial examples of that radius.
    """

    model: Model
    epochs: int
    seed: int
    robust_radius: float = 0.0

    def plan(self, data: ImageSet) -> Plan:
        """The recipe; small images are cropped less."""
        return AdamW(epochs=self.epochs, crop=min(4, min(data.shape[1:]) // 8), flip="off", precision="float32")

    def key(self, data: ImageSet) -> str:
        """Twelve hex digits: content of the data, model, recipe, seed, versions."""
        return fingerprint(self._identity(data))

    def _identity(self, data: ImageSet) -> dict[str, Any]:
        return {
            "version": SURROGATE_VERSION,
            "torch": torch.__version__,
            "data_hash": data.content_hash,
            "model": self.model.to_json(),
            "plan": self.plan(data).to_json(),
            "seed": self.seed,
            "robust_radius": self.robust_radius,
        }

    def folder(self, data: ImageSet) -> Path:
        """Where its ``network.safetensors`` and ``card.json`` are, or will be."""
        return SURROGATES.root() / self.key(data)

    def card(self, data: ImageSet) -> dict[str, Any] | None:
        """What is known of the trained surrogate, or None when it is not there.

        Its identity, ``data`` (name), ``train_accuracy`` and ``held_out_accuracy`` on clean images (0..1; the latter
        None for sets that are too small to hold images out), ``held_out`` (how many) and ``seconds``.
        """
        return SURROGATES.card(self.folder(data))

    def network(self, data: ImageSet, ctx: Context) -> Network:
        """The trained network on ``ctx.device``, in evaluation mode, its weights without gradients.

        Read from the home when it is there, otherwise trained and kept; where another process trains the same one,
        that is waited for. A full or read-only disk is no error.

        Args:
            data: the clean training images.
            ctx: device, progress (0..1 of the training), cancellation; its seed does not matter.

        Raises:
            Cancelled: the user stopped; nothing is kept.
        """
        drawn = Context(seed=self.seed).stream_seed("surrogate")
        ctx = ctx.with_seed(drawn)
        network = build_network(self.model, data, ctx.generator("weights", device="cpu"))
        folder = self.folder(data)

        def kept() -> Network | None:
            return SURROGATES.read(folder, lambda found: network if _fits(network, found.tensors("network")) else None)

        def made() -> Network:
            began = perf_counter()
            learned = self._train(network, data, ctx)
            card = {**self._identity(data), "data": data.name, **learned, "seconds": perf_counter() - began}
            state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
            SURROGATES.keep(folder, card, tensors={"network": state}, tell=ctx.on_note)
            return network

        waiting = "another process trains this surrogate; waiting for it"
        SURROGATES.once(folder, kept, made, lambda: ctx.report(0, 1, waiting))
        network.to(ctx.device).eval()
        for parameter in network.parameters():
            parameter.requires_grad_(False)
        return network

    def _train(self, network: Network, data: ImageSet, ctx: Context) -> dict[str, Any]:
        order = torch.randperm(len(data), generator=ctx.generator("held out", device="cpu"))
        count = len(data) // 10 if len(data) >= 50 else 0
        held_out, kept = (
            data.take(order[:count].sort().values) if count else None,
            at_least_two(order[count:].sort().values),
        )
        part = data.take(kept)
        job = Job(train=part, test=held_out or part, network=network, plan=self.plan(data), flip=False)
        if self.robust_radius > 0:
            self._train_robust(job, ctx)
        else:
            train(job, ctx)
        return {
            "train_accuracy": accuracy(network, part, ctx),
            "held_out_accuracy": accuracy(network, held_out, ctx) if held_out else None,
            "held_out": count,
        }

    def _train_robust(self, job: Job, ctx: Context) -> None:
        """Every step on adversarial examples of the network as it is then."""
        radius = self.robust_radius * LEVEL

        def worst(
            images: torch.Tensor, labels: torch.Tensor, rng: torch.Generator
        ) -> tuple[torch.Tensor, torch.Tensor]:
            images = images.contiguous(memory_format=torch.channels_last)
            with frozen(job.network):
                bent = descend(
                    job.network, images, images, labels, epsilon=radius, step=radius / 2, steps=ROBUST_STEPS,
                    uphill=True, after=lambda count: ctx.check(),
                )  # fmt: skip
            return bent, labels

        def report(done: float, total: float, text: str) -> None:
            ctx.on_report(done, total, f"adversarial training, {text}")

        train(replace(job, blend=worst), replace(ctx, on_report=report))


def _fits(network: Network, state: dict[str, torch.Tensor]) -> bool:
    try:
        network.load_state_dict(state)
    except RuntimeError:
        return False
    return True


class SurrogateAttack(WholeSetAttack):
    """An additive attack that follows the gradients of a surrogate model within ε of every image."""

    epsilon: int = param(
        8,
        "Largest change of a value. The papers take 8 on CIFAR-10 and SVHN, 16 on faces.",
        label="ε",
        unit="1/255",
        ge=1,
        le=32,
    )
    surrogate: Literal["small_cnn", "resnet18"] = param(
        "small_cnn", "The model whose gradients are followed; the papers take ResNet-18, which needs a GPU."
    )
    # Below 8 channels torch 2.15 corrupts memory in the backward pass of channels-last convolutions on a CPU.
    surrogate_width: int = param(
        12, "Channels of the surrogate's first layer; the papers' ResNet-18 has 64. Time grows with its square.",
        ge=8, le=64, step=4, quick=8,
    )  # fmt: skip

    def model(self) -> Model:
        """The surrogate's architecture."""
        return MODELS.build(self.surrogate, width=self.surrogate_width)

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        """What the published images keep to: ε in every value."""
        return Bound("linf", float(self.epsilon))

    def seconds_for(self, data: ImageSet) -> float:
        """How long crafting takes on this machine's processor, from one small timed step; a rough upper bound."""
        # Few images, as pages ask for it: a full-width ResNet-18 would hold them up otherwise.
        count = 8
        network = build_network(self.model(), data, Context().generator("speed"))
        images = to_float(data.images[:1]).expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(count, dtype=torch.int64)

        def step() -> None:
            descend(network, images, images, labels, epsilon=LEVEL, step=LEVEL, steps=1)

        with frozen(network):
            step()
            began = perf_counter()
            step()
        return (perf_counter() - began) / count * self.gradient_evaluations(len(data))


class TrainedSurrogateAttack(SurrogateAttack):
    """One whose surrogate is trained on the clean images beforehand and then left alone."""

    surrogate_epochs: int = param(
        10, "Epochs in which the surrogate learns the clean images; the papers train 40 to 60.", ge=1, le=100, quick=1
    )

    def trained(self, data: ImageSet, ctx: Context, effort: Effort) -> Network:
        """The surrogate for these images under this private key, read or trained.

        Raises:
            DataError: it learned too little for its gradients to mean anything.
        """
        count = self.surrogate_evaluations(len(data))
        made = self.as_surrogate(ctx.seed)
        network = made.network(data, effort.part(count, "surrogate"))
        effort.spend(count, "surrogate ready")
        if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
            raise DataError(
                "The surrogate's weights are no numbers after its training.", "Choose another width or more epochs."
            )
        return network

    def as_surrogate(self, seed: int) -> Surrogate:
        """The artefact that this attack asks for."""
        return Surrogate(self.model(), self.surrogate_epochs, seed, self._radius())

    def surrogate_note(self, data: ImageSet, seed: int) -> str:
        card = self.as_surrogate(seed).card(data)
        if card is None:
            return ""
        held_out = card["held_out_accuracy"]
        right = f"{100 * card['train_accuracy']:.1f} % of the clean images it learned"
        right += (
            f" and {100 * held_out:.1f} % of {card['held_out']:,} that were held out" if held_out is not None else ""
        )
        robust = f", trained against shifts of {self._radius():g}/255" if self._radius() > 0 else ""
        return f"The surrogate, a {self.model().title} after {self.surrogate_epochs} epochs{robust}, knows {right}."

    def _radius(self) -> float:
        return 0.0

    def surrogate_evaluations(self, n_images: int) -> int:
        """What its training costs."""
        steps = 1 + (ROBUST_STEPS if self._radius() > 0 else 0)
        return self.surrogate_epochs * n_images * steps


def chunks(count: int, size: int) -> list[slice]:
    """Consecutive parts of at most ``size`` rows."""
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]
