"""Adversarial poisoning: every image is pushed towards another class, and keeps its label."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from ued_core.artefacts import STOPPED, Draft
from ued_core.attacks.checkpoint import Crafted
from ued_core.attacks.gradient import LEVEL, Effort, chunk_of, on_device
from ued_core.attacks.surrogate import TrainedSurrogateAttack, chunks
from ued_core.context import Context
from ued_core.models import Network
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes
from ued_core.training.ascent import descend, frozen, project
from ued_core.training.crop import random_crop, random_flip

SHIFT = 4


class AdversarialPoison(TrainedSurrogateAttack):
    """Images that a trained model takes for the next class, with their true labels.

    A surrogate learns the clean images and is frozen. Every image starts from random noise and goes down the loss
    towards the class after its own, (y + 1) mod K. A model trained on these images connects the label y with
    features of class y + 1.

    Source:
        Adversarial Examples Make Strong Poisons, arXiv 2106.10807 (NeurIPS 2021), and the authors' release.

    Differs:
        20 steps of ε/10 and one start instead of 250 of ε/20 and 8, a small CNN trained for 10 epochs instead of a
        ResNet-18 for 40, no augmentation while crafting: sized for a CPU. The optional augmentation shifts by whole
        pixels; the release interpolates.
    """

    key: ClassVar[str] = "tap"
    title: ClassVar[str] = "TAP"

    goal: Literal["targeted", "untargeted"] = param(
        "targeted", "Towards the next class (the stronger poison), or only away from the own one."
    )
    steps: int = param(20, "Steps of every image; the paper takes 250.", ge=1, le=500, quick=2)
    step_size: float = param(0.1, "Length of a step as a share of ε; the paper takes 0.05.", ge=0.01, le=1.0, step=0.01)
    restarts: int = param(
        1, "Starts, of which the one with the lowest loss over the whole set is kept; the paper takes 8.", ge=1, le=16
    )
    augment: bool = param(
        False, "Shift by up to 4 pixels and mirror at random in every step, as published; needs more steps."
    )

    def gradient_evaluations(self, n_images: int) -> int:
        return self.surrogate_evaluations(n_images) + self.restarts * (self.steps + 1) * n_images

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        network = self.trained(data, ctx, effort)
        state = draft.load() or {
            "start": 0, "done": 0, "loss": 0.0, "hits": 0, "trace": [],
            "images": torch.empty_like(data.images), "best": None, "best_loss": float("inf"),
        }  # fmt: skip
        effort.skip((state["start"] * len(data) + state["done"]) * (self.steps + 1))
        with frozen(network):
            while state["start"] < self.restarts and not (state["start"] and ctx.enough()):
                if not self._one_start(network, data, ctx, effort, state, lambda: draft.save(lambda: state)):
                    break
        best, stopped = min(state["trace"], key=lambda row: row["loss"]), ""
        if not state["start"]:
            state["images"][state["done"] :] = data.images[state["done"] :]
            stopped = f"after {state['done']:,} of {len(data):,} images; the others are clean"
        elif state["start"] < self.restarts:
            stopped = f"after {state['start']} of {self.restarts} starts"
        aim = "takes for the next class" if self.goal == "targeted" else "does not recognise"
        note = f"The surrogate {aim} {100 * best['hit_rate']:.1f} % of the perturbed images; 90 % are usual."
        log = {"converged": best["hit_rate"] > 0.9 and not stopped, "note": note, "trace": state["trace"]}
        if stopped:
            log |= {"note": f"Stopped early {stopped}. {note}", STOPPED: stopped}
        effort.finish(log["note"])
        return Crafted(state["images"] if state["best"] is None else state["best"], log)

    def _one_start(
        self,
        network: Network,
        data: ImageSet,
        ctx: Context,
        effort: Effort,
        state: dict[str, Any],
        save: Callable[[], None],
    ) -> bool:
        """Every image once from random noise; the better of this start and the best so far is kept.

        False when the user had enough before the end. The images so far are then the result of the first start, and a
        later start is left out.
        """
        epsilon, number = self.epsilon * LEVEL, state["start"]
        words = f"start {number + 1} of {self.restarts}"
        for rows in chunks(len(data), chunk_of(ctx.device)):
            if rows.start < state["done"]:
                continue
            if (number or rows.start) and ctx.enough():
                break
            clean, labels = on_device(data, rows, ctx.device)
            aim = (labels + 1) % data.classes if self.goal == "targeted" else labels
            rng = ctx.generator("start", number, rows.start)
            drawn = torch.randn(clean.shape, generator=rng, device=clean.device) * epsilon
            images = descend(
                network,
                clean,
                project(clean + drawn, clean, epsilon),
                aim,
                epsilon=epsilon,
                step=self.step_size * epsilon,
                steps=self.steps,
                uphill=self.goal == "untargeted",
                prepare=self._view(rng),
                after=lambda count: effort.spend(count, words),
            )
            loss, hits = self._judge(network, images, aim)
            state["images"][rows] = to_bytes(images.detach()).cpu()
            state.update(done=rows.stop, loss=state["loss"] + loss, hits=state["hits"] + hits)
            effort.spend(len(labels), words)
            save()
        complete = state["done"] == len(data)
        if number and not complete:
            return False
        mean = state["loss"] / state["done"]
        state["trace"].append({"start": number + 1, "loss": mean, "hit_rate": state["hits"] / state["done"]})
        if not complete:
            return False
        if self.restarts > 1 and mean < state["best_loss"]:
            state["best"] = state["images"].clone()
            state["best_loss"] = mean
        state.update(start=number + 1, done=0, loss=0.0, hits=0)
        return True

    def _view(self, rng: torch.Generator) -> Callable[[torch.Tensor], torch.Tensor]:
        if not self.augment:
            return lambda images: images
        return lambda images: random_flip(random_crop(images, SHIFT, rng), rng)

    def _judge(self, network: Network, images: torch.Tensor, aim: torch.Tensor) -> tuple[float, int]:
        """Sum of the losses that are made small, and how many images reach the goal."""
        with torch.no_grad():
            scores = network(images)
        loss = float(F.cross_entropy(scores, aim, reduction="sum"))
        hits = int((scores.argmax(1) == aim).sum())
        return (loss, hits) if self.goal == "targeted" else (-loss, len(aim) - hits)
