"""How fast the model-free attacks are: python -m benchmarks.attacks_speed [--images 20000] [--repeats 3] [--threads 2]
[--plain]

Each attack poisons the same images, and beside it stands a reference that handles one image after the other, written
from the definition with torch operations on one image (OPS: on one place and colour), on a few images. ``--plain`` does
without the compiler.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import itertools
import sys
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from benchmarks.measure import interleaved, machine
from ued_core import compiled
from ued_core.attacks import (
    Attack,
    Autoregressive,
    ClassNoise,
    OnePixel,
    RegionNoise,
    SynPer,
    autoregressive,
    base,
    one_pixel,
)
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.records import ImageSet, to_bytes, to_float

SEED = 0
TARGETS = {"autoregressive": 1_000}
TARGET = 20_000


def add_one(image: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """One image plus one perturbation in units of 1, clipped and rounded."""
    return to_bytes((to_float(image) + delta).clamp(0, 1))


def table_each(attack: ClassNoise | RegionNoise, data: ImageSet) -> list[torch.Tensor]:
    """The perturbation of the image's class, added to one image at a time."""
    table = attack.table(data.classes, data.shape, SEED) / 255
    return [add_one(image, table[label]) for image, label in zip(data.images, data.labels.tolist(), strict=True)]


def synper_each(attack: SynPer, data: ImageSet) -> list[torch.Tensor]:
    """One draw, one matrix product, one enlargement an image."""
    rng, features = torch.Generator().manual_seed(SEED), 3 * (32 // attack.patch) ** 2
    corners = torch.randint(0, 2, (data.classes, features), generator=rng) * 2.0 - 1
    maps = torch.rand((data.classes, features, features), generator=rng) * 2 - 1
    made = []
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        code = torch.randn(features, generator=rng) @ maps[label] + attack.separation * corners[label]
        grid = code.view(3, 32 // attack.patch, 32 // attack.patch)
        wide = grid.repeat_interleave(attack.patch, 1).repeat_interleave(attack.patch, 2)
        made.append(add_one(image, wide / wide.norm() * attack.bound(data.shape).size / 255))
    return made


def autoregressive_each(attack: Autoregressive, data: ImageSet) -> list[torch.Tensor]:
    """One small convolution a place, as the release does."""
    weights = torch.tensor(attack.coefficients(data.classes, data.shape, SEED), dtype=torch.float32)
    rng, made = torch.Generator().manual_seed(SEED), []
    for image, label in zip(data.images, data.labels.tolist(), strict=True):
        plane = torch.randn((3, 36, 36), generator=rng)
        for y in range(34):
            for x in range(34):
                window = plane[None, :, y : y + 3, x : x + 3]
                plane[:, y + 2, x + 2] = F.conv2d(window, weights[label][:, None], groups=3).view(3)
        noise = plane[:, 4:, 4:]
        made.append(add_one(image, noise / noise.norm()))
    return made


def one_pixel_each(attack: OnePixel, data: ImageSet) -> list[torch.Tensor]:
    """The score of one place and colour at a time, then one image at a time."""
    images, taken, made = to_float(data.images).flatten(2), set(), data.images.clone()
    for k in range(data.classes):
        own = images[data.labels == k]
        best = -1.0
        found: tuple[int, tuple[int, ...]] = (0, (0, 0, 0))
        for place in range(images.shape[2]):
            for colour in itertools.product((0, 1), repeat=3):
                distance = (torch.tensor(colour) - own[:, :, place]).abs()
                score = float(distance.mean() / distance.std(correction=0).clamp(min=1e-6))
                if score > best and (place, colour) not in taken:
                    best, found = score, (place, colour)
        taken.add(found)
        for row in (data.labels == k).nonzero()[:, 0].tolist():
            made[row].flatten(1)[:, found[0]] = torch.tensor(found[1], dtype=torch.uint8) * 255
    return list(made)


# Attack, its reference, and how many images the reference gets.
EVERY: list[tuple[Attack, Callable[..., list[torch.Tensor]], int]] = [
    (SynPer(), synper_each, 2000),
    (Autoregressive(), autoregressive_each, 4),
    (OnePixel(), one_pixel_each, 2000),
    (ClassNoise(), table_each, 2000),
    (RegionNoise(), table_each, 2000),
]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--plain", action="store_true", help="without the compiler")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.plain:
        for module in (compiled, base, autoregressive, one_pixel):
            module.has_compiler = lambda: False  # type: ignore[attr-defined]  # a module is no class
    data = load_split(DATASETS.build("shapes", train_size=min(options.images, 5000), seed=SEED), Context()).train
    data = data.take(torch.arange(options.images) % len(data))
    print(
        f"{machine()}; {options.threads} threads{', without the compiler' if options.plain else ''}; "
        f"{options.images:,} images\n"
    )
    print("| attack | one at a time, images/s | here, images/s (of CPU) | ratio | target, images/s |")
    print("|---|---|---|---|---|")
    for attack, reference, few in EVERY:
        part = data.take(torch.arange(few))
        works: dict[str, Callable[[], object]] = {
            "reference": partial(reference, attack, part),
            "here": partial(attack.poison, data, Context(seed=SEED)),
        }
        cost = interleaved(works, options.repeats)
        slow, fast = few / cost["reference"].wall_s, len(data) / cost["here"].wall_s
        spent = len(data) / cost["here"].cpu_s
        target = TARGETS.get(attack.key, TARGET)
        print(
            f"| {attack.title} | {slow:,.4g} | **{fast:,.0f}** ({spent:,.0f}) | {fast / slow:,.1f} | {target:,} |",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
