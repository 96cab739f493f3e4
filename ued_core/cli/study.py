"""The command ``study``: run a declared grid, see how far it is, add seeds, stop."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ued_core.cli.command import Command
from ued_core.cli.options import at_least
from ued_core.cli.progress import Progress

if TYPE_CHECKING:
    from ued_core.studies.progress import Cell, Judged, StudyProgress
    from ued_core.studies.submission import Submission


def study(options: argparse.Namespace) -> int:
    """Run, watch, extend and stop studies: declared grids of runs."""
    return options.verb_action(options)


def run_study(options: argparse.Namespace) -> int:
    """Queue what a study has not trained yet; what was interrupted goes on."""
    from ued_core.studies.submission import submit_missing

    path = _file(options)
    if options.dry_run:
        print("\n".join(_heading(_now(options))))
        return 0
    progress = Progress()
    done = submit_missing(
        path, retry=options.retry, on_queued=lambda queued, of: progress(queued, of, f"queued {queued} of {of} runs")
    )
    progress.close()
    print("\n".join(_told(done)), flush=True)
    return follow_study(path) if options.wait else 0


def status(options: argparse.Namespace) -> int:
    """How far a study is and what it says so far."""
    from ued_core import runs

    found = _now(options)
    runs.attend([trial.record for trial in found.trials.values() if trial.record is not None])
    if options.json:
        print(json.dumps(_as_json(found), indent=1, ensure_ascii=False, allow_nan=False))
        return 0
    print("\n".join([*_heading(found), "", *_table(found), *_answers(found.judged)]))
    return 0


def extend_study(options: argparse.Namespace) -> int:
    """Add seeds to a study's file and queue their runs."""
    from ued_core.studies.submission import extend

    path = _file(options)
    target, done = extend(path, options.seeds)
    if target != path:
        print(f"{path.name} ships with the program and stays as it is; the longer study is {target}")
    print("\n".join(_told(done)), flush=True)
    return follow_study(target) if options.wait else 0


def cancel_runs(options: argparse.Namespace) -> int:
    """Cancel a study's waiting and running runs that no other study wants."""
    from ued_core.studies.submission import cancel_study

    done = cancel_study(_file(options))
    print(f"{len(done.cancelled)} runs cancelled")
    if done.wanted:
        print(f"{done.wanted} runs go on: another study wants them")
    if done.others:
        print(f"{done.others} runs go on: somebody else started them")
    return 0


def write_rows(options: argparse.Namespace) -> int:
    """Write the finished runs of a study as a table, one row per run, as tables ship."""
    from ued_core.files import write_atomic
    from ued_core.results.row import table_text
    from ued_core.studies.rows import rows_of

    found = rows_of(_now(options))
    text = table_text([row.to_json() for row in found])
    write_atomic(Path(options.out), lambda path: path.write_text(text, encoding="utf-8"))
    print(f"{len(found)} rows: {options.out}")
    return 0


def write_record(options: argparse.Namespace) -> int:
    """Write the conditions of a study as a file of the record, which record validate and add take."""
    from ued_core.files import write_json
    from ued_core.studies.rows import record_of

    found = record_of(_now(options))
    write_json(Path(options.out), found.to_json())
    print(f"{len(found.entries)} entries: {options.out}")
    return 0


def list_studies(options: argparse.Namespace) -> int:
    """The studies of this home and those that ship."""
    from ued_core.errors import UedError
    from ued_core.studies.shelf import study_files
    from ued_core.studies.study import Study

    for name, path in study_files().items():
        try:
            found = Study.read(path)
            print(f"{name:<24} {len(found.planned):>6,} runs  {found.title}")
        except UedError as error:
            print(f"{name:<24} {'?':>6} runs  {error}")
    return 0


def follow_study(path: Path) -> int:
    """Show a study until nothing of it is queued or running; 0 when all of it has finished."""
    from ued_core import runs
    from ued_core.runs.devices import slots
    from ued_core.studies.progress import seconds_left
    from ued_core.studies.study import Study
    from ued_core.studies.submission import progress_now

    wanted, progress, version = Study.read(path), Progress(), ""
    places = slots()
    try:
        while True:
            snapshot = runs.snapshot()
            runs.attend(snapshot.waiting)
            if snapshot.version != version:
                version, found = snapshot.version, progress_now(wanted)
                if not found.going:
                    break
                progress.show(f"{_counted(found)}{_time_left(seconds_left(found, places))}")
            time.sleep(1.0)
    except KeyboardInterrupt:
        progress.close()
        print("The runs go on. How far they are says: ued study status", file=sys.stderr)
        raise
    progress.close()
    print("\n".join(_heading(found)))
    return 0 if found.complete else 1


# ---------------------------------------------------------------- words


def _file(options: argparse.Namespace) -> Path:
    from ued_core.studies.shelf import find_study

    return find_study(options.file)


def _now(options: argparse.Namespace) -> StudyProgress:
    from ued_core.studies.study import Study
    from ued_core.studies.submission import progress_now

    return progress_now(Study.read(_file(options)))


def _told(done: Submission) -> list[str]:
    told = [f"{len(done.queued)} runs queued, {done.finished} were finished, {done.going} go on"]
    told += [f"{len(done.resumed)} runs resumed"] if done.resumed else []
    if done.given_up:
        told.append(f"{len(done.given_up)} runs failed or were cancelled; --retry resumes them:")
        told += [
            f"  {trial.record.id}  {trial.state:<9}  {trial.record.note or trial.record.title}  {trial.record.error}"
            for trial in done.given_up
            if trial.record is not None
        ]
    return told


def _counted(found: StudyProgress) -> str:
    words = {"queued": "waiting", "missing": "not submitted"}
    parts = [f"{count} {words.get(state, state)}" for state, count in sorted(found.counts.items(), key=_state_order)]
    return ", ".join(parts)


def _state_order(entry: tuple[str, int]) -> int:
    return ("finished", "running", "queued", "missing", "interrupted", "failed", "cancelled").index(entry[0])


def _time_left(seconds: float | None) -> str:
    from ued_core.studies.estimate import duration

    return "" if not seconds else f", about {duration(seconds)} left"


def _heading(found: StudyProgress) -> list[str]:
    from ued_core.runs.devices import slots
    from ued_core.studies.estimate import UNKNOWN, duration
    from ued_core.studies.progress import seconds_left

    wanted = found.study
    shipped = f"; {found.shipped} of the finished ones ship with the program" if found.shipped else ""
    told = [
        f"{wanted.name}: {wanted.title}" if wanted.title else wanted.name,
        f"{len(wanted.conditions)} conditions, {len(found.trials)} runs: {_counted(found)}{shipped}",
    ]
    left = seconds_left(found, slots())
    spent = f"Processor time: {duration(found.spent.cpu_s)} so far in this home."
    if found.left is None:
        return [*told, spent, UNKNOWN]
    clock = f", {duration(left)} by the clock" if left else ""
    return [*told, f"{spent} About {duration(found.left.cpu_s)} are left{clock}." if found.left.cpu_s else spent]


def _table(found: StudyProgress) -> list[str]:
    width = max(len("condition"), *(len(label) for label in found.cells))
    head = f"{'condition':<{width}}  done   running  waiting  failed  clean test accuracy"
    return [head, *(f"{label:<{width}}  {_cell(cell)}" for label, cell in found.cells.items())]


def _cell(cell: Cell) -> str:
    counts, found = cell.counts, cell.accuracy
    failed = counts.get("failed", 0) + counts.get("cancelled", 0) + counts.get("interrupted", 0)
    spread = "" if math.isnan(found.spread) else f" ± {100 * found.spread:.1f}"
    mean = "" if not found.count else f"{100 * found.mean:.1f}{spread} %"
    done = f"{found.count}/{len(cell.distinct)}"
    line = f"{done:<6} {counts.get('running', 0):>7}  {counts.get('queued', 0):>7}  {failed:>6}  {mean}"
    return line.rstrip()


def _answers(judged: Sequence[Judged]) -> list[str]:
    from ued_core.results.evidence import RULE

    if not judged:
        return []
    told = ["", RULE + (f" Verdicts are corrected for {len(judged)} comparisons (Holm)." if len(judged) > 1 else "")]
    question = ""
    for one in judged:
        if one.compared.question != question:
            question = one.compared.question
            told += ["", question]
        told.append(f"  {one.compared.condition.label} against {one.compared.control.label}: {_answer(one)}")
    return told


def _answer(one: Judged) -> str:
    from ued_core.results.words import shares

    gain = one.comparison.gain
    if not gain.count:
        return "no common seed yet"
    interval = gain.interval
    held = f" [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]" if interval else ""
    split = f"; {shares(gain.split)}" if gain.split else ""
    back = f"; {100 * one.recovery.share:.0f} % of the loss recovered" if one.recovery else ""
    return f"{100 * gain.mean:+.1f}{held} points, {one.comparison.verdict}{back}{split}"


def _as_json(found: StudyProgress) -> dict[str, Any]:
    return {
        "name": found.study.name,
        "title": found.study.title,
        "counts": dict(found.counts),
        "shipped": found.shipped,
        "spent": found.spent._asdict(),
        "left": found.left and found.left._asdict(),
        "conditions": [
            {
                "label": label,
                "places": dict(cell.condition.places),
                "counts": dict(cell.counts),
                "shipped": cell.shipped,
                "mean": _number(cell.accuracy.mean),
                "spread": _number(cell.accuracy.spread),
                "n": cell.accuracy.count,
                "runs": list(cell.run_ids),
            }
            for label, cell in found.cells.items()
        ],
        "comparisons": [
            {
                "question": one.compared.question,
                "condition": one.compared.condition.label,
                "control": one.compared.control.label,
                "clean": one.compared.clean and one.compared.clean.label,
                "gain": _number(one.comparison.gain.mean),
                "n": one.comparison.gain.count,
                "interval": one.comparison.gain.interval and list(one.comparison.gain.interval),
                "p": _number(one.comparison.p),
                "adjusted": _number(one.comparison.adjusted),
                "verdict": one.comparison.verdict,
                "recovery": one.recovery and one.recovery.share,
            }
            for one in found.judged
        ],
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ---------------------------------------------------------------- options

_VERBS = {
    "run": run_study,
    "status": status,
    "extend": extend_study,
    "cancel": cancel_runs,
    "rows": write_rows,
    "record": write_record,
    "list": list_studies,
}


def _options(parser: argparse.ArgumentParser, argv: Sequence[str]) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, action in _VERBS.items():
        made = verbs.add_parser(name, help=action.__doc__, description=action.__doc__, allow_abbrev=False)
        made.set_defaults(verb_action=action)
        if name != "list":
            made.add_argument("file", metavar="FILE", help="a study's file, or the name of a study")
        if name in ("run", "extend"):
            made.add_argument("--wait", action="store_true", help="show how far it is until nothing is left to do")
        if name == "run":
            made.add_argument("--retry", action="store_true", help="resume failed and cancelled runs too")
            made.add_argument("--dry-run", action="store_true", help="say what is missing and what it will take")
        if name == "extend":
            made.add_argument("--seeds", nargs="+", type=at_least(0), required=True, metavar="N", help="to add")
        if name in ("rows", "record"):
            made.add_argument("--out", required=True, metavar="FILE.json", help="where to")
        if name == "status":
            made.add_argument("--json", action="store_true")


COMMAND = Command("study", study, _options)
