"""The command ``train``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ued_core.cli.command import Command
from ued_core.cli.progress import context, follow
from ued_core.cli.spec_options import add_fields, given_fields

if TYPE_CHECKING:
    from ued_core.runs import RunRecord, RunSpec


def train(options: argparse.Namespace) -> int:
    """Queue the run that a JSON file describes, with what options change of it; prints its id."""
    from ued_core import runs
    from ued_core.data import load_split
    from ued_core.data.cache import is_kept
    from ued_core.runs.spec import RunSpec

    spec = RunSpec.read(Path(options.spec), given_fields(options))
    if options.dry_run:
        if spec.dataset.chosen_paths():
            # Whether files can be used, and what is skipped or changed, is known before the run as well.
            load_split(spec.dataset, context(0, "cpu"))
        print("\n".join([spec.title(), *_cost(spec, runs.runs()), *_expected(spec)]))
        return 0
    print("\n".join(_expected(spec)), end="\n" * bool(_expected(spec)), file=sys.stderr)
    if spec.attack is not None and spec.attack.needs_whole_set and (spec.dataset.embedded or is_kept(spec.dataset)):
        print("\n".join(_cost(spec, runs.runs())), file=sys.stderr)
    run_id = runs.submit(spec)
    print(run_id, flush=True)
    return follow(run_id) if options.wait else 0


def _cost(spec: RunSpec, known: Sequence[RunRecord]) -> list[str]:
    """What a run will cost, one line per part."""
    from ued_core.attacks.whole_set import WholeSetAttack
    from ued_core.data import load_split
    from ued_core.studies.estimate import UNKNOWN, crafting_cost, estimate, in_all

    crafting, training = None, estimate(spec, known)
    if isinstance(spec.attack, WholeSetAttack) and spec.poison_rate > 0:
        crafting = crafting_cost(spec.attack, load_split(spec.dataset, context(0, "cpu")).train, spec.attack_seed)
    told = [
        crafting.sentence() if crafting else "",
        training.sentence(1) if training else UNKNOWN,
        in_all(crafting, training),
    ]
    return [line for line in told if line]


def _expected(spec: RunSpec) -> list[str]:
    """What stored runs let expect of a defence that may do nothing, one line a defence."""
    from ued_core.results import staged
    from ued_core.results.row import stored_rows

    if staged.method_of(spec.to_json()) is None:
        return []
    return [staged.expectation(stored_rows(staged.FILE), spec.to_json()).replace("**", "")]


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("spec", metavar="SPEC.json")
    parser.add_argument("--wait", action="store_true", help="follow the run until it ends")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what crafting and training will take, and start nothing"
    )
    add_fields(parser)


COMMAND = Command("train", train, _options)
