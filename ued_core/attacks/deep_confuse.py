"""DeepConfuse: a network that writes the noise, trained through one step of the classifier's own training."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from time import perf_counter
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from ued_core.artefacts import Draft
from ued_core.attacks.checkpoint import Crafted
from ued_core.attacks.error_minimising import judged
from ued_core.attacks.gradient import LEVEL, Effort, chunk_of, on_device, published
from ued_core.attacks.surrogate import SurrogateAttack, at_least_two, build_network, chunks
from ued_core.context import Context
from ued_core.models import Network
from ued_core.models.u_net import UNet, build_u_net
from ued_core.params import param
from ued_core.records import ImageSet, to_float
from ued_core.training.ascent import frozen

BATCH = 64
LEAST_TO_HOLD_OUT = 50


class DeepConfuse(SurrogateAttack):
    """Noise that a U-Net computes from each image, so that what a classifier learns from it fails on clean images.

    A classifier is trained on images with the noise of a frozen generator. At every batch a second generator is asked
    what one training step on *its* noise would do, and it is changed so that the classifier after that step is worse on
    the clean batch. After each loop the second generator takes the place of the first and the classifier starts anew.

    The paper's budget is some thousand times this one, which does nothing on digits: the default victim keeps 99 %
    (seeds 0 to 2). In a network of ReLUs the loss after a step also jumps wherever a unit switches, and the slope that
    is followed does not see the jumps.

    Source:
        Learning to Confuse, arXiv 1905.09027 (NeurIPS 2019), and the authors' release.

    Differs:
        Sized for a CPU: 10 loops of one epoch instead of 1,000 of 20, higher learning rates for it, a small CNN instead
        of VGG-11, a U-Net of 8 channels instead of 64. Batches of 64 instead of 256. The generator is chosen by the
        loss on a held-out tenth of the training images, which the loop's own classifier has; the release trains one
        more classifier and looks at the test set. ε = 8/255 instead of 0.032. The generator that is in use sees each
        image by itself.
    """

    key: ClassVar[str] = "deep_confuse"
    title: ClassVar[str] = "DeepConfuse"

    generator_width: int = param(
        8, "Channels of the U-Net's first level; 64 as published.", ge=8, le=64, step=4, quick=8
    )
    loops: int = param(10, "How often the classifier starts anew; the paper takes 1,000 loops.", ge=1, le=1000, quick=1)
    epochs: int = param(
        1, "Passes over the images in a loop; the paper takes 20.", label="epochs per loop", ge=1, le=20, quick=2
    )
    classifier_rate: float = param(
        0.1, "Learning rate of the classifier, in real and in imagined steps; 0.01 as published.", ge=0.001, le=1.0
    )
    generator_rate: float = param(
        0.001,
        "Learning rate of the generator (Adam); 0.0001 as published, for many more steps.",
        ge=1e-5,
        le=0.1,
        quick=0.01,
    )

    def gradient_evaluations(self, n_images: int) -> int:
        """How many times an image passes through classifier or generator, at most; a pass with gradients counts as
        one."""
        held_out = _held_out(n_images)
        learned = max(2, n_images - held_out)
        judging = (self.loops + 1) * (learned + (held_out or n_images))
        return (5 * self.loops + 2) * self.epochs * learned + judging + n_images

    def seconds_for(self, data: ImageSet) -> float:
        """How long crafting takes on this machine's processor, from one small timed step; a rough upper bound."""
        count, rng = 8, Context().generator("speed")
        images = to_float(data.images[:1]).expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(count, dtype=torch.int64)
        network, generator = (
            build_network(self.model(), data, rng),
            build_u_net(data.shape[0], self.generator_width, rng),
        )

        def step() -> None:
            loss_after_step(network, noisy(generator, images, LEVEL), images, labels, self.classifier_rate).backward()
            F.cross_entropy(network(noisy(generator, images, LEVEL).detach()), labels).backward()

        step()
        began = perf_counter()
        step()
        return (perf_counter() - began) / count * len(data) * ((self.loops + 1) * self.epochs + 1)

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        """The whole set as it is published.

        Args:
            data: the clean training images; a tenth of them only judges the generators.
            ctx: private key, device, progress, cancellation.
            draft: holds the generator between loops.

        Returns:
            Its log's ``trace`` has one row a loop, the first with an untrained generator: ``clean_accuracy``, 0..1, and
            ``clean_loss`` on held-out clean images of a classifier that trained on the generator's noise.
        """
        return _Crafting(self, data, ctx, draft).craft()


class _Crafting:
    """One execution: both generators and where they stand.

    Args:
        attack, data, ctx, draft: as in :meth:`WholeSetAttack.craft`.
    """

    def __init__(self, attack: DeepConfuse, data: ImageSet, ctx: Context, draft: Draft) -> None:
        self.attack, self.data, self.ctx, self.draft = attack, data, ctx, draft
        self.epsilon = attack.epsilon * LEVEL
        self.effort = Effort(ctx, attack.gradient_evaluations(len(data)))
        self.learned, self.held_out = parted(len(data), ctx)
        self.generator = build_u_net(
            data.shape[0], attack.generator_width, ctx.generator("generator", device="cpu")
        ).to(ctx.device)
        ctx.check()
        # The first optimiser of a process loads torch's compiler, which takes a second or two.
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=attack.generator_rate)
        ctx.check()
        self.best: dict[str, torch.Tensor] = {}
        self.trace: list[dict[str, Any]] = []
        kept = draft.load()
        if kept is not None:
            self.generator.load_state_dict(kept["generator"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.best, self.trace = kept["best"], kept["trace"]
            self.effort.skip(len(self.trace) * self.per_loop)

    @property
    def per_loop(self) -> int:
        """Evaluations of a loop in which the generator learns."""
        return (self.attack.epochs * 5 + 1) * len(self.learned) + len(self.held_out)

    def craft(self) -> Crafted:
        """The loops, one more that only judges the last generator, and the noise of the best one."""
        loops = self.attack.loops
        while len(self.trace) <= loops:
            number = len(self.trace)
            words = f"loop {number + 1} of {loops}" if number < loops else "judging the last generator"
            used = self.settled(words)
            with frozen(used):
                network = self.one_loop(number, used, words)
                row = {"loop": number, **self.judge(network, words)}
            if number > 0 and (not self.best or row["clean_loss"] > max(r["clean_loss"] for r in self.trace[1:])):
                self.best = {name: value.cpu().clone() for name, value in used.state_dict().items()}
            self.trace.append(row)
            self.draft.save(self.state)
        return self.finished()

    def state(self) -> dict[str, Any]:
        """Everything that a later execution needs to go on."""
        return {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best,
            "trace": self.trace,
        }

    @torch.no_grad()
    def settled(self, words: str) -> UNet:
        """The generator as it is used: its batch normalisation takes the averages over all images it learns from.

        Running averages lag behind the weights, and few steps leave them where they began.
        """
        used = copy.deepcopy(self.generator).train()
        for module in used.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None
        for rows in self.learned.split(BATCH):
            if len(rows) > 1 or len(self.learned) == 1:
                used(on_device(self.data, at_least_two(rows), self.ctx.device)[0])
            self.effort.spend(len(rows), f"{words}: averages")
        return used

    def one_loop(self, number: int, used: UNet, words: str) -> Network:
        """A classifier trained from new weights on the noise of ``used``; meanwhile the generator learns, except in the
        last loop."""
        attack, ctx = self.attack, self.ctx
        network = (
            build_network(attack.model(), self.data, ctx.generator("classifier", number, device="cpu"))
            .to(ctx.device)
            .train()
        )
        optimizer = torch.optim.SGD(network.parameters(), lr=attack.classifier_rate)
        self.generator.train()
        for rows in self.batches(number):
            images, labels = on_device(self.data, rows, ctx.device)
            if number < attack.loops:
                loss = -loss_after_step(
                    network, noisy(self.generator, images, self.epsilon), images, labels, attack.classifier_rate
                )
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward(inputs=list(self.generator.parameters()))
                self.optimizer.step()
                self.effort.spend(3 * len(rows), f"{words}: generator")
            with torch.no_grad():
                poisoned = noisy(used, images, self.epsilon)
            optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(network(poisoned), labels).backward()
            optimizer.step()
            self.effort.spend(2 * len(rows), f"{words}: classifier")
        return network

    def batches(self, number: int) -> Iterator[torch.Tensor]:
        """The batches of a loop, every image once an epoch."""
        for epoch in range(self.attack.epochs):
            order = torch.randperm(
                len(self.learned), generator=self.ctx.generator("order", number, epoch, device="cpu")
            )
            for rows in self.learned[order].split(BATCH):
                # What is left over may be a single image, which batch normalisation cannot take.
                if len(rows) > 1 or len(self.learned) == 1:
                    yield at_least_two(rows)

    def judge(self, network: Network, words: str) -> dict[str, float]:
        """The classifier on clean images that nobody learned from: ``clean_accuracy``, 0..1, and ``clean_loss``."""
        right, loss = 0, 0.0
        with frozen(network):
            for rows in self.held_out.split(chunk_of(self.ctx.device)):
                images, labels = on_device(self.data, rows, self.ctx.device)
                more, cost = judged(network, images, labels)
                right, loss = right + more, loss + cost
                self.effort.spend(len(rows), words)
        return {"clean_accuracy": right / len(self.held_out), "clean_loss": loss / len(self.held_out)}

    def finished(self) -> Crafted:
        """The images with the best generator's noise, one pass each."""
        result = torch.empty_like(self.data.images)
        self.generator.load_state_dict(self.best)
        with frozen(self.generator), torch.no_grad():
            for rows in chunks(len(self.data), chunk_of(self.ctx.device)):
                images = on_device(self.data, rows, self.ctx.device)[0]
                result[rows] = published(self.data.images[rows], (self.epsilon * self.generator(images)).cpu())
                self.effort.spend(len(images), "writing the noise")
        first, chosen = self.trace[0], max(self.trace[1:], key=lambda row: row["clean_loss"])
        with_noise, without = (
            f"{100 * row['clean_accuracy']:.1f} % (loss {row['clean_loss']:.2f})" for row in (chosen, first)
        )
        note = (
            f"Trained for {self.attack.epochs} epochs on the noise of loop {chosen['loop']}, which was taken, a "
            "classifier is right on "
            f"{with_noise} of held-out clean images; on an untrained generator's noise, on {without}."
        )
        self.effort.finish(note)
        return Crafted(
            result, {"converged": chosen["clean_loss"] > first["clean_loss"], "note": note, "trace": self.trace}
        )


def parted(count: int, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows to learn from and rows to judge by: a tenth of the training images, or all for both in tiny sets."""
    order = torch.randperm(count, generator=ctx.generator("held out", device="cpu"))
    size = _held_out(count)
    return (order[size:], order[:size]) if size else (order, order)


def _held_out(count: int) -> int:
    return count // 10 if count >= LEAST_TO_HOLD_OUT else 0


def noisy(generator: UNet, images: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Images plus the generator's noise, clipped to [0, 1].

    Args:
        images: float (N, C, H, W) in [0, 1].
        epsilon: in units of 1.
    """
    return (images + epsilon * generator(images)).clamp(0, 1)


def loss_after_step(
    network: Network, poisoned: torch.Tensor, clean: torch.Tensor, labels: torch.Tensor, rate: float
) -> torch.Tensor:
    """Cross-entropy on clean images after one imagined step of gradient descent on poisoned ones.

    The network itself, its running averages included, stays as it is.

    Args:
        network: in training mode.
        poisoned, clean: float (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        rate: of the imagined step.

    Returns:
        A scalar, differentiable with respect to ``poisoned`` through the step.
    """
    weights: dict[str, torch.Tensor] = dict(network.named_parameters())
    averages = {name: value.clone() for name, value in network.named_buffers()}
    loss = F.cross_entropy(functional_call(network, (weights, averages), (poisoned,)), labels)
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    stepped = {
        name: value.detach() - rate * slope for (name, value), slope in zip(weights.items(), slopes, strict=True)
    }
    return F.cross_entropy(functional_call(network, (stepped, averages), (clean,)), labels)
