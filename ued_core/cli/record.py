"""The command ``record``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ued_core.cli.command import Command

if TYPE_CHECKING:
    from ued_core.results.record import Record

FORMATS = ("csv", "markdown", "latex", "json")
_MOST_BYTES = 64 << 20


def record(options: argparse.Namespace) -> int:
    """Results over seeds with their evidence: show them, and take those that others contribute."""
    return options.do(options)


def _show(options: argparse.Namespace) -> int:
    from ued_core.results.record import Record
    from ued_core.results.record_sources import every
    from ued_core.results.record_tables import TABLES

    damage: list[str] = []
    found = every(damage)
    for words in damage:
        print(words, file=sys.stderr)
    wanted = {"data": options.data, "attack": options.attack, "defense": options.defense}
    found = [e for e in found if all(asked is None or asked in e.names()[part] for part, asked in wanted.items())]
    if options.format == "json":
        print(json.dumps(Record(entries=found).to_json(), indent=2, ensure_ascii=False))
    else:
        print(TABLES[options.format](found), end="")
    return 0


def _validate(options: argparse.Namespace) -> int:
    checked = _read(options.file)
    for entry in checked.entries:
        print(f"{entry.condition}: {entry.accuracy.n} runs, {100 * entry.accuracy.mean:.1f} %")
        print("".join(f"  {words}\n" for words in entry.unreliable), end="")
    print(f"{options.file} can be added.")
    return 0


def _add(options: argparse.Namespace) -> int:
    from ued_core.results.record_sources import add

    name = options.name or Path(options.file).stem
    contributed = _read(options.file)
    fresh = add(contributed, name, options.replace)
    print(f"{name}: {len(contributed.entries)} entries" if fresh else f"{name}: the same is there already")
    return 0


def _schema(options: argparse.Namespace) -> int:
    from ued_core.results.record import schema

    print(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0


def _read(file: str) -> Record:
    from ued_core.data.walk import open_plain
    from ued_core.errors import DataError, in_short
    from ued_core.results.record import Record
    from ued_core.runs.spec import read_json

    try:
        with open_plain(Path(file)) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise DataError(f"The record {file} cannot be read: {in_short(error)}.", "Check the path.") from error
    if len(content) > _MOST_BYTES:
        raise DataError(f"The record {file} has more than {_MOST_BYTES >> 20} MiB.", "Check the path.")
    return Record.read(read_json(content, f"The record {file}"), f"The record {file}")


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    actions = parser.add_subparsers(dest="part", required=True, metavar="show|validate|add|schema")
    show = actions.add_parser("show", help="the shipped entries and those that were added", allow_abbrev=False)
    show.add_argument("--format", choices=FORMATS, default="markdown")
    for name in ("data", "attack", "defense"):
        show.add_argument(f"--{name}", metavar="NAME", help=f"only entries of this {name}; none for none")
    validate = actions.add_parser("validate", help="check a file that could be added", allow_abbrev=False)
    add = actions.add_parser("add", help="keep a file of entries under the home", allow_abbrev=False)
    for made in (validate, add):
        made.add_argument("file", metavar="FILE.json")
    add.add_argument("--name", help="what to call it; the file's own name when left out")
    add.add_argument("--replace", action="store_true", help="take the place of another record of that name")
    schema = actions.add_parser("schema", help="the JSON Schema of such a file", allow_abbrev=False)
    for made, do in ((show, _show), (validate, _validate), (add, _add), (schema, _schema)):
        made.set_defaults(do=do)


COMMAND = Command("record", record, _options)
