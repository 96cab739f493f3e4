"""How fast attack, COIN and Θ are: python -m benchmarks.speed [--images 5000] [--repeats 5] [--threads 1 2]

Attack and COIN run against one-image-at-a-time references on the same images, kernels and fields,
in turns, in one process. Beside them stands the floor: each input read once and each output
written once at the machine's copy speed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import sys
import time
import tracemalloc
from dataclasses import replace
from statistics import median

import numpy as np
import torch

from benchmarks.measure import Cost, interleaved, load, machine
from benchmarks.reference_implementations import convolve_each, displace_each
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.defenses import Coin
from ued_core.displacement import displace, draw_fields
from ued_core.models import MODELS
from ued_core.records import ImageSet, to_float
from ued_core.theory import theta
from ued_core.training import PLANS, Job, train

SEED, STRENGTH, BATCH = 0, 2.0, 128


def images_of(count: int) -> ImageSet:
    """Images of the procedural set, which is what the app runs on."""
    return load_split(DATASETS.build("shapes", train_size=count, seed=SEED), Context()).train


def copy_speed(repeats: int) -> float:
    """Bytes read plus written in a second, median, between two buffers that are larger than any cache."""
    source, target = torch.ones(64_000_000), torch.zeros(64_000_000)
    cost = interleaved({"copy": lambda: target.copy_(source)}, repeats)["copy"]
    return 2 * source.nbytes / cost.wall_s


def line(name: str, threads: int, ours: Cost, reference: Cost, bytes_moved: int, speed: float) -> str:
    """One row: times, ratios, floor."""
    floor = bytes_moved / speed
    cells = [
        name, str(threads), f"{1e3 * reference.wall_s:.0f} ({1e3 * reference.cpu_s:.0f})",
        f"{1e3 * ours.wall_s:.1f} ({1e3 * ours.cpu_s:.1f})", f"**{reference.wall_s / ours.wall_s:.1f}**",
        f"{reference.cpu_s / ours.cpu_s:.1f}", f"{1e3 * floor:.1f}", f"{ours.wall_s / floor:.1f}",
    ]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def ratios(data: ImageSet, threads: int, repeats: int) -> list[str]:
    """Rows for the attack and for COIN."""
    torch.set_num_threads(threads)
    speed = copy_speed(repeats)
    attack, ctx = Cuda(), Context(seed=SEED)
    kernels = torch.from_numpy(attack.kernels(data.classes, SEED))
    images = to_float(data.images)
    n, _, height, width = images.shape
    dx, dy = draw_fields((n, height, width), STRENGTH, ctx.generator("fields"))
    arrays = [t.numpy() for t in (images, dx, dy)]
    parts = [tuple(t[s : s + BATCH] for t in (images, dx, dy)) for s in range(0, n, BATCH)]
    coin = Coin(strength=STRENGTH, boundary="scipy_wrap")

    def with_draws() -> None:
        rng = ctx.generator("fields")
        for batch, _, _ in parts:
            coin.augment(batch, rng)

    def in_batches() -> None:
        for batch, right, down in parts:
            displace(batch, right, down, "scipy_wrap")

    def reference_attack() -> None:
        # A second thread only slows single images down; the reference gets its best.
        torch.set_num_threads(1)
        convolve_each(data.images, data.labels, kernels)
        torch.set_num_threads(threads)

    costs = interleaved(
        {
            "reference attack": reference_attack,
            "attack": lambda: attack.poison(data, ctx),
            "reference COIN": lambda: displace_each(*arrays),
            "COIN": lambda: displace(images, dx, dy, "scipy_wrap"),
            "COIN, batches": in_batches,
            "COIN with draws": with_draws,
        },
        repeats,
    )
    moved = images.nbytes * 2 + dx.nbytes * 2
    rows = [
        line("CUDA", threads, costs["attack"], costs["reference attack"], 2 * data.images.nbytes, speed),
        line("COIN, one call, fields given", threads, costs["COIN"], costs["reference COIN"], moved, speed),
        line(
            f"COIN, batches of {BATCH}, fields given",
            threads,
            costs["COIN, batches"],
            costs["reference COIN"],
            moved,
            speed,
        ),
        line(
            f"COIN, batches of {BATCH}, drawing the fields",
            threads,
            costs["COIN with draws"],
            costs["reference COIN"],
            moved,
            speed,
        ),
    ]
    print(f"{threads} thread(s): copy {speed / 1e9:.1f} GB/s, load {load()}", file=sys.stderr)
    return rows


def agreement(data: ImageSet) -> list[str]:
    """How far our outputs and the references' lie apart."""
    ctx = Context(seed=SEED)
    kernels = torch.from_numpy(Cuda().kernels(data.classes, SEED))
    attack = (Cuda().poison(data, ctx).images.int() - convolve_each(data.images, data.labels, kernels).int()).abs()
    images = to_float(data.images)
    fields = draw_fields((len(images), *images.shape[2:]), STRENGTH, ctx.generator("fields"))
    moved = displace(images, *fields, "scipy_wrap").numpy()
    coin = np.abs(moved - displace_each(images.numpy(), *(f.numpy() for f in fields)))
    return [
        f"Agreement: CUDA differs by at most {int(attack.max())}/255, on {int((attack > 0).sum())} of "
        f"{attack.numel()} values; COIN by at most {coin.max():.1e} on a scale of 1.",
    ]


def large_theta() -> tuple[float, float]:
    """Peak of the arrays that Θ at 224×224 allocates, in MB, and seconds."""
    kernels, began = Cuda().kernels(10, SEED), time.perf_counter()
    assert kernels is not None
    tracemalloc.start()
    try:
        theta(kernels, STRENGTH, 5, np.random.default_rng(0), (224, 224))
        return tracemalloc.get_traced_memory()[1] / 2**20, time.perf_counter() - began
    finally:
        tracemalloc.stop()


def theta_lines(repeats: int) -> list[str]:
    """Θ at 32×32 in time, at 224×224 in memory."""
    torch.set_num_threads(1)
    kernels = Cuda().kernels(10, SEED)
    assert kernels is not None
    small = interleaved({"theta": lambda: theta(kernels, STRENGTH, 50, np.random.default_rng(0))}, repeats)["theta"]
    peak, seconds = large_theta()
    return [
        f"Θ, 10 classes × 50 samples, 32×32, one thread: {1e3 * small.wall_s:.0f} ms ({1e3 * small.cpu_s:.0f} ms CPU).",
        f"Θ, 10 classes × 5 samples, 224×224, one thread: {seconds:.1f} s; its arrays peak at {peak:.0f} MB.",
    ]


def epoch_share(data: ImageSet, epochs: int) -> list[str]:
    """COIN's share of a training epoch of the default network on one thread."""
    torch.set_num_threads(1)
    coin, spent, rows = Coin(strength=STRENGTH), [], []

    def timed(images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        began = time.thread_time()
        moved = coin.augment(images, rng)
        spent.append(time.thread_time() - began)
        return moved

    def row_done(_: dict[str, float]) -> None:
        rows.append((sum(spent), time.thread_time()))
        spent.clear()

    network = MODELS["small_cnn"]().build(data.shape, data.classes, torch.Generator().manual_seed(SEED))
    plan = PLANS["adamw"](epochs=epochs + 1)
    tiny = replace(data, images=data.images[:64], labels=data.labels[:64])
    train(Job(train=data, test=tiny, network=network, plan=plan, augment=timed, on_epoch=row_done), Context(seed=SEED))
    whole = median(b[1] - a[1] for a, b in zip(rows[:-1], rows[1:], strict=True))
    own = median(row[0] for row in rows[1:])
    return [
        f"Training epoch, small CNN, {len(data)} images, one thread: {whole:.2f} s CPU, of which COIN with its draws "
        f"{own:.3f} s = {100 * own / whole:.1f} %."
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    print(
        f"{machine()}; torch {torch.__version__}; {options.images} images 3×32×32, medians of {options.repeats} turns\n"
    )
    data = images_of(options.images)
    print(
        "| | threads | per image, ms wall (CPU) | here, ms wall (CPU) | ratio, wall | ratio, CPU | floor, ms | here "
        "/ floor |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for threads in options.threads:
        print("\n".join(ratios(data, threads, options.repeats)), flush=True)
    for text in (*agreement(data), *theta_lines(options.repeats), *epoch_share(data, 3)):
        print(f"\n{text}", flush=True)
    print(f"\nLoad at the end: {load()}")


if __name__ == "__main__":
    main()
