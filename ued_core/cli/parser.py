"""The parser of the command line, assembled from its commands."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ued_core.cli import (
    data,
    defend,
    export,
    inspect,
    methods,
    poison,
    record,
    recover,
    runs,
    storage,
    study,
    theta,
    train,
)
from ued_core.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    methods.COMMAND,
    poison.COMMAND,
    defend.COMMAND,
    data.COMMAND,
    inspect.COMMAND,
    export.COMMAND,
    theta.COMMAND,
    train.COMMAND,
    study.COMMAND,
    record.COMMAND,
    runs.LIST,
    runs.SHOW,
    storage.COMMAND,
    runs.CANCEL,
    runs.STOP_CRAFTING,
    runs.RESUME,
    recover.COMMAND,
)


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; the command that ``argv`` names has its options, and those of the method that it chooses."""
    asked = next((word for word in argv if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="python -m ued_core",
        description="The same work without a browser: ``python -m ued_core …``.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        words = command.action.__doc__
        made = commands.add_parser(command.name, help=words, description=words, allow_abbrev=False)
        made.set_defaults(action=command.action)
        if command.name == asked:
            command.add_options(made, argv)
    return parser
