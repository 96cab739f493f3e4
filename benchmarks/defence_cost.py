"""What defences cost in training: python -m benchmarks.defence_cost [--images 512] [--repeats 5] [--only KEY …]

One epoch of the small CNN under each defence and without any, in turns in one process on one thread; the ratio of CPU
time is what the defence costs, beside the ratio that its training hook declares. What is done once before training
(JPEG, projections) is timed apart. Targets: COIN at most a quarter of the epoch; adversarial training within 20 % of
steps + 1; an image encoded as JPEG once, not once an epoch.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from benchmarks.measure import cost_of, interleaved, load, machine
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.defenses import DEFENSES, Defense, DefenseStack
from ued_core.models import MODELS
from ued_core.records import ImageSet
from ued_core.training import PLANS, Job, Setup, train

SEED = 0
#: parameters other than the defaults
SETTINGS: dict[str, dict[str, float | str]] = {
    "adversarial_training": {"steps": 3, "step": 0.5},
    "trades": {"steps": 3, "step": 0.5},
    "ueraser": {"variant": "max", "draws": 3},
    "sda_an": {"epochs": 1},
}


@dataclass(frozen=True)
class Row:
    """One defence: CPU seconds of what comes once, and the ratio of its epoch to a plain one."""

    defense: Defense
    before_s: float
    ratio: float

    @property
    def predicted(self) -> float | None:
        """The ratio that the defence declares for its training hook; None without one."""
        return DefenseStack([self.defense]).step_cost().passes if "training" in self.defense.acts else None

    def line(self) -> str:
        """A row of the table."""
        share = 100 * (1 - 1 / self.ratio) if self.ratio > 1 else 0.0
        predicted = "" if self.predicted is None else f"{self.predicted:.3g}"
        return f"| {self.defense.title} | {self.before_s:.2f} | **{self.ratio:.2f}** | {share:.0f} % | {predicted} |"


def epoch_of(defenses: DefenseStack, pure: ImageSet) -> Callable[[], object]:
    """One epoch of a fresh small CNN on purified images."""
    network = MODELS["small_cnn"]().build(pure.shape, pure.classes, torch.Generator().manual_seed(SEED))
    plan, ctx = PLANS["adamw"](epochs=1, precision="float32"), Context(seed=SEED)
    job = Job(
        train=pure,
        test=pure.take(torch.arange(8)),
        network=network,
        plan=plan,
        hooks=[hook for _, hook in defenses.hooks(Setup(pure, network, plan, ctx))],
        marks=defenses.marks(pure),
        blend=lambda images, targets, rng, *marks: defenses.blend(images, targets, pure.classes, rng, *marks),
    )
    return lambda: train(job, ctx)


def rows_of(data: ImageSet, repeats: int, only: list[str]) -> list[Row]:
    """All rows, measured in turns."""
    made = [entry(**SETTINGS.get(key, {})) for key, entry in DEFENSES.items() if not entry.trains_networks]
    made = [defense for defense in made if not only or defense.key in only]
    before, works = {}, {"": epoch_of(DefenseStack(), data)}
    for defense in made:
        pure, alone = data, DefenseStack([defense])
        if "purify" in defense.acts:
            before[defense.key] = cost_of(partial(defense.purify, data, Context(seed=SEED))).cpu_s
            pure = alone.purify(data, Context(seed=SEED))
        works[defense.key] = epoch_of(alone, pure)
    cost = interleaved(works, repeats)
    plain = cost[""].cpu_s
    return [Row(d, before.get(d.key, 0.0), cost[d.key].cpu_s / plain) for d in made]


def main() -> int:
    """Print the table and whether the targets are met; 1 when one is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="KEY")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        # What was learned by another measurement must not be read.
        os.environ["UED_HOME"] = folder
        data = load_split(
            DATASETS.build("shapes", train_size=options.images, test_size=100, seed=SEED), Context()
        ).train
        rows = rows_of(data, options.repeats, options.only)
    print(
        f"{machine()}; torch {torch.__version__}; one thread, {len(data)} images, medians of {options.repeats} turns, "
        f"seed {SEED}\n"
    )
    print("| defence | once, s CPU | epoch ÷ plain epoch, CPU | its share of the epoch | declared |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(row.line())
    print(f"\nLoad at the end: {load()}")
    return 0 if all(targets_met({row.defense.key: row for row in rows})) else 1


def targets_met(rows: dict[str, Row]) -> list[bool]:
    """Print each target that was measured, and whether it is met."""
    met = []
    if coin := rows.get("coin"):
        met.append(1 - 1 / coin.ratio <= 0.25)
        print(f"COIN at most 25 % of the epoch: {'yes' if met[-1] else 'NO'} ({100 * (1 - 1 / coin.ratio):.1f} %)")
    if worst := rows.get("adversarial_training"):
        declared = worst.predicted or 1.0
        met.append(abs(worst.ratio / declared - 1) <= 0.2)
        print(
            f"Adversarial training within 20 % of steps + 1: {'yes' if met[-1] else 'NO'} ({worst.ratio:.2f} for "
            f"{declared:.3g})"
        )
    if jpeg := rows.get("jpeg"):
        met.append(jpeg.ratio <= 1.1)
        print(
            f"JPEG costs nothing during the epochs: {'yes' if met[-1] else 'NO'} ({jpeg.ratio:.2f}; "
            f"{jpeg.before_s:.2f} s once)"
        )
    return met


if __name__ == "__main__":
    sys.exit(main())
