"""Who is found by the dark frame, and who evades it?  python -m benchmarks.edge_detector

Both edge detectors (EPD as published, and the training-free border score) on every convolution attack
at three blur parameters, with zero and with reflection padding, against clean images and against every
other attack of the catalogue at its defaults; on shapes, digits, and crops of the two photographs that come with
scikit-learn (their labels are random: only the border matters). Prints a table and writes
``assets/results/edge_detector.json``; minutes of CPU with today's catalogue, more with attacks that train
(``--quick`` takes their quick parameters, ``--only`` names the opponents).
"""

from __future__ import annotations

import argparse
import platform
import time
from typing import Any

import numpy as np
import torch

from ued_core.analysis.edge_detector import PENALTY, THRESHOLD, detection, verdict
from ued_core.assets import asset
from ued_core.attacks import ATTACKS, Attack
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.errors import UedError
from ued_core.files import write_json
from ued_core.records import ImageSet, balanced_rows
from ued_core.studies.edge_comparison import evading_version

RESULTS = asset("results", "edge_detector.json")
BLURS = (0.1, 0.3, 0.5)
SIDE = 32


def photographs(count: int, seed: int) -> ImageSet:
    """Random 32×32 crops of two photographs at half size: natural borders without a download."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    crops = []
    for photo in load_sample_images().images:
        pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
        half = torch.nn.functional.interpolate(pixels, scale_factor=0.5, mode="area")[0].round().to(torch.uint8)
        for _ in range(count // 2):
            top, left = rng.integers(0, half.shape[1] - SIDE), rng.integers(0, half.shape[2] - SIDE)
            crops.append(half[:, top : top + SIDE, left : left + SIDE])
    labels = torch.from_numpy(rng.integers(0, 10, len(crops)))
    return ImageSet(torch.stack(crops), labels, tuple(f"group {k}" for k in range(10)), "photos")


def image_sets(count: int, seed: int) -> list[ImageSet]:
    """The clean images of every data set in the table."""
    found = []
    for name in ("shapes", "digits"):
        train = load_split(DATASETS.build(name, seed=seed), Context()).train
        found.append(train.take(balanced_rows(train.labels, count // train.classes, seed)))
    return [*found, photographs(count, seed)]


def is_convolution(attack: Attack) -> bool:
    """Whether the attack works by class kernels, and so is what EPD looks for."""
    return attack.kernels(2, 0) is not None


def versions() -> list[Attack]:
    """Every convolution attack at every blur parameter, with zero and with reflection padding."""
    found: list[Attack] = []
    for name in ATTACKS:
        if not is_convolution(ATTACKS.build(name)):
            continue
        declared = {p.name for p in ATTACKS[name].parameters()}
        for zero in [ATTACKS.build(name, blur=blur) for blur in BLURS] if "blur" in declared else [ATTACKS.build(name)]:
            evader = evading_version(zero)
            found += [zero] if evader is None else [zero, evader]
    return found


def opponents(data: ImageSet, seed: int, quick: bool, only: list[str] | None) -> dict[str, Any]:
    """Clean images and every attack's images; where an attack cannot run, the reason in words."""
    made: dict[str, Any] = {"clean": data.images}
    for name in ATTACKS:
        if only is not None and name not in only:
            continue
        attack_class = ATTACKS[name]
        started = time.perf_counter()
        try:
            attack = attack_class(**(attack_class.quick_values() if quick else {}))
            made[name] = attack.poison(data, Context(seed=seed)).images
        except UedError as error:
            made[name] = str(error)
        print(f"<!-- {data.name}: {name} made in {time.perf_counter() - started:.1f} s -->", flush=True)
    return made


def rows_of(data: ImageSet, seed: int, others: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each version of each attack and each opponent."""
    rows = []
    for attack in versions():
        images = attack.poison(data, Context(seed=seed)).images
        said = verdict(images)
        chosen = {name: attack.model_dump().get(name) for name in ("blur", "padding")}
        start = {"dataset": data.name, "attack": attack.key, **chosen, "seed": seed}
        for name, negatives in others.items():
            if name == attack.key:
                continue
            row = {**start, "against": name, "convolution": name != "clean" and is_convolution(ATTACKS.build(name))}
            if isinstance(negatives, str):
                rows.append({**row, "failure": negatives})
                continue
            rows.append(
                {**row, **detection(images, negatives, seed).to_json(), "score": said.score, "finding": said.finding}
            )
    return rows


def table(record: dict[str, Any]) -> str:
    """Markdown: AUC of EPD and of the border score against clean images, and the verdict; then against other attacks.

    Args:
        record: what ``assets/results/edge_detector.json`` holds. The second table shows p_b = 0.3 alone, and leaves out
            pairs of convolution attacks, which neither detector is meant to tell apart.
    """
    found = record["rows"]
    against_clean = [row for row in found if row["against"] == "clean"]
    lines = [
        "| data | attack | padding | " + " | ".join(f"p_b {blur}" for blur in BLURS) + " |",
        "|---|---|---|" + "---|" * len(BLURS),
    ]
    for key in dict.fromkeys((r["dataset"], r["attack"], r["padding"]) for r in against_clean):
        own = [r for r in against_clean if (r["dataset"], r["attack"], r["padding"]) == key]
        cells = (
            f"{r['trained_auc']:.3f} / {r['free_auc']:.3f}, {r['finding']} {round(r['score'], 2) + 0:.2f}" for r in own
        )
        lines.append(f"| {' | '.join(map(str, key))} | {' | '.join(cells)} |")
    others = [r for r in found if r["against"] != "clean" and not r["convolution"] and r["blur"] == 0.3]
    opponents = list(dict.fromkeys(r["against"] for r in others))
    lines += ["", "| data | attack | padding | " + " | ".join(opponents) + " |", "|---" * (3 + len(opponents)) + "|"]
    for key in dict.fromkeys((r["dataset"], r["attack"], r["padding"]) for r in others):
        own = [r for r in others if (r["dataset"], r["attack"], r["padding"]) == key]
        by_name = {r["against"]: "" if "failure" in r else f"{r['trained_auc']:.2f} / {r['free_auc']:.2f}" for r in own}
        lines.append(f"| {' | '.join(map(str, key))} | " + " | ".join(by_name.get(o, "") for o in opponents) + " |")
    clean = (f"{name} {v['score']:.3f}, {v['finding']}" for name, v in record["clean"].items())
    return "\n".join([*lines, "", "Clean sets: " + "; ".join(clean) + "."])


def main() -> None:
    """Measure, print, store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1000, help="images per data set; half of them train EPD")
    parser.add_argument("--seed", type=int, default=0, help="of data, private keys and halves")
    parser.add_argument("--quick", action="store_true", help="opponents with their quick parameters")
    parser.add_argument("--only", nargs="*", help="opponents by name; clean images are always there")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    clean = {}
    for data in image_sets(asked.images, asked.seed):
        others = opponents(data, asked.seed, asked.quick, asked.only)
        clean[data.name] = verdict(data.images).to_json()
        rows += rows_of(data, asked.seed, others)
    flags = f" --images {asked.images} --seed {asked.seed}{' --quick' * asked.quick}"
    flags += "" if asked.only is None else " --only " + " ".join(asked.only)
    record = {
        "command": "python -m benchmarks.edge_detector" + flags,
        "seed": asked.seed,
        "images": asked.images,
        "penalty": PENALTY,
        "threshold": THRESHOLD,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "clean": clean,
        "rows": rows,
    }
    write_json(RESULTS, record)
    print(table(record))


if __name__ == "__main__":
    main()
