"""The few images of every crafted attack that ship, so that pages can show it at once.

    nice -n 10 python -m benchmarks.crafted_assets                every attack, as the app opens with it
    nice -n 10 python -m benchmarks.crafted_assets --only em tap  some of them
    python -m benchmarks.crafted_assets --minutes 60              with more patience

Each attack crafts the whole training set with its default parameters and the key 0, on one thread. Crafted sets are
kept under the home; work that was stopped goes on where it was, and its time is added up. An attack that knows how to
end early is told to after the minutes of processor time given; its card then says so, and the pages do.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

DATASET, KEY = "fashion", 0
PATIENCE_MIN = 25.0
"""Processor time after which an attack is told that it is enough."""
SAY_EVERY_S = 30.0


def ship(name: str, minutes: float) -> None:
    """Craft one attack, or read what was crafted under this home, and write its look."""
    import torch

    from ued_core.attacks import ATTACKS
    from ued_core.attacks.checkpoint import poison_once
    from ued_core.attacks.looks import write_look
    from ued_core.attacks.whole_set import WholeSetAttack
    from ued_core.context import Context
    from ued_core.data import DATASETS, load_split
    from ued_core.files import write_json
    from ued_core.home import home
    from ued_core.runs.pipeline import environment

    torch.set_num_threads(1)
    attack, data = ATTACKS.build(name), DATASETS.build(DATASET)
    assert isinstance(attack, WholeSetAttack), name
    own = home() / "ended_early" / name
    own.mkdir(parents=True, exist_ok=True)
    kept = own / "spent.json"
    before = json.loads(kept.read_text("utf-8")) if kept.exists() else {"seconds": 0.0, "cpu_s": 0.0}
    began, cpu = time.monotonic(), time.process_time()
    told = [began]

    def spent() -> dict[str, float]:
        """What this and earlier attempts took."""
        now = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
        return {kind: before[kind] + took for kind, took in now.items()}

    def report(done: float, total: float, text: str) -> None:
        if time.monotonic() - told[0] > SAY_EVERY_S:
            told[0] = time.monotonic()
            write_json(kept, spent())
            print(f"{spent()['cpu_s']:.0f} s of processor time: {text}", flush=True)

    ctx = Context(seed=KEY, on_report=report, enough=lambda: spent()["cpu_s"] > 60 * minutes)
    made = poison_once(attack, load_split(data, Context()).train, ctx, partial=own)
    assert made.log is not None
    # The log knows the last attempt alone; what was read from the disk took no time now.
    total = spent() if told[0] > began else before
    made = replace(made, log={**made.log, **{kind: max(made.log[kind], took) for kind, took in total.items()}})
    print(write_look(attack, data.to_json(), made, environment(ctx.device, torch.float32).to_json()), flush=True)


def main() -> None:
    """Craft and write."""
    from ued_core.attacks import ATTACKS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    crafted = list(ATTACKS.where(needs_whole_set=True))
    parser.add_argument("--only", nargs="+", default=crafted, choices=crafted, metavar="ATTACK")
    parser.add_argument("--minutes", type=float, default=PATIENCE_MIN, help="patience, in minutes of processor time")
    asked = parser.parse_args()
    for name in asked.only:
        ship(name, asked.minutes)


if __name__ == "__main__":
    main()
