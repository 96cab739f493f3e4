"""A kept result is found again by content, and by nothing else."""

import threading

import numpy as np
import pytest
import torch

from pages.frame.cache import Shelf, cached, content_id, key_of
from ued_core.records import ImageSet


def images(value: int) -> ImageSet:
    return ImageSet(torch.full((2, 1, 2, 2), value, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), ("a",), "s")


def test_equal_content_is_one_entry_and_other_content_another() -> None:
    calls = []

    @cached(max_entries=8)
    def total(data: ImageSet, *, factor: float = 1.0) -> float:
        calls.append(factor)
        return float(data.images.sum()) * factor

    assert total(images(1)) == total(images(1)) == 8
    assert len(calls) == 1
    assert total(images(2)) == 16
    assert total(images(2), factor=0.5) == 8
    assert len(calls) == 3


def test_arrays_are_named_by_type_shape_and_bytes() -> None:
    zeros = np.zeros((2, 3), np.float32)
    others = (zeros.reshape(3, 2), zeros.astype(np.int32), zeros + 1)
    assert content_id(zeros) == content_id(zeros.copy()) == content_id(torch.zeros(2, 3))
    assert all(content_id(other) != content_id(zeros) for other in others)


def test_two_functions_do_not_share_a_key() -> None:
    assert key_of(content_id, 1) != key_of(key_of, 1)
    assert key_of(content_id, 1) != key_of(content_id, "1")


def test_what_has_no_name_is_refused() -> None:
    with pytest.raises(TypeError, match="no content id"):
        content_id(object())


def test_only_the_last_entries_are_kept_and_errors_never() -> None:
    shelf = Shelf(2)
    for key in "abac":
        shelf.get(key, lambda made=key: made)
    assert len(shelf) == 2
    assert shelf.get("a", lambda: "made again") == "a"
    assert shelf.get("b", lambda: "made again") == "made again"
    with pytest.raises(ValueError, match="invalid literal"):
        shelf.get("bad", lambda: int("x"))
    assert shelf.get("bad", lambda: 3) == 3


def test_readers_who_ask_together_wait_for_one_computation() -> None:
    shelf, calls, go = Shelf(2), [], threading.Event()

    def slow() -> int:
        calls.append(1)
        go.wait(5)
        return 7

    answers: list[int] = []
    readers = [threading.Thread(target=lambda: answers.append(shelf.get("k", slow))) for _ in range(5)]
    for reader in readers:
        reader.start()
    go.set()
    for reader in readers:
        reader.join(5)
    assert answers == [7] * 5
    assert len(calls) == 1
