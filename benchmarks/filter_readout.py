"""How well can the filter be read off an image, whatever its class?  python -m benchmarks.filter_readout

Every image gets the kernel of a random class, independent of its own. A linear model on the
log-power spectrum must tell which kernel it was; guessing gives 10 %. This explains why CUDA
collapses one data set and not another. Prints a table and writes ``assets/results/filter_readout.json``,
from which the Overview takes its reason; a minute of CPU.
"""

from __future__ import annotations

import numpy as np
import torch

from ued_core.assets import asset
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.files import write_json
from ued_core.records import to_float

COUNT, TRAINED = 1400, 1000
RESULTS = asset("results", "filter_readout.json")


def spectrum(images: torch.Tensor) -> np.ndarray:
    """Log power of the grey image; float32 (N, H·(W/2+1))."""
    power = torch.fft.rfft2(to_float(images).mean(1)).abs().square()
    return torch.log(power + 1e-6).flatten(1).numpy()


def main() -> None:
    """Print accuracy of the read-out for the embedded data sets and three keys, and the power that a filter can act
    on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    print(
        "| data | seed | filter read off the spectrum (%) | share of power above half the Nyquist frequency (%) "
        "|\n|---|---|---|---|"
    )
    rows = []
    for name in ("fashion", "shapes", "digits"):
        for seed in range(3):
            data = load_split(DATASETS.build(name, seed=seed), Context()).train.take(torch.arange(COUNT))
            wrong = np.random.default_rng(seed).integers(0, data.classes, COUNT)
            images = Cuda().as_class(data.images, torch.from_numpy(wrong), data.classes, seed)
            assert images is not None
            found = spectrum(images)
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
            accuracy = model.fit(found[:TRAINED], wrong[:TRAINED]).score(found[TRAINED:], wrong[TRAINED:])
            grey = to_float(data.images).mean(1)
            power = torch.fft.fft2(grey - grey.mean((1, 2), keepdim=True)).abs().square().mean(0)
            side = torch.fft.fftfreq(grey.shape[-1]).abs()
            high = (torch.maximum(side[:, None], side[None]) > 0.25).float()
            share = float((power * high).sum() / power.sum())
            rows.append({"dataset": name, "seed": seed, "readout": accuracy, "high_power": share})
            print(f"| {name} | {seed} | {100 * accuracy:.1f} | {100 * share:.3f} |", flush=True)
    write_json(RESULTS, rows)


if __name__ == "__main__":
    main()
