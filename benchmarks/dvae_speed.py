"""What a training step of D-VAE takes: python -m benchmarks.dvae_speed [--repeats 6] [--steps 4]

In turns in one process on one thread, at the default width and batch size on fashion with LSP: the step as it was
(channels first, torch's instance normalisation), as it is (channels last, instance normalisation as group
normalisation) and in bfloat16. Processor seconds, as ratios to the step as it was; and what both stages of 5,000 images
take by them. Targets on an idle core: at most 7.5 minutes in float32, and 6 in bfloat16 where the processor has it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
from collections.abc import Callable
from statistics import median

import torch
from torch import nn

from benchmarks.measure import cost_of, machine
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses.dvae import Dvae
from ued_core.models.dvae import DvaeNetwork, InstanceNorm
from ued_core.records import ImageSet, to_float
from ued_core.training.plan import fast_bfloat16
from ued_core.training.rate_constrained import LEARNING_RATE, LONGEST_GRADIENT, Arithmetic, batch_loss, dvae_loss

SEED, COUNT = 0, 5000
BEFORE = "as it was"
TARGETS_MIN = {"float32": 7.5, "bfloat16": 6.0}
"""Minutes of one idle thread for both stages of :data:`COUNT` images."""


def as_before(network: DvaeNetwork) -> DvaeNetwork:
    """The same network with torch's own instance normalisation, channels first."""
    for decoder in (network.to_image, network.to_perturbation):
        for place, layer in enumerate(decoder):
            if isinstance(layer, InstanceNorm):
                decoder[place] = nn.InstanceNorm2d(layer.num_features)
    return network.to(memory_format=torch.contiguous_format)


def training_steps(defense: Dvae, data: ImageSet, arithmetic: Arithmetic | None, count: int) -> Callable[[], None]:
    """So many whole steps on random batches; an arithmetic of None is the step as it was."""
    rng = torch.Generator().manual_seed(SEED)
    network = defense.network(data.shape, data.classes, rng).train()
    if arithmetic is None:
        network = as_before(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)

    def step() -> None:
        rows = torch.randint(len(data), (defense.batch_size,), generator=rng)
        images, labels, target = to_float(data.images[rows]), data.labels[rows], defense.rate_1
        if arithmetic is None:
            loss = dvae_loss(images, network(images, labels, rng), target, capped=True)
        else:
            loss = batch_loss(network, images, labels, rng, target, True, arithmetic)
        optimizer.zero_grad(set_to_none=True)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
        optimizer.step()

    def steps() -> None:
        for _ in range(count):
            step()

    return steps


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=6, help="turns of each kind of step")
    parser.add_argument("--steps", type=int, default=4, help="steps per turn")
    options = parser.parse_args()
    torch.set_num_threads(1)
    defense = Dvae()
    train = DATASETS.build("fashion").load(Context()).train.take(torch.arange(1000))
    data = ATTACKS.build("synper").poison(train, Context(seed=SEED)).as_training_set()
    arms: dict[str, Arithmetic | None] = {BEFORE: None, "float32": "float32", "bfloat16": "bfloat16"}
    works = {name: training_steps(defense, data, arm, options.steps) for name, arm in arms.items()}
    for work in works.values():
        work()
    turns = [
        {name: cost_of(work).cpu_s / options.steps for name, work in works.items()} for _ in range(options.repeats)
    ]
    steps = defense.stages * defense.epochs * (COUNT // defense.batch_size)
    print(f"{machine()}; bfloat16 in hardware: {fast_bfloat16(torch.device('cpu'))}; seed {SEED}\n")
    print(
        f"| step | ms CPU, median (least) of {options.repeats} | as it was ÷ this in the same turn, median (all) | "
        f"{steps:,} steps, min CPU (by the least) |"
    )
    print("|---|---|---|---|")
    for name in works:
        own = [turn[name] for turn in turns]
        ratios = sorted(turn[BEFORE] / turn[name] for turn in turns)
        print(
            f"| {name} | {1e3 * median(own):.1f} ({1e3 * min(own):.1f}) | **{median(ratios):.2f}** ({ratios[0]:.2f} to "
            f"{ratios[-1]:.2f}) | {steps * median(own) / 60:.1f} ({steps * min(own) / 60:.1f}) |"
        )
        if name in TARGETS_MIN and steps * min(own) / 60 > TARGETS_MIN[name]:
            print(f"{name} MISSED its target of {TARGETS_MIN[name]} minutes on this machine at this load.")


if __name__ == "__main__":
    main()
