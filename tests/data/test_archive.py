"""Archives of others: listed under the rules of the walk, refused where they are hostile, never for one odd name."""

import io
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest

from ued_core.data.archive import listing, opened
from ued_core.errors import DataError


def zipped(members, change=lambda info: None):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo(name)
            change(info)
            archive.writestr(info, data)
    return file


def listed(names, **options):
    return listing(opened(zipped([(name, b"x") for name in names], **options), "x.zip", 1000), "x.zip", "Do this.")


def paths(found):
    return ["/".join(file.parts) for file in found.tree.files]


def test_files_and_folders_are_those_of_the_unpacked_archive(tmp_path):
    found = listed(["b/2.png", "a/deep/1.png", "empty/", "a/0.png"])
    assert paths(found) == ["a/0.png", "a/deep/1.png", "b/2.png"]
    assert found.tree.folders == [("a",), ("a", "deep"), ("b",), ("empty",)]
    assert set(found.infos) == {file.parts for file in found.tree.files}


def test_bookkeeping_is_left_out_once_a_folder():
    found = listed(
        ["a/1.png", "a/@eaDir/1.png/x.jpg", "a/@eaDir/2.png/x.jpg", "__MACOSX/a/._1.png", "a/Thumbs.db", "a/Icon\r"]
    )
    assert paths(found) == ["a/1.png"]
    assert [name for name, _ in found.tree.left_out] == ["__MACOSX", "a/@eaDir", "a/Icon[U+000D]", "a/Thumbs.db"]
    assert {reason for _, reason in found.tree.left_out} == {"hidden, or kept by other programs"}


@pytest.mark.parametrize(
    "name", ["a/3.04.05\u202fPM.png", "猫\u3000犬/1.png", "a/\N{WOMAN}\u200d\N{MICROSCOPE}.png", "a/\u00a0.png"]
)
def test_harmless_names_are_taken(name):
    assert paths(listed([name])) == [name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/x\x1b.png", "the control character U+001B in its name"),
        ("a\n/x.png", "the control character U+000A in its name"),
        ("a/" + "x" * 300 + ".png", "a name longer than 255 bytes"),
        ("a/" + "é" * 200 + ".png", "a name longer than 255 bytes"),
        ("/".join("d" * 200 for _ in range(10)) + "/x.png", "a path longer than 1024 bytes"),
        ("/".join("d" for _ in range(60)) + "/x.png", "more than 32 folders deep"),
    ],
)
def test_one_odd_name_costs_one_member(name, reason):
    found = listed(["a/1.png", name])
    assert paths(found) == ["a/1.png"]
    assert [why for _, why in found.tree.left_out] == [reason]
    found.tree.left_out[0][0].encode("utf-8")


def test_links_and_devices_are_left_out():
    for kind, words in ((stat.S_IFLNK, "a link in the archive"), (stat.S_IFIFO, "a device in the archive")):
        info = zipfile.ZipInfo("a/link.png")
        info.external_attr = (kind | 0o777) << 16
        assert listed(["a/1.png", info]).tree.left_out == [("a/link.png", words)]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_collide():
    found = listed(["a/1.png", "a/1.png", "a/2.png", "a/2.png/x.png"])
    assert paths(found) == ["a/1.png", "a/2.png/x.png"]
    assert dict(found.tree.left_out) == {
        "a/1.png": "its name occurs twice",
        "a/2.png": "a file where others in the archive need a folder",
    }


def raw_name(name, system):
    """An archive whose one name is these bytes, without the mark for UTF-8."""
    placeholder = "X" * len(name)
    data = zipped([(placeholder, b"x")], lambda info: setattr(info, "create_system", system)).getvalue()
    return io.BytesIO(data.replace(placeholder.encode(), name))


@pytest.mark.parametrize(
    ("raw", "system", "name"),
    [
        ("a/café.png".encode(), 3, "a/café.png"),
        ("a/猫.png".encode(), 0, "a/猫.png"),
        ("a/café.png".encode("latin1"), 3, "a/caf\udce9.png"),
        ("a/café.png".encode("cp437"), 0, "a/café.png"),
    ],
)
def test_names_without_the_mark_for_utf8(raw, system, name):
    archive = opened(raw_name(raw, system), "x.zip", 10)
    found = listing(archive, "x.zip", "")
    assert paths(found) == [name]
    assert archive.read(found.infos[tuple(name.split("/"))]) == b"x"


def test_what_leads_outside_is_refused():
    for name in ("../x.png", "a/../../x.png", "/x.png", "C:/x.png", "a\\..\\..\\x.png"):
        with pytest.raises(DataError, match="points outside the archive.*Do this"):
            listed(["a/1.png", name])


def test_the_number_of_members_is_judged_before_they_are_listed():
    many = zipped([])
    with zipfile.ZipFile(many, "w") as archive:
        for index in range(70_000):
            archive.writestr(zipfile.ZipInfo(f"{index}"), b"")
    began = time.process_time()
    with pytest.raises(DataError, match="70,000 members; at most 60,000"):
        opened(many, "x.zip", 60_000)
    assert time.process_time() - began < 0.3
    data = bytearray(zipped([(f"{index}", b"") for index in range(5000)]).getvalue())
    struct.pack_into("<HH", data, data.rindex(b"PK\x05\x06") + 8, 10, 10)
    with pytest.raises(DataError, match="longer than their number allows"):
        opened(io.BytesIO(bytes(data)), "x.zip", 100)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06", b"no zip at all" * 100])
def test_files_that_are_no_archive(data, tmp_path):
    (tmp_path / "x.zip").write_bytes(data)
    for source in (io.BytesIO(data), Path(tmp_path / "x.zip")):
        with pytest.raises(DataError, match="not a zip archive"):
            opened(source, "x.zip", 10)
