"""Error-minimising noise: the images are made so easy that nothing is left to learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F

from ued_core.artefacts import Draft
from ued_core.attacks.checkpoint import Crafted, log_of
from ued_core.attacks.gradient import LEVEL, Effort, Noise, chunk_of, on_device
from ued_core.attacks.surrogate import BATCH, SurrogateAttack, at_least_two, build_network, chunks
from ued_core.context import Context
from ued_core.displacement import displace, draw_fields
from ued_core.models import Network
from ued_core.params import param
from ued_core.records import ImageSet
from ued_core.training.ascent import descend, frozen, slope, summed_loss

STOP_ACCURACY = 0.99
CLASS_SHARE = 0.2
"""Share of every class on which class-wise noise is computed, as in the release."""


class ErrorMinimising(SurrogateAttack):
    """Noise that takes the remaining error away, so that a model finds nothing left to learn.

    Surrogate and noise are trained in turn: some batches of ordinary training on the perturbed images, then steps
    of all noise *down* the loss, until the surrogate is right on 99 % of the perturbed images. Accuracy may fall
    between rounds; that is normal. Being right says little about the effect: where the images' own contrast is
    large against ε, noise fits this surrogate without being common to a class, and other models do not follow it.

    Source:
        Unlearnable Examples, arXiv 2101.04898 (ICLR 2021), and the authors' release.

    Differs:
        Five steps of ε/5 a round instead of 20 of ε/10, and a small CNN as surrogate, sized for a CPU (five steps as in
        APBench). Batches of 128 where the release takes 512. Noise keeps its sign: the release cut the negative half
        off while building the data set, which its author confirmed as a mistake; "as released" does the same. At most
        max_rounds rounds. Perturbed images are clipped in every phase. Order of the batches: drawn once, and none is
        dropped. Class-wise noise takes one step per batch, as there, but of ε/5 instead of ε/10, and ends when the
        surrogate is right on 99 % of the subset, as in most of the release's scripts; its README says 90 %. Noise that
        expects COIN is an addition: an attacker who knows the defence.
    """

    key: ClassVar[str] = "em"
    title: ClassVar[str] = "EM"

    granularity: Literal["sample", "class"] = param(
        "sample", "Each image its own noise, or one noise for all images of a class.", label="noise for each"
    )
    max_rounds: int = param(
        30,
        "Most rounds of training and noise; the papers need about 10 and set no limit.",
        label="most rounds",
        ge=1,
        le=100,
        quick=1,
    )
    batches: int = param(
        10,
        "Training batches of 128 in a round; the paper takes 10, and 20 on CIFAR-100.",
        label="batches per round",
        ge=1,
        le=100,
        quick=2,
    )
    steps: int = param(5, "Noise steps in a round; the paper takes 20, APBench 5.", ge=1, le=100, quick=2)
    step_size: float = param(
        0.2, "Length of a noise step as a share of ε; the paper takes 0.1 with 20 steps.", ge=0.01, le=1.0, step=0.01
    )
    as_released: bool = param(
        False,
        "Cut negative noise off and truncate, as the released loader does by mistake: most of the effect is lost.",
    )
    expected_coin: float = param(
        0.0,
        "Strength α of the COIN that the attacker expects: the surrogate learns displaced images, and a noise step "
        "averages over draws of the displacement. 0 expects none.",
        label="expected COIN α", unit="px", ge=0.0, le=6.0, step=0.5, quick=2.0, later=True,
    )  # fmt: skip
    coin_draws: int = param(
        4, "Draws of COIN's displacement that one noise step averages over; none without an expected COIN.",
        label="draws per step", ge=1, le=32, quick=2, later=True,
    )  # fmt: skip

    @property
    def draws_per_step(self) -> int:
        """How often a noise step looks at an image."""
        return self.coin_draws if self.expected_coin else 1

    def revision(self) -> int:
        # 1: every image's step is clipped before the class takes the mean, as in the release; it was clipped after.
        return 1 if self.granularity == "class" else 0

    def gradient_evaluations(self, n_images: int) -> int:
        draws = self.draws_per_step
        if self.granularity == "class":
            part = (draws + 1) * max(1, int(CLASS_SHARE * n_images))
            return self.max_rounds * (self.batches * min(BATCH, n_images) + part)
        return self.max_rounds * (self.batches * min(BATCH, n_images) + (self.steps * draws + 1) * n_images)

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        return (
            _ClassWise(self, data, ctx, draft).craft()
            if self.granularity == "class"
            else _SampleWise(self, data, ctx, draft).craft()
        )


class _Crafting(ABC):
    """One execution: surrogate, noise and where they stand."""

    def __init__(self, attack: ErrorMinimising, data: ImageSet, ctx: Context, draft: Draft) -> None:
        self.attack, self.data, self.ctx, self.draft = attack, data, ctx, draft
        self.epsilon, self.step = attack.epsilon * LEVEL, attack.step_size * attack.epsilon * LEVEL
        self.effort = Effort(ctx, attack.gradient_evaluations(len(data)))
        self.network = build_network(attack.model(), data, ctx.generator("surrogate", device="cpu")).to(ctx.device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        self.order = torch.randperm(len(data), generator=ctx.generator("surrogate order", device="cpu"))
        self.position, self.trace = 0, []
        self.drawn = (0, -1)
        kept = draft.load()
        self.restore(kept)
        if kept is not None:
            self.network.load_state_dict(kept["network"])
            self.optimizer.load_state_dict(kept["optimizer"])
            self.position, self.trace = kept["position"], kept["trace"]
            self.effort.skip(attack.gradient_evaluations(len(data)) * len(self.trace) // attack.max_rounds)

    @abstractmethod
    def restore(self, kept: dict[str, Any] | None) -> None:
        """Noise at the start, or as it was saved."""

    @abstractmethod
    def perturbed(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Perturbed images in [0, 1] and labels, on the device."""

    @abstractmethod
    def improve(self, text: str) -> tuple[float, float]:
        """All noise a few steps down; accuracy and mean loss of the surrogate on the perturbed images afterwards."""

    def seen(self, images: torch.Tensor) -> torch.Tensor:
        """What the surrogate sees of perturbed images: as the expected COIN leaves them, in one draw."""
        if not self.attack.expected_coin:
            return images
        # Named by the round and the draw's number in it, so that crafting that was interrupted goes on with the draws
        # that it would have had.
        number = len(self.trace)
        self.drawn = (number, self.drawn[1] + 1 if self.drawn[0] == number else 0)
        return expected(images, self.attack.expected_coin, self.ctx.generator("expected coin", *self.drawn))

    @abstractmethod
    def noise_state(self) -> torch.Tensor:
        """What :meth:`restore` needs."""

    @abstractmethod
    def stored(self) -> torch.Tensor:
        """The published images."""

    def craft(self) -> Crafted:
        """Rounds until the surrogate is right, or the limit, or the user has enough."""
        limit = self.attack.max_rounds
        while len(self.trace) < limit and not self.converged() and not (self.trace and self.ctx.enough()):
            number = len(self.trace) + 1
            words = f"round {number} of at most {limit}"
            if self.trace:
                words += f", surrogate right on {100 * self.trace[-1]['accuracy']:.0f} %"
            self.train(words)
            with frozen(self.network):
                right, loss = self.improve(words)
            self.trace.append({"round": number, "accuracy": right, "loss": loss})
            self.draft.save(self.state)
        right = self.trace[-1]["accuracy"]
        done = f"the surrogate is right on {100 * right:.1f} % of the perturbed images after {len(self.trace)} rounds"
        ended = self.converged() or len(self.trace) == limit
        stopped = "" if ended else f"after {len(self.trace)} of at most {limit} rounds"
        log = log_of(done, "99 % were wanted", self.converged(), self.trace, stopped)
        self.effort.finish(log["note"])
        return Crafted(self.stored(), log)

    def converged(self) -> bool:
        """Whether the last round reached the wanted accuracy."""
        return bool(self.trace) and self.trace[-1]["accuracy"] >= STOP_ACCURACY

    def state(self) -> dict[str, Any]:
        """Everything that a later execution needs to go on."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": self.position,
            "trace": self.trace,
            "noise": self.noise_state(),
        }

    def train(self, words: str) -> None:
        """Some batches of ordinary training on the perturbed images, going through the set from round to round."""
        size = min(BATCH, len(self.data))
        self.network.train()
        for _ in range(self.attack.batches):
            places = (self.position + torch.arange(size)) % len(self.order)
            self.position = (self.position + size) % len(self.order)
            images, labels = self.perturbed(at_least_two(self.order[places]))
            self.optimizer.zero_grad(set_to_none=True)
            F.cross_entropy(self.network(self.seen(images)), labels).backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.effort.spend(size, f"{words}: training")


class _SampleWise(_Crafting):
    def restore(self, kept: dict[str, Any] | None) -> None:
        self.noise = Noise(self.data, self.epsilon, None if kept is None else kept["noise"])

    def noise_state(self) -> torch.Tensor:
        return self.noise.values

    def stored(self) -> torch.Tensor:
        return self.noise.stored(self.attack.as_released)

    def perturbed(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.noise.on(rows, self.ctx.device)[1:]

    def improve(self, text: str) -> tuple[float, float]:
        right, loss = 0, 0.0
        for rows in chunks(len(self.data), chunk_of(self.ctx.device)):
            clean, start, labels = self.noise.on(rows, self.ctx.device)
            images = descend(
                self.network, clean, start, labels, epsilon=self.epsilon, step=self.step, steps=self.attack.steps,
                prepare=self.seen, draws=self.attack.draws_per_step,
                after=lambda count: self.effort.spend(count, f"{text}: noise"),
            )  # fmt: skip
            self.noise.put(rows, images - clean)
            more, cost = judged(self.network, self.seen(images), labels)
            right, loss = right + more, loss + cost
            self.effort.spend(len(images), f"{text}: noise")
        return right / len(self.data), loss / len(self.data)


class _ClassWise(_Crafting):
    def restore(self, kept: dict[str, Any] | None) -> None:
        shape = (self.data.classes, *self.data.shape)
        self.table = (torch.zeros(shape) if kept is None else kept["noise"]).to(self.ctx.device)
        shuffled = self.data.labels[self.order]
        parts = [(shuffled == label).nonzero()[:, 0] for label in shuffled.unique().tolist()]
        # Some of every class, in the order of the set's own shuffle.
        places = torch.cat([part[: max(1, int(CLASS_SHARE * len(part)))] for part in parts]).sort().values
        self.subset = self.order[places]

    def noise_state(self) -> torch.Tensor:
        return self.table

    def stored(self) -> torch.Tensor:
        noise = Noise(self.data, self.epsilon)
        for rows in chunks(len(self.data), 1024):
            noise.put(rows, self.table[self.data.labels[rows].to(self.table.device)])
        return noise.stored(self.attack.as_released)

    def perturbed(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images, labels = on_device(self.data, rows, self.ctx.device)
        return (images + self.table[labels]).clamp_(0, 1), labels

    def improve(self, text: str) -> tuple[float, float]:
        for rows in chunks(len(self.subset), BATCH):
            clean, labels = on_device(self.data, self.subset[rows], self.ctx.device)
            self.table = class_step(
                self.network, clean, labels, self.table, epsilon=self.epsilon, step=self.step,
                prepare=self.seen, draws=self.attack.draws_per_step,
            )  # fmt: skip
            self.effort.spend(self.attack.draws_per_step * len(labels), f"{text}: noise")
        right, loss = 0, 0.0
        for rows in chunks(len(self.subset), BATCH):
            images, labels = self.perturbed(self.subset[rows])
            more, cost = judged(self.network, self.seen(images), labels)
            right, loss = right + more, loss + cost
            self.effort.spend(len(labels), f"{text}: noise")
        return right / len(self.subset), loss / len(self.subset)


def class_step(
    network: Network,
    clean: torch.Tensor,
    labels: torch.Tensor,
    table: torch.Tensor,
    *,
    epsilon: float,
    step: float,
    prepare: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
    draws: int = 1,
) -> torch.Tensor:
    """The noise of every class after one step on a batch: each image moves by itself, then a class takes the mean of
    its images.

    An image starts where the noise leaves it in [0, 1], so a black or white pixel passes on only what it can show:
    noise that would make it darker than black counts as none. Averaging comes last.

    Args:
        network: frozen.
        clean: float (N, C, H, W) in [0, 1].
        labels: int64 (N,).
        table: float (classes, C, H, W) within ``epsilon``, in units of 1; not changed.
        epsilon, step: in units of 1.
        prepare, draws: as in :func:`ued_core.training.ascent.descend`.

    Returns:
        Float (classes, C, H, W) within ``epsilon``; classes without an image in the batch keep their noise.
    """
    start = (clean + table[labels]).clamp_(0, 1)
    slopes = [slope(lambda x: summed_loss(network, prepare(x), labels), start) for _ in range(draws)]
    moved = start - step * torch.stack(slopes).sum(0).sign()
    own = (moved - clean).clamp_(-epsilon, epsilon)
    count = torch.bincount(labels, minlength=len(table)).view(-1, 1, 1, 1)
    mean = torch.zeros_like(table).index_add_(0, labels, own) / count.clamp(min=1)
    return torch.where(count > 0, mean, table).clamp_(-epsilon, epsilon)


def expected(images: torch.Tensor, strength: float, rng: torch.Generator) -> torch.Tensor:
    """The images as COIN would leave them in one draw; a gradient goes back through the displacement.

    Args:
        images: float (N, C, H, W) in [0, 1].
        strength: α, in pixels.
        rng: of the draw.
    """
    return displace(images, *draw_fields((len(images), *images.shape[2:]), strength, rng))


@torch.no_grad()
def judged(network: Network, images: torch.Tensor, labels: torch.Tensor) -> tuple[int, float]:
    """How many images are recognised, and the sum of their losses."""
    scores = network(images)
    return int((scores.argmax(1) == labels).sum()), float(F.cross_entropy(scores, labels, reduction="sum"))
