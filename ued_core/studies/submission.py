"""Running a study: submit what is missing, add seeds, stop. Nobody's run is trained twice, whoever is interrupted when.

Each function looks at the runs as they are, under one lock per home, and queues only what neither a run of this home
nor a shipped row gives. So it can be called again at any time, and after being killed at any point.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ued_core import runs
from ued_core.errors import NotAllowed, RunError, SpecError
from ued_core.files import text_of, write_atomic, write_json
from ued_core.person import OWNER, Person
from ued_core.results.shipped_runs import shipped_runs
from ued_core.runs.listing import Snapshot
from ued_core.runs.permission import may_act_on
from ued_core.runs.spec import RunSpec, read_json
from ued_core.studies.progress import GIVEN_UP, StudyProgress, Trial, progress_of
from ued_core.studies.shelf import alone, ask, give_up, others, own_studies, ships
from ued_core.studies.study import Study, study_bytes

PIECE = 50
"""So many runs are queued before their number is told."""
_SEEDS = re.compile(r'"seeds"\s*:\s*\[[^\[\]{}"]*\]')


def progress_now(study: Study) -> StudyProgress:
    """The study as it is at this moment; at most a second old."""
    return progress_of(study, runs.snapshot(), shipped_runs())


@dataclass(frozen=True)
class Submission:
    """What was done to have a study trained.

    Attributes:
        queued: ids of new runs.
        resumed: ids of runs that go on from their last checkpoint.
        finished, going: how many were there already, and how many are executed or wait.
        given_up: failed and cancelled runs that were left as they are.
    """

    queued: tuple[str, ...]
    resumed: tuple[str, ...]
    finished: int
    going: int
    given_up: tuple[Trial, ...]


def submit_missing(
    path: Path, by: Person = OWNER, retry: bool = False, on_queued: Callable[[int, int], None] = lambda done, of: None
) -> Submission:
    """Queue every run of a study that is not there, and resume those whose worker died.

    Args:
        path: the study's file.
        by: who wants it.
        retry: resume failed and cancelled runs as well.
        on_queued: told how many of how many are queued, now and then.

    Raises:
        SpecError, UnknownName: as :meth:`Study.read`.
        NotAllowed, ParameterError, RunError: as :func:`ued_core.runs.submit_many`; what was queued before stays.
    """
    study = Study.read(path)
    with alone():
        if by.owner:
            ask(path)
        return _submit(study, by, retry, on_queued)


def _submit(study: Study, by: Person, retry: bool, on_queued: Callable[[int, int], None]) -> Submission:
    found = _as_it_is(study)
    trials = found.trials.values()
    again = ("interrupted", *(GIVEN_UP if retry else ()))
    resumed = [t.record.id for t in trials if t.state in again and t.record and may_act_on(t.record, by)]
    missing = [trial.planned.spec for trial in trials if trial.state == "missing"]
    for run_id in resumed:
        runs.resume(run_id, launch=False, by=by)
    queued: list[str] = []
    for piece in _pieces(missing):
        # Work begins while the rest is queued.
        queued += runs.submit_many(piece, launch=not queued, by=by)
        on_queued(len(queued), len(missing))
    going = found.counts.get("running", 0) + found.counts.get("queued", 0)
    if resumed or queued or going:
        runs.ensure_supervisor()
    return Submission(
        tuple(queued),
        tuple(resumed),
        found.counts.get("finished", 0),
        going,
        tuple(t for t in trials if t.state in GIVEN_UP and not (t.record and t.record.id in resumed)),
    )


def _as_it_is(study: Study) -> StudyProgress:
    """The study as the folders say now: a second ago another process may have queued the same runs."""
    return progress_of(study, Snapshot("", tuple(runs.runs())), shipped_runs())


def _pieces(specs: Sequence[RunSpec]) -> list[Sequence[RunSpec]]:
    return [specs[start : start + PIECE] for start in range(0, len(specs), PIECE)]


@dataclass(frozen=True)
class Cancellation:
    """What cancelling a study did.

    Attributes:
        cancelled: ids of the runs that were stopped, or asked to stop.
        wanted: how many go on because another study wants them.
        others: how many go on because somebody else started them.
    """

    cancelled: tuple[str, ...]
    wanted: int
    others: int


def cancel_study(path: Path, by: Person = OWNER) -> Cancellation:
    """Cancel the waiting and running runs of a study that no other study wants and nobody else started.

    Args:
        path: the study's file.
        by: who asks.

    Raises:
        SpecError, UnknownName: as :meth:`Study.read`.
    """
    study = Study.read(path)
    with alone():
        if by.owner:
            give_up(path)
        elsewhere = {key for other in others(path) for key in other.planned}
        going = [t for t in _as_it_is(study).trials.values() if t.state in ("queued", "running") and t.record]
        # Waiting ones first, or the slot that a running one leaves would take them.
        going.sort(key=lambda trial: trial.state == "running")
        cancelled, wanted, foreign = [], 0, 0
        for trial in going:
            assert trial.record is not None
            if trial.planned.key in elsewhere:
                wanted += 1
            elif trial.record.by != by.id:
                foreign += 1
            else:
                try:
                    runs.cancel(trial.record.id, by)
                except RunError:
                    # It has ended by itself, or somebody deleted it.
                    continue
                cancelled.append(trial.record.id)
        return Cancellation(tuple(cancelled), wanted, foreign)


def extend(path: Path, seeds: Sequence[int], by: Person = OWNER) -> tuple[Path, Submission]:
    """Add seeds to a study's file and queue their runs.

    A file that ships stays as it is; the longer study is one of the home then, and stands in its place.

    Args:
        path: the file.
        seeds: those to add; those that it has are left out.

    Returns:
        The file that has the seeds, and what was done.

    Raises:
        NotAllowed: ``by`` is a visitor.
        SpecError: the study has all of them, or cannot be one with them; nothing has changed then. Otherwise as
            :func:`submit_missing`.
    """
    if not by.owner:
        raise NotAllowed(
            "Only the owner of this server may change a study.", "Train runs of your own on the page Runs."
        )
    with alone():
        content = study_bytes(path)
        value = read_json(content, f"The study {path}")
        before = Study.from_json(value, f"The study {path}").seeds
        new = [seed for seed in dict.fromkeys(seeds) if seed not in before]
        if not new:
            raise SpecError(f"The study has the seeds {', '.join(map(str, seeds))} already.", "Add others.")
        longer = {**value, "seeds": [*before, *new]}
        Study.from_json(longer, "The longer study")
        target = own_studies() / path.name if ships(path) else path
        _write(target, content, longer)
        study = Study.read(target)
        ask(target)
        return target, _submit(study, by, retry=False, on_queued=lambda done, of: None)


def _write(path: Path, content: bytes, longer: dict[str, object]) -> None:
    """Write the longer study as its author wrote the shorter one, where nothing but the list of seeds must change."""
    text = text_of(content)
    changed = _SEEDS.sub(f'"seeds": {json.dumps(longer["seeds"])}', text)
    try:
        same = json.loads(changed) == longer
    except ValueError:
        same = False
    if same:
        write_atomic(path, lambda temporary: temporary.write_text(changed, encoding="utf-8"))
    else:
        write_json(path, longer)
