"""Whose run comes next: people take turns, so that nobody waits behind all runs of somebody else.

The next run is that of the person whose last run began the longest ago, and of theirs the oldest. The owner takes turns
like a visitor, but may have any number of runs executed at the same time. With one person in the queue this is the
order of submission.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from ued_core.person import OWNER
from ued_core.runs.record import RunRecord


def in_turn(waiting: Iterable[tuple[str, str]], began: Mapping[str, float]) -> list[str]:
    """The order in which waiting runs begin.

    Args:
        waiting: id and person of each; ids sort by time of submission.
        began: person → when their last run began, seconds since 1970; 0 for who is left out.

    Returns:
        All ids.
    """
    own: dict[str, list[str]] = defaultdict(list)
    for run_id, person in sorted(waiting, reverse=True):
        own[person].append(run_id)
    # After everybody whose turn lies in the past come those who have had one here, in the same order.
    turns = [(began.get(person, 0.0), ids[-1], person) for person, ids in own.items()]
    heapq.heapify(turns)
    last, order = max((moment for moment, _, _ in turns), default=0.0), []
    while turns:
        _, run_id, person = heapq.heappop(turns)
        order.append(run_id)
        own[person].pop()
        if own[person]:
            last += 1.0
            heapq.heappush(turns, (last, own[person][-1], person))
    return order


def may_begin(person: str, running: int, most: int) -> bool:
    """Whether one more run of a person may be executed now.

    Args:
        person: their id.
        running: how many of theirs are being executed.
        most: how many a visitor may have at the same time.
    """
    return person == OWNER.id or running < most


def queue_order(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The queued runs among all runs, in the order in which they are expected to begin."""
    began: dict[str, float] = {}
    for record in records:
        if record.started is not None:
            began[record.by] = max(began.get(record.by, 0.0), record.started)
    queued = {record.id: record for record in records if record.state == "queued"}
    return [queued[run_id] for run_id in in_turn(((r.id, r.by) for r in queued.values()), began)]


def wait_behind(
    running: Sequence[RunRecord],
    ahead: Sequence[RunRecord],
    seconds_of: Callable[[RunRecord], float | None],
    slots: int = 1,
) -> float | None:
    """Seconds until a run begins that comes after these; None where the time of one of them is not known.

    Args:
        running: runs that are being executed.
        ahead: queued runs that begin before it, in their order.
        seconds_of: how long a run that has not begun takes, or what is left of a running one; None where unknown.
        slots: how many runs are executed at the same time.
    """
    if len(running) + len(ahead) < slots:
        return 0.0
    times: list[float] = []
    for other in (*running, *ahead):
        seconds = seconds_of(other)
        if seconds is None:
            return None
        times.append(seconds)
    # Each run in turn takes the slot that is free first.
    free = [0.0] * slots
    for seconds in times:
        heapq.heapreplace(free, free[0] + seconds)
    return free[0]
