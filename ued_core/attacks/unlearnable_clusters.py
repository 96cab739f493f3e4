"""Unlearnable Clusters: one noise for every cluster of features, made without labels."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import model_validator

from ued_core.artefacts import STOPPED, Draft
from ued_core.attacks.base import Bound, add_in_blocks
from ued_core.attacks.checkpoint import Crafted
from ued_core.attacks.encoders import Encoder, EncoderName, crafted_with, encoder_for, features_of
from ued_core.attacks.feature_clusters import Clusters, agreement_with, anchors, find_clusters
from ued_core.attacks.gradient import LEVEL, Effort
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.context import Context
from ued_core.models.generator import ResNetGenerator, build_generator, fitting_side
from ued_core.params import param
from ued_core.records import ImageSet, to_float

BATCH = 64
PROBE = 128
"""Images on which the distances to the anchor and to the own centre are measured."""
CURVE_POINTS = 20
"""How often they are measured while a generator learns, start and end included."""
WEIGHT_DECAY = 5e-4
LEAST_RATE = 1e-6
WANTED_RATIO = 0.7


class UnlearnableClusters(WholeSetAttack):
    """One noise for each cluster of images, made without labels; the encoder decides how well it works.

    A frozen encoder sees the images and k-means divides their features into clusters. For every cluster a generator
    learns one noise that moves the features of the images towards the centre of another cluster: the centres are
    shifted by a fixed offset, so that no cluster keeps its own. Whoever trains on the images, with whatever labels,
    finds the clusters' noise easier than the content. This needs clusters that resemble the classes to come. The
    embedded encoder and the labelled one are proxies for the paper's, and results are named after them: UC (proxy
    surrogate), UC (labelled surrogate). The labelled one has learned the classes of the very data and is no longer
    label-agnostic. It is a control and bounds nothing: clusters that agree better with the classes need not give the
    noise that harms more, because noise that moves one encoder's features need not be what another network follows.

    Source:
        Unlearnable Clusters: Towards Label-agnostic Unlearnable Examples, arXiv 2301.01217 (CVPR 2023), and the
            authors' release.

    Differs:
        The default encoder is a small one that ships with the program, a proxy: a weak encoder does not reproduce the
        paper. The noise has the size of the images and the encoder enlarges; the generator is narrower and shallower
        (16 channels, 2 blocks instead of 64 and 6) and takes 200 steps of rate 0.003 on batches of 64 instead of 50
        epochs of rate 0.0001 on batches of 256. Its output is multiplied by ε instead of cut off: of a fresh
        generator's values 85 % lie beyond ε = 16/255 and would pass no gradient, too many for so few steps. A cluster's
        noise is made on its own images; the release takes all images for each. Batches are shuffled, images are not
        augmented while the noise is made.
    """

    key: ClassVar[str] = "uc"
    title: ClassVar[str] = "Unlearnable Clusters"
    page: ClassVar[str] = "clusters"
    uses_labels: ClassVar[bool] = False

    epsilon: int = param(16, "Largest change of a value.", label="ε", unit="1/255", ge=1, le=32)
    encoder: EncoderName = param(
        "embedded",
        "What sees the images. embedded: a small proxy, pre-trained on drawn forms. labelled: a proxy that learned the "
        "labels of Shapes or Digits: a control, not label-agnostic. lite0: EfficientNet-Lite0, pre-trained on "
        "ImageNet, works offline. convnext_tiny (ImageNet) needs a file, as do the paper's own: resnet50 (ImageNet) "
        "and clip (CLIP RN50).",
    )
    clusters: int = param(10, "How many clusters, so how many different noises.", ge=2, le=64, quick=4)
    offset: int = param(
        1, "Cluster i is moved to the centre of cluster i + offset; no multiple of the number of clusters.", ge=1, le=63
    )
    own_cluster_only: bool = param(
        True,
        "Make a cluster's noise on its own images alone; the release takes the whole set for each.",
        label="own cluster only",
    )
    steps: int = param(200, "Generator steps for every cluster.", ge=1, le=20_000, quick=2)
    learning_rate: float = param(
        0.003, "Peak learning rate of the generators; the paper: 0.0001 for many more steps.", ge=1e-6, le=0.1
    )
    generator_width: int = param(
        16, "Channels of a generator's first layer; 64 as published.", ge=4, le=64, step=4, quick=4
    )
    generator_blocks: int = param(2, "Residual blocks of a generator; 6 as published.", ge=1, le=6, quick=1)
    bounding: Literal["scale", "clip"] = param(
        "scale",
        "How the generator's output, −1 to 1, keeps to ε: times ε, which passes gradients everywhere, or cut off as "
        "published.",
    )

    @model_validator(mode="after")
    def _shifted(self) -> Self:
        if self.offset % self.clusters == 0:
            raise ValueError(
                f"offset is {self.offset} and clusters is {self.clusters}, but the offset must be no multiple of the "
                "number of clusters: every cluster would keep its own centre"
            )
        return self

    @property
    def variant(self) -> str:
        """What a result of these parameters is called."""
        names = {
            "embedded": "UC (proxy surrogate)",
            "labelled": "UC (labelled surrogate)",
            "lite0": "UC (Lite0 surrogate)",
            "resnet50": "UC",
            "convnext_tiny": "UC (ConvNeXt surrogate)",
            "clip": "UC-CLIP",
        }
        return names[self.encoder]

    def label(self) -> str:
        """The variant, as papers tell them apart."""
        return self.variant

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        """What the published images keep to: ε in every value."""
        return Bound("linf", float(self.epsilon))

    def gradient_evaluations(self, n_images: int) -> int:
        """How many times an image passes through the encoder, at most."""
        return n_images + min(self.clusters, n_images) * (self.steps * min(BATCH, n_images) + 2 * min(PROBE, n_images))

    def seconds_for(self, data: ImageSet) -> float:
        """How long crafting takes on this machine's processor, from one timed step; a rough upper bound.

        Raises:
            Unavailable: the encoder is not here.
        """
        encoder = encoder_for(self.encoder, data.name)
        count = min(len(data), _pass_size(encoder, torch.device("cpu")))
        images = to_float(data.images[:1]).expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)
        drawing = Drawing(self, data.shape, 0, Context())
        target = features_of(encoder, data.take(torch.tensor([0])), Context())[0]

        def step() -> None:
            leaf = drawing.noise().detach().requires_grad_(True)
            profile_distance(encoder, images, leaf, target).sum().backward()

        def draw() -> None:
            drawing.step(torch.zeros(1, *data.shape), 0.0)

        spent = []
        for work in (step, draw):
            work()
            began = perf_counter()
            work()
            spent.append(perf_counter() - began)
        draws = min(self.clusters, len(data)) * self.steps
        return spent[0] / count * self.gradient_evaluations(len(data)) + spent[1] * draws

    def groups(self, data: ImageSet, ctx: Context) -> Clusters:
        """The clusters of the images; labels are not looked at.

        Args:
            data: the whole clean set.
            ctx: its seed is the private key.
        """
        encoder = encoder_for(self.encoder, data.name).to(ctx.device)
        return find_clusters(features_of(encoder, data, ctx), self.clusters, ctx)

    def agreement(self, data: ImageSet, ctx: Context) -> float:
        """NMI of the clusters with the labels, 0..1: tells, afterwards, how far the encoder anticipated the classes."""
        return agreement_with(self.groups(data, ctx).assignment, data.labels)

    def crafting_inputs(self) -> dict[str, Any]:
        return {"encoder": crafted_with(self.encoder)}

    def craft(self, data: ImageSet, ctx: Context, draft: Draft) -> Crafted:
        """The whole set as it is published.

        Args:
            data: the clean training images; their labels are not looked at.
            ctx: private key, device, progress, cancellation.
            draft: holds the noise of the clusters that are done.

        Returns:
            Its log's ``trace`` has one row per cluster: ``cluster``, ``images``, ``anchor``, ``clean_kl`` and
            ``clean_own_kl`` (without noise, to the anchor and to the own centre), ``first_kl`` (noise of the untrained
            generator), ``last_kl``, ``ratio`` (last to first), ``hit_rate`` (share of the probed images whose nearest
            centre is the anchor afterwards) and ``curve``: lists ``step`` (how many lie behind, from 0), ``anchor_kl``
            and ``own_kl`` of equal length. With one cluster alone there is nothing to aim at: the first two are all.

        Raises:
            Unavailable: the encoder is not here.
        """
        effort = Effort(ctx, self.gradient_evaluations(len(data)))
        encoder = encoder_for(self.encoder, data.name).to(ctx.device)
        features = features_of(encoder, data, ctx, lambda count: effort.spend(count, "looking at the images"))
        found = find_clusters(features, self.clusters, ctx)
        del features
        kept = draft.load() or {"table": torch.empty(0, *data.shape), "trace": []}
        table, trace = list(kept["table"]), kept["trace"]
        effort.skip(len(table) * (effort.total - len(data)) // len(found))
        while len(table) < len(found) and not (table and ctx.enough()):
            noise, row = self._one_cluster(len(table), encoder, data, found, effort)
            table.append(noise)
            trace.append(row)
            draft.save(lambda: {"table": torch.stack(table), "trace": trace})
        # Clusters that the user did not wait for get no noise.
        noises = torch.zeros(len(found), *data.shape)
        noises[: len(table)] = torch.stack(table) / LEVEL
        quiet = Context(stop=ctx.stop)
        images = add_in_blocks(
            data.images, torch.arange(len(data)), lambda own: noises[found.assignment[own]], "nearest", quiet
        )
        log = self._log(encoder, trace, len(found))
        effort.finish(log["note"])
        return Crafted(images, log)

    def _log(self, encoder: Encoder, trace: list[dict[str, Any]], clusters: int) -> dict[str, Any]:
        said = {"trace": trace, "variant": self.variant, "proxy": encoder.proxy}
        if clusters == 1:
            alone = "All images are alike: one cluster, whose noise has no other centre to aim at."
            return {**said, "converged": False, "note": f"{encoder.note} {alone}"}
        ratio = sum(row["ratio"] for row in trace) / len(trace)
        words = (
            f"The distance (KL) to the shifted centre fell to {100 * ratio:.0f} % of its start, averaged over "
            f"{len(trace)} clusters"
        )
        note = f"{encoder.note} {words}; {100 * WANTED_RATIO:.0f} % or less are usual."
        if len(trace) == clusters:
            return {**said, "converged": ratio <= WANTED_RATIO, "ratio": ratio, "note": note}
        stopped = f"after {len(trace)} of {clusters} clusters; the images of the others are clean"
        return {
            **said,
            "converged": False,
            "ratio": ratio,
            "note": f"Stopped early {stopped}. {note}",
            STOPPED: stopped,
        }

    def _one_cluster(
        self, number: int, encoder: Encoder, data: ImageSet, found: Clusters, effort: Effort
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """The noise of a cluster, float32 (C, H, W) in units of 1, and its row of the trace."""
        ctx, own = effort.ctx, (found.assignment == number).nonzero()[:, 0]
        drawing = Drawing(self, data.shape, number, ctx)
        row: dict[str, Any] = {"cluster": number, "images": len(own)}
        if len(found) == 1:
            return drawing.noise().detach()[0].cpu(), row
        anchor = anchors(len(found), self.offset)[number]
        centres = found.centres.to(ctx.device)
        target = centres[anchor]
        pool = own if self.own_cluster_only else torch.arange(len(data))
        probe = own[torch.randperm(len(own), generator=ctx.generator("probe", number, device="cpu"))[:PROBE]]
        words = f"noise of cluster {number + 1} of {len(found)}"

        def judge(noise: torch.Tensor) -> Distances:
            return distances(encoder, data, probe, noise.detach(), centres, number, anchor, ctx)

        clean = judge(torch.zeros(1, *data.shape))
        measured = {0: judge(drawing.noise())}
        moments = {round(self.steps * point / (CURVE_POINTS - 1)) for point in range(CURVE_POINTS)}
        effort.spend(len(probe), words)
        batches = shuffled(pool, ctx.generator("batches", number, device="cpu"))
        for step in range(self.steps):
            rows = next(batches)
            leaf = drawing.noise().detach().requires_grad_(True)
            for part in rows.split(_pass_size(encoder, ctx.device)):
                images = to_float(data.images[part].to(ctx.device)).contiguous(memory_format=torch.channels_last)
                (profile_distance(encoder, images, leaf, target).sum() / len(rows)).backward()
                effort.spend(len(part), f"{words}, step {step + 1} of {self.steps}")
            assert leaf.grad is not None
            drawing.step(leaf.grad, step / self.steps)
            if step + 1 in moments:
                measured[step + 1] = judge(drawing.noise())
        noise = drawing.noise().detach()
        first, last = measured[0].to_anchor, measured[self.steps].to_anchor
        row |= {
            "anchor": anchor,
            "clean_kl": clean.to_anchor,
            "clean_own_kl": clean.to_own,
            "first_kl": first,
            "last_kl": last,
        }
        row |= {"ratio": last / max(first, 1e-12), "hit_rate": measured[self.steps].hit_rate}
        anchor_kl, own_kl = ([getattr(at, name) for at in measured.values()] for name in ("to_anchor", "to_own"))
        row["curve"] = {"step": list(measured), "anchor_kl": anchor_kl, "own_kl": own_kl}
        effort.spend(len(probe), words)
        return noise[0].cpu(), row


class Drawing:
    """A generator with its fixed input, and the optimiser that trains it.

    Args:
        attack: width, depth, bound, learning rate.
        shape: of the noise, (C, H, W).
        number: of the cluster; names the random streams.
        ctx: private key and device.
    """

    def __init__(self, attack: UnlearnableClusters, shape: tuple[int, int, int], number: int, ctx: Context) -> None:
        self.attack, self.shape = attack, shape
        sides = [fitting_side(side) for side in shape[1:]]
        self.start = torch.rand(1, shape[0], *sides, generator=ctx.generator("input", number, device="cpu")).to(
            ctx.device
        )
        rng = ctx.generator("generator", number, device="cpu")
        self.generator: ResNetGenerator = build_generator(
            shape[0], attack.generator_width, attack.generator_blocks, rng
        ).to(ctx.device)
        # It draws one image, with the statistics of that image, in training and afterwards: batch normalisation in
        # train mode.
        self.generator.train()
        self.optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=attack.learning_rate, weight_decay=WEIGHT_DECAY
        )
        self._drawn: torch.Tensor | None = None

    def noise(self) -> torch.Tensor:
        """The noise of the present weights, float (1, C, H, W) in units of 1, within ε; with its gradient."""
        if self._drawn is None:
            epsilon = self.attack.epsilon * LEVEL
            raw = self.generator(self.start)[:, :, : self.shape[1], : self.shape[2]]
            self._drawn = raw.clamp(-epsilon, epsilon) if self.attack.bounding == "clip" else epsilon * raw
        return self._drawn

    def step(self, slope: torch.Tensor, done: float) -> None:
        """One Adam step against a gradient.

        Args:
            slope: float (1, C, H, W), of the loss with respect to the noise.
            done: 0..1, the share of the steps that lie behind; the rate falls with its cosine.
        """
        peak = self.attack.learning_rate
        rate = LEAST_RATE + (peak - LEAST_RATE) * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * done))))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        self.noise().backward(slope)
        self.optimizer.step()
        self._drawn = None


def profile_distance(encoder: Encoder, images: torch.Tensor, noise: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """KL(softmax of the target ‖ softmax of the features) of every noisy image.

    Args:
        encoder: frozen.
        images: float (B, C, H, W) in [0, 1].
        noise: float (1, C, H, W).
        target: float (D,), a centre of features.

    Returns:
        Float (B,), ≥ 0. A constant added to all features changes nothing: profiles are compared, not positions.
    """
    return _divergence(encoder((images + noise).clamp(0, 1)), target)


class Distances(NamedTuple):
    """Where probed images lie with a noise: mean KL to the anchor and to the own centre, share that is nearest to the
    anchor."""

    to_anchor: float
    to_own: float
    hit_rate: float


@torch.no_grad()
def distances(
    encoder: Encoder,
    data: ImageSet,
    rows: torch.Tensor,
    noise: torch.Tensor,
    centres: torch.Tensor,
    own: int,
    anchor: int,
    ctx: Context,
) -> Distances:
    """How far some images are from two centres.

    Args:
        encoder: on ``ctx.device``.
        data: the clean set.
        rows: int64 (M,), which images.
        noise: float (1, C, H, W), added to all of them.
        centres: float (p, D) on ``ctx.device``.
        own, anchor: numbers of two of them.
        ctx: device and cancellation.
    """
    near, far, hits = 0.0, 0.0, 0
    for part in rows.split(_pass_size(encoder, ctx.device)):
        ctx.check()
        images = to_float(data.images[part].to(ctx.device))
        features = encoder((images + noise.to(ctx.device)).clamp_(0, 1))
        near += float(_divergence(features, centres[anchor]).sum())
        far += float(_divergence(features, centres[own]).sum())
        hits += int((torch.cdist(features, centres).argmin(1) == anchor).sum())
    return Distances(near / len(rows), far / len(rows), hits / len(rows))


def _divergence(features: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    wanted = F.log_softmax(target, dim=0)
    return (wanted.exp() * (wanted - F.log_softmax(features, dim=1))).sum(1)


def shuffled(rows: torch.Tensor, rng: torch.Generator) -> Iterator[torch.Tensor]:
    """Batches of at most :data:`BATCH` rows without end; every row once before any comes again."""
    size = min(BATCH, len(rows))
    while True:
        order = rows[torch.randperm(len(rows), generator=rng)]
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def _pass_size(encoder: Encoder, device: torch.device) -> int:
    """Images in one pass, so that a wish to stop is heard within a second on a CPU."""
    return BATCH if device.type == "cuda" else max(1, BATCH * 32**2 // encoder.side**2)
