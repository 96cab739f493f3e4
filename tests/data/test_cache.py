"""The disk cache: same images, memory-mapped, private, rebuilt when damaged, keyed by every input."""

import ast
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from ued_core.artefacts import LOADED, store
from ued_core.context import Context
from ued_core.data import DATASETS, Folder, load_split
from ued_core.data import cache as cache_module
from ued_core.data.digits import Digits
from ued_core.data.fashion import Fashion
from ued_core.data.shapes import Shapes
from ued_core.errors import Cancelled, DataError


class Counted(Shapes):
    """Shapes that count how often they are drawn."""

    key: ClassVar[str] = "counted"
    calls: ClassVar[list[int]] = []

    def load(self, ctx):
        self.calls.append(1)
        return super().load(ctx)


@pytest.fixture
def counted():
    Counted.calls.clear()
    return Counted(train_size=30, test_size=20)


def entries(home):
    return sorted((home / "cache" / "data").iterdir())


def same(one, two):
    return all(
        torch.equal(getattr(one, part).images, getattr(two, part).images)
        and torch.equal(getattr(one, part).labels, getattr(two, part).labels)
        and getattr(one, part).name == getattr(two, part).name
        for part in ("train", "test")
    ) and (one.notes, one.train.class_names) == (two.notes, two.train.class_names)


def test_the_second_load_comes_from_the_disk_and_is_equal(counted, ued_home):
    first, second = load_split(counted, Context()), load_split(counted, Context(seed=5))
    assert len(counted.calls) == 1
    assert same(first, second)
    assert second.train.name == "counted", "another set with the same numbers has another entry"
    assert torch.equal(second.train.images, counted.load(Context()).train.images)
    assert len(entries(ued_home)) == 1


def test_mapped_images_are_private_and_give_no_warning(counted, recwarn):
    load_split(counted, Context())
    split = load_split(counted, Context())
    assert not recwarn.list
    split.train.images.zero_()
    assert load_split(counted, Context()).train.images.max() > 0


def test_every_parameter_and_the_version_change_the_entry(counted, ued_home, monkeypatch):
    load_split(counted, Context())
    load_split(counted.with_values(seed=1), Context())
    monkeypatch.setattr(Counted, "version", 2)
    load_split(counted, Context())
    assert len(counted.calls) == 3
    assert len(entries(ued_home)) == 3


@pytest.mark.parametrize("name", ["card.json", "train_images.npy", "train_labels.npy", "test_images.npy"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "changed"])
def test_a_damaged_entry_is_made_anew(counted, ued_home, name, damage):
    good = load_split(counted, Context())
    file = entries(ued_home)[0] / name
    data = file.read_bytes()
    file.unlink()
    if damage != "missing":
        changed = data[:-20] + bytes(byte ^ 0x15 for byte in data[-20:])
        file.write_bytes({"cut": data[:-9], "empty": b"", "changed": changed}[damage])
    assert same(load_split(counted, Context()), good)
    assert len(counted.calls) == 2
    assert same(load_split(counted, Context()), good)
    assert len(counted.calls) == 2, "the new entry is whole"
    assert len(entries(ued_home)) == 1


def test_an_entry_of_an_older_version_is_made_anew(counted, ued_home):
    """Its description was called otherwise and had other checksums."""
    good = load_split(counted, Context())
    (entry,) = entries(ued_home)
    os.rename(entry / "card.json", entry / "about.json")
    assert not cache_module.is_kept(counted)
    assert same(load_split(counted, Context()), good)
    assert len(counted.calls) == 2
    assert sorted(path.name for path in entry.iterdir())[0] == "card.json"
    assert entries(ued_home) == [entry]


def test_cancelling_leaves_no_entry(counted, ued_home):
    with pytest.raises(Cancelled):
        load_split(counted, Context(stop=lambda: True))
    assert not (ued_home / "cache").exists() or entries(ued_home) == []


def test_where_nothing_can_be_written_the_split_comes_with_a_note(counted, ued_home):
    ued_home.mkdir()
    (ued_home / "cache").write_text("a file where the folder should be")
    split = load_split(counted, Context())
    assert len(split.train) == 30
    assert "could not be kept" in split.notes[-1]


def test_a_failure_while_writing_leaves_no_half_entry(counted, ued_home, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write_json", full)
    assert "No space left" in load_split(counted, Context()).notes[-1]
    assert entries(ued_home) == []


def test_of_two_writers_the_first_wins_and_both_read_the_same(counted, ued_home):
    split = counted.load(Context())
    folder = ued_home / "cache" / "data" / "raced"
    cache_module._keep(folder, split, print)
    inode = (folder / "card.json").stat().st_ino
    cache_module._keep(folder, split, print)
    assert (folder / "card.json").stat().st_ino == inode
    assert entries(ued_home) == [folder]


def test_writers_race_for_one_damaged_entry(ued_home):
    """The race is decided by the file system's rename, so threads stand for processes here."""
    sets = Shapes(train_size=50, test_size=20)
    good = sets.load(Context())
    for _ in range(5):
        load_split(sets, Context())
        (entries(ued_home)[0] / "test_images.npy").write_bytes(b"damaged")
        together = threading.Barrier(4)

        def race(_, together=together):
            together.wait()
            return load_split(sets, Context())

        with ThreadPoolExecutor(4) as pool:
            assert all(same(split, good) for split in pool.map(race, range(4)))
        assert len(entries(ued_home)) == 1
        assert same(LOADED.read(entries(ued_home)[0], cache_module._split), good)


def test_a_changed_folder_is_read_again_with_its_notes(class_folder, picture, ued_home):
    root = class_folder(a=4, b=4)
    folder = Folder(path=str(root))
    first = load_split(folder, Context())
    (root / "a" / "new.png").write_bytes(picture(50))
    (root / "a" / "odd.txt").write_text("")
    second = load_split(folder, Context())
    assert len(first.train) + len(first.test) == 8
    assert len(second.train) + len(second.test) == 9
    assert second.notes == load_split(folder, Context()).notes
    assert second.notes[0].startswith("Skipped 1: not a PNG")
    (root / "a" / "new.png").write_bytes(picture(51))
    os.utime(root / "a" / "new.png", (1, 1))
    third = load_split(folder, Context())
    assert not same(second, third)
    assert len(entries(ued_home)) == 3


def test_errors_of_the_set_are_passed_on(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        load_split(Folder(path=str(tmp_path / "gone")), Context())


def test_embedded_sets_load_with_their_quick_values(ued_home):
    embedded = [entry for entry in DATASETS.values() if entry.embedded]
    assert embedded == [Fashion, Shapes, Digits]
    for entry in embedded:
        split = load_split(entry(**entry.quick_values()), Context())
        assert split.train.shape == (3, 32, 32)
        assert split.train.name == entry.key
        assert np.bincount(split.train.labels).min() > 0


def test_importing_the_package_is_light():
    heavy = {"torchvision", "sklearn", "PIL", "scipy"}
    for path in Path(cache_module.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not heavy & {name.split(".")[0] for name in names}, f"{path.name} imports {names} at its top"
