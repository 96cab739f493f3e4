"""Uploaded archives: what is imported, what is refused, and that a refusal leaves nothing behind."""

import gc
import io
import os
import re
import stat
import struct
import time
import zipfile
import zlib

import numpy as np
import pytest

from ued_core.context import Context
from ued_core.data import Folder, import_zip
from ued_core.data.image_file import readable_formats
from ued_core.errors import Cancelled, DataError


def zipped(members, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def good(picture):
    return {f"{label}/{index}.png": picture(10 * ord(label) + index) for label in "ab" for index in range(3)}


def left_behind(home):
    imports = home / "imports"
    return sorted(path.name for path in imports.iterdir()) if imports.exists() else []


def told(notes):
    """The notes, without those on the size."""
    return {note for note in notes if not note.startswith(("Cut", "Resized", "If these images"))}


def loaded(data, name="x.zip"):
    return Folder(path=str(import_zip(data, name, Context()))).load(Context())


def refuse(data, message, home, ctx=None):
    with pytest.raises(DataError, match=message) as caught:
        import_zip(data, "upload.zip", ctx or Context())
    assert left_behind(home) == []
    return caught.value


def test_an_import_can_be_loaded_and_keeps_its_name(good, ued_home):
    path = import_zip(zipped(good), "my birds.zip", Context())
    assert path.parent == ued_home / "imports"
    split = Folder(path=str(path)).load(Context())
    assert split.train.class_names == ("a", "b")
    assert len(split.train) + len(split.test) == 6
    assert split.train.name == "my birds"
    assert told(split.notes) == set()


def test_bytes_path_and_file_give_the_same_folder(good, tmp_path, ued_home):
    data = zipped(good)
    (tmp_path / "there.zip").write_bytes(data)
    with open(tmp_path / "there.zip", "rb") as file:
        file.read(10)
        paths = {import_zip(source, "x.zip", Context()) for source in (data, tmp_path / "there.zip", file)}
    assert len(paths) == 1
    assert len(left_behind(ued_home)) == 1


@pytest.mark.parametrize("wrap", ["photos/", "deep/er/", "train/"])
def test_wrapping_folders_are_left_out(good, wrap):
    split = loaded(zipped({wrap + name: data for name, data in good.items()}))
    assert split.train.class_names == ("a", "b")
    alone = {note for note in split.notes if "is the only part with class folders" in note}
    assert bool(alone) == (wrap == "train/")


def test_a_division_into_parts_survives(good):
    members = {f"set/{part}/{name}": data for part in ("train", "test") for name, data in good.items()}
    split = Folder(path=str(import_zip(zipped(members), "x.zip", Context()))).load(Context())
    assert (len(split.train), len(split.test)) == (6, 6)


def test_what_was_skipped_is_in_the_notes_of_the_set(good, picture):
    junk = {
        "__MACOSX/a/._0.png": b"junk",
        "a/.DS_Store": b"junk",
        "a/notes.txt": b"text",
        "a/fake.png": b"not an image at all",
        "stray.png": picture(99),
    }
    path = import_zip(zipped(good | junk), "x.zip", Context())
    files = {entry.relative_to(path).as_posix() for entry in path.rglob("*") if entry.is_file()}
    assert files == {*good, "a/fake.png", ".import.json"}, "what an image in name is, the reader judges, as in a folder"
    assert told(Folder(path=str(path)).load(Context()).notes) == {
        "Skipped 2: hidden, or kept by other programs (__MACOSX, a/.DS_Store).",
        f"Skipped 1: not a {readable_formats()} file (a/notes.txt).",
        f"Skipped 1: no {readable_formats()} inside, or a damaged header (a/fake.png).",
        "Skipped 1: outside any class folder (stray.png).",
    }


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "a/../../evil.png", "/evil.png", "\\evil.png", "a\\..\\..\\evil.png", "C:\\evil.png", "c:/e.png"],
)
def test_paths_that_leave_the_folder(good, picture, name, ued_home, tmp_path):
    refuse(zipped(good | {name: picture()}), "points outside the archive", ued_home)
    assert not list(tmp_path.rglob("evil*"))


def test_links_and_devices_are_never_written(good, ued_home):
    for number, kind in enumerate((stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR)):
        info = zipfile.ZipInfo(f"a/link{number}.png")
        info.external_attr = (kind | 0o777) << 16
        path = import_zip(zipped([*good.items(), (info, b"/etc/passwd")]), "x.zip", Context())
        assert not (path / info.filename).exists()
        words = "a link in the archive" if kind == stat.S_IFLNK else "a device in the archive"
        assert told(Folder(path=str(path)).load(Context()).notes) == {f"Skipped 1: {words} (a/link{number}.png)."}


def test_encrypted_members(good, ued_home):
    data = bytearray(zipped(good))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.index(signature) + offset] |= 1
    refuse(bytes(data), "is encrypted", ued_home)


def test_rare_packing_methods(good, ued_home):
    refuse(zipped(good, zipfile.ZIP_LZMA), "a method other than deflate", ued_home)


@pytest.mark.parametrize(
    "name", ["a/3.04.05\u202fPM.png", "a/\u00a0.png", "a/\N{WOMAN}\u200d\N{MICROSCOPE}.png", "a/\ue000.png"]
)
def test_one_harmless_name_costs_nothing(good, picture, name):
    assert told(loaded(zipped(good | {name: picture(99)})).notes) == set()


def test_one_odd_name_costs_one_member(good, picture):
    odd = {"a/x\x1b.png": picture(90), "a/" + "x" * 260 + ".png": picture(91), "a/Icon\r": b"x"}
    split = loaded(zipped(good | odd))
    assert len(split.train) + len(split.test) == 6
    assert "Skipped 1: the control character U+001B in its name (a/x[U+001B].png)." in split.notes
    assert [note[:47] for note in split.notes if "longer" in note] == [
        "Skipped 1: a name longer than 255 bytes (a/xxxx"
    ]


def test_a_bomb_is_stopped_by_its_ratio(good, ued_home):
    refuse(zipped(good | {"a/bomb.png": bytes(8 << 20)}), "more than 200 times its packed size", ued_home)


def test_a_header_that_understates_the_size_gains_nothing(good, ued_home):
    """The bomb claims to unpack to ten bytes: it is cut there and skipped as damaged."""
    data = bytearray(zipped({"a/bomb.png": bytes(8 << 20)} | good))
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
    struct.pack_into("<I", data, data.index(b"PK\x03\x04") + 22, 10)
    path = import_zip(bytes(data), "x.zip", Context())
    assert not (path / "a/bomb.png").exists()
    assert "Skipped 1: damaged in the archive (a/bomb.png)." in Folder(path=str(path)).load(Context()).notes


def test_the_total_is_limited_by_the_headers_and_while_unpacking(good, ued_home, monkeypatch):
    total = sum(map(len, good.values()))
    monkeypatch.setattr("ued_core.data.zip_import.MAX_TOTAL_BYTES", total - 1)
    refuse(zipped(good), "unpack to more than", ued_home)
    # The headers' sum is only the first gate: with it wide open, counting the real bytes refuses as well.
    monkeypatch.setattr("ued_core.data.zip_import.sum", lambda sizes: 0, raising=False)
    refuse(zipped(good), "unpack to more than", ued_home)


def test_too_many_members(good, ued_home, monkeypatch):
    monkeypatch.setattr("ued_core.data.zip_import.MAX_FILES", 5)
    refuse(zipped(good), "6 members; at most 5", ued_home)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "'upload.zip' has no class folders"),
        ({"a/x.txt": b"text", "b/y.txt": b"text"}, "has no images in its class folders"),
        ({"a/x.png": b"text", "b/y.png": b"text"}, "Two classes with usable images are needed, but none has"),
    ],
)
def test_archives_without_images(members, message, ued_home):
    refuse(zipped(members), message, ued_home)


def test_archives_without_two_classes(picture, ued_home):
    refuse(zipped({"1.png": picture(1)}), "one image only, '1.png'", ued_home)
    refuse(zipped({"a/1.png": picture(1), "a/2.png": picture(2), "b/": b""}), "one class only, 'a'", ued_home)
    refuse(zipped({"a/1.png": picture(1), "b/2.png": b"broken"}), "but only 'a' has", ued_home)


def test_files_that_are_no_archive(good, tmp_path, ued_home):
    refuse(b"", "not a zip archive", ued_home)
    refuse(b"PK\x03\x04 something", "not a zip archive", ued_home)
    refuse(zipped(good)[:-40], "not a zip archive", ued_home)
    refuse(tmp_path / "missing.zip", "There is no archive .*missing.zip", ued_home)
    refuse(tmp_path, "not a plain file", ued_home)


def test_a_damaged_member_is_skipped_by_its_checksum(good):
    data = bytearray(zipped(good, zipfile.ZIP_STORED))
    data[data.index(good["a/1.png"]) + 40] ^= 0xFF
    path = import_zip(bytes(data), "x.zip", Context())
    assert "Skipped 1: damaged in the archive (a/1.png)." in Folder(path=str(path)).load(Context()).notes


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_members_of_one_name_the_first_is_kept(good, picture):
    path = import_zip(zipped([*good.items(), ("a/0.png", picture(77))]), "x.zip", Context())
    assert (path / "a/0.png").read_bytes() == good["a/0.png"]


def test_a_file_where_a_folder_must_be(good, picture):
    split = loaded(zipped(good | {"a/0.png/deep.png": picture(5)}))
    assert told(split.notes) == {
        "'a' holds subfolders; their images count as images of the top folder's class.",
        "Skipped 1: a file where others in the archive need a folder (a/0.png).",
    }
    assert len(split.train) + len(split.test) == 6


def test_cancelling_leaves_nothing(good, ued_home):
    asked = []

    def stop():
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(Cancelled):
        import_zip(zipped(good), "x.zip", Context(stop=stop))
    assert left_behind(ued_home) == []


def test_a_failing_disk_leaves_nothing(good, ued_home, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ued_core.data.zip_import.write_json", full)
    refuse(zipped(good), "No space left on device", ued_home)


def test_flipped_bytes_never_raise_anything_but_data_errors(good, ued_home):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(zipped(good), np.uint8)
    outcomes = set()
    for _ in range(150):
        data = whole.copy()
        where = rng.integers(0, len(data), 3)
        data[where] ^= rng.integers(1, 256, 3).astype(np.uint8)
        try:
            import_zip(data.tobytes(), "x.zip", Context())
            outcomes.add("imported")
        except DataError:
            outcomes.add("refused")
    assert outcomes == {"imported", "refused"}
    assert not [name for name in left_behind(ued_home) if name.startswith(".")]


def many(names, data=b""):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("names", "data", "message"),
    [
        ([f"{n % 2}/{n}.png" for n in range(99_999)], b"", "has no images in its class folders"),
        ([f"{n}/x.png" for n in range(60_000)], b"x" * 67, "60,000 classes; at most 10,000"),
        ([f"{n % 2}/{n}.png" for n in range(30_000)], b"x" * 67, "None of the first 1,000 files"),
        ([f"{n % 2}/{n}.png" for n in range(160_000)], b"", "160,000 members; at most 150,000"),
    ],
)
def test_work_without_images_is_refused_before_it_is_done(names, data, message, ued_home):
    """Within 2 s on a machine with nothing else to do; here in processor time, with room for neighbours on it and for
    the collector, which goes through everything that thousands of tests before left in this process."""
    archive = many(names, data)
    gc.collect()
    gc.freeze()
    try:
        began = time.process_time()
        refuse(archive, message, ued_home)
        assert time.process_time() - began < 12
    finally:
        gc.unfreeze()


def test_pixels_are_summed_over_the_members(ued_home):
    """Each is within the limit of one image and packs to almost nothing; all together take minutes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = zlib.compress(bytes(7070 * 7071), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 7070, 7070, 8, 0, 0, 0, 0))
    large = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    archive = many((f"{n % 2}/{n}.png" for n in range(120)), large)
    began = time.process_time()
    refuse(archive, "more than 5 gigapixels unpacked.*Make them smaller", ued_home)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("number", "words"), [(28, "Make room on the disk"), (30, "UED_HOME"), (13, "UED_HOME"), (5, "Check the disk")]
)
def test_what_the_disk_says_is_told_with_what_to_do(good, ued_home, monkeypatch, number, words):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ued_core.data.zip_import.write_json", fail)
    told = refuse(zipped(good), re.escape(os.strerror(number)), ued_home)
    assert words in told.do


def test_an_earlier_import_under_other_rules_is_not_taken(good, ued_home, monkeypatch):
    data = zipped(good)
    first = import_zip(data, "x.zip", Context())
    monkeypatch.setattr("ued_core.data.zip_import._RULES", 99)
    assert import_zip(data, "x.zip", Context()) != first


def test_the_poison_that_an_archive_says_it_holds_is_named(good):
    recipe = b'{"attack": {"name": "cuda"}}'
    for where in ("recipe.json", "wrap/recipe.json"):
        files = {("wrap/" + name if "/" in where else name): data for name, data in good.items()}
        notes = loaded(zipped(files | {where: recipe})).notes
        assert any(
            note.startswith("These images hold a poison (recipe.json names cuda), and resizing") for note in notes
        ), where
        assert not any("recipe.json" in note for note in told(notes) if note.startswith("Skipped"))
    for damaged in (b"", b"[1]", b"{", b'{"attack": 3}', b"[" * 100_000):
        assert not any("These images hold" in note for note in loaded(zipped(good | {"recipe.json": damaged})).notes)
