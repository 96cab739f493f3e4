"""What a step of training gains when the allocator keeps what is freed, as workers do.

    python -m benchmarks.allocator

The same steps of the small CNN in processes with and without the setting, in turns: the setting is read when a process
starts. Both compute the same bits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from statistics import median

from benchmarks.measure import machine
from ued_core.runs.launcher import KEEP_FREED

TURNS, STEPS, BATCH = 5, 30, 128


def measured() -> dict[str, float]:
    """Processor milliseconds of a step, and the loss after all of them."""
    import time

    import torch

    from ued_core.models import SmallCnn

    torch.set_num_threads(1)
    rng = torch.Generator().manual_seed(0)
    network = SmallCnn().build((3, 32, 32), 10, rng).to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, 32, 32, generator=rng).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (BATCH,), generator=rng)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.001)
    loss, began = torch.zeros(()), 0.0
    for step in range(STEPS + 3):
        if step == 3:
            began = time.process_time()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
    return {"ms": 1000 * (time.process_time() - began) / STEPS, "loss": float(loss.detach())}


def in_a_process(setting: dict[str, str]) -> dict[str, float]:
    """:func:`measured` in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if name not in KEEP_FREED}
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.allocator", "--one"],
        env=plain | setting, check=True, capture_output=True, text=True,
    )  # fmt: skip
    return json.loads(told.stdout)


def main() -> int:
    """Print both times, their ratio, and whether the losses are equal."""
    if "--one" in sys.argv:
        print(json.dumps(measured()))
        return 0
    turns = [(in_a_process({}), in_a_process(KEEP_FREED)) for _ in range(TURNS)]
    plain, kept = ([turn[k]["ms"] for turn in turns] for k in (0, 1))
    print(machine())
    print(
        f"a step of {BATCH} images, CPU ms, medians of {TURNS}: given back {median(plain):.1f}, kept {median(kept):.1f}"
    )
    print(f"ratio, median of the pairs: {median(a / b for a, b in zip(plain, kept, strict=True)):.2f}")
    print(f"same loss in every process: {len({turn[k]['loss'] for turn in turns for k in (0, 1)}) == 1}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
