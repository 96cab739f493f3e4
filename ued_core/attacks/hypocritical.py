"""Hypocritical perturbation: noise that makes a finished model surer of the true class."""

from __future__ import annotations

from typing import ClassVar

import torch

from ued_core.artefacts import STOPPED, Draft
from ued_core.attacks.checkpoint import Crafted
from ued_core.attacks.error_minimising import judged
from ued_core.attacks.gradient import LEVEL, Effort, chunk_of, on_device
from ued_core.attacks.surrogate import TrainedSurrogateAttack, chunks
from ued_core.context import Context
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes
from ued_core.training.ascent import descend, frozen


class Hypocritical(TrainedSurrogateAttack):
    """Noise that helps a finished model to the true class, so that the images look easier than they are.

    The counterpart of error maximising with the same frozen surrogate: down the loss instead of up. Unlike EM the
    surrogate does not learn along. Weak under ordinary training; it was made to hurt robust accuracy.

    Source:
        Can Adversarial Training Be Manipulated By Non-Robust Features?, arXiv 2201.13329 (NeurIPS 2022), and its
        release.

    Differs:
        20 steps instead of 100, a small CNN instead of a ResNet-18, no augmentation while crafting; images are rounded,
        not truncated. The surrogate is trained naturally unless a radius is set; the release takes radius 2.
    """

    key: ClassVar[str] = "hypo"
    title: ClassVar[str] = "HYPO"

    surrogate_radius: int = param(
        0, "Radius of the surrogate's adversarial training; 0 trains it naturally, the release takes 2 for 10 epochs.",
        unit="1/255", ge=0, le=8,
    )  # fmt: skip
    steps: int = param(20, "Steps of every image; the paper takes 100.", ge=1, le=500, quick=2)
    step_size: float = param(0.1, "Length of a step as a share of ε, as published.", ge=0.01, le=1.0, step=0.01)

    def _radius(self) -> float:
        return float(self.surrogate_radius)

    def gradient_evaluations(self, n_images: int) -> int:
        return self.surrogate_evaluations(n_images) + (self.steps + 2) * n_images

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        network = self.trained(data, ctx, effort)
        epsilon = self.epsilon * LEVEL
        state = draft.load() or {"done": 0, "before": 0.0, "after": 0.0, "images": torch.empty_like(data.images)}
        effort.skip(state["done"] * (self.steps + 2))
        with frozen(network):
            for rows in chunks(len(data), chunk_of(ctx.device)):
                if rows.start < state["done"]:
                    continue
                if rows.start and ctx.enough():
                    break
                clean, labels = on_device(data, rows, ctx.device)
                before = judged(network, clean, labels)[1]
                images = descend(
                    network, clean, clean, labels, epsilon=epsilon, step=self.step_size * epsilon, steps=self.steps,
                    after=lambda count: effort.spend(count, "steps down the loss"),
                )  # fmt: skip
                state["images"][rows] = to_bytes(images.detach()).cpu()
                after = judged(network, images, labels)[1]
                state.update(done=rows.stop, before=state["before"] + before, after=state["after"] + after)
                effort.spend(2 * len(labels), "steps down the loss")
                draft.save(lambda: state)
        done = state["done"]
        before, after = state["before"] / done, state["after"] / done
        note = (
            f"The surrogate's mean loss fell from {before:.3g} on the clean images to {after:.3g} on the "
            "perturbed ones."
        )
        log = {"converged": after < before, "note": note, "trace": [{"before": before, "after": after}]}
        if done < len(data):
            state["images"][done:] = data.images[done:]
            stopped = f"after {done:,} of {len(data):,} images; the others are clean"
            log |= {"converged": False, "note": f"Stopped early {stopped}. {note}", STOPPED: stopped}
        effort.finish(log["note"])
        return Crafted(state["images"], log)
