"""NTGA: noise that misleads a network of infinite width, whose training is a formula."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import torch
import torch.nn.functional as F

from ued_core.artefacts import Draft
from ued_core.attacks.base import Bound
from ued_core.attacks.checkpoint import Crafted
from ued_core.attacks.gradient import LEVEL, Effort
from ued_core.attacks.surrogate import chunks
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.context import Context, exact_device
from ued_core.models.tangent_kernel import tangent_kernel
from ued_core.params import param
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training.ascent import project

CENTRE, SPREAD = 0.5, 0.25
"""What the models of this program subtract from images and divide them by."""


class Ntga(WholeSetAttack):
    """Noise against the neural tangent kernel: what an infinitely wide network learns from it fails on clean images.

    The set is cut into blocks. A fully connected network of infinite width that is trained on a block answers by kernel
    regression, in closed form, so its error on clean images of other blocks can be followed back to the block's pixels:
    signed steps climb it. No network is trained. This is NTGA (FC-NTK).

    Little follows where the images' own contrast is large against ε: after a block of 256 digits (four hidden layers)
    the regression's accuracy fell from 95.8 % to 95.0 % at ε = 8/255 and to 71 % at 32/255; the default model that
    trained on all digits at 8/255 recognised every clean one.

    Source:
        Neural Tangent Generalization Attacks, ICML 2021 (PMLR 139), and the authors' release.

    Differs:
        Every step starts where the last one ended; the release evaluates each at the clean block, so that its ten
        iterations are one. ReLU instead of erf; trained to the end with a small ridge instead of until a time t (a
        larger ridge stands for stopping earlier). Blocks of 256 instead of 512. Validation images are other images of
        the training set, drawn for each block. Images are centred as the program's models do it.
    """

    key: ClassVar[str] = "ntga"
    title: ClassVar[str] = "NTGA"

    epsilon: int = param(8, "Largest change of a value.", label="ε", unit="1/255", ge=1, le=32)
    hidden_layers: int = param(5, "Hidden layers of the infinitely wide network; 5 as published.", ge=1, le=8, quick=1)
    block: int = param(
        256, "Images that are perturbed together, as if they were the whole training set; the paper takes 512.",
        unit="images", ge=8, le=1024, quick=20,
    )  # fmt: skip
    validation: int = param(
        500,
        "Clean images outside the block, whose recognition is spoiled.",
        label="validation images",
        ge=4,
        le=2000,
        quick=4,
    )
    steps: int = param(
        10, "Steps of every block; one step of size 1 is what the release computes.", ge=1, le=100, quick=2
    )
    step_size: float = param(0.2, "Length of a step as a share of ε.", ge=0.01, le=1.0, step=0.01)
    ridge: float = param(
        1e-4,
        "Added to the kernel's diagonal as a share of its mean; large values stand for training that stops early.",
        ge=1e-6,
        le=100.0,
    )

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        """What the published images keep to: ε in every value."""
        return Bound("linf", float(self.epsilon))

    def gradient_evaluations(self, n_images: int) -> int:
        """How many times an image enters a kernel, at most: block and validation images in every step, and twice to
        judge."""
        return (self.steps + 2) * (n_images + self._blocks(n_images) * min(self.validation, n_images))

    def _blocks(self, n_images: int) -> int:
        return -(-n_images // self.block)

    def seconds_for(self, data: ImageSet) -> float:
        """How long crafting takes on this machine's processor, from one small timed step; a rough upper bound."""
        count = min(len(data), 64)
        images, labels = points(data, torch.arange(count), torch.device("cpu")), data.labels[:count]
        network = KernelNetwork(self.hidden_layers, self.ridge, data.classes)
        network.slope(images, labels, images, labels)
        began = perf_counter()
        network.slope(images, labels, images, labels)
        # Work grows with the pairs of images: those of a block with one another and with the validation images.
        a_pair = (perf_counter() - began) / (2 * count**2)
        block, asked = min(self.block, len(data)), min(self.validation, len(data))
        return a_pair * (self.steps + 2) * self._blocks(len(data)) * block * (block + asked)

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        """The whole set as it is published.

        Args:
            data: the clean training images.
            ctx: private key, device, progress, cancellation.
            draft: holds the blocks that are done.

        Returns:
            Its log's ``trace`` has one row per block: ``images``, and ``clean_accuracy`` and ``poisoned_accuracy``,
            0..1, of the kernel regression before and after, on clean images that were used for no step of this block.
        """
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        parts = chunks(len(data), self.block)
        order = torch.randperm(len(data), generator=ctx.generator("blocks", device="cpu"))
        state: dict[str, Any] = draft.load() or {"images": torch.empty_like(data.images), "trace": []}
        trace = state["trace"]
        effort.skip(effort.total * len(trace) // len(parts))
        for part in parts[len(trace) :]:
            images, row = self._one_block(data, order, part, effort, f"block {len(trace) + 1} of {len(parts)}")
            state["images"][order[part]] = images
            trace.append(row)
            draft.save(lambda: state)
        clean, poisoned = (
            sum(row[k] * row["images"] for row in trace) / len(data) for k in ("clean_accuracy", "poisoned_accuracy")
        )
        note = (
            f"NTGA (FC-NTK): kernel regression recognises {100 * clean:.1f} % of held-out clean images when it learns "
            f"from clean blocks, {100 * poisoned:.1f} % when it learns from the perturbed ones."
        )
        effort.finish(note)
        return Crafted(state["images"], {"converged": poisoned < clean, "note": note, "trace": trace})

    def _one_block(
        self, data: ImageSet, order: torch.Tensor, part: slice, effort: Effort, words: str
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The published images of a block, uint8, and its row of the trace."""
        ctx, epsilon = effort.ctx, self.epsilon * LEVEL
        network = KernelNetwork(self.hidden_layers, self.ridge, data.classes)

        def on(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            device = exact_device(ctx.device)
            return points(data, rows, device), data.labels[rows].to(device)

        asked, judging = self._outside(order, part, ctx)
        clean, labels = on(order[part])
        questions, truth = on(asked)
        images = clean
        for step in range(self.steps):
            slope = network.slope(images, labels, questions, truth)
            images = project(images + self.step_size * epsilon * slope.sign(), clean, epsilon)
            effort.spend(len(images) + len(asked), f"{words}, step {step + 1} of {self.steps}")
        stored = to_bytes(images.float()).cpu()
        questions, truth = on(judging)
        row: dict[str, Any] = {
            "images": len(images),
            "clean_accuracy": network.accuracy(clean, labels, questions, truth),
        }
        row["poisoned_accuracy"] = network.accuracy(to_float(stored).to(images), labels, questions, truth)
        effort.spend(2 * (len(images) + len(judging)), words)
        return stored, row

    def _outside(self, order: torch.Tensor, part: slice, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows to ask during the steps and other rows to judge by, both outside the block; a set of one block asks its
        own."""
        others = torch.cat([order[: part.start], order[part.stop :]])
        others = others if len(others) else order
        drawn = others[torch.randperm(len(others), generator=ctx.generator("validation", part.start, device="cpu"))]
        count = min(self.validation, -(-len(drawn) // 2))
        return drawn[:count], drawn[count : 2 * count] if len(drawn) > 1 else drawn


@dataclass(frozen=True)
class KernelNetwork:
    """An infinitely wide fully connected network at the end of its training on squared errors.

    Images are float64 (N, C, H, W) in [0, 1], labels int64 (N,).

    Attributes:
        hidden_layers: as in :func:`ued_core.models.tangent_kernel.tangent_kernel`.
        ridge: share of the kernel's mean diagonal that is added to the diagonal.
        classes: how many scores it gives.
    """

    hidden_layers: int
    ridge: float
    classes: int

    def answers(self, images: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Scores of ``asked``, float64 (M, classes), when ``images`` are all it learned; differentiable."""
        learned, asked = ((i - CENTRE).flatten(1) / SPREAD for i in (images, asked))
        kernel = tangent_kernel(learned, learned, self.hidden_layers)
        ridge = self.ridge * kernel.diagonal().mean() * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
        targets = F.one_hot(labels, self.classes).to(kernel)
        return tangent_kernel(asked, learned, self.hidden_layers) @ torch.linalg.solve(kernel + ridge, targets)

    def slope(
        self, images: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor, truth: torch.Tensor
    ) -> torch.Tensor:
        """Gradient of the summed cross-entropy on ``asked`` with respect to ``images``; their shape."""
        leaf = images.detach().requires_grad_(True)
        with torch.enable_grad():
            loss = F.cross_entropy(self.answers(leaf, labels, asked), truth, reduction="sum")
            return torch.autograd.grad(loss, leaf)[0]

    @torch.no_grad()
    def accuracy(self, images: torch.Tensor, labels: torch.Tensor, asked: torch.Tensor, truth: torch.Tensor) -> float:
        """Share of ``asked`` that is recognised, 0..1."""
        return float((self.answers(images, labels, asked).argmax(1) == truth).double().mean())


def points(data: ImageSet, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Some images as float64 in [0, 1]; neighbours in a kernel differ too little for single precision."""
    return to_float(data.images[rows].to(device)).double()
