"""What a GPU gives: python -m benchmarks.gpu [--images 50000] [--epochs 3] [--out benchmarks/gpu_DEVICE.md]

Trains ResNet-18 on random images of CIFAR's shape through ``ued_core.training`` in float32,
bfloat16 and compiled bfloat16, and runs attack and COIN against one-image-at-a-time references on
the same device. Needs ued_core, torch, numpy and pydantic only. Without a GPU it says so and runs on the
CPU: then pass ``--images 256 --width 8``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from benchmarks.measure import load, machine, processor
from benchmarks.reference_implementations import convolve_each, displace_each_tensor
from ued_core.attacks import Cuda
from ued_core.attacks.convolution import filter_images
from ued_core.context import Context, pick_device
from ued_core.defenses.coin import displace, draw_fields
from ued_core.models import MODELS
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training import PLANS, Job, train

SEED, STRENGTH, CHUNK = 0, 2.0, 4096
NAMES = tuple(str(digit) for digit in range(10))


def random_images(count: int, seed: int) -> ImageSet:
    """uint8 noise with CIFAR's shape; the speed of training does not depend on what is learned."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=rng, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % 10, NAMES, "random")


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_rows(options: argparse.Namespace, device: torch.device) -> list[str]:
    """images/s of each arithmetic; the first epoch warms up and is not counted."""
    data, test = random_images(options.images, SEED), random_images(max(64, options.images // 50), SEED + 1)
    rows = []
    kinds = (("float32", "float32", False), ("bfloat16", "bfloat16", False), ("bfloat16, compiled", "bfloat16", True))
    for words, precision, compile_first in kinds:
        if compile_first and options.skip_compile:
            continue
        network = MODELS["resnet18"](width=options.width).build(data.shape, 10, torch.Generator().manual_seed(SEED))
        plan = PLANS["sgd"](
            epochs=options.epochs + 1, batch_size=options.batch, precision=precision, compile=compile_first, learning_rate=0.01
        )
        ctx = Context(seed=SEED, device=device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        began = time.perf_counter()
        try:
            history = train(Job(train=data, test=test, network=network, plan=plan), ctx)
        except RuntimeError as error:  # a compiler that is missing must not cost the other rows
            rows.append(f"| {words} | failed: {str(error).strip().splitlines()[0][:150]} | | | | |")
            print(rows[-1], flush=True)
            continue
        whole = time.perf_counter() - began
        counted = history.rows[1:]
        memory = f"{torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB" if device.type == "cuda" else "-"
        rows.append(
            f"| {words} | **{median(r['images_per_s'] for r in counted):,.0f}** | {median(r['seconds'] for r in counted):.2f} "
            f"| {history.rows[0]['seconds']:.1f} | {whole:.1f} | {memory} |"
        )
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
        return torch.cat([displace(images[s : s + CHUNK], dx[s : s + CHUNK], dy[s : s + CHUNK]) for s in range(0, len(images), CHUNK)])

    def coin_each() -> torch.Tensor:
        return displace_each_tensor(images, dx, dy)

    def coin_drawn() -> None:
        for start in range(0, len(images), CHUNK):
            batch = images[start : start + CHUNK]
            displace(batch, *draw_fields((len(batch), 32, 32), STRENGTH, rng))

    rows = []
    for words, ours, reference, scale in (("CUDA attack", attack, attack_each, 1), ("COIN, fields given", coin, coin_each, 255)):
        fast, slow = timed(ours, device, options.repeats), timed(reference, device, 1)
        apart = (ours().float() - reference().float()).abs().max().item() * scale
        rows.append(f"| {words} | {1e3 * slow:.0f} | {1e3 * fast:.2f} | **{slow / fast:.0f}** | {apart:.1e}/255 |")
        print(rows[-1], flush=True)
    drawn = timed(coin_drawn, device, options.repeats)
    rows.append(f"| COIN with its draws | | {1e3 * drawn:.2f} | | |")
    return rows


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--method-images", type=int, default=5_000)
    parser.add_argument("--epochs", type=int, default=3, help="counted epochs; one more warms up")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage; 64 is ResNet-18")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-compile", action="store_true")
    parser.add_argument("--out", type=Path, help="Markdown file; default benchmarks/gpu_DEVICE.md, none without a GPU")
    options = parser.parse_args()
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"no GPU was found; CPU: {processor()}"
    head = [
        f"Device: **{name}**. {machine()}; torch {torch.__version__}, CUDA {torch.version.cuda}.", "",
        f"ResNet-18 (width {options.width}), {options.images} random 3×32×32 images, batches of {options.batch}, crop and flip, SGD; "
        f"median of {options.epochs} epochs after one.", "",
        "| arithmetic | images/s | s an epoch | first epoch, s | whole run with tests, s | peak memory |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    print("\n".join(head), flush=True)
    lines = [*head, *training_rows(options, device)]
    middle = [
        "", f"Attack and COIN (α = {STRENGTH:g}, periodic) on {options.method_images} images that are on the device already, "
        "against one image at a time on the same device.", "",
        "| | per image, ms | here, ms | ratio | largest difference |", "|---|---|---|---|---|",
    ]  # fmt: skip
    print("\n".join(middle), flush=True)
    lines += [*middle, *method_rows(options, device), "", f"Load at the end: {load()}"]
    print("\n".join(lines[-3:]))
    out = options.out or (Path(__file__).parent / f"gpu_{name.replace(' ', '_')}.md" if device.type == "cuda" else None)
    if out is not None:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"Written to {out}")


if __name__ == "__main__":
    main()
