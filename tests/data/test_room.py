"""Limits of what is kept: what goes, what stays, and what is said of it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ued_core.artefacts import LOADED
from ued_core.artefacts.limits import entry, gigabytes, limit, limit_words, log_path, make_room, removed_words
from ued_core.context import Context
from ued_core.data import DATASETS, load_split
from ued_core.data.handles import handle_of, imports_root, located
from ued_core.data.room import refuse_without_room, touch_upload, uploads
from ued_core.errors import DataError, ParameterError


def small(monkeypatch: pytest.MonkeyPatch, bytes_: float) -> None:
    monkeypatch.setenv("UED_CACHE_GB", str(bytes_ / 1e9))


def put(path: Path, size: int, age: float) -> Path:
    """A folder with so many bytes that was last used so many seconds ago."""
    path.mkdir(parents=True)
    (path / "x").write_bytes(b"0" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.mark.parametrize("text", ["x", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("UED_CACHE_GB", text)
    with pytest.raises(ParameterError, match=f"UED_CACHE_GB is '{text}', but it must be a number above 0"):
        limit()


def test_the_default_and_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UED_CACHE_GB", raising=False)
    assert limit() == 20 * 10**9
    assert [gigabytes(n) for n in (12, 3_400, 5 * 10**6, 12_300_000_000)] == ["12 B", "3.4 kB", "5 MB", "12.3 GB"]


def test_what_was_not_used_for_longest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 250)
    old, older, new = (put(LOADED.root() / name, 100, age) for name, age in (("old", 50), ("older", 60), ("new", 1)))
    assert entry(older)[:2] == (older, 100)
    assert [one.path for one in make_room(LOADED.entries(), limit(), {new})] == [older]
    assert (old.exists(), older.exists(), new.exists()) == (True, False, True)
    assert not [path for path in LOADED.root().iterdir() if path.name.startswith(".")], "nothing half removed is left"
    assert [json.loads(line)["path"] for line in log_path().read_text().splitlines()] == [str(older)]
    small(monkeypatch, 1)
    gone = make_room(LOADED.entries(), limit(), {old}, recent_s=30)
    assert gone == []
    assert (old.exists(), new.exists()) == (True, True), "spared, and used a moment ago"
    words = removed_words(make_room(LOADED.entries(), limit()), "Loaded data sets", limit_words())
    assert (
        words
        == "Loaded data sets may take 1 B (UED_CACHE_GB), so 2 that were not used for longest were removed: old, new "
        "(200 B)."
    )
    assert removed_words([], "x", "y") == ""


def test_loading_keeps_within_the_limit_and_says_what_went(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (DATASETS.build("shapes", train_size=200, test_size=100, seed=seed) for seed in (0, 1))
    load_split(first, Context())
    size = sum(one.bytes for one in LOADED.entries())
    small(monkeypatch, 1.5 * size)
    (kept,) = LOADED.root().iterdir()
    os.utime(kept, (0, 0))
    split = load_split(second, Context())
    assert any("so 1 that were not used for longest were removed: shapes-" in note for note in split.notes)
    assert not kept.exists()
    assert not load_split(second, Context()).notes, "said once"
    assert len(split.train) == 200
    load_split(first, Context())
    assert len(LOADED.entries()) == 1
    small(monkeypatch, 10)
    assert len(load_split(second, Context()).train) == 200, "what is larger than the limit is loaded all the same"


def test_loading_again_counts_as_use(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [DATASETS.build("shapes", train_size=200, test_size=100, seed=seed) for seed in (0, 1)]
    for dataset in made:
        load_split(dataset, Context())
    for path in LOADED.root().iterdir():
        os.utime(path, (time.time() - 100,) * 2)
    load_split(made[0], Context())
    small(monkeypatch, 0.9 * sum(one.bytes for one in LOADED.entries()))
    make_room(LOADED.entries(), limit())
    assert not load_split(made[0], Context()).notes
    assert len(LOADED.entries()) == 1


def test_every_shelf_of_uploads_is_counted_and_use_is_noted() -> None:
    root = imports_root()
    made = [
        root / "0123456789abcdef",
        root / "files" / "0123456789abcdef",
        root / "files" / "example-1",
        root / "files" / "together" / "a",
    ]
    for path in made:
        put(path, 10, 5000)
    assert sorted(one.path for one in uploads()) == sorted(made)
    assert {one.bytes for one in uploads()} == {10}
    for path in made:
        touch_upload(path / "x")
    assert all(time.time() - one.used < 100 for one in uploads())
    touch_upload(Path("/etc"))


def test_no_room_for_an_upload(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 15)
    new = put(imports_root() / "0123456789abcdef", 10, 0)
    refuse_without_room(new, "all")
    put(imports_root() / "1123456789abcdef", 10, 0)
    with pytest.raises(DataError, match="no room for this upload: all take 20 B with it, and 15 B are the limit"):
        refuse_without_room(new, "all")
    assert not new.exists()
    with pytest.raises(DataError, match="has been removed because other uploads needed the room"):
        located(handle_of(new))
