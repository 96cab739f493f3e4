"""The walk through folders of others: what it finds, leaves out with a reason, refuses, and where it ends."""

import os
import socket
import time

import pytest

from ued_core.context import Context
from ued_core.data import walk as walk_module
from ued_core.data.walk import chosen_folder, open_plain, walk
from ued_core.errors import Cancelled, DataError

JUNK = [
    ".ipynb_checkpoints",
    "@eaDir",
    ".thumbnails",
    "__MACOSX",
    ".git",
    "$RECYCLE.BIN",
    "#recycle",
    ".Trash-1000",
    "lost+found",
]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "set"
    for name in ("a/1.png", "a/deep/2.png", "b/3.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    return root


def found(root, **bounds):
    return ["/".join(file.parts) for file in walk(root, **bounds).files]


def reasons(root):
    return dict(walk(root).left_out)


def test_files_come_in_the_order_of_their_paths(tree):
    (tree / "a.png").write_bytes(b"xy")
    assert found(tree) == ["a/1.png", "a/deep/2.png", "a.png", "b/3.png"]
    assert [file.parts for file in walk(tree).files] == sorted(file.parts for file in walk(tree).files)
    assert walk(tree).folders == [("a",), ("a", "deep"), ("b",)]
    assert walk(tree).files[2].size == 2


@pytest.mark.parametrize("name", [*JUNK, "System Volume Information"])
@pytest.mark.parametrize("where", ["", "a", "a/deep"])
def test_folders_of_other_programs_are_left_out_at_any_depth(tree, name, where):
    (tree / where / name / "inside").mkdir(parents=True)
    (tree / where / name / "inside" / "copy.png").write_bytes(b"x")
    assert found(tree) == ["a/1.png", "a/deep/2.png", "b/3.png"]
    assert reasons(tree) == {f"{where}/{name}".strip("/"): "hidden, or kept by other programs"}


def test_links_to_files_and_folders_are_followed(tree, tmp_path):
    outside = tmp_path / "store"
    outside.mkdir()
    (outside / "x.png").write_bytes(b"123")
    (tree / "a" / "link.png").symlink_to(outside / "x.png")
    (tree / "c").symlink_to(outside)
    assert found(tree) == ["a/1.png", "a/deep/2.png", "a/link.png", "b/3.png", "c/x.png"]
    assert {file.size for file in walk(tree).files if file.parts[-1] in ("x.png", "link.png")} == {3}


def test_a_changed_target_changes_the_state(tree, tmp_path):
    target = tmp_path / "x.png"
    target.write_bytes(b"1")
    (tree / "a" / "link.png").symlink_to(target)
    (tree / "a" / "notes.txt").write_text("x")
    states = {walk(tree).state(), walk(tree).state()}
    assert len(states) == 1
    target.write_bytes(b"2")
    os.utime(target, ns=(5, 5))
    states.add(walk(tree).state())
    os.utime(target, ns=(6, 6))
    states.add(walk(tree).state())
    (tree / "a" / "notes.txt").rename(tree / "a" / "other.txt")
    states.add(walk(tree).state())
    (tree / "@eaDir").mkdir()
    states.add(walk(tree).state())
    (tree / "empty").mkdir()
    states.add(walk(tree).state())
    assert len(states) == 6


def test_content_that_changes_behind_a_set_back_clock_changes_the_state(tree):
    """Uncompressed images of one size have one length, and archives set the times of what they unpack."""
    path = tree / "a" / "1.png"
    os.utime(path, ns=(5, 5))
    before = walk(tree).state()
    time.sleep(0.02)
    path.write_bytes(b"y")
    os.utime(path, ns=(5, 5))
    assert walk(tree).state() != before


def test_links_that_cannot_be_followed_are_named(tree):
    (tree / "a" / "gone.png").symlink_to("nowhere.png")
    (tree / "a" / "up").symlink_to(tree)
    (tree / "a" / "self").symlink_to("self")
    (tree / "b" / "other").symlink_to(tree / "a")
    assert reasons(tree) == {
        "a/gone.png": "a link that leads nowhere",
        "a/up": "a link that leads back to a folder above it",
        "a/self": "is a link that leads back to itself",
        "b/other/gone.png": "a link that leads nowhere",
        "b/other/up": "a link that leads back to a folder above it",
        "b/other/self": "is a link that leads back to itself",
    }


def test_what_is_no_plain_file_is_named_and_never_opened(tree):
    os.mkfifo(tree / "a" / "pipe.png")
    (tree / "a" / "null.png").symlink_to("/dev/null")
    listener = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(tree)
    try:
        listener.bind("b/socket.png")
    finally:
        os.chdir(here)
        listener.close()
    assert reasons(tree) == {
        "a/pipe.png": "a FIFO (named pipe), not a plain file",
        "a/null.png": "a device, not a plain file",
        "b/socket.png": "a socket, not a plain file",
    }
    for path in (tree / "a" / "pipe.png", tree / "a" / "null.png", tree / "a"):
        with pytest.raises(OSError, match="not a plain file"):
            open_plain(path)
    with open_plain(tree / "a" / "1.png") as file:
        assert file.read() == b"x"


def test_names_of_any_bytes(tree):
    (tree / "a" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"x")
    (tree / "a" / "x\x1b.png").write_bytes(b"x")
    (tree / "a" / "Icon\r").write_bytes(b"x")
    assert [file.shown for file in walk(tree).files][:2] == ["a/1.png", "a/caf\ufffd.png"]
    assert reasons(tree) == {
        "a/x[U+001B].png": "the control character U+001B in its name",
        "a/Icon[U+000D]": "hidden, or kept by other programs",
    }
    assert walk(tree).state()


@pytest.mark.skipif(AS_ROOT, reason="root may read everything")
def test_folders_that_may_not_be_read_are_named(tree):
    (tree / "a").chmod(0)
    try:
        assert reasons(tree) == {"a": "may not be read"}
    finally:
        (tree / "a").chmod(0o755)


def test_a_refusal_of_the_system_is_named(tree, monkeypatch):
    """As above, for tests that root runs."""
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(walk_module.os, "scandir", refuse)
    assert reasons(tree) == {"a/deep": "may not be read"}


def test_the_walk_ends_at_its_bounds(tree):
    for index in range(300):
        (tree / "b" / f"{index}.txt").write_bytes(b"")
    with pytest.raises(DataError, match="more than 100 files and folders.*class folders alone"):
        walk(tree, most=100)
    with pytest.raises(DataError, match="takes longer than"):
        walk(tree, seconds=-1)
    with pytest.raises(Cancelled):
        walk(tree, Context(stop=lambda: True))


def test_links_that_multiply_end_at_the_bound(tmp_path):
    """Each folder holds two links to the next: 2^24 paths from 48 links."""
    for level in range(24):
        (tmp_path / str(level)).mkdir()
    for level in range(23):
        for name in "xy":
            (tmp_path / str(level) / name).symlink_to(tmp_path / str(level + 1))
    with pytest.raises(DataError, match="more than 5,000"):
        walk(tmp_path / "0", most=5_000)


def test_deep_trees_are_cut(tree):
    path = tree
    for _ in range(50):
        path = path / "d"
    path.mkdir(parents=True)
    assert list(reasons(tree).values()) == ["more than 32 folders deep"]


def test_paths_that_are_no_folder_are_refused_in_words(tree, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "round").symlink_to("round")
    for path, words in (
        (tmp_path / "gone", "There is no folder"),
        (tree / "a" / "1.png", "is a file, not a folder"),
        (tree / "a" / "1.png" / "x", "leads through a file"),
        (tmp_path / "pipe", "is a FIFO"),
        ("/dev/null", "is a device"),
        (tmp_path / "round", "leads back to itself"),
        (tmp_path / ("x" * 5000), "longer than the file system allows"),
        ("a\0b", "no path of a folder"),
        ("~nobody-of-this-name/x", "no path of a folder"),
        (tmp_path / "caf\udce9", "There is no folder .*caf\ufffd"),
    ):
        with pytest.raises(DataError, match=words):
            chosen_folder(path)


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="no /proc here")
def test_the_systems_own_folders_are_refused_at_once(tree):
    for path in ("/proc", "/proc/self", "/proc/self/fd", "/sys"):
        if os.path.ismount("/" + path.split("/")[1]):
            with pytest.raises(DataError, match="belongs to the operating system"):
                chosen_folder(path)
    (tree / "a" / "system").symlink_to("/proc")
    assert reasons(tree) == {"a/system": "it belongs to the operating system"}
