"""How fast a layout follows: python -m benchmarks.embedding [--points 1000] [--values 128] [--turns 15]

Features of ten classes as Gaussian clouds; each turn moves them a little, as a slider would, and
lays them out again from the previous layout. One thread, as in the app's side process.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch

from benchmarks.measure import load, machine, percentile
from ued_core.analysis.embedding import align, pca_layout, umap_layout, warm_up


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--values", type=int, default=128)
    parser.add_argument("--turns", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{machine()}; {options.points} points × {options.values}, seed 0\n")
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, options.values)) * 2
    features = (
        centres[rng.integers(0, 10, options.points)] + rng.normal(size=(options.points, options.values))
    ).astype(np.float32)
    began = time.perf_counter()
    warm_up()
    warm = time.perf_counter() - began
    began = time.perf_counter()
    layout = umap_layout(features)
    cold = time.perf_counter() - began
    again = align(umap_layout(features, previous=layout, previous_features=features), layout)
    diameter = float(np.linalg.norm(np.ptp(layout, axis=0)))
    motion = float(np.linalg.norm(again - layout, axis=1).mean()) / diameter
    walls, cpus, principal = [], [], []
    for _ in range(options.turns):
        before, features = features, features + 0.1 * rng.normal(size=features.shape).astype(np.float32)
        began, cpu = time.perf_counter(), time.process_time()
        layout = align(umap_layout(features, previous=layout, previous_features=before), layout)
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - cpu)
        began = time.perf_counter()
        pca_layout(features)
        principal.append(time.perf_counter() - began)
    print("| step | seconds |\n|---|---|")
    print(f"| import and compile, once a process | {warm:.1f} |")
    print(f"| first layout | {cold:.2f} |")
    print(
        f"| refresh from the previous layout, median of {options.turns} | **{median(walls):.2f}** (CPU "
        f"{median(cpus):.2f}) |"
    )
    print(f"| the same, 95th percentile | {percentile(walls, 0.95):.2f} |")
    print(f"| principal components | {median(principal):.3f} |")
    print(
        f"\nUnchanged features move points by {100 * motion:.2f} % of the layout's diameter on average. Load at the "
        f"end: {load()}"
    )


if __name__ == "__main__":
    main()
