"""Robust error-minimising noise: EM that is meant to survive adversarial training."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ued_core.artefacts import Draft
from ued_core.attacks.checkpoint import Crafted, log_of
from ued_core.attacks.gradient import LEVEL, Effort, chunk_of, on_device
from ued_core.attacks.surrogate import BATCH, SurrogateAttack, at_least_two, build_network, chunks
from ued_core.context import Context
from ued_core.errors import ParameterError
from ued_core.models import Network
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes
from ued_core.training.ascent import descend, frozen, input_gradient
from ued_core.training.crop import random_crop, random_flip

CONVERGED_LOSS = 0.1
RECENT = 20
"""The robust loss is a mean over this many steps."""


class RobustErrorMinimising(SurrogateAttack):
    """EM against adversarial training: noise that makes even adversarially shifted images easy.

    Three nested searches: the surrogate learns, under noise that lowers its loss, on the worst shift within a smaller
    radius, averaged over crops and mirror images. In the end the noise of every image is computed anew with the final
    surrogate. **The most expensive attack here:** what runs on a CPU in minutes does not converge, and then it hardly
    works; the note of the crafted set says so.

    Source:
        Robust Unlearnable Examples, arXiv 2203.14533 (ICLR 2022), and the authors' release.

    Differs:
        1,000 training steps of a small CNN with 5 noise steps, 3 adversarial steps and 1 view instead of 5,000 steps of
        a ResNet-18 with 10, 10 and 5: about a hundredth of the gradient evaluations. Training ends early once the
        robust loss falls below 0.1. The last pass visits every image; the release leaves out the remainder of its last
        batch.
    """

    key: ClassVar[str] = "rem"
    title: ClassVar[str] = "REM"

    adversarial_radius: int = param(
        4, "Radius of the shifts that the noise shall survive, at most ε; the paper takes 4.", unit="1/255", ge=0, le=32
    )
    train_steps: int = param(1000, "Training steps of the surrogate; the paper takes 5,000.", ge=1, le=20000, quick=2)
    noise_steps: int = param(5, "Noise steps in each of them; the paper takes 10.", ge=1, le=50, quick=1)
    step_size: float = param(
        0.25, "Length of a noise step as a share of ε; the paper takes 0.2.", ge=0.01, le=1.0, step=0.01
    )
    adversarial_steps: int = param(3, "Steps towards the worst shift; the paper takes 10.", ge=1, le=50, quick=1)
    views: int = param(1, "Random views whose gradients a noise step adds up; the paper takes 5.", ge=1, le=10)
    augment: bool = param(True, "Views are random crops and mirror images, as published; otherwise the image itself.")

    def model_post_init(self, _context: object) -> None:
        if self.adversarial_radius > self.epsilon:
            raise ParameterError(
                f"{self.title}: adversarial_radius is {self.adversarial_radius} and ε is {self.epsilon}, but "
                "noise cannot survive shifts that are larger than itself.",
                "Take a radius of at most ε.",
            )

    def gradient_evaluations(self, n_images: int) -> int:
        worst = self.adversarial_steps + 1 if self.adversarial_radius else 1
        return (self.train_steps * min(BATCH, n_images) + n_images) * self.noise_steps * self.views * worst + (
            self.train_steps * min(BATCH, n_images) * worst
        )

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        network = build_network(self.model(), data, ctx.generator("surrogate", device="cpu")).to(ctx.device)
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        order = torch.randperm(len(data), generator=ctx.generator("surrogate order", device="cpu"))
        state: dict[str, Any] = {"losses": [], "done": 0, "images": torch.empty_like(data.images)}
        kept = draft.load()
        if kept is not None:
            network.load_state_dict(kept["network"])
            optimizer.load_state_dict(kept["optimizer"])
            state = {name: kept[name] for name in state}

        def everything() -> dict[str, Any]:
            return {**state, "network": network.state_dict(), "optimizer": optimizer.state_dict()}

        losses = state["losses"]
        effort.skip(len(losses) * self.gradient_evaluations(len(data)) // (self.train_steps + 1))
        while len(losses) < self.train_steps and not robust(losses) and not (losses and ctx.enough()):
            losses.append(self._train_step(network, optimizer, data, order, len(losses), ctx, effort, losses))
            # Noise of an earlier surrogate, of a last pass that came too soon, is computed anew.
            state["done"] = 0
            draft.save(everything)
        with frozen(network):
            for rows in chunks(len(data), chunk_of(ctx.device)):
                if rows.start < state["done"]:
                    continue
                clean, labels = on_device(data, rows, ctx.device)
                delta = self._noise(
                    network, clean, labels, ctx.generator("last pass", rows.start), effort, "noise of every image"
                )
                state["images"][rows] = to_bytes((clean + delta).clamp_(0, 1)).cpu()
                state["done"] = rows.stop
                draft.save(everything)
        recent = losses[-RECENT:]
        mean = sum(recent) / len(recent)
        done = f"the surrogate's loss on adversarially shifted images is {mean:.2f} after {len(losses)} steps"
        wanted = f"below {CONVERGED_LOSS:g} is wanted. Expect little protection; more training steps are needed"
        ended = robust(losses) or len(losses) == self.train_steps
        stopped = "" if ended else f"after {len(losses)} of at most {self.train_steps} training steps"
        trace = [{"step": i + 1, "robust_loss": loss} for i, loss in enumerate(losses)][:: max(1, len(losses) // 200)]
        log = log_of(done, wanted, robust(losses), trace, stopped)
        effort.finish(log["note"])
        return Crafted(state["images"], log)

    def _train_step(
        self, network: Network, optimizer: torch.optim.Optimizer, data: ImageSet, order: torch.Tensor, step: int,
        ctx: Context, effort: Effort, losses: list[float],
    ) -> float:  # fmt: skip
        """Noise for a batch, its worst shift, one step of the surrogate; the robust loss."""
        words = f"step {step + 1} of at most {self.train_steps}" + (f", robust loss {losses[-1]:.2f}" if losses else "")
        size = min(BATCH, len(data))
        rows = at_least_two(order[(step * size + torch.arange(size)) % len(data)])
        clean, labels = on_device(data, rows, ctx.device)
        rng = ctx.generator("training step", step)
        with frozen(network):
            delta = self._noise(network, clean, labels, rng, effort, words)
            bent = self._worst(network, self._view((clean + delta).clamp_(0, 1), rng), labels, rng, effort, words)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * 0.1 ** int(2.5 * step / self.train_steps)
        network.train()
        loss = F.cross_entropy(network(bent), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        effort.spend(size, words)
        return float(loss.detach())

    def _noise(
        self,
        network: Network,
        clean: torch.Tensor,
        labels: torch.Tensor,
        rng: torch.Generator,
        effort: Effort,
        words: str,
    ) -> torch.Tensor:
        """Noise from a random start, float (N, C, H, W) within ε, in units of 1."""
        epsilon = self.epsilon * LEVEL
        delta = uniform(clean, epsilon, rng)
        for _ in range(self.noise_steps):
            slopes = (self.slope(network, clean, delta, labels, rng, effort, words) for _ in range(self.views))
            slope = sum(slopes, torch.zeros_like(delta))
            delta = (delta - self.step_size * epsilon * slope.sign()).clamp_(-epsilon, epsilon)
        return delta

    def slope(
        self, network: Network, clean: torch.Tensor, delta: torch.Tensor, labels: torch.Tensor, rng: torch.Generator,
        effort: Effort, words: str,
    ) -> torch.Tensor:  # fmt: skip
        """Gradient of the loss at the worst shift of one view, pulled back to the noise as if the shift were
        constant."""
        leaf = delta.detach().requires_grad_(True)
        with torch.enable_grad():
            seen = self._view((clean + leaf).clamp(0, 1), rng)
            worst = self._worst(network, seen.detach(), labels, rng, effort, words)
            effort.spend(len(clean), words)
            return torch.autograd.grad((seen * input_gradient(network, worst, labels)).sum(), leaf)[0]

    def _worst(
        self,
        network: Network,
        images: torch.Tensor,
        labels: torch.Tensor,
        rng: torch.Generator,
        effort: Effort,
        words: str,
    ) -> torch.Tensor:
        radius = self.adversarial_radius * LEVEL
        if not radius:
            return images
        return descend(
            network, images, (images + uniform(images, radius, rng)).clamp_(0, 1), labels, epsilon=radius, uphill=True,
            step=min(1.0, 1.5 / self.adversarial_steps) * radius, steps=self.adversarial_steps,
            after=lambda count: effort.spend(count, words),
        )  # fmt: skip

    def _view(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        if not self.augment:
            return images
        return random_flip(random_crop(images, min(4, min(images.shape[2:]) // 8), rng), rng)


def uniform(like: torch.Tensor, radius: float, rng: torch.Generator) -> torch.Tensor:
    """Values in [-radius, radius], shape and device of ``like``."""
    return (2 * torch.rand(like.shape, generator=rng, device=like.device) - 1) * radius


def robust(losses: list[float]) -> bool:
    """Whether the recent losses are low enough to stop."""
    return len(losses) >= RECENT and sum(losses[-RECENT:]) / RECENT < CONVERGED_LOSS
