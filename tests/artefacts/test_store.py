"""Artefacts: whole or not there, checked, made once, within a limit that is said."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from tests.small_disk import full_disk
from ued_core.artefacts import STORES, Artefact, Draft, Store
from ued_core.artefacts.limits import log_path
from ued_core.errors import Cancelled
from ued_core.files import sha256_of

STORE = Store("things", "Things")
IMAGES = np.arange(60, dtype=np.uint8).reshape(5, 12)
WEIGHTS = {"a": torch.arange(3.0), "b": torch.eye(4).T[::2]}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def folder(name: str = "set") -> Path:
    return STORE.address("made", {"strength": 2}, name)


def put(name: str = "set", **more: object) -> Path:
    assert STORE.keep(folder(name), {"log": more}, {"images": IMAGES}, {"network": WEIGHTS}) is None
    return folder(name)


def images(kept: Artefact) -> np.ndarray:
    return kept.array("images")


def test_what_is_read_is_what_was_written_and_writing_to_it_changes_no_file() -> None:
    assert STORE.read(folder(), images) is None
    assert STORE.card(folder()) is None
    kept = STORE.read(put(note="n"), lambda found: found)
    assert kept is not None
    assert kept.card["log"] == {"note": "n"} == STORE.card(folder())["log"]  # type: ignore[index]
    assert all(torch.equal(kept.tensors("network")[name], value) for name, value in WEIGHTS.items())
    kept.array("images")[:] = 0
    np.testing.assert_array_equal(kept.array("images"), IMAGES)
    assert [path.name for path in folder().parent.iterdir()] == ["set"], "nothing temporary is left"


def test_the_address_names_method_recipe_and_set() -> None:
    made = {STORE.address(key, recipe, name) for key in "ab" for recipe in ({}, {"x": 1}) for name in ("s", "t")}
    assert len(made) == 8


@pytest.mark.parametrize("file", ["card.json", "images.npy", "network.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "changed"])
def test_a_damaged_one_is_absent_and_gives_way(file: str, damage: str) -> None:
    path = put() / file
    assert STORE.read(folder(), images) is not None, "it was checked once already"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        # In the middle of the card stands a checksum.
        changed = content[:-60] + bytes(byte ^ 0x15 for byte in content[-60:])
        path.write_bytes({"cut": content[:-9], "empty": b"", "changed": changed}[damage])
    assert STORE.read(folder(), images) is None
    put(note="again")
    assert STORE.read(folder(), lambda found: found.card["log"]) == {"note": "again"}


def test_a_sound_one_stays_unless_it_is_to_be_replaced() -> None:
    put(number=1)
    put(number=2)
    assert STORE.card(folder())["log"] == {"number": 1}  # type: ignore[index]
    STORE.keep(folder(), {"log": {"number": 3}}, {"images": IMAGES}, replace=True)
    assert STORE.card(folder())["log"] == {"number": 3}  # type: ignore[index]


@pytest.mark.parametrize("card", [{}, [], {"sha256": 3}, {"sha256": {}}, {"sha256": {"images.npy": 5}}])
def test_a_card_without_checksums_is_no_card(card: object) -> None:
    put()
    (folder() / "card.json").write_text(json.dumps(card))
    assert STORE.read(folder(), images) is None


def test_cards_of_an_older_version_are_read_where_the_store_knows_their_checksums() -> None:
    older = replace(STORE, older_sums=lambda card: {"images.npy": card["sha256"]})
    put()
    (folder() / "card.json").write_text(json.dumps({"sha256": sha256_of(IMAGES)}))
    np.testing.assert_array_equal(older.read(folder(), images), IMAGES)  # type: ignore[arg-type]
    (folder() / "card.json").write_text(json.dumps({"sha256": "0"}))
    assert older.read(folder(), images) is None
    (folder() / "card.json").write_text(json.dumps({"crc32": 7}))
    assert (older.read(folder(), images), older.card(folder())) == (None, None)


def test_of_many_that_want_the_same_one_makes_it() -> None:
    made, waited, gate = [], [], threading.Barrier(4)

    def make() -> np.ndarray:
        made.append(1)
        time.sleep(0.7)
        put()
        return IMAGES

    def want() -> None:
        gate.wait()
        found.append(STORE.once(folder(), lambda: STORE.read(folder(), images), make, lambda: waited.append(1))[1])

    found: list[str] = []
    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert sorted(found) == ["meanwhile", "meanwhile", "meanwhile", "now"]
    assert waited
    assert STORE.once(folder(), lambda: STORE.read(folder(), images), make, lambda: None)[1] == "before"


def test_waiting_can_be_stopped() -> None:
    def stop() -> None:
        raise Cancelled("stop")

    folder().parent.mkdir(parents=True)
    with FileLock(folder().with_suffix(".lock")), pytest.raises(Cancelled):
        STORE.once(folder(), lambda: None, lambda: 1, stop)
    assert STORE.once(folder(), lambda: None, lambda: 1, stop) == (1, "now")


def test_where_nothing_can_be_written_it_is_made_all_the_same(own_home: Path) -> None:
    own_home.write_text("a file")
    assert STORE.once(folder(), lambda: None, lambda: 1, lambda: None) == (1, "now")
    assert isinstance(STORE.keep(folder(), {}), OSError)


def test_a_folder_that_somebody_deleted_is_not_made_again(tmp_path: Path) -> None:
    place = tmp_path / "run" / "own" / "set"
    assert isinstance(STORE.keep(place, {}, parents=False), FileNotFoundError)
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    assert STORE.keep(place, {}, {"images": IMAGES}, parents=False) is None
    assert STORE.read(place, images) is not None


def test_full_disk() -> None:
    for arrays, tensors in (({"images": IMAGES}, {}), ({}, {"network": {"a": torch.zeros(1000)}})):
        with full_disk(room=100):
            assert STORE.keep(folder(), {}, arrays, tensors) is not None
        assert list(folder().parent.iterdir()) == []


def test_the_ones_not_used_longest_go_and_it_is_said() -> None:
    for number, name in enumerate("abcd"):
        put(name)
        os.utime(folder(name), (number, number))
    size = STORE.entries()[0].bytes
    for suffix in (".lock", ".draft", ".work"):
        folder("e").with_suffix(suffix).write_bytes(b"0" * 5000)
    STORE.read(folder("a"), images)
    small = replace(STORE, most=int(2.5 * size))
    told = small.make_room(folder("b"))
    place = folder().parent.name
    assert told.startswith("Things may take ")
    assert f"so 2 that were not used for longest were removed: {place}/c, {place}/d (" in told
    left = sorted(path.name for path in folder().parent.iterdir() if path.is_dir())
    assert left == ["a", "b"], "a was just read, and b is the newest"
    assert [json.loads(line)["path"] for line in log_path().read_text().splitlines()] == [
        str(folder("c")),
        str(folder("d")),
    ]
    assert small.make_room(folder("b")) == ""
    assert "and be at most 1, so 1 that" in replace(STORE, most=10**6, most_entries=1).make_room(folder("b"))


def test_what_a_crash_left_counts_once_it_is_old() -> None:
    left = folder().parent / ".new-set.1234"
    left.mkdir(parents=True)
    (left / "images.npy").write_bytes(b"0" * 100)
    assert STORE.entries() == []
    os.utime(left, (0, 0))
    assert [one.path for one in STORE.entries()] == [left]


def test_every_kind_has_a_place_and_words_of_its_own() -> None:
    assert len({store.place for store in STORES}) == len({store.what for store in STORES}) == len(STORES)
    assert all(store.limit() > 10**9 for store in STORES)


def test_a_draft_is_saved_seldom_unless_it_must_be(tmp_path: Path) -> None:
    draft, asked = Draft(tmp_path / "deep" / "x.draft", every_s=100), []

    def state() -> dict[str, object]:
        asked.append(1)
        return {"step": len(asked), "weights": torch.eye(2)}

    draft.save(state)
    assert (asked, draft.load()) == ([], None)
    draft.save(state, now=True)
    kept = draft.load()
    assert kept is not None
    assert kept["step"] == 1
    assert torch.equal(kept["weights"], torch.eye(2))
    (tmp_path / "deep" / "x.draft").write_bytes(b"torn")
    assert draft.load() is None
    draft.discard()
    draft.discard()
    assert not list((tmp_path / "deep").iterdir())
    Draft().save(state, now=True)
    assert Draft().load() is None
