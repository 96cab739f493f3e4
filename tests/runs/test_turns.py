"""People take turns in the queue, and position and wait follow the same rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ued_core.runs.devices import Slot
from ued_core.runs.record import RunRecord
from ued_core.runs.store import Table
from ued_core.runs.turns import in_turn, queue_order, wait_behind

CPU = Slot("cpu:0", "CPU", "")


def record(run_id: str, by: str = "", state: str = "queued", started: float | None = None) -> RunRecord:
    return RunRecord(id=run_id, by=by, state=state, started=started)


@pytest.mark.parametrize(
    ("waiting", "began", "expected"),
    [
        ([("1", ""), ("2", ""), ("3", "")], {}, "123"),
        ([("1", "a"), ("2", "a"), ("3", "a"), ("4", "b"), ("5", "c"), ("6", "b")], {}, "145263"),
        ([("1", "a"), ("2", "b")], {"a": 100.0, "b": 50.0}, "21"),
        ([("1", "a"), ("2", "a"), ("3", "b"), ("4", "")], {"a": 100.0, "": 99.0}, "3412"),
        ([("1", ""), ("2", ""), ("3", "a")], {"": 5.0}, "312"),
        ([("1", "a"), ("2", "a"), ("3", "b"), ("4", "b")], {"a": 1e9, "b": 1e9 + 0.5}, "1324"),
        ([], {}, ""),
    ],
)
def test_turns(waiting: list[tuple[str, str]], began: dict[str, float], expected: str) -> None:
    assert "".join(in_turn(waiting, began)) == expected
    assert "".join(in_turn(waiting[::-1], began)) == expected


def test_nobody_waits_behind_more_than_one_run_of_each_other_person() -> None:
    waiting = [(f"{k:03d}", "loud") for k in range(100)] + [("900", "a"), ("901", "b"), ("902", "a")]
    order = in_turn(waiting, {"loud": 7.0})
    assert order[:2] == ["900", "901"]
    assert order.index("902") <= 4


def filled(root: Path, *records: RunRecord) -> Table:
    table = Table(root)
    for one in records:
        table.put(one, None, None)
    return table


def test_the_queue_gives_turns(tmp_path: Path) -> None:
    table = filled(tmp_path, *(record(f"{k}", by) for k, by in enumerate(["a", "a", "b", "", ""])))
    begun = []
    while given := table.claim([CPU]):
        begun += [run_id for run_id, _ in given]
        for run_id, _ in given:
            table.release(run_id)
    assert "".join(begun) == "02314"
    table.close()


def test_a_visitor_has_one_run_at_a_time_and_the_owner_any_number(tmp_path: Path) -> None:
    slots = [Slot(f"cpu:{k}", "CPU", "") for k in range(4)]
    table = filled(tmp_path, record("1", "a"), record("2", "a"), record("3", ""), record("4", ""))
    assert [run_id for run_id, _ in table.claim(slots)] == ["1", "3", "4"]
    assert table.claim(slots) == [], "a slot is free, but the visitor has one run already"
    table.release("1")
    table.put(record("1", "a", "finished", started=5.0), None, None)
    assert [run_id for run_id, _ in table.claim(slots)] == ["2"]
    table.close()
    other = filled(tmp_path / "two", record("1", "a"), record("2", "a"), record("3", "a"))
    assert [run_id for run_id, _ in other.claim(slots, most_running=2)] == ["1", "2"]
    other.close()


def test_turns_are_remembered_by_the_folders(tmp_path: Path) -> None:
    """A new table, as after its loss: whose run began last comes last."""
    over = (record("1", "a", "finished", started=50.0), record("2", "b", "finished", started=60.0))
    table = filled(tmp_path, *over, record("3", "b"), record("4", "a"))
    assert [run_id for run_id, _ in table.claim([CPU])] == ["4"]
    table.close()


def test_position_is_what_the_supervisor_will_do(tmp_path: Path) -> None:
    known = [
        record("0", "a", "finished", 9.0),
        *(record(f"{k}", by) for k, by in enumerate(["a", "b", "a", "", "b"], 1)),
    ]
    table = filled(tmp_path, *known)
    begun = []
    while given := table.claim([CPU]):
        begun += [run_id for run_id, _ in given]
        for run_id, _ in given:
            table.release(run_id)
    assert [one.id for one in queue_order(known)] == begun
    table.close()


def expected_wait(
    run: RunRecord, known: list[RunRecord], seconds_of: Callable[[RunRecord], float | None], slots: int = 1
) -> float | None:
    """Seconds until a run begins, by its place in the queue."""
    order = queue_order(known)
    return wait_behind([one for one in known if one.state == "running"], order[: order.index(run)], seconds_of, slots)


def test_expected_wait() -> None:
    known = [record("0", "a", "running", 1.0), record("1", "a"), record("2", "b"), record("3", "a")]
    seconds = {"0": 10.0, "1": 100.0, "2": 30.0, "3": 7.0}
    wait = {run.id: expected_wait(run, known, lambda run: seconds[run.id]) for run in known[1:]}
    assert wait == {"2": 10.0, "1": 40.0, "3": 140.0}
    assert expected_wait(known[1], known, lambda run: None if run.id == "2" else 1.0) is None
    assert expected_wait(record("9"), [record("9")], lambda run: 1.0) == 0.0


def test_expected_wait_with_two_slots() -> None:
    known = [record("0", "a", "running", 1.0), record("1", "a"), record("2", "b"), record("3", "c")]
    seconds = {"0": 10.0, "1": 5.0, "2": 30.0, "3": 7.0}
    wait = {run.id: expected_wait(run, known, lambda run: seconds[run.id], slots=2) for run in known[1:]}
    assert wait == {"2": 0.0, "3": 10.0, "1": 17.0}
