"""What the app and the command line do with runs: submit, look, cancel, resume, delete, wait.

Nothing here trains or writes the table. Answers come from the folders wherever a run may
still change, so a submitter sees its own run at once, supervisor or not.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ued_core.errors import RunError
from ued_core.person import OWNER, Person
from ued_core.runs.folder import RUN_ID, RunFolder, cannot_write, notify, run_ids, runs_root
from ued_core.runs.launcher import ensure_supervisor, watch_of
from ued_core.runs.listing import listing_of, snapshot
from ued_core.runs.permission import check_own, check_quota, check_spec
from ued_core.runs.record import RunRecord
from ued_core.runs.store import current_record, read_row, read_rows

if TYPE_CHECKING:
    from ued_core.runs.spec import RunSpec


def submit(spec: RunSpec, launch: bool = True, by: Person = OWNER) -> str:
    """Queue a run; its id.

    Args:
        spec: what to do.
        launch: whether to start the supervisor when none is alive.
        by: who wants it.

    Raises:
        NotAllowed, ParameterError, RunError: as :func:`submit_many`.
    """
    return submit_many([spec], launch, by)[0]


def submit_many(specs: Iterable[RunSpec], launch: bool = True, by: Person = OWNER) -> list[str]:
    """Queue runs in this order; their ids.

    Raises:
        NotAllowed: a visitor asks for a path of the server, too large a run or too many of them. Nothing is queued
            then.
        ParameterError: a path is relative; the worker's folder is not the caller's (:meth:`RunSpec.located`). Nothing
            is queued then.
        RunError: a run's folder cannot be written.
    """
    root = runs_root()
    specs = [_permitted(spec, by).located(None) for spec in specs]
    made: list[str] = []
    with _counted(root, by) as unfinished:
        check_quota(unfinished, len(specs), by)
        for spec in specs:
            if made:
                # Ids are ordered by milliseconds.
                time.sleep(0.001)
            request = {"title": spec.title(), "key": spec.key(), "created": time.time()}
            request |= {} if by.owner else {"by": by.id, "by_name": by.name}
            made.append(RunFolder.create(root, spec.to_json(), request).run_id)
            _changed(root, made[-1])
    if launch and made:
        ensure_supervisor()
    return made


def runs(limit: int | None = None) -> list[RunRecord]:
    """All runs, or the ``limit`` newest ones, newest first, as they are at this moment.

    Whoever asks again and again takes :func:`ued_core.runs.snapshot` instead.
    """
    root = runs_root()
    rows = read_rows(root)
    return [current_record(root, run_id, rows.get(run_id)) for run_id in run_ids(root)[::-1][:limit]]


def run(run_id: str) -> RunRecord:
    """One run.

    Args:
        run_id: its id, the beginning of it, or its last four characters.

    Raises:
        RunError: there is no such run, or several.
    """
    found = folder(run_id)
    root = found.path.parent
    record = current_record(root, found.run_id, read_row(root, found.run_id))
    listing_of(root).told(record)
    return record


def find(key: str) -> list[RunRecord]:
    """Runs of the same spec (:meth:`RunSpec.key`), newest first; those of equal ``precision`` have equal results."""
    return list(snapshot().by_key.get(key, ()))


def folder(run_id: str) -> RunFolder:
    """A run's files: history, progress, log, result, error.

    Raises:
        RunError: there is no such run, or several.
    """
    root = runs_root()
    if RUN_ID.fullmatch(run_id) and (root / run_id).is_dir():
        return RunFolder(root / run_id)
    known = run_ids(root)
    match = [name for name in known if name == run_id] or [
        name for name in known if run_id and (name.startswith(run_id) or name.rpartition("-")[2] == run_id)
    ]
    if len(match) == 1:
        return RunFolder(root / match[0])
    if match:
        some = ", ".join(match[:3]) + (", …" if len(match) > 3 else "")
        raise RunError(f"{run_id!r} fits {len(match)} runs: {some}.", "Give more of the id.")
    if not known:
        raise RunError(f"There is no run {run_id!r}; there is no run at all.", "Submit one first.")
    close = difflib.get_close_matches(run_id, known, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"The newest is {known[-1]}."
    # Links and open pages name whole ids, and such a run has been here.
    raise RunError(
        f"There is no run {run_id!r}.",
        ("If there was one, it has been deleted. " if RUN_ID.fullmatch(run_id) else "") + hint,
    )


def cancel(run_id: str, by: Person = OWNER) -> None:
    """Stop a run: at once when it is queued, within seconds when it is running.

    Raises:
        NotAllowed: ``by`` is a visitor, and the run is not theirs.
        RunError: there is no such run, or it is over.
    """
    record = run(run_id)
    check_own(record, by)
    if record.over:
        raise RunError(f"The run {record.id} cannot be cancelled: it is {record.state}.")
    target = folder(record.id)
    target.request_cancel()
    _changed(target.path.parent, record.id)
    if record.state == "running":
        ensure_supervisor()


def stop_crafting(run_id: str, by: Person = OWNER) -> None:
    """End the crafting of a running run after the part that it is in, and train with what is there.

    Raises:
        NotAllowed: ``by`` is a visitor, and the run is not theirs.
        RunError: there is no such run, or it crafts nothing now that could be used.
    """
    record = run(run_id)
    check_own(record, by)
    target = folder(record.id)
    if record.state != "running" or not target.usable.exists():
        raise RunError(
            f"The run {record.id} has no unfinished crafted set that could be trained with: it is {record.state}.",
            "Only some attacks can be ended early, and only between the first and the last part of their crafting.",
        )
    target.stop_crafting_path.touch()
    _changed(target.path.parent, record.id)


def resume(run_id: str, launch: bool = True, by: Person = OWNER) -> None:
    """Queue an interrupted, cancelled or failed run again; it goes on from its last checkpoint.

    Raises:
        NotAllowed: ``by`` is a visitor, and the run is not theirs or they have too many.
        RunError: there is no such run, or it is queued, running or finished.
    """
    record = run(run_id)
    check_own(record, by)
    if not record.resumable:
        again, later = "Submit its spec again for another run.", "Wait until it has ended, or cancel it."
        do = again if record.state == "finished" else later
        raise RunError(f"The run {record.id} cannot be resumed: it is {record.state}.", do)
    target = folder(record.id)
    with _counted(target.path.parent, by) as unfinished:
        check_quota(unfinished, 1, by)
        try:
            target.request_resume()
        except OSError as error:
            raise cannot_write(error, target.path) from error
        _changed(target.path.parent, record.id)
    if launch:
        ensure_supervisor()


def delete(run_id: str, by: Person = OWNER) -> None:
    """Delete a run that is over, with everything that it made.

    Raises:
        NotAllowed: ``by`` is a visitor, and the run is not theirs.
        RunError: there is no such run, it is queued or running, or its folder cannot be moved.
    """
    record = run(run_id)
    check_own(record, by)
    if not record.over:
        raise RunError(f"The run {record.id} cannot be deleted: it is {record.state}.", "Cancel it first.")
    target = folder(record.id)
    target.remove()
    _changed(target.path.parent, record.id)


def attend(records: Iterable[RunRecord]) -> None:
    """See to it that a supervisor lives while a run is not over; whoever watches runs calls it, as often as he
    likes."""
    if any(not record.over for record in records):
        watch_of(runs_root()).look()


def wait(run_id: str, timeout: float | None = None) -> RunRecord:
    """Wait until a run is over; its record.

    Args:
        run_id: as in :func:`run`.
        timeout: seconds; None waits for ever.

    Raises:
        RunError: there is no such run, or the time is over before the run is.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    record = run(run_id)
    while not record.over:
        now = time.monotonic()
        attend([record])
        if deadline is not None and now > deadline:
            what = f"The run {record.id} is still {record.state} after {timeout:g} s."
            raise RunError(what, "Wait longer, or cancel it.")
        time.sleep(0.1)
        record = run(record.id)
    return record


def _permitted(spec: RunSpec, by: Person) -> RunSpec:
    if not by.owner:
        check_spec(spec, by)
    return spec


@contextmanager
def _counted(root: Path, by: Person) -> Iterator[list[RunRecord]]:
    """All runs that are not over, while nobody else adds runs of a visitor; nothing for the owner, whose runs are not
    counted."""
    if by.owner:
        yield []
        return
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "visitors.lock", timeout=20):
        yield [record for record in runs() if not record.over]


def _changed(root: Path, run_id: str) -> None:
    """Tell the supervisor, and whoever lists runs in this process."""
    notify(root, run_id)
    listing_of(root).doubt(run_id)
