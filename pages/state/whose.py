"""Whose runs are whose on a page: own ones first, what may be done with them, and when a waiting one begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any, NamedTuple

from pages.frame.cache import cached
from pages.frame.hidden import seen
from pages.frame.visitor import who
from ued_core import runs
from ued_core.data import DATASETS
from ued_core.data.base import NOT_CLEAN
from ued_core.errors import UedError
from ued_core.person import OWNER, Person
from ued_core.runs import RunRecord, RunResult, RunSpec, Snapshot
from ued_core.runs.devices import slots
from ued_core.runs.permission import check_data, check_spec, may_act_on
from ued_core.runs.turns import queue_order, wait_behind
from ued_core.studies.estimate import duration, estimate

MOST_AHEAD = 30
"""Runs before one whose times are added up; more are only counted."""


@lru_cache(maxsize=64)
def own_first(now: Snapshot, person: Person) -> Snapshot:
    """The same runs, those of a visitor before all others; the owner sees them as they are."""
    if person.owner:
        return now
    return Snapshot(f"{now.version}-{person.id}", tuple(sorted(now.records, key=lambda record: record.by != person.id)))


def own(records: Sequence[RunRecord]) -> list[RunRecord]:
    """Those that the reader may cancel, resume and delete."""
    reader = who()
    return [record for record in records if may_act_on(record, reader)]


def name_of(record: RunRecord) -> str:
    """Whose run it is, for the reader."""
    if record.by and record.by == who().id:
        return "you"
    return record.by_name or OWNER.name


def title_of(record: RunRecord) -> str:
    """The run's name; without that of a file or folder of the owner's for a visitor."""
    if is_open(record.spec):
        return record.title
    try:
        data = DATASETS.parse(record.spec.get("dataset"))
    except UedError:
        return seen(record.title)
    return seen(record.title.replace(data.label(), data.title, 1))


def obstacle_for(spec: RunSpec) -> str:
    """Why the reader may not start such a run; empty where they may."""
    try:
        check_spec(spec, who())
    except UedError as error:
        return str(error)
    return ""


def is_open(spec: Mapping[str, Any]) -> bool:
    """Whether the reader may see the images that a run was trained on."""
    reader = who()
    if reader.owner:
        return True
    try:
        check_data(DATASETS.parse(spec.get("dataset")), reader)
    except UedError:
        return False
    return True


def result_for_reader(record: RunRecord, result: RunResult) -> RunResult:
    """The result of a run; where a visitor may not see its images, classes have numbers, because their names are those
    of the owner's folders, and of the notes, which name files, only those are left that say what was tested on."""
    if is_open(record.spec):
        return result
    notes = [note for note in result.data.notes if note.startswith(NOT_CLEAN)]
    numbered = [f"class {k}" for k in range(len(result.data.class_names))]
    data = result.data.model_copy(update={"class_names": numbered, "notes": notes})
    return result.model_copy(update={"data": data})


def error_for_reader(record: RunRecord, error: Mapping[str, Any]) -> tuple[str, str]:
    """Why a run failed, and what to do; where a visitor may not see its images, no word of them either."""
    if is_open(record.spec):
        return seen(str(error.get("what", ""))), seen(str(error.get("do", "")))
    return "This run failed. Its images are files of the owner's, and so only the owner reads why.", ""


class _Queue(NamedTuple):
    """What a snapshot says of those who wait, worked out once for all readers.

    Attributes:
        order: queued runs, as they are expected to begin.
        places: id → place in the order, from 0.
        running: runs that are being executed.
        finished: ids of the newest finished runs, from which times are estimated.
    """

    order: list[RunRecord]
    places: Mapping[str, int]
    running: list[RunRecord]
    finished: tuple[str, ...]


@lru_cache(maxsize=4)
def _queue(now: Snapshot) -> _Queue:
    order = queue_order(now.records)
    finished = islice((record.id for record in now.records if record.state == "finished"), 20)
    running = [record for record in now.waiting if record.state == "running"]
    return _Queue(order, {record.id: place for place, record in enumerate(order)}, running, tuple(finished))


def to_come(now: Snapshot) -> list[RunRecord]:
    """Runs that are not over, those of a visitor before all others; first what is executed, then what waits, as it will
    begin."""
    reader, places = who(), _queue(now).places
    return sorted(
        now.waiting,
        key=lambda r: (not reader.owner and r.by != reader.id, r.state != "running", places.get(r.id, 0), r.id),
    )


def waiting_words(record: RunRecord, now: Snapshot) -> str:
    """The place of a queued run and when it is expected to begin, as a sentence without a full stop."""
    queue = _queue(now)
    place = queue.places.get(record.id, 0)
    ahead = place + len(queue.running)
    if not ahead:
        return "it is next"
    before = f"{ahead} {'run is' if ahead == 1 else 'runs are'} before it"
    if ahead > MOST_AHEAD:
        return before
    after = wait_behind(queue.running, queue.order[:place], lambda other: _seconds(other, queue.finished), _slots())
    return before if after is None else f"{before}, and it begins in about {duration(after)} if nobody else submits one"


def _seconds(record: RunRecord, finished: tuple[str, ...]) -> float | None:
    """What a run takes, or what is left of one that is being executed."""
    whole = None if record.run_spec is None else _estimated(record.run_spec, finished)
    if whole is None or record.state != "running" or not record.epochs:
        return whole
    return whole * (1 - record.epoch / record.epochs)


@cache
def _slots() -> int:
    return len(slots())


@cached(max_entries=256)
def _estimated(spec: RunSpec, _finished: tuple[str, ...]) -> float | None:
    """Seconds, from the runs that have finished."""
    found = estimate(spec, runs.snapshot().records)
    return None if found is None else found.seconds
