"""The table of runs: an index of the folders and the queue's memory.

Only the supervisor writes it. Everything in it can be rebuilt from the folders, so a
damaged table is moved aside and made anew.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import from_json

from ued_core.runs.devices import Slot, suits
from ued_core.runs.folder import TOKEN, RunFolder
from ued_core.runs.launcher import Handle
from ued_core.runs.record import RunRecord, dump, read_record
from ued_core.runs.turns import in_turn, may_begin

VERSION = 3
QUICK = " quick"
CLAIM_S = 10.0
"""A claimed run whose process is unknown for longer than this was dropped by a dying supervisor."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    wants TEXT NOT NULL,    -- auto, cpu, cuda or mps; followed by " quick" for a run of some seconds
    person TEXT NOT NULL,   -- whose it is: a visitor's id, empty for the owner
    began REAL NOT NULL,    -- when it was last started; 0 before that
    record TEXT NOT NULL,   -- JSON of the RunRecord
    slot TEXT,              -- taken while its worker lives
    claimed REAL,           -- when a supervisor took it from the queue
    worker TEXT             -- JSON of its Handle
);
CREATE INDEX IF NOT EXISTS job_state ON job (state);
CREATE INDEX IF NOT EXISTS job_turn ON job (person, began);
CREATE INDEX IF NOT EXISTS job_slot ON job (slot) WHERE slot IS NOT NULL;
"""


def table_path(root: Path) -> Path:
    """The table's file."""
    return root / "jobs.db"


@dataclass(frozen=True)
class Row:
    """One job as the table knows it.

    Attributes:
        id: the run.
        record: as it was when the supervisor last looked; None when the row is damaged or of another version: then the
            folder tells, and the supervisor writes the row anew.
        slot: the slot that it takes up, or None.
        claimed: when it was taken from the queue, or None.
        handle: its worker, or None before the start and after the end.
    """

    id: str
    record: RunRecord | None
    slot: str | None
    claimed: float | None
    handle: Handle | None

    @property
    def launching(self) -> bool:
        """Whether some supervisor has claimed it and is about to start its worker."""
        return self.slot is not None and self.handle is None and time.time() - (self.claimed or 0.0) < CLAIM_S


def _row(values: sqlite3.Row) -> Row:
    try:
        record = RunRecord.from_json(from_json(values["record"]))
    except (ValueError, TypeError, AttributeError, RecursionError):
        record = None
    if record is not None and record.id != values["id"]:
        record = None
    slot, claimed = values["slot"], values["claimed"]
    return Row(
        values["id"], record, slot if isinstance(slot, str) else None, claimed if isinstance(claimed, float) else None,
        Handle.from_json(values["worker"]),
    )  # fmt: skip


class Table:
    """The supervisor's view: reads and writes.

    Args:
        root: the folder that holds the runs.

    Raises:
        sqlite3.Error: the file is damaged or cannot be opened.
    """

    def __init__(self, root: Path) -> None:
        self.path = table_path(root)
        root.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self.path, timeout=10.0, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            if self._db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("the table is damaged")
            if self._db.execute("PRAGMA user_version").fetchone()[0] not in (0, VERSION):
                raise sqlite3.DatabaseError("the table was written by another version of the program")
            self._db.executescript(SCHEMA + f"PRAGMA user_version={VERSION};")
            self._inode = os.stat(self.path).st_ino
        except BaseException:
            self._db.close()
            raise

    @classmethod
    def open(cls, root: Path) -> tuple[Table, str]:
        """The table, and why it had to be made anew ("" when it was sound); a damaged file is moved aside."""
        try:
            return cls(root), ""
        except sqlite3.DatabaseError as error:
            if not damaged(error):
                raise
            reason = str(error)
        aside(root)
        return cls(root), reason

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def in_place(self) -> bool:
        """Whether the file is still there; a deleted one goes on existing for whoever has it open."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    def states(self) -> dict[str, str]:
        """The state of every run in the table, as it was last written."""
        return dict(self._db.execute("SELECT id, state FROM job").fetchall())

    def get(self, run_id: str) -> Row | None:
        """One job, or None."""
        found = self._db.execute("SELECT * FROM job WHERE id = ?", (run_id,)).fetchone()
        return _row(found) if found else None

    def busy(self) -> list[Row]:
        """Jobs that take up a slot."""
        return [_row(found) for found in self._db.execute("SELECT * FROM job WHERE slot IS NOT NULL")]

    def idle(self) -> bool:
        """Whether nothing is queued or running."""
        busy = "SELECT 1 FROM job WHERE slot IS NOT NULL OR state IN ('queued', 'running') LIMIT 1"
        return self._db.execute(busy).fetchone() is None

    def put(self, record: RunRecord, slot: str | None, handle: Handle | None) -> None:
        """Write what is known of a run; one that is just being launched is left to its launcher."""
        device = record.spec.get("device")
        wants = device if isinstance(device, str) else "auto"
        if record.state == "queued" and record.run_spec is not None and record.run_spec.quick:
            wants += QUICK
        self._db.execute(
            "INSERT INTO job (id, state, wants, person, began, record, slot, worker) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET state = excluded.state, wants = excluded.wants, person = excluded.person, "
            "began = MAX(job.began, excluded.began), record = excluded.record, slot = excluded.slot, worker = "
            "excluded.worker WHERE job.slot IS NULL OR job.worker IS NOT NULL OR job.claimed < ?",
            (record.id, record.state, wants, record.by, record.started or 0.0, dump(record), slot,
             handle.to_json() if handle else None, time.time() - CLAIM_S),
        )  # fmt: skip

    def release(self, run_id: str) -> None:
        """Take the slot back from a run whose worker has ended or was never started."""
        nobody = "slot = NULL, claimed = NULL, worker = NULL"
        self._db.execute(f"UPDATE job SET {nobody} WHERE id = ?", (run_id,))

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        self._db.execute("DELETE FROM job WHERE id = ?", (run_id,))

    def claim(self, slots: Iterable[Slot], most_running: int = 1) -> list[tuple[str, Slot]]:
        """Give free slots to queued runs, person by person (:mod:`ued_core.runs.turns`), in one transaction.

        However many supervisors do this at once, a queued run and a free slot are given away once.

        Args:
            slots: all there are.
            most_running: runs of one visitor that may be executed at the same time.
        """
        slots = list(slots)
        any_gpu = any(slot.gpu for slot in slots)
        given = []
        with self._transaction():
            busy = self._db.execute("SELECT slot, person FROM job WHERE slot IS NOT NULL").fetchall()
            taken, running = {slot for slot, _ in busy}, Counter(person for _, person in busy)
            queued = "SELECT id, wants, person FROM job WHERE state = 'queued' AND slot IS NULL"
            waiting = {run_id: (wants, person) for run_id, wants, person in self._db.execute(queued)}
            for run_id in self._in_turn(waiting) if any(slot.name not in taken for slot in slots) else ():
                wants, person = waiting[run_id]
                device, quick = wants.removesuffix(QUICK), wants.endswith(QUICK)
                free = (s for s in slots if s.name not in taken and suits(s, device, any_gpu, quick))
                slot = next(free, None)
                if slot is not None and may_begin(person, running[person], most_running):
                    taken.add(slot.name)
                    running[person] += 1
                    given.append((run_id, slot))
                    taking, now = (
                        "UPDATE job SET state = 'running', slot = ?, claimed = ?, began = ? WHERE id = ?",
                        time.time(),
                    )
                    self._db.execute(taking, (slot.name, now, now, run_id))
        return given

    def _in_turn(self, waiting: Mapping[str, tuple[str, str]]) -> list[str]:
        people = {person for _, person in waiting.values()}
        last = "SELECT MAX(began) FROM job WHERE person = ?"
        began = (
            {person: self._db.execute(last, (person,)).fetchone()[0] or 0.0 for person in people}
            if len(people) > 1
            else {}
        )
        return in_turn([(run_id, person) for run_id, (_, person) in waiting.items()], began)

    def started(self, run_id: str, handle: Handle) -> None:
        """Record the worker of a claimed run."""
        self._db.execute("UPDATE job SET worker = ? WHERE id = ?", (handle.to_json(), run_id))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def damaged(error: sqlite3.Error) -> bool:
    """Whether an error means that the file is unusable, not merely locked or out of space."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def aside(root: Path) -> None:
    """Move a damaged table out of the way; the newest such file is kept."""
    path = table_path(root)
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            os.replace(f"{path}{suffix}", f"{path}.damaged{suffix}")


def read_rows(root: Path) -> dict[str, Row]:
    """The table's rows for a reader; empty when there is no sound table, Never writes."""
    return _read(root, "SELECT * FROM job")


def read_row(root: Path, run_id: str) -> Row | None:
    """One run's row for a reader; None when there is no sound one. Never writes."""
    return _read(root, "SELECT * FROM job WHERE id = ?", run_id).get(run_id)


def read_busy(root: Path) -> dict[str, Row]:
    """The rows of runs that take up a slot, for a reader; empty when there is no sound table. Never writes."""
    return _read(root, "SELECT * FROM job WHERE slot IS NOT NULL")


def _read(root: Path, query: str, *values: str) -> dict[str, Row]:
    path = table_path(root)
    if not path.exists():
        return {}
    rows: dict[str, Row] = {}
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1.0)) as db:
            db.row_factory = sqlite3.Row
            if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                return {}
            for found in db.execute(query, values):
                rows[found["id"]] = _row(found)
    except sqlite3.Error:
        return {}
    return rows


def current_record(root: Path, run_id: str, row: Row | None) -> RunRecord:
    """The run as it is now: the table's word for one that is over or waits, if its token says the same, and the
    folder's for any other.

    Args:
        root: the folder that holds the runs.
        run_id: which run.
        row: what the table says of it.
    """
    if row is not None and row.record is not None and row.slot is None:
        queued = os.path.exists(f"{root}{os.sep}{run_id}{os.sep}{TOKEN}")
        if (row.record.over and not queued) or (row.record.state == "queued" and queued):
            return row.record
    return read_record(RunFolder(root / run_id), row.handle if row else None)
