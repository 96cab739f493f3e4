"""Train the embedded encoder in ``assets/encoder``: python -m benchmarks.embedded_encoder

A small CNN learns to tell some 200 drawn forms apart: polygons of many side counts, stars, blobs, frames, strokes and
combinations, in scenes like those of the data set *shapes* with other sizes, turns, textures and clutter, a third of
them grey. Forms that a class of *shapes* would nearly cover are thrown away, and nothing is drawn after a digit: no
label of a data set of this program is used. Unlearnable Clusters takes the result as its encoder where no pre-trained
one is at hand.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import math
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from ued_core.attacks.encoders import ASSETS, EMBEDDED_SIDE, Encoder, encoder_for, features_of
from ued_core.attacks.feature_clusters import agreement_with, find_clusters
from ued_core.context import Context
from ued_core.data import DATASETS, Shapes
from ued_core.data.shapes import shape_masks
from ued_core.files import write_json
from ued_core.models import MODELS, Network
from ued_core.records import ImageSet
from ued_core.runs.pipeline import environment
from ued_core.runs.weights import save_weights
from ued_core.training import PLANS, Job, accuracy, train

SEED = 0
SIDE = 64
FINE = 2
FORMS = 200
CHUNK = 250
MOST_OVERLAP = 0.88
"""A form whose best overlap (intersection over union) with a class of *shapes*, turned and sized at will, is larger is
left out."""
TEST = 2000


# ---------------------------------------------------------------- forms

Mask = np.ndarray
AXIS = (np.arange(FINE * SIDE) + 0.5) * 2 / (FINE * SIDE) - 1
X, Y = np.meshgrid(AXIS, AXIS)
RADIUS, ANGLE = np.hypot(X, Y), np.arctan2(Y, X)


def inside(corners: np.ndarray) -> Mask:
    """Points within a polygon, (P, 2) corners: a ray to the right crosses its border an odd number of times."""
    found = np.zeros(X.shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            level = (min(y0, y1) <= Y) & (max(y0, y1) > Y)
            found ^= level & (x0 + (Y - y0) * (x1 - x0) / (y1 - y0) > X)
    return found


def regular(rng: np.random.Generator) -> Mask:
    """A polygon of five to nine sides, its corners at equal angles, squeezed."""
    sides, turn, squeeze = rng.integers(5, 10), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.75)
    t = turn + 2 * np.pi * np.arange(sides) / sides
    return inside(0.92 * np.stack([np.cos(t) * squeeze, np.sin(t)], 1))


def irregular(rng: np.random.Generator) -> Mask:
    """A polygon of three to eight corners at uneven angles and distances."""
    count = rng.integers(3, 9)
    t = np.sort(rng.uniform(0, 2 * np.pi, count))
    return inside(rng.uniform(0.35, 0.95, (count, 1)) * np.stack([np.cos(t), np.sin(t)], 1))


def star(rng: np.random.Generator) -> Mask:
    """A star of three, four, or six to nine tips."""
    tips, depth = rng.choice([3, 4, 6, 7, 8, 9]), rng.uniform(0.25, 0.6)
    t = rng.uniform(0, 2 * np.pi) + np.pi * np.arange(2 * tips) / tips
    return inside(np.where(np.arange(2 * tips) % 2, depth, 1.0)[:, None] * 0.95 * np.stack([np.cos(t), np.sin(t)], 1))


def blob(rng: np.random.Generator) -> Mask:
    """A closed curve whose radius is a sum of waves."""
    wave = sum(rng.normal(0, 0.45 / k) * np.cos(k * ANGLE + rng.uniform(0, 2 * np.pi)) for k in range(1, 7))
    return np.clip(0.62 * (1 + wave), 0.15, 0.95) > RADIUS


def strokes(rng: np.random.Generator) -> Mask:
    """Two to four thick segments and arcs, each from where the last one ended or from a new place."""
    width, found, here = rng.uniform(0.08, 0.17), np.zeros(X.shape, bool), rng.uniform(-0.75, 0.75, 2)
    for _ in range(rng.integers(2, 5)):
        there, bend = rng.uniform(-0.8, 0.8, 2), rng.normal(0, 0.5)
        middle = (here + there) / 2 + bend * np.array([here[1] - there[1], there[0] - here[0]])
        path = [(1 - s) ** 2 * here + 2 * s * (1 - s) * middle + s**2 * there for s in np.linspace(0, 1, 12)]
        for (x0, y0), (x1, y1) in zip(path, path[1:], strict=False):
            dx, dy = x1 - x0, y1 - y0
            s = np.clip(((X - x0) * dx + (Y - y0) * dy) / max(dx * dx + dy * dy, 1e-9), 0, 1)
            found |= np.hypot(X - x0 - s * dx, Y - y0 - s * dy) < width
        here = there if rng.random() < 0.7 else rng.uniform(-0.75, 0.75, 2)
    return found & (RADIUS < 0.97)


def hollow(rng: np.random.Generator) -> Mask:
    """A blob, star or polygon with a round or square hole."""
    outer = FILLED[rng.integers(len(FILLED))](rng)
    x, y, size = *rng.uniform(-0.25, 0.25, 2), rng.uniform(0.2, 0.42)
    hole = np.hypot(X - x, Y - y) < size if rng.random() < 0.5 else np.maximum(abs(X - x), abs(Y - y)) < size
    return outer & ~hole


def joined(rng: np.random.Generator) -> Mask:
    """What two forms have together, or what one leaves of the other."""
    first, second = (FILLED[rng.integers(len(FILLED))](rng) for _ in range(2))
    return first ^ second if rng.random() < 0.5 else first & ~second


FILLED: tuple[Callable[[np.random.Generator], Mask], ...] = (regular, irregular, star, blob)
FAMILIES = (*FILLED, strokes, hollow, joined, strokes)


def coarse(mask: Mask) -> np.ndarray:
    """The share of each of 64 × 64 fields, float32."""
    return mask.reshape(SIDE, FINE, SIDE, FINE).mean((1, 3)).astype(np.float32)


def likenesses() -> np.ndarray:
    """The classes of *shapes* at many turns and sizes, float32 (M, 64 * 64)."""
    masks = shape_masks().view(-1, 1, SIDE, SIDE)
    found = []
    for turn in range(0, 360, 15):
        c, s = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        for size in (0.6, 0.7, 0.8, 0.9, 1.0, 1.1):
            grid = F.affine_grid(
                torch.tensor([[[c, s, 0.0], [-s, c, 0.0]]]).expand(len(masks), -1, -1) / size, list(masks.shape), False
            )
            found.append(F.grid_sample(masks, grid, align_corners=False))
    return torch.cat(found).flatten(1).numpy()


def draw_forms(count: int, rng: np.random.Generator) -> torch.Tensor:
    """An atlas of forms one below the other, float32 (1, 1, count * 64, 64), as :class:`Shapes` takes it."""
    known = likenesses()
    kept: list[np.ndarray] = []
    sizes = known.sum(1)
    while len(kept) < count:
        form = coarse(FAMILIES[len(kept) % len(FAMILIES)](rng))
        form[[0, -1]], form[:, [0, -1]] = 0, 0
        own = form.ravel()
        if not 0.06 < own.mean() < 0.7:
            continue
        both = known @ own
        if (both / (sizes + own.sum() - both)).max() < MOST_OVERLAP:
            kept.append(form)
    return torch.from_numpy(np.concatenate(kept))[None, None]


# ---------------------------------------------------------------- scenes


def draw_scenes(atlas: torch.Tensor, count: int, stream: str, ctx: Context) -> ImageSet:
    """Scenes with one form each; every 250 have another strength of texture, noise and clutter."""
    kinds = atlas.shape[2] // SIDE
    rng = ctx.generator("scenes", stream)
    labels = (torch.arange(count) % kinds)[torch.randperm(count, generator=rng)]
    images = torch.empty(count, 3, EMBEDDED_SIDE, EMBEDDED_SIDE, dtype=torch.uint8)
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        strength, contrast, turn = torch.rand(3, generator=rng).tolist()
        scene = Shapes(
            texture=0.12 * strength, noise=0.12 * strength, clutter=int(strength * 5), rotation=10 + 25 * turn,
            smallest=0.5, largest=1.0, contrast=0.2 + 0.35 * contrast,
        )  # fmt: skip
        drawn, _ = scene._scene(labels[rows], atlas, rng)
        grey = torch.rand(len(drawn), generator=rng) < 1 / 3
        drawn[grey] = drawn[grey].float().mean(1, keepdim=True).round().to(torch.uint8)
        images[rows] = drawn
    return ImageSet(images, labels, tuple(f"form {k}" for k in range(kinds)), "forms")


# ---------------------------------------------------------------- training and card


def cluster_agreement(encoder: Encoder, ctx: Context) -> dict[str, float]:
    """NMI of ten clusters of features with the ten classes, for the training part of each embedded set."""
    found = {}
    for name in ("shapes", "digits"):
        data = DATASETS.build(name).load(ctx).train
        found[name] = round(
            agreement_with(find_clusters(features_of(encoder, data, ctx), 10, ctx).assignment, data.labels), 4
        )
    return found


def main() -> None:
    """Draw, train, store, describe."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--width", type=int, default=24)
    parser.add_argument("--forms", type=int, default=FORMS)
    parser.add_argument("--trial", action="store_true", help="print, do not store")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, ctx = time.process_time(), Context(seed=SEED)
    atlas = draw_forms(options.forms, np.random.default_rng(ctx.stream_seed("forms")))
    training, test = draw_scenes(atlas, options.images, "train", ctx), draw_scenes(atlas, TEST, "test", ctx)
    print(f"drawn after {time.process_time() - began:.0f} s", flush=True)
    model = MODELS.build("small_cnn", width=options.width)
    plan = PLANS.build("adamw", epochs=options.epochs, crop=2, flip="off", precision="float32")
    network: Network = model.build(training.shape, training.classes, ctx.generator("weights"))
    untrained = cluster_agreement(_as_encoder(network), ctx)
    train(Job(training, test, network, plan, flip=False, on_epoch=lambda row: print(row, flush=True)), ctx)
    scored = float(accuracy(network, test, ctx))
    seconds = time.process_time() - began
    if options.trial:
        print(scored, untrained, cluster_agreement(_as_encoder(network), ctx), f"{seconds:.0f} s")
        return
    network.half()
    save_weights(ASSETS / "encoder" / "embedded.safetensors", network, {"made by": "benchmarks.embedded_encoder"})
    card = {
        "name": "embedded",
        "command": "python -m benchmarks.embedded_encoder",
        "seed": SEED,
        "model": model.to_json(),
        "plan": plan.to_json(),
        "shape": [3, EMBEDDED_SIDE, EMBEDDED_SIDE],
        "classes": training.classes,
        "corpus": f"{len(training)} scenes of {training.classes} drawn forms; no class of shapes or digits is "
        "among them",
        "test_accuracy": scored,
        "chance": 1 / training.classes,
        "cpu_seconds": round(seconds),
        "environment": environment(ctx.device, torch.float32).to_json(),
    }
    write_json(ASSETS / "encoder" / "embedded.json", card)
    card["nmi"] = cluster_agreement(encoder_for("embedded", ""), ctx)
    card["nmi_untrained"] = untrained
    write_json(ASSETS / "encoder" / "embedded.json", card)
    print(card)


def _as_encoder(network: Network) -> Encoder:
    from ued_core.attacks.encoders import encoder_of

    encoder = encoder_of(network, "")
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return encoder


if __name__ == "__main__":
    main()
