"""A folder and the zip of it are the same set: same classes, pixels, division and, in kind, notes."""

import io
import os
import re
import shutil
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ued_core.context import Context
from ued_core.data import Folder, import_zip
from ued_core.errors import DataError


def picture(number, kind="PNG", size=(9, 9)):
    file = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, kind)
    return file.getvalue()


def write(root, files):
    for parts, content in files.items():
        path = root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT[content])


class Raw(zipfile.ZipInfo):
    """A member whose name is bytes, without the mark for UTF-8, as Info-ZIP and macOS write it."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("cp437"), 0


def packed(files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for parts, content in files.items():
            info = Raw(os.fsencode("/".join(parts)).decode("cp437"))
            info.create_system = 3
            archive.writestr(info, CONTENT[content])
    return file.getvalue()


def outcome(load):
    """What the user gets: the set and the kinds of its notes, or the kind of refusal."""
    try:
        split = load()
    except DataError as error:
        return "refused", re.sub(r"[Tt]he (?:folder|archive) '[^']*'|of '[^']*' (?:has|can)", "", error.what)
    notes = sorted(split.notes)
    parts = [(part.images.tolist(), part.labels.tolist(), part.class_names) for part in (split.train, split.test)]
    return parts, notes


def both(files):
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        before, os.environ["UED_HOME"] = os.environ.get("UED_HOME"), str(home)
        try:
            root = Path(place) / "set"
            root.mkdir()
            write(root, files)
            folder = outcome(lambda: Folder(path=str(root), size=8).load(Context()))
            archive = packed(files)
            zipped = outcome(
                lambda: Folder(path=str(import_zip(archive, "set.zip", Context())), size=8).load(Context())
            )
            imports = home / "imports"
            hidden = [entry for entry in imports.iterdir() if entry.name.startswith(".")] if imports.exists() else []
            assert hidden == [], "half an import is left"
            return folder, zipped
        finally:
            os.environ["UED_HOME"] = before or ""
            shutil.rmtree(home, ignore_errors=True)


FOLDERS = ["a", "b", "c", "train", "test", "valid", "TRAIN", "Testing", "1", "10", "2", "images", "set"]
FOLDERS += ["@eaDir", ".thumbnails", "__MACOSX", "lost+found", "猫\u3000犬", "caf\udce9", "cafe\u0301", "a\x1b"]
FILES = ["0.png", "1.PNG", "2.jpeg", "3.webp", "4.bmp", "5.tif", "6.heic", "x.txt", "recipe.json", "Thumbs.db"]
FILES += ["._1.png", "Icon\r", ".DS_Store"]
FILES += ["3.04\u202fPM.png", "l\udce9.png", "l\udce9.txt", "x\x07.png", "\N{WOMAN}\u200d\N{MICROSCOPE}.png"]
CONTENT = {"good": picture(1), "jpeg": picture(2, "JPEG"), "wide": picture(3, size=(20, 9))}
CONTENT |= {"cut": picture(4)[:-60], "text": b"text", "empty": b""}


@st.composite
def trees(draw):
    """Files below classes, parts, wrappers and junk, in any mixture that a file system allows."""
    wrap = draw(st.sampled_from([(), (), ("set",), ("a", "images")]))
    classes = draw(st.lists(st.sampled_from(FOLDERS), min_size=2, max_size=3, unique=True))
    parts = draw(
        st.sampled_from([[()], [()], [("train",), ("test",)], [("TRAIN",), ("valid",)], [("train",)], [("x",), ("y",)]])
    )
    files = {}
    for part in parts:
        for name in classes:
            for index in range(2):
                files[(*wrap, *part, name, f"{index}.png")] = "good"
    extra = st.tuples(
        st.lists(st.sampled_from(FOLDERS), max_size=3), st.sampled_from(FILES), st.sampled_from(sorted(CONTENT))
    )
    for above, name, content in draw(st.lists(extra, max_size=6)):
        base = draw(st.sampled_from([(), (*wrap, *parts[0]), (*wrap, *parts[0], classes[0])]))
        files.setdefault((*base, *above, name), content)
    return files


@settings(max_examples=80, deadline=None)
@given(trees())
def test_folder_and_zip_agree(files):
    folder, zipped = both(files)
    assert folder == zipped


@pytest.mark.parametrize("wrap", [(), ("set",)])
def test_folder_and_zip_agree_on_a_part_beside_one_without_classes(wrap):
    classes = {(*wrap, "train", name, f"{n}.png"): "good" for name in "ab" for n in range(2)}
    folder, zipped = both({**classes, (*wrap, "test", "0.png"): "good"})
    assert folder == zipped
    assert sum("is the only part with class folders" in note for note in folder[1]) == 1


def test_folder_and_zip_agree_on_a_usual_set():
    files = {("set", part, name, f"{n}.png"): "good" for part in ("train", "valid") for name in "ab" for n in range(3)}
    files |= {("set", "train", "a", "@eaDir", "0.png", "thumb.png"): "good", ("set", "train", "b", "cut.png"): "cut"}
    folder, zipped = both(files)
    assert folder == zipped
    parts, notes = folder
    assert parts[0][2] == ("a", "b")
    assert [len(part[1]) for part in parts] == [6, 6]
    assert len([note for note in notes if note.startswith("Skipped")]) == 2


@pytest.mark.parametrize("damage", ["cut", "text"])
def test_a_damaged_test_image_does_not_decide_for_the_archive(damage):
    """The test part's one image of a class is damaged; the name of its folder still says that the class is there."""
    files = {(part, name, f"{n}.png"): "good" for part in ("train", "test") for name in "ab" for n in range(2)}
    files |= {("test", "b", f"{n}.png"): damage for n in range(2)}
    folder, zipped = both(files)
    assert folder == zipped
    assert folder[0] != "refused"
