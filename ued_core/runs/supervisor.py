"""The one process that gives queued runs to workers and writes the table.

It is detached from whoever started it, holds a lock for as long as it lives, and leaves when
nothing has been queued or running for ``UED_IDLE_S`` seconds (60). Killing it harms nothing:
workers go on, and the next supervisor finds them again.

Exit codes: 0 idle or not needed, 1 a bug (see ``supervisor.log``).
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path

from filelock import Timeout

from ued_core.errors import ParameterError
from ued_core.runs.devices import Slot, lanes, slots
from ued_core.runs.folder import RunFolder, notified, notify, run_ids, runs_root, sweep
from ued_core.runs.launcher import NOT_CLAIMED, Handle, Launcher, LocalLauncher, supervisor_lock
from ued_core.runs.limits import Limits
from ued_core.runs.record import ENDED, read_record, worker_of
from ued_core.runs.store import Row, Table, aside, damaged

POLL_S = 0.2
SCAN_S = 10.0
TURNS = 30
"""A run that is over is read again in every so-manieth scan, in case somebody has changed its files."""
GRACE_S = 5.0
LOCK_WAIT_S = 2.0
LOG_BYTES = 262_144


@dataclass
class Supervisor:
    """Keeps the table true to the folders and the slots full.

    Attributes:
        root: the folder that holds the runs.
        slots: where runs can be executed.
        launcher: starts and stops workers.
        log: what it did.
        limits: of one visitor.
    """

    root: Path
    slots: tuple[Slot, ...]
    launcher: Launcher
    log: logging.Logger
    limits: Limits = field(default_factory=Limits)
    _table: Table | None = None
    _next_scan: float = 0.0
    _scans: int = 0
    _asked: dict[str, float] = field(default_factory=dict)

    def step(self) -> bool:
        """Look once at everything that may have changed; true while there is work."""
        try:
            return self._step(self._sound_table())
        except sqlite3.Error as error:
            self.log.error("table: %s", error)
            self._drop_table()
            if damaged(error):
                aside(self.root)
            return True

    def close(self) -> None:
        """Close the table."""
        if self._table:
            self._table.close()

    def _step(self, table: Table) -> bool:
        self.launcher.reap()
        changed = set(notified(self.root))
        if time.monotonic() >= self._next_scan:
            changed |= self._doubtful(table)
            self._next_scan = time.monotonic() + SCAN_S
        for run_id in sorted(changed):
            self._guarded(self._sync, table, run_id)
        for row in table.busy():
            self._guarded(self._watch, table, row.id, row)
        for run_id, slot in table.claim(self.slots, self.limits.running):
            self._start(table, run_id, slot)
        return not table.idle()

    def _doubtful(self, table: Table) -> set[str]:
        """The runs whose rows may be untrue though nobody rang: all of them at first, later all but most of those that
        are over.

        With thousands of runs, reading every folder at every scan would keep a processor busy.
        """
        there, states = set(run_ids(self.root)), table.states()
        every = self._scans == 0
        self._scans += 1
        resting = set() if every else {
            run_id for place, run_id in enumerate(sorted(states)) if states[run_id] in ENDED and run_id in there
            and (place + self._scans) % TURNS and not RunFolder(self.root / run_id).queued()
        }  # fmt: skip
        return (there | states.keys()) - resting

    def _guarded(self, action: Callable[..., None], table: Table, run_id: str, *rest: Row) -> None:
        """Do something for one run; a folder that breaks it does not keep the others waiting."""
        try:
            action(table, run_id, *rest)
        except sqlite3.Error:
            raise
        # Whatever it is, also a bug: a traceback in the log and the next run, or one folder would stop the whole queue.
        except Exception:
            self.log.exception("run %s", run_id)

    def _sound_table(self) -> Table:
        if self._table and not self._table.in_place():
            self.log.warning("the table has gone; it is made anew from the folders")
            self._drop_table()
        if self._table is None:
            self._table, reason = Table.open(self.root)
            self._next_scan, self._scans = 0.0, 0
            if reason:
                self.log.warning("%s: it was moved aside and made anew from the folders", reason)
        return self._table

    def _drop_table(self) -> None:
        if self._table:
            self._table.close()
        self._table = None

    def _sync(self, table: Table, run_id: str) -> None:
        """Bring a run's row up to date with its folder."""
        folder, row = RunFolder(self.root / run_id), table.get(run_id)
        if row and row.launching:
            notify(self.root, run_id)
            return
        if not folder.path.is_dir():
            if row and not (row.handle and self.launcher.alive(row.handle)):
                table.remove(run_id)
            return
        self._settle(folder)
        worker = worker_of(folder, row.handle if row else None)
        record = read_record(folder, worker)
        if row is None or row.record is None or row.record.state != record.state:
            self.log.info("%s is %s %s", run_id, record.state, record.error)
        table.put(record, self._slot_of(folder, row) if worker else None, worker)

    def _settle(self, folder: RunFolder) -> None:
        """Take runs that must not be executed off the queue."""
        if not folder.queued():
            return
        if folder.result_path.exists() or folder.cancel_requested():
            folder.take_token()
            return
        _, problem = folder.spec()
        if problem and folder.take_token():
            folder.write_error(problem, "Delete the run and submit it again.", "SpecError")

    def _slot_of(self, folder: RunFolder, row: Row | None) -> str:
        if row and row.slot:
            return row.slot
        attempts = folder.attempts()
        return attempts[-1].slot if attempts else "cpu:0"

    def _watch(self, table: Table, run_id: str, row: Row) -> None:
        """Look after one worker: stop it when asked to, and notice its end."""
        if row.launching:
            return
        folder = RunFolder(self.root / run_id)
        worker = row.handle and (row.handle if self.launcher.alive(row.handle) else worker_of(folder))
        if worker:
            if not row.handle or not worker.same(row.handle):
                table.started(run_id, worker)
            self._stop_if_asked(folder, worker)
            return
        self._asked.pop(run_id, None)
        if row.handle:
            self._after_end(folder, row.handle)
        table.release(run_id)
        self._sync(table, run_id)

    def _stop_if_asked(self, folder: RunFolder, worker: Handle) -> None:
        gone = folder.gone()
        if not (gone or folder.cancel_requested()) or not worker.here():
            return
        now = time.monotonic()
        first = self._asked.setdefault(folder.run_id, now)
        if first == now:
            why = " (the run's folder was deleted)" if gone else ""
            self.log.info("%s: asking process %d to stop%s", folder.run_id, worker.pid, why)
            self.launcher.stop(worker)
        elif now - first > GRACE_S:
            self.log.info("%s: ending process %d", folder.run_id, worker.pid)
            self.launcher.stop(worker, force=True)

    def _after_end(self, folder: RunFolder, worker: Handle) -> None:
        """A worker that ended before it took its run must not be started again and again."""
        code = self.launcher.exit_code(worker)
        known = "how is unknown: an earlier supervisor had started it" if code is None else f"with {code}"
        self.log.info("%s: process %d ended, %s", folder.run_id, worker.pid, known)
        # One that did begin has ended in some other way; the token is that of somebody who resumed the run since.
        began = any(handle.same(worker) for attempt in folder.attempts() if (handle := Handle.from_attempt(attempt)))
        if code == NOT_CLAIMED or began or not folder.queued() or not folder.take_token():
            return
        if code is not None and code >= 0:
            what = f"The worker ended before it began, with exit code {code}."
            folder.write_error(what, "Read the log, then resume the run.", "worker", folder.log_tail(20))

    def _start(self, table: Table, run_id: str, slot: Slot) -> None:
        folder = RunFolder(self.root / run_id)
        try:
            worker = self.launcher.start(folder, slot)
        except OSError as error:
            if folder.path.is_dir() and folder.take_token():
                what = f"No worker could be started: {error}."
                folder.write_error(what, "Resume the run when the machine has room.", "worker")
            table.release(run_id)
            notify(self.root, run_id)
            return
        table.started(run_id, worker)
        self.log.info("%s: process %d on %s", run_id, worker.pid, slot.label)
        self._sync(table, run_id)


def supervise(root: Path, log: logging.Logger) -> None:
    """Hold the lock and work until there has been nothing to do for a while."""
    lock = supervisor_lock(root)
    try:
        # Whoever asks whether a supervisor lives takes the lock for a moment; that must not send this one away.
        lock.acquire(timeout=LOCK_WAIT_S, poll_interval=0.05)
    except Timeout:
        return
    sweep(root)
    places = lanes()
    log.info("supervisor %d: %s", os.getpid(), ", ".join(slot.label for slot in places))
    # A quick run takes the core that is left to the browser, for some seconds; the others keep theirs.
    supervisor = Supervisor(root, places, LocalLauncher(len(slots())), log, _limits(log))
    patience = idle_seconds()
    busy_until = time.monotonic() + patience
    while True:
        if supervisor.step():
            busy_until = time.monotonic() + patience
        elif time.monotonic() > busy_until:
            lock.release()
            # A run that was submitted while this supervisor still held the lock rang before it looked at the lock.
            if not notified(root, empty=False):
                break
            try:
                lock.acquire(timeout=0)
            except Timeout:
                break
        time.sleep(POLL_S)
    supervisor.close()
    log.info("supervisor %d leaves: nothing to do", os.getpid())


def _limits(log: logging.Logger) -> Limits:
    try:
        return Limits.read()
    except ParameterError as error:
        # Runs that wait must not stand still for a wrong number; whoever submits is told of it.
        log.error("%s The limits are the usual ones.", error)
        return Limits()


def idle_seconds() -> float:
    """``UED_IDLE_S``: how long the supervisor stays when there is nothing to do."""
    try:
        return float(os.environ.get("UED_IDLE_S", "60"))
    except ValueError:
        return 60.0


def main() -> int:
    """Run as a process of its own."""
    root = runs_root()
    root.mkdir(parents=True, exist_ok=True)
    log = logging.getLogger("ued_core.runs.supervisor")
    handler = RotatingFileHandler(root / "supervisor.log", maxBytes=LOG_BYTES, backupCount=1, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        supervise(root, log)
    # It is detached: nobody would see a traceback that is not in its log.
    except Exception:
        log.exception("the supervisor broke")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
