"""Error-maximising noise: adversarial examples of the true class, used as training data."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch

from ued_core.artefacts import Draft
from ued_core.attacks.checkpoint import Crafted, log_of
from ued_core.attacks.error_minimising import CLASS_SHARE, judged
from ued_core.attacks.gradient import LEVEL, Effort, Noise, chunk_of, on_device
from ued_core.attacks.surrogate import TrainedSurrogateAttack, chunks
from ued_core.context import Context
from ued_core.models import Network
from ued_core.params import param
from ued_core.records import ImageSet
from ued_core.training.ascent import descend, frozen, input_gradient

WANTED_ERROR = {"sample": 0.9, "class": 0.8}


class ErrorMaximising(TrainedSurrogateAttack):
    """Noise that makes a trained model wrong: adversarial examples with their true labels.

    A surrogate learns the clean images and is then frozen; noise climbs its loss until it is wrong on 90 % of the
    images (80 % for class-wise noise). What a model then learns from the images are features of other classes.

    Source:
        The error-maximising baseline of Unlearnable Examples, arXiv 2101.04898; as poison also in arXiv 2106.10807.

    Differs:
        A small CNN trained for 10 epochs as surrogate instead of a ResNet-18 for 60; steps of ε/10 as published.
        Rounds end at max_rounds. Class-wise noise is computed on a fifth of each class.
    """

    key: ClassVar[str] = "emax"
    title: ClassVar[str] = "EMaxN"

    granularity: Literal["sample", "class"] = param(
        "sample", "Each image its own noise, or one noise for all images of a class.", label="noise for each"
    )
    max_rounds: int = param(3, "Most rounds; class-wise noise, which takes one step per round and batch, needs more.",
                            label="most rounds", ge=1, le=100, quick=1)  # fmt: skip
    steps: int = param(20, "Noise steps in a round of sample-wise noise, as published.", ge=1, le=100, quick=2)
    step_size: float = param(0.1, "Length of a noise step as a share of ε, as published.", ge=0.01, le=1.0, step=0.01)

    def gradient_evaluations(self, n_images: int) -> int:
        part = max(1, int(CLASS_SHARE * n_images))
        a_round = 2 * part if self.granularity == "class" else (self.steps + 1) * n_images
        return self.surrogate_evaluations(n_images) + self.max_rounds * a_round

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        network = self.trained(data, ctx, effort)
        kept = draft.load()
        together, epsilon = self.granularity == "class", self.epsilon * LEVEL
        trace = [] if kept is None else kept["trace"]
        noise = Noise(data, epsilon, None if kept is None or together else kept["noise"])
        table = (torch.zeros((data.classes, *data.shape)) if kept is None or not together else kept["noise"]).to(
            ctx.device
        )
        part = torch.randperm(len(data), generator=ctx.generator("class subset", device="cpu"))[
            : max(1, int(CLASS_SHARE * len(data)))
        ]
        wanted = WANTED_ERROR[self.granularity]
        with frozen(network):
            while len(trace) < self.max_rounds and not (trace and (trace[-1]["error"] >= wanted or ctx.enough())):
                words = f"round {len(trace) + 1} of at most {self.max_rounds}"
                error = (
                    self._climb_together(network, data, part, table, effort, words)
                    if together
                    else (self._climb(network, noise, effort, words))
                )
                trace.append({"round": len(trace) + 1, "error": error})
                draft.save(lambda: {"noise": table if together else noise.values, "trace": trace})
        if together:
            for rows in chunks(len(data), 1024):
                noise.put(rows, table[data.labels[rows].to(ctx.device)])
        error, converged = trace[-1]["error"], trace[-1]["error"] >= wanted
        done = f"the surrogate is wrong on {100 * error:.1f} % of the perturbed images after {len(trace)} rounds"
        stopped = (
            ""
            if converged or len(trace) == self.max_rounds
            else f"after {len(trace)} of at most {self.max_rounds} rounds"
        )
        log = log_of(done, f"{100 * wanted:.0f} % were wanted", converged, trace, stopped)
        effort.finish(log["note"])
        return Crafted(noise.stored(), log)

    def _climb(self, network: Network, noise: Noise, effort: Effort, words: str) -> float:
        right, device = 0, effort.ctx.device
        for rows in chunks(len(noise.data), chunk_of(device)):
            clean, start, labels = noise.on(rows, device)
            images = descend(
                network,
                clean,
                start,
                labels,
                epsilon=noise.epsilon,
                step=self.step_size * noise.epsilon,
                steps=self.steps,
                uphill=True,
                after=lambda count: effort.spend(count, words),
            )
            noise.put(rows, images - clean)
            right += judged(network, images, labels)[0]
            effort.spend(len(images), words)
        return 1 - right / len(noise.data)

    def _climb_together(
        self, network: Network, data: ImageSet, part: torch.Tensor, table: torch.Tensor, effort: Effort, words: str
    ) -> float:
        """One step per batch for the noise of every class, in place; the error afterwards."""
        device, epsilon = effort.ctx.device, self.epsilon * LEVEL
        for rows in chunks(len(part), chunk_of(device)):
            clean, labels = on_device(data, part[rows], device)
            slope = input_gradient(network, (clean + table[labels]).clamp_(0, 1), labels).sign()
            count = torch.bincount(labels, minlength=data.classes).view(-1, 1, 1, 1).clamp(min=1)
            mean = torch.zeros_like(table).index_add_(0, labels, slope) / count
            table.add_(self.step_size * epsilon * mean).clamp_(-epsilon, epsilon)
            effort.spend(len(labels), words)
        right = 0
        for rows in chunks(len(part), chunk_of(device)):
            clean, labels = on_device(data, part[rows], device)
            right += judged(network, (clean + table[labels]).clamp_(0, 1), labels)[0]
            effort.spend(len(labels), words)
        return 1 - right / len(part)
