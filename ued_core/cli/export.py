"""The command ``export``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ued_core.cli.command import Command
from ued_core.cli.progress import context


def export(options: argparse.Namespace) -> int:
    """Poison the data that a run spec names and write it as npz, as a zip of PNG files, or as EM's perturbation.pt."""
    from ued_core.runs.spec import RunSpec
    from ued_core.studies.export import export_spec

    spec = RunSpec.read(Path(options.spec))
    written = export_spec(spec, options.to, Path(options.out), context(0, "cpu"))
    rest = ", before the defences of the spec" if spec.defenses else ""
    print(f"{', '.join(written.files)}: {written.images} images, {written.poisoned} poisoned{rest}")
    return 0


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("spec", metavar="SPEC.json")
    parser.add_argument(
        "--to", required=True, choices=("npz", "folder", "em"), help="npz, a zip of PNG files, or EM's perturbation.pt"
    )
    parser.add_argument("out", metavar="OUT")


COMMAND = Command("export", export, _options)
