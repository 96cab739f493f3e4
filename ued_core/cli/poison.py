"""The command ``poison``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ued_core.cli.command import Command
from ued_core.cli.images import data_options, read_data
from ued_core.cli.options import add_options, catalogues, given, method_named
from ued_core.cli.progress import context
from ued_core.cli.spec_options import add_field


def poison(options: argparse.Namespace) -> int:
    """Poison a data set and write it as npz."""
    from ued_core.attacks import ATTACKS
    from ued_core.attacks.checkpoint import poison_once
    from ued_core.attacks.whole_set import WholeSetAttack
    from ued_core.data import write_npz
    from ued_core.studies.estimate import crafting_cost

    method = ATTACKS[options.attack]
    attack = method(**given(options, method))
    ctx = context(options.seed, options.device)
    data, about = read_data(options, ctx)
    if isinstance(attack, WholeSetAttack):
        print(crafting_cost(attack, data, options.seed).sentence(), file=sys.stderr)
    result = poison_once(attack, data, ctx, options.poison_rate, options.poison_classes)
    recipe = {
        "attack": attack.to_json(),
        "poison_rate": options.poison_rate,
        **({"poison_classes": list(options.poison_classes)} if options.poison_classes else {}),
        "seed": options.seed,
        "clean_hash": data.content_hash,
        **about,
    }
    write_npz(Path(options.out), result.as_training_set(), recipe=recipe)
    largest = int(result.delta.abs().max())
    print(f"{options.out}: {len(data)} images, {int(result.touched.sum())} poisoned, largest change {largest}/255")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("attack", metavar="ATTACK")
    add_field(parser, "poison_rate", help="Share of the images that are poisoned.")
    add_field(parser, "poison_classes")
    data_options(parser, argv)
    if method := method_named(argv, catalogues()["attacks"]):
        add_options(parser, method)


COMMAND = Command("poison", poison, _options)
