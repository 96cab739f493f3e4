"""All runs as they were a moment ago, read once for everybody in this process.

A server shows the same list to all its readers, so one of them pays for reading it and the others take what is there.
Only what may have changed is read again: the folders whose own time of change is new, and the runs that are being
  executed.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType

from ued_core.runs.folder import RunFolder, run_ids, runs_root
from ued_core.runs.record import RunRecord, State, read_record
from ued_core.runs.store import Row, current_record, read_busy, read_rows

REFRESH_S = 1.0
"""How old a snapshot may be for someone who did not change anything himself."""
SETTLE_S = 2.5
"""A folder that changed is read once more after so long: some file systems count its time of change in steps of two
seconds."""

TURNS = 5
"""A run that is over and was not just changed is looked at in every so-manieth refresh; a resumed one shows in the
table at once."""
LONG_AGO_S = 60.0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All runs at one moment.

    Attributes:
        version: names the content; another content has another version, also after a restart.
        records: newest first.
    """

    version: str
    records: tuple[RunRecord, ...] = ()

    @cached_property
    def by_id(self) -> Mapping[str, RunRecord]:
        """Each run under its id, newest first."""
        return MappingProxyType({record.id: record for record in self.records})

    @cached_property
    def by_key(self) -> Mapping[str, tuple[RunRecord, ...]]:
        """The runs of each spec (:meth:`RunSpec.key`), whatever arithmetic they took, newest first."""
        found: dict[str, list[RunRecord]] = {}
        for record in self.records:
            found.setdefault(record.spec_key, []).append(record)
        return MappingProxyType({key: tuple(records) for key, records in found.items()})

    @cached_property
    def counts(self) -> Mapping[State, int]:
        """How many runs are in each state; states without any are left out."""
        return MappingProxyType(Counter(record.state for record in self.records))

    @cached_property
    def waiting(self) -> tuple[RunRecord, ...]:
        """Runs that are not over: those that are executed, then those that are queued, each in the order of
        submission."""
        return tuple(sorted((r for r in self.records if not r.over), key=lambda r: (r.state != "running", r.id)))


@dataclass
class _Known:
    """What is remembered of one run's folder.

    Attributes:
        record: as last read.
        changed: the folder's time of change then, in ns.
        settled: whether it was read again after :data:`SETTLE_S`.
        seen: when this time of change was first seen, monotonic seconds.
    """

    record: RunRecord
    changed: int
    seen: float
    settled: bool = False

    @property
    def rests(self) -> bool:
        """Whether nobody works on the run and nobody is about to."""
        return self.settled and self.record.over


@dataclass
class Listing:
    """Keeps the snapshot of one folder of runs; used by many threads.

    Attributes:
        root: the folder that holds the runs.
        reads: how many run folders and rows were read so far, for tests and benchmarks.
    """

    root: Path
    reads: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _known: dict[str, _Known] = field(default_factory=dict)
    _busy: frozenset[str] = frozenset()
    _order: list[str] = field(default_factory=list)
    _live: list[str] = field(default_factory=list)
    _listed: int | None = None
    _listed_at: float = 0.0
    _turn: int = 0
    _doubtful: set[str] = field(default_factory=set)
    _marking: threading.Lock = field(default_factory=threading.Lock)
    _due: float = 0.0
    _process: str = field(default_factory=lambda: secrets.token_hex(4))
    _count: int = 0
    _snapshot: Snapshot | None = None

    def latest(self) -> Snapshot:
        """All runs, at most :data:`REFRESH_S` old, and never older than what this process did or was told itself.

        While one thread reads, others get the snapshot before, unless there is none.
        """
        if self.fresh():
            assert self._snapshot is not None
            return self._snapshot
        if self._snapshot is not None and not self._doubtful:
            if not self._lock.acquire(blocking=False):
                return self._snapshot
        else:
            self._lock.acquire()
        try:
            if not self.fresh():
                try:
                    self._refresh()
                except BaseException:
                    # Half a look is none: the next one begins from the start.
                    self._order, self._listed, self._snapshot = [], None, None
                    raise
            assert self._snapshot is not None
            return self._snapshot
        finally:
            self._lock.release()

    def fresh(self) -> bool:
        """Whether :meth:`latest` would read nothing."""
        return self._snapshot is not None and not self._doubtful and time.monotonic() < self._due

    def doubt(self, run_id: str) -> None:
        """This process has changed the run: the next snapshot shows it as it is then."""
        with self._marking:
            self._doubtful.add(run_id)

    def told(self, record: RunRecord) -> None:
        """Somebody was told this of a run: no snapshot after it may be older."""
        known = self._known.get(record.id)
        if known is not None and known.record != record:
            self.doubt(record.id)

    def _refresh(self) -> None:
        with self._marking:
            doubtful, self._doubtful = self._doubtful, set()
        first, self._turn = self._snapshot is None, self._turn + 1
        rows = read_rows(self.root) if first else {}
        busy = {run_id: row for run_id, row in rows.items() if row.slot is not None} if first else read_busy(self.root)
        moving = busy.keys() | self._busy | doubtful
        before, order = self._order, self._ids(again=bool(doubtful))
        looked = (
            order if order is not before else dict.fromkeys([*order[self._turn % TURNS :: TURNS], *self._live, *moving])
        )
        different = first or order is not before
        known = (
            {run_id: self._known[run_id] for run_id in order if run_id in self._known}
            if order is not before
            else self._known
        )
        for run_id in looked:
            was = known.get(run_id)
            now = self._look(run_id, was, rows.get(run_id), busy.get(run_id), run_id in moving)
            if now is None:
                different = known.pop(run_id, None) is not None or different
            elif now is not was:
                different = different or was is None or was.record is not now.record
                known[run_id] = now
        self._known, self._busy = known, frozenset(busy)
        self._live = [run_id for run_id in looked if run_id in known and not known[run_id].rests]
        if different:
            self._count += 1
            records = tuple(known[run_id].record for run_id in order if run_id in known)
            self._snapshot = Snapshot(f"{self._process}-{self._count}", records)
        self._due = time.monotonic() + REFRESH_S

    def _ids(self, again: bool) -> list[str]:
        """The ids of all runs, newest first; the folder is listed again when it changed, and a little after that."""
        now = time.monotonic()
        try:
            changed = os.stat(self.root).st_mtime_ns
        except OSError:
            changed = None
        if (
            changed is None
            or again
            or self._listed is None
            or changed != self._listed
            or now - self._listed_at < SETTLE_S
        ):
            if changed != self._listed:
                self._listed, self._listed_at = changed, now
            found = run_ids(self.root)[::-1]
            # The same list says that there is nothing new in it.
            self._order = self._order if found == self._order else found
        return self._order

    def _look(
        self, run_id: str, before: _Known | None, row: Row | None, busy: Row | None, moving: bool
    ) -> _Known | None:
        """One run as it is now: as remembered where nothing can have changed; None when its folder has just gone."""
        path = f"{self.root}{os.sep}{run_id}"
        try:
            changed = os.stat(path).st_mtime_ns
        except OSError:
            return None
        now = time.monotonic()
        if before is not None and before.changed == changed:
            due = not before.settled and now - before.seen >= SETTLE_S
            if not (due or moving or before.record.state == "running"):
                return before
            seen, settled = before.seen, before.settled or due
        else:
            # What was last changed long ago, and is seen for the first time, changes no more.
            seen, settled = now, changed < (time.time() - LONG_AGO_S) * 1e9
        self.reads += 1
        if row is not None:
            return _Known(current_record(self.root, run_id, row), changed, seen, settled)
        record = read_record(RunFolder(Path(path)), busy.handle if busy else None)
        if before is not None and before.record == record:
            record = before.record
        return _Known(record, changed, seen, settled)


@lru_cache(maxsize=4)
def listing_of(root: Path) -> Listing:
    """The one listing of a folder of runs in this process."""
    return Listing(root)


def snapshot() -> Snapshot:
    """All runs of this home, read at most once a second however many ask (:meth:`Listing.latest`)."""
    return listing_of(runs_root()).latest()
