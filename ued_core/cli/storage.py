"""The command ``storage``."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

from ued_core.cli.command import Command


def storage(options: argparse.Namespace) -> int:
    """What lies below the home and how much room it takes; what was removed to stay within the limit."""
    from ued_core.artefacts.limits import DEFAULT_GB, VARIABLE, gigabytes
    from ued_core.home import home
    from ued_core.runs.storage import areas, removals

    found, gone = areas(), removals()
    if options.json:
        told = {"home": str(home()), "areas": [area._asdict() for area in found], "removed": gone}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    print(home())
    for area in found:
        most = "" if area.limit is None else f" of {gigabytes(area.limit)}"
        print(f"  {area.name:<12} {gigabytes(area.bytes):>9}{most:<10} {area.entries:>6,} entries  {area.words}")
    print(
        f"What has a limit gives way to newer things; {VARIABLE} sets that of imports and of cache, {DEFAULT_GB:g} "
        "when left out."
    )
    for row in gone:
        print(
            f"removed {time.strftime('%Y-%m-%d %H:%M', time.localtime(row['time']))}  {gigabytes(row['bytes']):>9}  "
            f"{row['path']}"
        )
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--json", action="store_true")


COMMAND = Command("storage", storage, _options)
