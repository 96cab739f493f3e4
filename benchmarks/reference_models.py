"""Train the small reference models in ``assets/reference`` and ``assets/victims``.

    python -m benchmarks.reference_models                     all of them
    python -m benchmarks.reference_models --only fashion-em   one of them

A clean model for each embedded data set, whose features layouts show; and models trained on poisoned photographs,
as the study ``fashion`` trains them with seed 0. All have the default model and plan and are trained on one
thread. A poison that is crafted is read from the home, where ``benchmarks.crafted_assets`` puts it.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ued_core.analysis.reference import FOLDER, VICTIMS
from ued_core.context import Context
from ued_core.files import write_json
from ued_core.runs.pipeline import execute
from ued_core.runs.spec import RunSpec

COMMAND = "python -m benchmarks.reference_models"
CLEAN = ("fashion", "shapes", "digits")
POISONED: dict[str, tuple[str, Any]] = {
    "fashion-cuda": ("fashion", {"name": "cuda", "blur": 0.3}),
    "fashion-synper": ("fashion", "synper"),
    "fashion-em": ("fashion", "em"),
    "fashion-uc": ("fashion", "uc"),
}
"""Names of models that are trained on poisoned images, with data set and attack."""


def ship(name: str) -> None:
    """Train one and store it with its card."""
    dataset, attack = POISONED.get(name, (name, None))
    folder = VICTIMS if name in POISONED else FOLDER
    spec = RunSpec.from_json({"dataset": dataset, "attack": attack, "seed": 0, "attack_seed": 0, "device": "cpu"})
    folder.mkdir(exist_ok=True)
    files = folder / f"{name}.safetensors", folder / f"{name}.json"
    result = execute(spec, Context(), weights=files[0])
    card = {
        "name": name,
        "command": f"{COMMAND} --only {name}",
        "spec": spec.to_json(),
        "key": spec.key(),
        "shape": [3, 32, 32],
        "class_names": result.data.class_names,
        "clean_test_accuracy": result.last,
        "trained_on_accuracy": result.poisoned_accuracy,
        "trained_on_hash": result.data.trained_on_hash,
        "crafting": None if result.crafting is None else result.crafting.note,
        "environment": result.environment.to_json(),
    }
    write_json(files[1], card)
    for file in files:
        file.chmod(0o644)
    print(name, result.last, result.poisoned_accuracy, flush=True)


def main() -> None:
    """Train and store."""
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*CLEAN, *POISONED]
    parser.add_argument("--only", nargs="+", default=known, choices=known, metavar="MODEL")
    for name in parser.parse_args().only:
        ship(name)


if __name__ == "__main__":
    main()
