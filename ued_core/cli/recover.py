"""The command ``recover``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ued_core.cli.command import Command
from ued_core.cli.options import at_least
from ued_core.cli.progress import context
from ued_core.cli.spec_options import add_field


def recover(options: argparse.Namespace) -> int:
    """How many clean images bring a finished run's accuracy back."""
    from ued_core.analysis.recovery import RecoveryTest
    from ued_core.studies.recovery_room import no_control
    from ued_core.studies.recovery_room import recover as measured

    control = no_control if options.quick else RecoveryTest.alone
    found = measured(options.id, options.known, context(0, options.device), control)
    if options.json:
        print(json.dumps(found.to_json(), indent=2))
        return 0
    print(
        f"Run {found.run}: clean test accuracy {100 * found.as_trained:.1f} % as trained in {found.steps:,} steps, on "
        f"{found.tested:,} test images"
    )
    print(f"{'known':>7}  {'last layer':>10}  {'one epoch':>9}  {'rate':>7}  {'alone':>7}  {'alone, one epoch':>16}")
    for point in found.points:
        alone = "" if point.alone is None else _percent(point.alone)
        print(
            f"{point.known:>7,}  {_percent(point.refitted):>10}  {_percent(point.tuned):>9}  {point.rate:>7g}  "
            f"{alone:>7}  {_percent(point.alone_one_epoch):>16}"
        )
    print(
        "last layer: refitted on the known images; one epoch: of fine-tuning all weights on them; alone: the same "
        "model, as it was before training, trained on them alone, in as many steps as the run, or for one epoch"
    )
    return 0


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    from ued_core.analysis.recovery import KNOWN

    parser.add_argument("id", metavar="RUN", help="id of a finished run, or its beginning or end")
    parser.add_argument(
        "--known",
        metavar="N",
        nargs="+",
        type=at_least(2),
        default=list(KNOWN),
        help=f"numbers of clean images that the defender knows; default {' '.join(map(str, KNOWN))}",
    )
    parser.add_argument(
        "--quick", action="store_true", help="leave out the control that takes as long as the run's training"
    )
    add_field(parser, "device")
    parser.add_argument("--json", action="store_true")


COMMAND = Command("recover", recover, _options)
