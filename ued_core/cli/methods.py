"""The command ``methods``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from ued_core.cli.command import Command
from ued_core.cli.options import catalogues
from ued_core.errors import ParameterError


def methods(options: argparse.Namespace) -> int:
    """List attacks, defences, data sets, models, plans and relabellings with their parameters."""
    chosen = catalogues()
    for problem in (problem for catalogue in chosen.values() for problem in catalogue.problems):
        print(f"Note: {problem}", file=sys.stderr)
    if options.kind:
        chosen = {options.kind: chosen[options.kind]}
    elif options.where:
        raise ParameterError(
            f"--where {options.where[0]} asks for what methods of one kind declare.",
            f"Add --kind with one of: {', '.join(chosen)}.",
        )
    wanted = dict(_condition(text) for text in options.where)
    chosen = {name: catalogue.where(options.pattern, **wanted) for name, catalogue in chosen.items()}
    found = {name: [entry.describe() for entry in catalogue.values()] for name, catalogue in chosen.items()}
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return 0
    for name, entries in found.items():
        if not entries:
            continue
        print(name)
        for entry in entries:
            print(f"  {entry['name']:<12} {entry['summary']}")
            for p in entry["parameters"]:
                print(f"      --{p['name'].replace('_', '-'):<16} {p['help']} [{p['default']!r}]")
    if not any(found.values()):
        print("No method fits.")
    return 0


def _condition(text: str) -> tuple[str, Any]:
    """``needs_whole_set=no`` → (``needs_whole_set``, False); ``acts=purify`` → (``acts``, ``purify``)."""
    from ued_core.params import WORDS_FOR_FALSE, WORDS_FOR_TRUE

    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise ParameterError(
            f"--where is {text!r}, but it must be NAME=VALUE.", "For example needs_whole_set=no, or acts=purify."
        )
    words = {**dict.fromkeys(WORDS_FOR_TRUE, True), **dict.fromkeys(WORDS_FOR_FALSE, False)}
    return name.replace("-", "_"), words.get(value.lower(), value)


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("pattern", nargs="?", default="*", help="of names or titles: * stands for any text [*]")
    parser.add_argument("--kind", choices=list(catalogues()), help="one kind alone")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="what its class declares, for example needs_whole_set=no or acts=purify; several may be given",
    )
    parser.add_argument("--json", action="store_true")


COMMAND = Command("methods", methods, _options)
