"""Short work of many readers goes through a gate that holds nobody for long."""

import threading
import time

import pytest

from pages.frame import crowd
from pages.frame.crowd import AT_ONCE, in_turn


def test_only_a_few_are_inside_at_once_and_all_come_in() -> None:
    inside, most, done = [0], [0], []
    lock = threading.Lock()

    def work(number: int) -> None:
        with in_turn():
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            with lock:
                inside[0] -= 1
                done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(10))
    assert most[0] <= AT_ONCE


def test_nobody_waits_for_long_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PATIENCE_S", 0.01)
    held = [in_turn() for _ in range(AT_ONCE)]
    for one in held:
        one.__enter__()
    with in_turn():
        reached = True
    for one in held:
        one.__exit__(None, None, None)
    assert reached
    # Whoever was not admitted has freed no place: as many come in at once as before, and no more.
    assert [crowd._gate.acquire(blocking=False) for _ in range(AT_ONCE + 1)] == [True] * AT_ONCE + [False]
    for _ in range(AT_ONCE):
        crowd._gate.release()


def test_a_failure_frees_the_place() -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(ValueError, match="x"), in_turn():
            raise ValueError("x")
    assert crowd._gate.acquire(blocking=False)
    crowd._gate.release()
