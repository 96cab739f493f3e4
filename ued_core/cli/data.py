"""The command ``data``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ued_core.cli.command import Command
from ued_core.cli.images import dataset_options, read_data
from ued_core.cli.progress import context


def write_data(options: argparse.Namespace) -> int:
    """Write one part of a data set, as it is, as npz: clean test images for a poisoned file, for example."""
    from ued_core.data import write_npz

    data, about = read_data(options, context(0, "cpu"))
    write_npz(Path(options.out), data, recipe={"clean_hash": data.content_hash, "data": {}, **about})
    print(f"{options.out}: {len(data)} images in {data.classes} classes")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    dataset_options(parser, argv, required=True)
    parser.add_argument("--out", required=True, metavar="OUT.npz")


COMMAND = Command("data", write_data, _options)
