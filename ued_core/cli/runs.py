"""The commands that show runs and act on them: ``runs``, ``run``, ``cancel``, ``stop-crafting`` and ``resume``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from ued_core.cli.command import Command
from ued_core.cli.options import at_least
from ued_core.cli.progress import follow


def list_runs(options: argparse.Namespace) -> int:
    """All runs, newest first."""
    from ued_core import runs

    records = runs.runs()
    runs.attend(records)
    if options.json:
        # One run a line: with indents, thousands of runs take a second.
        print("[\n" + ",\n".join(json.dumps(r.to_json()) for r in records) + "\n]")
        return 0
    if not records:
        print("No runs yet. Queue one: python -m ued_core train SPEC.json")
    for r in records:
        last = "      " if r.last is None else f"{100 * r.last:5.1f}%"
        print(
            f"{r.id}  {r.state:<11} {r.epoch or 0:>4}/{r.epochs or '?':<4} {last}  {r.title}"
            + ("  (damaged)" if r.damaged else "")
        )
    return 0


def show_run(options: argparse.Namespace) -> int:
    """Everything about one run."""
    from ued_core import runs

    record = runs.run(options.id)
    runs.attend([record])
    folder = runs.folder(record.id)
    if options.json:
        result = folder.result()
        extra = {
            "history": [dict(row.numbers) for row in folder.history()],
            "result": result and result.to_json(),
            "error": folder.error(),
        }
        print(json.dumps({**record.to_json(), **extra}, indent=2))
        return 0
    for name, value in record.to_json().items():
        if name not in ("spec", "damaged") and value is not None:
            print(f"{name:<15} {value}")
    for wrong in record.damaged:
        print(f"damaged         {wrong}")
    for line in folder.log_tail(options.lines).splitlines() if options.lines else ():
        print(f"log             {line}")
    return 0


def cancel(options: argparse.Namespace) -> int:
    """Stop a queued or running run."""
    from ued_core import runs

    runs.cancel(options.id)
    print(f"{runs.run(options.id).id}: cancel requested")
    return 0


def stop_crafting(options: argparse.Namespace) -> int:
    """End the crafting of a running run, and train with what is there."""
    from ued_core import runs

    runs.stop_crafting(options.id)
    print(f"{runs.run(options.id).id}: crafting ends after the part that it is in")
    return 0


def resume(options: argparse.Namespace) -> int:
    """Continue an interrupted, cancelled or failed run from its checkpoint."""
    from ued_core import runs

    runs.resume(options.id)
    run_id = runs.run(options.id).id
    print(f"{run_id}: queued again")
    return follow(run_id) if options.wait else 0


def _list_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("--json", action="store_true")


def _show_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--lines", type=at_least(0), default=10, help="last lines of the log")


def _which(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("id", metavar="ID")


def _resume_options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    parser.add_argument("id", metavar="ID")
    parser.add_argument("--wait", action="store_true", help="follow the run until it ends")


LIST = Command("runs", list_runs, _list_options)
SHOW = Command("run", show_run, _show_options)
CANCEL = Command("cancel", cancel, _which)
STOP_CRAFTING = Command("stop-crafting", stop_crafting, _which)
RESUME = Command("resume", resume, _resume_options)
