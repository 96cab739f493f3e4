"""Files that are whole or not there, and their checksums."""

import json

import numpy as np
import pytest

from ued_core import files
from ued_core.files import folder_atomic, remove_at_once, sha256_of, write_atomic, write_json

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""SHA-256 of the bytes ``abc``, as in FIPS 180-2."""


def test_the_checksum_of_a_file_and_of_an_array_is_that_of_the_standard(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == ABC
    assert sha256_of(np.frombuffer(b"abc", np.uint8)) == ABC


def test_an_array_is_read_in_pieces_without_changing_its_checksum(monkeypatch):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    whole = sha256_of(array)
    monkeypatch.setattr(files, "PIECE", 5)
    assert sha256_of(array) == whole
    assert sha256_of(array + 1) != whole


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "card.json"
    write_json(path, {"ε": 8})

    def fail(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, fail)
    assert path.read_text(encoding="utf-8") == '{\n  "ε": 8\n}\n'
    assert list(path.parent.iterdir()) == [path]


def test_json_holds_names_whose_bytes_are_no_text(tmp_path):
    value = {"caf\udce9": ["ε", "\udce9 \\ \ud800"]}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "ε" in text
    assert json.loads(text) == value


def filled(folder, text, **options):
    with folder_atomic(folder, **options) as fresh:
        assert fresh.name == folder.name
        (fresh / "a").write_text(text)
        assert not folder.exists() or (folder / "a").read_text() != text


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "deep" / "set.early"
    filled(folder, "first")
    assert (folder / "a").read_text() == "first"

    def half():
        with folder_atomic(folder, stays=lambda old: False) as fresh:
            (fresh / "a").write_text("half")
            raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        half()
    assert (folder / "a").read_text() == "first"
    assert list(folder.parent.iterdir()) == [folder]


def test_who_asks_says_what_becomes_of_a_folder_in_the_place(tmp_path):
    folder = tmp_path / "set"
    filled(folder, "first")
    filled(folder, "second", stays=lambda old: (old / "a").read_text() == "first")
    assert (folder / "a").read_text() == "first"
    filled(folder, "second", stays=lambda old: False)
    assert (folder / "a").read_text() == "second"
    with pytest.raises(OSError, match="not empty|exists"):
        filled(folder, "third")
    assert (folder / "a").read_text() == "second"
    assert list(tmp_path.iterdir()) == [folder]


def test_a_missing_parent_may_mean_that_somebody_deleted_it(tmp_path):
    with pytest.raises(FileNotFoundError):
        filled(tmp_path / "gone" / "set", "x", parents=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_removed_leaves_nothing_and_what_a_link_names_stays(tmp_path, kind):
    folder = tmp_path / "set"
    filled(folder, "x")
    path = {"file": folder / "a", "folder": folder, "link": tmp_path / "link"}[kind]
    if kind == "link":
        path.symlink_to(folder)
    remove_at_once(path)
    assert list(tmp_path.rglob("*")) == {"file": [folder], "folder": [], "link": [folder, folder / "a"]}[kind]
    with pytest.raises(FileNotFoundError):
        remove_at_once(path)
