"""The images that a command works on: ``--data``, ``--part`` and the options of the data set."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ued_core.cli.options import add_options, given, option_value
from ued_core.cli.spec_options import add_field
from ued_core.errors import UedError, UnknownName

if TYPE_CHECKING:
    from ued_core.context import Context
    from ued_core.data import Dataset
    from ued_core.records import ImageSet


def _dataset(text: str) -> type[Dataset]:
    """The data set that ``--data`` means: one of the catalogue, or what lies at a path.

    Raises:
        UedError: neither; the message says what to write.
    """
    from ued_core.data import DATASETS, method_at
    from ued_core.data.at_path import KINDS

    if text in DATASETS:
        return DATASETS[text]
    path = Path(_here(text))
    if not os.path.exists(path) and not path.suffix and "/" not in text:
        unknown = UnknownName("data set", text, DATASETS)
        raise UedError(unknown.what, f"{unknown.do} Or give the path of {KINDS}; there is nothing of this name here.")
    return method_at(path)


def _here(text: str) -> str:
    from ued_core.params import absolute_path

    return absolute_path(text, Path.cwd()) or text


def read_data(options: argparse.Namespace, ctx: Context) -> tuple[ImageSet, dict[str, Any]]:
    """The images that ``--data`` names, and what a recipe keeps of where they come from.

    A file that is given by its path is taken whole; a data set that is divided gives the part that was asked for.
    """
    from ued_core.data import DATASETS, load_split

    method = _dataset(options.data)
    named = options.data in DATASETS
    dataset = method(**given(options, method, "data-"), **({} if named else {"path": _here(options.data)}))
    taken = None if named else dataset.whole(options.part, ctx)
    if taken is None:
        return getattr(load_split(dataset, ctx), options.part), dataset.origin_for(options.part)
    images, notes = taken
    for note in notes:
        ctx.on_note(note)
    return images, dataset.origin_for(options.part)


def data_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    """The options of a command that changes images and writes them: which, with which seed, where, and whereto."""
    dataset_options(parser, argv, required=True)
    add_field(parser, "attack_seed", name="seed", help="The private key, or the seed of the draws.")
    add_field(parser, "device")
    parser.add_argument("--out", required=True, metavar="OUT.npz")


def dataset_options(parser: argparse.ArgumentParser, argv: Sequence[str], required: bool, what: str = "") -> None:
    """``--data`` and ``--part``, and the options of the data set that is named or lies at the path."""
    from ued_core.data import DATASETS

    where = "the path of an npz, IDX or Parquet file, or of a folder of images"
    parser.add_argument(
        "--data",
        required=required,
        metavar="NAME|PATH",
        help=f"{what}a data set ({', '.join(DATASETS)}), or {where}; a file counts whole",
    )
    parser.add_argument(
        "--part", choices=("train", "test"), default="train", help="which part of a data set that has two"
    )
    if name := option_value(argv, "--data"):
        add_options(parser, _dataset(name), "data-", () if name in DATASETS else ("path",))
