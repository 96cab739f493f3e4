"""The command ``defend``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ued_core.cli.command import Command
from ued_core.cli.images import data_options, read_data
from ued_core.cli.options import add_options, catalogues, given, method_named
from ued_core.cli.progress import context


def defend(options: argparse.Namespace) -> int:
    """Apply a defence once to a data set and write it as npz."""
    from ued_core.data import write_npz
    from ued_core.defenses import DEFENSES, DefenseStack

    method = DEFENSES[options.defense]
    defense = method(**given(options, method))
    ctx = context(options.seed, options.device)
    data, about = read_data(options, ctx)
    result = DefenseStack([defense]).preview(data, ctx)
    recipe = {"defenses": [defense.to_json()], "seed": options.seed, "given_hash": data.content_hash, **about}
    write_npz(Path(options.out), result, recipe=recipe)
    print(f"{options.out}: {len(result)} images defended by {defense.title}")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("defense", metavar="DEFENCE")
    data_options(parser, argv)
    if method := method_named(argv, catalogues()["defenses"]):
        add_options(parser, method)


COMMAND = Command("defend", defend, _options)
