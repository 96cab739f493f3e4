"""D-VAE: a rate-limited autoencoder drops the perturbation, a second decoder finds it from the class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from ued_core.artefacts import STOPPED
from ued_core.context import Context
from ued_core.defenses.base import Separator
from ued_core.defenses.purified import (
    Purified,
    TrainedDefense,
    Workshop,
    kept_sets,
    read_purified,
)
from ued_core.models.dvae import DvaeNetwork, Places, Sees, bits_per_pixel, build_dvae
from ued_core.params import param
from ued_core.records import ImageSet, Rounding, to_bytes, to_float
from ued_core.training.plan import fast_bfloat16
from ued_core.training.rate_constrained import Arithmetic, DvaeJob, batch_loss, train_dvae

CHUNK = 256
PICTURES = 10
"""Images whose separation is shown while training, one per class."""
DRAFT_EPOCHS = 12
"""Epochs of each stage up to which a purification is called a draft."""
TIMED_STEPS = 3

Step = Literal["subtract", "reconstruct"]


class Dvae(TrainedDefense):
    """Trains a rate-limited autoencoder on the poisoned images and gives back what it lets through.

    Few nats per position suffice for what an image looks like, not for weak noise. What the class alone foretells, a
    second decoder may draw without limit, p̂; it is taken off the images. Stage 1 subtracts p̂ under a tight limit.
    Stage 2 trains a new network on the result, subtracts again, and passes the images through itself. Only the poisoned
    images and their labels are used. Steps matter most: p̂ becomes like the noise after some thousands.

    Source:
        D-VAE, arXiv 2405.01460 (ICML 2024), and the authors' release: rates 1 and 3 for CIFAR-10, 60 epochs per stage.

    Differs:
        Width 16 instead of 64, batches of 32 instead of 128 and 25 epochs instead of 60, sized for a CPU. The released
        networks' unused tail and monitoring classifier are left out. For images from 128 pixels on, whose released
        class vector does not fit, one vector is shared by all positions. The cap on p̂ begins after a sixth of the
        epochs.
    """

    key: ClassVar[str] = "dvae"
    title: ClassVar[str] = "D-VAE"
    page: ClassVar[str] = "dvae"
    page_words: ClassVar[str] = "D-VAE has a page of its own, with networks that ship with this program"

    rate_1: float = param(
        1.0, "Limit of stage 1, in nats per latent position (2×2 pixels); 1 nat is 0.36 bits per pixel. The only "
             "limit of one-stage variants.",
        label="rate target, stage 1", unit="nats", ge=0.1, le=10.0, step=0.1, quick=0.3,
    )  # fmt: skip
    rate_2: float = param(
        3.0, "Limit of stage 2; the paper takes 3 for CIFAR-10. Unused by one-stage variants.",
        label="rate target, stage 2", unit="nats", ge=0.1, le=10.0, step=0.1, quick=0.5,
    )  # fmt: skip
    variant: Literal["two_stages", "subtraction", "reconstruction", "plain_vae"] = param(
        "two_stages",
        "Both stages; or one stage that gives x − p̂; or one that gives x̂; or an autoencoder without second "
        "decoder, its x̂.",
    )
    epochs: int = param(
        25,
        "Epochs of each stage; the paper takes 60 of 391 steps. 12 give a draft: fewer steps, a blurrier "
        "reconstruction.",
        label="epochs per stage",
        ge=1,
        le=1000,
        quick=2,
    )
    width: int = param(
        16,
        "Channels of the first layer; the paper takes 64. Time grows with its square.",
        ge=4,
        le=128,
        step=4,
        quick=4,
    )
    batch_size: int = param(
        32, "Images a step; the paper takes 128 of 50,000.", label="batch size", ge=2, le=1024, quick=12
    )
    perturbation: Sees = param(
        "image_and_class",
        "What p̂ may depend on: the rate-limited image and the class, or the class alone.",
        label="p̂ sees",
    )
    places: Places = param(
        "spatial",
        "One class vector a position, or one for all positions, which cannot hold a fixed pattern.",
        label="class vector",
    )
    latent: Literal["sample", "mean"] = param(
        "sample", "Whether images are purified through a draw of the latent, as released, or through its mean."
    )
    labels: Literal["true", "shuffled"] = param(
        "true", "Shuffled is a control: the classes tell the second decoder nothing. The set keeps its true labels.",
        label="labels it is told",
    )  # fmt: skip
    rounding: Rounding = param("truncate", "Towards zero, as released, or to the nearest level; after each stage.")
    seed: int = param(
        0, "Weights, order and draws of D-VAE itself; the run's seed does not touch it.", ge=0, le=2**31 - 1
    )
    precision: Arithmetic = param(
        "float32",
        "Arithmetic of the training steps. bfloat16 is quicker on a device that multiplies it in hardware and slower "
        "elsewhere. Its p̂ differs from that of float32: the page D-VAE computes p̂ in float32, and shows networks that "
        "were trained in float32 before others.",
        later=True,
    )

    @property
    def stages(self) -> int:
        """How many networks are trained."""
        return 2 if self.variant == "two_stages" else 1

    @property
    def is_draft(self) -> bool:
        """Whether the stages are so short that their reconstruction is a draft."""
        return self.epochs <= DRAFT_EPOCHS

    def draft(self) -> Dvae | None:
        """The same with as many epochs as a draft has; None where this is one already."""
        return None if self.is_draft else self.with_values(epochs=DRAFT_EPOCHS)

    def targets(self) -> tuple[float, ...]:
        """The rate target of each stage, in nats per latent position."""
        return (self.rate_1, self.rate_2)[: self.stages]

    def steps(self, stage: int) -> tuple[Step, ...]:
        """What images pass through after a stage (1 or 2) was trained."""
        if self.variant == "two_stages":
            return ("subtract",) if stage == 1 else ("subtract", "reconstruct")
        return ("subtract",) if self.variant == "subtraction" else ("reconstruct",)

    def network(self, shape: tuple[int, int, int], classes: int, rng: torch.Generator) -> DvaeNetwork:
        """The network of one stage with fresh weights.

        Raises:
            DataError: the sides of the images cannot be halved.
        """
        return build_dvae(shape, classes, self.width, rng, self.perturbation, self.places, self.variant != "plain_vae")

    def trained(self, data: ImageSet, purified: Purified, stage: int) -> DvaeNetwork:
        """The network of a stage (1…) of a set that was purified, in evaluation mode, on the CPU."""
        network = self.network(data.shape, data.classes, torch.Generator())
        network.load_state_dict(purified.weights[stage - 1])
        return network.eval()

    def first_stage(self) -> Dvae | None:
        """The one-stage defence whose network and images are those of stage 1 of this one; None where there is none.

        What limits stage 2 has no part in stage 1, so its value is that of the default.
        """
        return self._first_training() if self.variant == "two_stages" else None

    def known_first(self, data: ImageSet) -> tuple[Dvae, Purified] | None:
        """Another defence whose stage 1 is the same training, and what it made of the same images; None where there is
        none on the disk."""
        for recipe, folder in kept_sets(self.key, data.content_hash):
            other = type(self)(**{name: value for name, value in recipe.items() if name != "name"})
            # Not of another version of the code, which has a folder of another name.
            usable = other._first_training() == self._first_training() and other.folder(data.content_hash) == folder
            kept = read_purified(folder) if usable else None
            if kept is not None:
                return other, kept
        return None

    def _first_training(self) -> Dvae:
        """The defence that trains what stage 1 of this one does, and nothing else: what becomes of the images
        afterwards has no part in it."""
        if self.variant == "plain_vae":
            return self
        return self.with_values(variant="subtraction", rate_2=type(self).model_fields["rate_2"].default)

    def separator(self, data: ImageSet, partial: Path | None = None) -> Separator | None:
        made = self.made_for(data, partial)
        return None if made is None else Separator(self.trained(data, made, 1), self.told_labels(data.labels))

    def told_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """The labels that the networks are given, int64 (N,)."""
        if self.labels == "true":
            return labels
        return labels[torch.randperm(len(labels), generator=Context(seed=self.seed).generator("shuffled labels"))]

    def separate(self, data: ImageSet, ctx: Context, workshop: Workshop) -> Purified:
        return _Separation(self, data, ctx.with_seed(self.seed), workshop).run()

    def reached(self, state: Mapping[str, Any]) -> str:
        done, training = len(state["images"]), state["training"]
        if training is None:
            return f"after stage {done} of {self.stages}"
        return f"stage {done + 1} of {self.stages}, after {len(training['rows'])} of {self.epochs} epochs"

    def so_far(self, state: Mapping[str, Any], whole: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        given = whole.take(rows) if not state["images"] else whole.take(rows).with_images(state["images"][-1][rows])
        if state["training"] is None:
            return given.images
        network = self.network(given.shape, given.classes, torch.Generator())
        network.load_state_dict(state["training"]["network"])
        work = _Separation(self, whole, ctx.with_seed(self.seed), Workshop())
        return work.through(network, given, len(state["images"]) + 1, work.told[rows])

    def seconds_for(self, data: ImageSet) -> float:
        count = min(self.batch_size, len(data))
        network = self.network(data.shape, data.classes, torch.Generator().manual_seed(0))
        images, labels = to_float(data.images[:1]).expand(count, -1, -1, -1), torch.zeros(count, dtype=torch.int64)
        draws, took = torch.Generator().manual_seed(0), []
        for _ in range(1 + TIMED_STEPS):
            # Not by the clock on the wall: whoever waits for a core would take the wait for work.
            began = process_time()
            batch_loss(network, images, labels, draws, 1.0, True, self.precision).total.backward()
            took.append(process_time() - began)
        # The first step also makes what oneDNN keeps for the others.
        return min(took[1:]) * self.stages * self.epochs * max(1, len(data) // count)


class _Separation:
    """One purification: stages one after another, each with a network of its own."""

    def __init__(self, defense: Dvae, data: ImageSet, ctx: Context, workshop: Workshop) -> None:
        self.defense, self.data, self.ctx, self.workshop = defense, data, ctx, workshop
        self.told = defense.told_labels(data.labels)
        firsts = [int((self.told == label).nonzero()[0]) for label in torch.unique(self.told)[:PICTURES]]
        self.shown = torch.tensor(firsts)
        self.images: list[torch.Tensor] = []
        self.weights: list[dict[str, torch.Tensor]] = []
        self.logs: list[dict[str, Any]] = []

    def run(self) -> Purified:
        """All stages; the state after each of them, and within it, is in the workshop."""
        if self.defense.precision == "bfloat16" and not fast_bfloat16(self.ctx.device):
            self.ctx.on_note(
                f"{self.defense.title}: this device has no bfloat16 in hardware. The result is right, but float32 "
                "would be quicker here."
            )
        state = self.workshop.load()
        if state is not None:
            self.images, self.weights, self.logs = list(state["images"]), list(state["weights"]), list(state["logs"])
        else:
            self._take_first_stage()
        while len(self.images) < self.defense.stages:
            self._stage(len(self.images) + 1, state and state["training"])
            state = None
        log = self._log()
        self.ctx.report(1, 1, log["note"])
        return Purified(self.images[-1], tuple(self.images), log, tuple(self.weights))

    def _take_first_stage(self) -> None:
        """Stage 1 from the disk, where the same training was already done for another variant."""
        known = self.defense.known_first(self.data)
        if known is None:
            return
        other, kept = known
        self.weights, self.logs = [kept.weights[0]], [kept.log["stages"][0]]
        if other.steps(1) == self.defense.steps(1):
            self.images = [kept.stages[0].clone()]
        else:
            self.images = [self.through(other.trained(self.data, kept, 1), self.data, 1, self.told)]

    def _stage(self, stage: int, resume: dict[str, Any] | None) -> None:
        defense, target = self.defense, self.defense.targets()[stage - 1]
        ctx = self._stage_context(stage)
        given = self.data.with_images(self.images[-1] if self.images else self.data.images)
        network = defense.network(given.shape, given.classes, ctx.generator("weights", device="cpu"))
        job = DvaeJob(
            data=replace(given, labels=self.told),
            network=network,
            target=target,
            epochs=defense.epochs,
            batch_size=defense.batch_size,
            arithmetic=defense.precision,
            resume=resume,
            on_epoch=lambda row: self._show(stage, target, network, given, row),
            on_state=lambda state: self.workshop.save(lambda: self._state(state())),
            enough=self.workshop.enough,
        )
        self.epoch_rows: list[dict[str, float]] = list(resume["rows"]) if resume else []
        # A wish that came too late for the stage before, or in an earlier execution, is not one for this stage.
        self.workshop.enough()
        rows = train_dvae(job, replace(ctx, on_report=self._part(stage)))
        self.images.append(self.through(network, given, stage, self.told))
        self.weights.append({name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()})
        self.logs.append(self._stage_log(stage, target, network, rows))
        self.workshop.save(lambda: self._state(None), now=True)

    def through(self, network: DvaeNetwork, given: ImageSet, stage: int, told: torch.Tensor) -> torch.Tensor:
        """The images after a stage's passes, uint8; ``told`` are the labels that go with them."""
        ctx = self._stage_context(stage)
        network = network.to(ctx.device).eval()
        rng = ctx.generator("purify") if self.defense.latent == "sample" else None
        steps, rounding = self.defense.steps(stage), self.defense.rounding
        result = torch.empty(given.images.shape, dtype=torch.uint8)
        for start in range(0, len(given), CHUNK):
            ctx.check()
            part = slice(start, start + CHUNK)
            images, labels = given.images[part].to(ctx.device), told[part].to(ctx.device)
            result[part] = to_bytes(purify_batch(network, to_float(images), labels, steps, rng), rounding).cpu()
        return result

    def _stage_context(self, stage: int) -> Context:
        """A stream of its own for every stage: the second network owes nothing to the first one."""
        return self.ctx.with_seed(self.ctx.stream_seed("stage", stage))

    def _state(self, training: dict[str, Any] | None) -> dict[str, Any]:
        return {"images": self.images, "weights": self.weights, "logs": self.logs, "training": training}

    def _part(self, stage: int) -> Callable[[float, float, str], None]:
        told, stages = self.ctx.on_report, self.defense.stages

        def report(done: float, total: float, text: str) -> None:
            told((stage - 1 + done / total) / stages, 1, f"{self.defense.title}, stage {stage} of {stages}, {text}")

        return report

    def _stage_log(
        self, stage: int, target: float, network: DvaeNetwork, rows: list[dict[str, float]]
    ) -> dict[str, Any]:
        last, planned = rows[-1], self.defense.epochs
        return {
            "stage": stage,
            "target": target,
            "rate": last["rate"],
            "bits_per_pixel": bits_per_pixel(last["rate"], network.stride),
            "psnr": last["psnr"],
            "energy": last["energy"],
            "epochs": len(rows),
            "planned_epochs": planned,
            "seconds": sum(row["seconds"] for row in rows),
            "trace": rows,
        } | ({STOPPED: f"after {len(rows)} of {planned} epochs"} if len(rows) < planned else {})

    def _log(self) -> dict[str, Any]:
        words = "; ".join(
            f"stage {log['stage']} kept {log['rate']:.2f} nats per position (target {log['target']:g}), "
            f"x̂ at {log['psnr']:.1f} dB of its input" for log in self.logs
        )  # fmt: skip
        early = [f"stage {log['stage']} {log[STOPPED]}" for log in self.logs if STOPPED in log]
        log = {"note": f"{words[0].upper()}{words[1:]}.", "stages": self.logs}
        return log | ({STOPPED: ", ".join(early)} if early else {})

    @torch.no_grad()
    def _show(self, stage: int, target: float, network: DvaeNetwork, given: ImageSet, row: dict[str, float]) -> None:
        self.epoch_rows.append(row)
        images, labels = (
            to_float(given.images[self.shown].to(self.ctx.device)),
            self.told[self.shown].to(self.ctx.device),
        )
        made = network(images, labels)
        pictures = {
            "rows": self.shown.numpy(),
            "given": given.images[self.shown].numpy(),
            "image": to_bytes(made.image).cpu().numpy(),
        }
        if made.perturbation is not None:
            pictures["perturbation"] = made.perturbation.cpu().numpy().astype(np.float32)
        now = {"stage": stage, "target": target, "planned_epochs": self.defense.epochs, "trace": self.epoch_rows}
        self.workshop.show({"stages": [*self.logs, now]}, pictures)


@torch.no_grad()
def purify_batch(
    network: DvaeNetwork,
    images: torch.Tensor,
    labels: torch.Tensor,
    steps: tuple[Step, ...],
    rng: torch.Generator | None,
) -> torch.Tensor:
    """Images after a stage's passes through its network: float (N, C, H, W) in [0, 1].

    Args:
        network: in evaluation mode.
        images: float (N, C, H, W) in [0, 1].
        labels: int64 (N,), what the network is told.
        steps: ``subtract`` gives clip(x − p̂), ``reconstruct`` x̂, one after another, each with a pass of its own.
        rng: draws the latent; None takes its mean.
    """
    for step in steps:
        made = network(images, labels, rng)
        images = (images - made.perturbation if step == "subtract" else made.image).clamp(0, 1)
    return images
