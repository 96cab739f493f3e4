"""The command ``methods``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ued_core.cli.command import Command
from ued_core.cli.options import catalogues


def methods(options: argparse.Namespace) -> int:
    """List every attack, defence, data set, model, plan and relabelling with its parameters."""
    found = {name: [entry.describe() for entry in catalogue.values()] for name, catalogue in catalogues().items()}
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for name, entries in found.items():
        print(name)
        for entry in entries:
            print(f"  {entry['name']:<12} {entry['summary']}")
            for p in entry["parameters"]:
                print(f"      --{p['name'].replace('_', '-'):<16} {p['help']} [{p['default']!r}]")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--json", action="store_true")


COMMAND = Command("methods", methods, _options)
