"""The command ``inspect``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ued_core.cli.command import Command
from ued_core.cli.images import dataset_options, read_data
from ued_core.cli.progress import context


def inspect(options: argparse.Namespace) -> int:
    """Say what a poison file of another program is, and what its released loader would make of it."""
    from ued_core.data.poison_files import AFTERWARDS, Reading, compare, load

    asked = {name: getattr(options, name) for name in ("format", "content", "layout", "scale", "per", "radius")}
    data = read_data(options, context(0, "cpu"))[0] if options.data else None
    imported = load(Path(options.file), data, Reading(**asked))
    found = imported.found
    ctx = context(0, "cpu")
    measured = [(rule, compare(imported, data, rule.key, ctx)) for rule in imported.rules] if data is not None else []
    if options.json:
        numbers = {rule.key: asdict(comparison) for rule, comparison in measured}
        print(
            json.dumps(
                {**found.to_json(), "content_hash": imported.content_hash, "loaders": numbers},
                indent=2,
                ensure_ascii=False,
            )
        )
        return 0
    print("\n".join([found.name, *found.lines()]))
    for rule, c in measured:
        print(f"{rule.title}: {rule.words} {AFTERWARDS}")
        print(
            f"  against signed and rounded: {100 * c.differing:.1f} % of the values differ, "
            f"on average {c.shift:+.3f}/255, at most {c.largest}/255; "
            f"{100 * c.lowered_lost:.1f} % of the darkened values are lost; L∞ {c.released_linf}/255 instead of "
            f"{c.ours_linf}/255"
        )
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    from ued_core.data.poison_files import FORMATS, IMAGE_SCALES, NOISE_SCALES

    parser.add_argument(
        "file",
        metavar="FILE",
        help="a .pt, .pth, .pkl, .npy, .npz or .safetensors file; a zip or folder of PNG or .pth files",
    )
    dataset_options(
        parser, argv, required=False, what="the clean images that it is for, then its loaders are compared: "
    )
    parser.add_argument("--format", choices=tuple(FORMATS), default="", help="take the file for this")
    parser.add_argument("--content", choices=("noise", "images"), default="", help="take the values for this")
    parser.add_argument("--layout", choices=("NCHW", "NHWC"), default="", help="order of the axes")
    parser.add_argument(
        "--scale", choices=(*NOISE_SCALES, *IMAGE_SCALES), default="", metavar="UNIT", help="unit of the values"
    )
    parser.add_argument(
        "--per", choices=("sample", "class", "cluster", "pool"), default="", help="what one entry is for"
    )
    parser.add_argument("--radius", type=float, default=None, help="clip the noise to this many 1/255 first")
    parser.add_argument("--json", action="store_true")


COMMAND = Command("inspect", inspect, _options)
