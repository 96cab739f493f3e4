"""The small D-VAEs that the page D-VAE shows without training.

    nice -n 10 python -m benchmarks.dvae_assets                   train and write the networks of all selections
    nice -n 10 python -m benchmarks.dvae_assets --only digits     those of one data set
    nice -n 10 python -m benchmarks.dvae_assets --stage 2         stage 2 alone, after the stage 1 that ships

One network is trained at the loosest target; from there a copy goes on to each target, all for the same number of
steps, on one thread. That takes a third of the steps of five trainings, and is enough for looking at, not for
purifying; what purification is worth is measured by the studies ``dvae`` and ``dvae-rates``. A network of stage 2 is
trained from fresh weights, as many steps, on what stage 1 gives at the default target through the mean of its latent.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from ued_core.defenses.dvae import Dvae
    from ued_core.records import ImageSet

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
SECOND = ("fashion-cuda", "fashion-synper")
"""Data set and attack of the selections for which stage 2 ships too."""


def ship(only: str, stages: Sequence[int]) -> None:
    """Train the networks that ship, and write them with what they were trained on.

    Args:
        only: a data set; empty for all.
        stages: 1, 2 or both; stage 2 alone follows the networks of stage 1 that ship.
    """
    import torch

    from ued_core.attacks import ATTACKS
    from ued_core.context import Context
    from ued_core.data import DATASETS
    from ued_core.defenses.dvae import Dvae
    from ued_core.results.shipped_separations import shipped_for, write_shipped

    torch.set_num_threads(1)
    for dataset, recipe in SHIPPED:
        followed = f"{dataset}-{recipe['name']}" in SECOND
        if only not in ("", dataset) or (1 not in stages and not followed):
            continue
        data, attack = DATASETS.build(dataset), ATTACKS.parse(recipe)
        train = data.load(Context()).train
        taken = torch.cat([(train.labels == k).nonzero()[: COUNT // train.classes, 0] for k in range(train.classes)])
        published = attack.poison(train, Context(seed=0)).as_training_set().take(taken.sort().values)
        defense = Dvae(variant="subtraction", **SIZE)
        shipped = shipped_for(data.to_json(), attack.to_json(), 0)
        if 1 in stages or shipped is None:
            made = first_stage(defense, published)
        else:
            of_targets = {row["target"]: row for row in shipped.card["targets"]}
            made = [
                (target, dict(shipped.network(target).state_dict()), {k: v for k, v in row.items() if k != "target"})
                for target, row in of_targets.items()
            ]
        before = next(weights for target, weights, _ in made if target == defense.rate_1)
        second = second_stage(defense, published, before) if followed else None
        defence = {
            name: value for name, value in defense.to_json().items() if name not in ("rate_1", "rate_2", "epochs")
        }
        print(write_shipped(data.to_json(), attack.to_json(), 0, published, defence, made, second=second))


def first_stage(defense: Dvae, published: ImageSet) -> list[tuple[float, dict[str, Any], dict[str, Any]]]:
    """Target, weights and numbers of each network of stage 1."""
    import torch

    from ued_core.context import Context
    from ued_core.training.rate_constrained import DvaeJob, train_dvae

    network = defense.network(published.shape, published.classes, Context().generator("shipped"))
    ctx = Context().with_seed(Context().stream_seed("shipped"))
    train_dvae(DvaeJob(published, network, max(TARGETS), BEFORE, SIZE["batch_size"]), ctx)
    made = []
    for target in TARGETS:
        copy = defense.network(published.shape, published.classes, torch.Generator())
        copy.load_state_dict(network.state_dict())
        ctx = Context().with_seed(Context().stream_seed("shipped", target))
        last = train_dvae(DvaeJob(published, copy, target, AFTER, SIZE["batch_size"]), ctx)[-1]
        made.append((target, copy.state_dict(), numbers(last, published)))
    return made


def second_stage(defense: Dvae, published: ImageSet, before: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights and numbers of the network of stage 2, after stage 1 with the weights ``before``."""
    import torch

    from ued_core.context import Context
    from ued_core.defenses.dvae import purify_batch
    from ued_core.records import to_bytes, to_float
    from ued_core.training.rate_constrained import DvaeJob, train_dvae

    first = defense.network(published.shape, published.classes, torch.Generator())
    first.load_state_dict(before)
    left = purify_batch(first.eval(), to_float(published.images), published.labels, ("subtract",), None)
    given = published.with_images(to_bytes(left, defense.rounding))
    network = defense.network(published.shape, published.classes, Context().generator("shipped", "second"))
    ctx = Context().with_seed(Context().stream_seed("shipped", "second"))
    last = train_dvae(DvaeJob(given, network, defense.rate_2, BEFORE + AFTER, SIZE["batch_size"]), ctx)[-1]
    return network.state_dict(), {"after": defense.rate_1, "target": defense.rate_2, **numbers(last, published)}


def numbers(last: dict[str, float], published: ImageSet) -> dict[str, Any]:
    """What a card says of a network, by the last row of its training."""
    print({name: round(value, 4) for name, value in last.items()}, flush=True)
    steps = (BEFORE + AFTER) * (len(published) // SIZE["batch_size"])
    return {"rate": last["rate"], "psnr": last["psnr"], "steps": steps}


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = dict.fromkeys(dataset for dataset, _ in SHIPPED)
    parser.add_argument("--only", default="", choices=["", *sets], help="one data set")
    parser.add_argument("--stage", type=int, nargs="*", default=[1, 2], choices=[1, 2], help="which stages are trained")
    options = parser.parse_args()
    ship(options.only, options.stage)


if __name__ == "__main__":
    main()
