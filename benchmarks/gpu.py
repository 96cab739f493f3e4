"""What a GPU gives: python -m benchmarks.gpu [--images 50000] [--epochs 3] [--only PART …] [--out
benchmarks/gpu_DEVICE.md]

Trains ResNet-18 on random images of CIFAR's shape through ``ued_core.training`` in float32,
bfloat16 and compiled bfloat16; trains D-VAE (also its variant for images of 224 pixels) and ResNet-18 under staged
training at the sizes of their papers; and runs attack and COIN against one-image-at-a-time references on the same
device. Needs ued_core, torch, numpy and pydantic only. Without a GPU it says so and runs on the CPU: then pass
``--images 256 --width 8 --large-images 8 --method-images 256``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

from benchmarks.measure import load, machine, processor
from benchmarks.reference_implementations import convolve_each, displace_each_tensor
from ued_core.attacks import Cuda
from ued_core.attacks.convolution import filter_images
from ued_core.context import Context, pick_device
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.staged_training import StagedTraining
from ued_core.displacement import displace, draw_fields
from ued_core.models import MODELS
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training import PLANS, Job, Setup, train
from ued_core.training.rate_constrained import DvaeJob, train_dvae

SEED, STRENGTH, CHUNK = 0, 2.0, 4096
#: of D-VAE and of the networks that its authors train on purified images
PAPER_BATCH = 128
PARTS = ("training", "defences", "methods")


def random_images(count: int, seed: int, side: int = 32, classes: int = 10) -> ImageSet:
    """uint8 noise, with CIFAR's shape unless asked otherwise; the speed of training does not depend on what is
    learned."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, side, side), generator=rng, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple(str(label) for label in range(classes)), "random")


def held_out(options: argparse.Namespace) -> ImageSet:
    """A fiftieth of the training images, at least 64."""
    return random_images(max(64, options.images // 50), SEED + 1)


def forget_peak(device: torch.device) -> None:
    """Let :func:`peak_memory` count from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> str:
    """The most memory that tensors took on the device."""
    return f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB" if device.type == "cuda" else "–"


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_rows(options: argparse.Namespace, device: torch.device) -> list[str]:
    """images/s of each arithmetic; the first epoch warms up and is not counted."""
    data, test = random_images(options.images, SEED), held_out(options)
    rows = []
    kinds = (("float32", "float32", False), ("bfloat16", "bfloat16", False), ("bfloat16, compiled", "bfloat16", True))
    for words, precision, compile_first in kinds:
        if compile_first and options.skip_compile:
            continue
        network = MODELS.build("resnet18", width=options.width).build(
            data.shape, 10, torch.Generator().manual_seed(SEED)
        )
        plan = PLANS.build(
            "sgd",
            epochs=options.epochs + 1,
            batch_size=options.batch,
            precision=precision,
            compile=compile_first,
            learning_rate=0.01,
        )
        ctx = Context(seed=SEED, device=device)
        forget_peak(device)
        began = time.perf_counter()
        try:
            history = train(Job(train=data, test=test, network=network, plan=plan), ctx)
        except RuntimeError as error:  # a compiler that is missing must not cost the other rows
            rows.append(f"| {words} | failed: {str(error).strip().splitlines()[0][:150]} | | | | |")
            print(rows[-1], flush=True)
            continue
        whole = time.perf_counter() - began
        counted = history.rows[1:]
        rows.append(
            f"| {words} | **{median(r['images_per_s'] for r in counted):,.0f}** | "
            f"{median(r['seconds'] for r in counted):.2f} "
            f"| {history.rows[0]['seconds']:.1f} | {whole:.1f} | {peak_memory(device)} |"
        )
        print(rows[-1], flush=True)
    return rows


def dvae_row(options: argparse.Namespace, device: torch.device, data: ImageSet, epochs: int) -> str:
    """Stage 1 of D-VAE for some epochs after one that warms up; of the width that was asked for, batches as
    published."""
    method = Dvae(width=options.width, batch_size=PAPER_BATCH)
    network = method.network(data.shape, data.classes, torch.Generator().manual_seed(SEED))
    forget_peak(device)
    job = DvaeJob(data, network, target=method.targets()[0], epochs=epochs + 1, batch_size=PAPER_BATCH)
    rows = train_dvae(job, Context(seed=SEED, device=device))
    batch = min(PAPER_BATCH, len(data))
    steps = len(data) // batch
    step = median(row["seconds"] for row in rows[1:]) / steps
    guessed = "" if len(data) == options.images else f" (extrapolated from {steps} step{'s' * (steps > 1)})"
    size = "×".join(str(side) for side in data.shape)
    return (
        f"| D-VAE, one stage, {size}, {data.classes} classes, width {options.width} | {batch} | {1e3 * step:.1f} "
        f"| **{step * options.images / batch:.2f}**{guessed} | {peak_memory(device)} |"
    )


def staged_row(options: argparse.Namespace, device: torch.device, method: StagedTraining | None) -> str:
    """ResNet-18 with or without staged training; its epochs hold its checks and the steps that it took back."""
    data, ctx = random_images(options.images, SEED), Context(seed=SEED, device=device)
    network = MODELS.build("resnet18", width=options.width).build(data.shape, 10, torch.Generator().manual_seed(SEED))
    plan = PLANS.build(
        "sgd",
        epochs=options.epochs + 1,
        batch_size=PAPER_BATCH,
        learning_rate=0.1,
        schedule="cosine",
        precision="float32",
    )
    hook = None if method is None else method.training(Setup(data, network, plan, ctx))
    forget_peak(device)
    rows = train(Job(data, held_out(options), network, plan, hooks=() if hook is None else (hook,)), ctx).rows
    seconds = median(row["seconds"] for row in rows[1:])
    words = "alone" if hook is None else f"under staged training, {hook.report()['alarms']} alarms answered"
    batch = min(PAPER_BATCH, len(data))
    return (
        f"| ResNet-18 {words}, float32, width {options.width} | {batch} | {1e3 * seconds / -(-len(data) // batch):.1f} "
        f"| **{seconds:.2f}** | {peak_memory(device)} |"
    )


def defence_rows(options: argparse.Namespace, device: torch.device) -> list[str]:
    """D-VAE and staged training at the sizes of their papers, unless the options say otherwise."""
    rows = []
    works: dict[str, Callable[[], str]] = {
        "D-VAE": lambda: dvae_row(options, device, random_images(options.images, SEED), options.epochs),
        "D-VAE, 3×224×224": lambda: dvae_row(
            options, device, random_images(options.large_images, SEED, side=224, classes=100), 1
        ),
        "ResNet-18 alone": lambda: staged_row(options, device, None),
        "ResNet-18 under staged training": lambda: staged_row(options, device, StagedTraining(threshold=2.0)),
    }
    for words, work in works.items():
        try:
            rows.append(work())
        except RuntimeError as error:  # a device that is too small for one of them must not cost the other rows
            rows.append(f"| {words} | failed: {str(error).strip().splitlines()[0][:150]} | | | |")
        print(rows[-1], flush=True)
    return rows


def timed(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median seconds, the device's queue included."""
    work()
    times = []
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        times.append(time.perf_counter() - began)
    return median(times)


def method_rows(options: argparse.Namespace, device: torch.device) -> list[str]:
    """Attack and COIN against their references, data on the device on both sides."""
    data = random_images(options.method_images, SEED)
    bytes_there, labels = data.images.to(device), data.labels
    kernels = torch.from_numpy(Cuda().kernels(10, SEED)).to(device)
    owned = labels.to(device)
    rng = torch.Generator(device=device).manual_seed(SEED)
    images = to_float(bytes_there)
    dx, dy = draw_fields((len(images), 32, 32), STRENGTH, rng)

    def attack() -> torch.Tensor:
        parts = [
            to_bytes(filter_images(to_float(bytes_there[s : s + CHUNK]), kernels[owned[s : s + CHUNK]]), "truncate")
            for s in range(0, len(bytes_there), CHUNK)
        ]
        return torch.cat(parts)

    def attack_each() -> torch.Tensor:
        return convolve_each(bytes_there, labels, kernels)

    def coin() -> torch.Tensor:
        return torch.cat(
            [
                displace(images[s : s + CHUNK], dx[s : s + CHUNK], dy[s : s + CHUNK])
                for s in range(0, len(images), CHUNK)
            ]
        )

    def coin_each() -> torch.Tensor:
        return displace_each_tensor(images, dx, dy)

    def coin_drawn() -> None:
        for start in range(0, len(images), CHUNK):
            batch = images[start : start + CHUNK]
            displace(batch, *draw_fields((len(batch), 32, 32), STRENGTH, rng))

    rows = []
    for words, ours, reference, scale in (
        ("CUDA attack", attack, attack_each, 1),
        ("COIN, fields given", coin, coin_each, 255),
    ):
        fast, slow = timed(ours, device, options.repeats), timed(reference, device, 1)
        apart = (ours().float() - reference().float()).abs().max().item() * scale
        rows.append(f"| {words} | {1e3 * slow:.0f} | {1e3 * fast:.2f} | **{slow / fast:.0f}** | {apart:.1e}/255 |")
        print(rows[-1], flush=True)
    drawn = timed(coin_drawn, device, options.repeats)
    rows.append(f"| COIN with its draws | | {1e3 * drawn:.2f} | | |")
    print(rows[-1], flush=True)
    return rows


def tables(options: argparse.Namespace, device: torch.device) -> list[str]:
    """The parts that were asked for, each a head and its rows."""
    heads = {
        "training": [
            f"ResNet-18 (width {options.width}), {options.images} random 3×32×32 images, batches of {options.batch}, "
            "crop and flip, SGD; "
            f"median of {options.epochs} epochs after one.", "",
            "| arithmetic | images/s | s per epoch | first epoch, s | whole run with tests, s | peak "
            "memory |", "|---|---|---|---|---|---|",
        ],
        "defences": [
            "", f"Defences that train: float32, median of {options.epochs} epochs after one. An epoch is "
                f"{options.images} images; of 224 "
            f"pixels {options.large_images} were trained on. D-VAE has two such stages, of 60 epochs on CIFAR-10, of "
            "20 on ImageNet-100.",
            "",
            "| | images per step | ms per step | s per epoch | peak memory |", "|---|---|---|---|---|",
        ],
        "methods": [
            "", f"Attack and COIN (α = {STRENGTH:g}, periodic) on {options.method_images} images that are on the "
                "device already, "
            "against one image at a time on the same device.", "",
            "| | per image, ms | here, ms | ratio | largest difference |", "|---|---|---|---|---|",
        ],
    }  # fmt: skip
    works = {"training": training_rows, "defences": defence_rows, "methods": method_rows}
    lines = []
    for part in PARTS:
        if part in options.only:
            print("\n".join(heads[part]), flush=True)
            lines += [*heads[part], *works[part](options, device)]
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument(
        "--large-images", type=int, default=5 * PAPER_BATCH, help="images of 224 pixels; D-VAE alone trains on them"
    )
    parser.add_argument("--method-images", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=3, help="counted epochs; one more warms up")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument(
        "--width", type=int, default=64, help="channels of the first stage; 64 is ResNet-18, and D-VAE as published"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-compile", action="store_true")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="these parts alone")
    parser.add_argument("--out", type=Path, help="Markdown file; default benchmarks/gpu_DEVICE.md, none without a GPU")
    options = parser.parse_args(arguments)
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"no GPU was found; CPU: {processor()}"
    head = [f"Device: **{name}**. {machine()}; torch {torch.__version__}, CUDA {torch.version.cuda}.", ""]
    print("\n".join(head), flush=True)
    lines = [*head, *tables(options, device), "", f"Load at the end: {load()}"]
    print("\n".join(lines[-2:]))
    out = options.out or (Path(__file__).parent / f"gpu_{name.replace(' ', '_')}.md" if device.type == "cuda" else None)
    if out is not None:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"Written to {out}")


if __name__ == "__main__":
    main()
