"""The small D-VAEs that the page D-VAE shows without training.

    nice -n 10 python -m benchmarks.dvae_assets                   train and write the networks of all selections
    nice -n 10 python -m benchmarks.dvae_assets --only digits     those of one data set

One network is trained at the loosest target; from there a copy goes on to each target, all for the same number of
steps, on one thread. That takes a third of the steps of five trainings, and is enough for looking at, not for
purifying; what purification is worth is measured by the studies ``dvae`` and ``dvae-rates``.
"""

from __future__ import annotations

import argparse
from typing import Any, TypedDict

COUNT = 1000
"""Images that the networks of a selection are trained on."""


class Size(TypedDict):
    """What makes these networks smaller than the paper's."""

    width: int
    batch_size: int


SIZE: Size = {"width": 8, "batch_size": 16}
SHIPPED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("fashion", {"name": "cuda"}),
    ("fashion", {"name": "synper"}),
    ("shapes", {"name": "cuda"}),
    ("digits", {"name": "region"}),
)
"""What the page shows without training: the selection that every page starts with, bounded noise on the same data, and
two of before."""
TARGETS = (0.3, 0.6, 1.0, 2.0, 4.0)
"""Rate targets, in nats per latent position."""
BEFORE, AFTER = 60, 8
"""Epochs at the loosest target, and then at each target."""


def ship(only: str) -> None:
    """Train the networks that ship, and write them with what they were trained on."""
    import torch

    from ued_core.attacks import ATTACKS
    from ued_core.context import Context
    from ued_core.data import DATASETS
    from ued_core.defenses.dvae import Dvae
    from ued_core.results.shipped_separations import write_shipped
    from ued_core.training.rate_constrained import DvaeJob, train_dvae

    torch.set_num_threads(1)
    for dataset, recipe in SHIPPED:
        if only not in ("", dataset):
            continue
        data, attack = DATASETS.build(dataset), ATTACKS.parse(recipe)
        train = data.load(Context()).train
        taken = torch.cat([(train.labels == k).nonzero()[: COUNT // train.classes, 0] for k in range(train.classes)])
        published = attack.poison(train, Context(seed=0)).as_training_set().take(taken.sort().values)
        defense = Dvae(variant="subtraction", **SIZE)
        network = defense.network(published.shape, published.classes, Context().generator("shipped"))
        ctx = Context().with_seed(Context().stream_seed("shipped"))
        train_dvae(DvaeJob(published, network, max(TARGETS), BEFORE, SIZE["batch_size"]), ctx)
        steps, made = (BEFORE + AFTER) * (len(published) // SIZE["batch_size"]), []
        for target in TARGETS:
            copy = defense.network(published.shape, published.classes, torch.Generator())
            copy.load_state_dict(network.state_dict())
            ctx = Context().with_seed(Context().stream_seed("shipped", target))
            last = train_dvae(DvaeJob(published, copy, target, AFTER, SIZE["batch_size"]), ctx)[-1]
            made.append((target, copy.state_dict(), {"rate": last["rate"], "psnr": last["psnr"], "steps": steps}))
            print(dataset, attack.key, target, {name: round(value, 4) for name, value in last.items()}, flush=True)
        defence = {
            name: value for name, value in defense.to_json().items() if name not in ("rate_1", "rate_2", "epochs")
        }
        print(write_shipped(data.to_json(), attack.to_json(), 0, published, defence, made))


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = dict.fromkeys(dataset for dataset, _ in SHIPPED)
    parser.add_argument("--only", default="", choices=["", *sets], help="one data set")
    ship(parser.parse_args().only)


if __name__ == "__main__":
    main()
