"""File names of others: what is shown, what is bookkeeping, what is refused."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ued_core.data.names import as_text, control_character, is_junk, readable, refusal


@given(st.binary(max_size=40))
def test_every_name_becomes_text_that_can_be_written(raw):
    for shown in (readable(raw), readable(raw.decode("utf-8", "surrogateescape"))):
        shown.encode("utf-8")
        assert not control_character(shown)


@given(st.text(st.characters(), max_size=20))
def test_readable_text_stays_as_it_is(name):
    assert readable(readable(name)) == readable(name)
    if not any(
        unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or "\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069"
        for c in name
    ):
        assert readable(name) == name


def test_bytes_that_are_no_text_are_replaced_and_the_rest_stays():
    assert readable("café".encode("latin1")) == "caf\ufffd"
    assert readable("caf\udce9/猫") == "caf\ufffd/猫"
    assert readable("\ud800x") == "\ufffdx", "not from a file name, but from JSON"
    assert readable("a\x1b[2Jb") == "a[U+001B][2Jb"
    assert readable("photo\u202egnp.exe") == "photo[U+202E]gnp.exe"


HARMLESS = [
    "3.04.05\u202fPM",
    "猫\u3000犬",
    "\N{WOMAN}\u200d\N{MICROSCOPE}",
    "a\u00a0b",
    "a\u00adb",
    "a\u200bb",
    "\u200fعربي",
    "\ue000",
]


@pytest.mark.parametrize("name", HARMLESS)
def test_invisible_but_harmless_characters_are_names(name):
    assert refusal(name) == ""
    assert readable(name) == name


@pytest.mark.parametrize(
    ("name", "named"), [("a\x1bb", "U+001B"), ("a\nb", "U+000A"), ("a\x7f", "U+007F"), ("\x85", "U+0085")]
)
def test_control_characters_are_refused_by_their_number(name, named):
    assert named in refusal(name)


@pytest.mark.parametrize(
    "name",
    [
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
    + ["System Volume Information", "SYSTEM VOLUME INFORMATION"],
)
def test_folders_of_other_programs(name):
    assert is_junk(name, folder=True)


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "thumbs.db", "desktop.ini", "._x.png", ".DS_Store", "Icon\r", ".hidden.jpg"]
)
def test_files_of_other_programs(name):
    assert is_junk(name, folder=False)


@pytest.mark.parametrize("name", ["cat", "desktop", "Icon", "recycle", "thumbs", "0001", "lost"])
def test_class_folders_are_no_junk(name):
    assert not is_junk(name, folder=True)


def test_json_values_become_text():
    value = {"caf\udce9": ["\udce9", 1, None, {"x": ("\x1b",)}]}
    assert json.dumps(as_text(value), ensure_ascii=False).encode("utf-8")
    assert as_text(value) == {"caf\ufffd": ["\ufffd", 1, None, {"x": ["[U+001B]"]}]}
