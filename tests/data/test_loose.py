"""Pictures without class folders, as a folder, a zip, or files uploaded one by one."""

import io
import zipfile

import pytest
import torch

from ued_core.context import Context
from ued_core.data import Folder, uploads
from ued_core.data.base import NOT_CLEAN
from ued_core.data.handles import imports_root, is_handle, located
from ued_core.data.loose import MOST_ALONE, named_alike
from ued_core.data.uploads import keep_files
from ued_core.data.walk import Found
from ued_core.errors import DataError


def alike(*names):
    return named_alike([Found((name,)) for name in names])


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["cat_1.jpg", "cat_2.jpg", "dog_1.jpg", "dog_2.jpg"], {"cat": [0, 1], "dog": [2, 3]}),
        (["Dog1.png", "cat (1).bmp", "cat (2).tif", "dog-02.png"], {"cat": [1, 2], "Dog": [0, 3]}),
        (["tabby cat 1.jpg", "tabby cat 2.jpg", "Käse1.jpg", "Käse2.jpg"], {"Käse": [2, 3], "tabby cat": [0, 1]}),
        (["cat_1.jpg", "cat_2.jpg"], {}),
        (["cat_1.jpg", "cat_2.jpg", "dog_1.jpg"], {}),
        (["IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg"], {}),
        (["1.jpg", "2.jpg", "cat_1.jpg", "cat_2.jpg"], {}),
        (["WhatsApp Image 2026-01-02.jpg", "WhatsApp Image 2026-01-03.jpg", "cat1.png", "cat2.png"], {}),
    ],
)
def test_classes_that_the_names_tell(names, classes):
    assert alike(*names) == classes


def test_each_picture_is_a_class_named_after_its_file(tmp_path, picture):
    root = tmp_path / "mine"
    root.mkdir()
    for number, name in enumerate(["sea.png", "Käse.png", "tree.bmp"]):
        (root / name).write_bytes(picture(number, kind="BMP" if name.endswith("bmp") else "PNG"))
    split = Folder(path=str(root)).load(Context())
    assert split.train.class_names == ("Käse", "sea", "tree")
    assert split.train.images[:, 0, 0, 0].tolist() == [7, 0, 14], "the red of pictures 1, 0 and 2"
    assert torch.equal(split.train.images, split.test.images)
    assert split.notes[0].startswith("3 images lie in no class folders: each is a class of its own")
    assert [note.startswith(NOT_CLEAN) for note in split.notes].count(True) == 1, "no accuracy on them counts"


def test_names_that_tell_classes_are_divided_as_folders_are(tmp_path, picture):
    for name in ("cat_1", "cat_2", "cat_3", "dog_1", "dog_2"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        (tmp_path / "mine" / f"{name}.png").write_bytes(picture(len(name)))
    split = Folder(path=str(tmp_path / "mine")).load(Context())
    assert split.train.class_names == ("cat", "dog")
    assert torch.bincount(split.train.labels).tolist() == [2, 1]
    assert torch.bincount(split.test.labels).tolist() == [1, 1]
    said = "5 images lie in no class folders; the beginnings of their names are taken for classes: 'cat (3)' and "
    assert f"{said}'dog (2)'." in split.notes
    assert not any(note.startswith(NOT_CLEAN) for note in split.notes)


def test_a_folder_around_the_pictures_is_no_class(class_folder):
    split = Folder(path=str(class_folder(holiday=3))).load(Context())
    assert split.train.class_names == ("000", "001", "002")


def test_a_picture_beside_class_folders_is_still_left_out(class_folder, picture):
    root = class_folder(a=2, b=2)
    (root / "x.png").write_bytes(picture(9))
    split = Folder(path=str(root)).load(Context())
    assert split.train.class_names == ("a", "b")
    assert "Skipped 1: outside any class folder (x.png)." in split.notes


def test_many_pictures_need_folders(class_folder):
    with pytest.raises(
        DataError, match=f"{MOST_ALONE + 1} images lie in no class folders .*at most {MOST_ALONE}"
    ) as no:
        Folder(path=str(class_folder(x=MOST_ALONE + 1))).load(Context())
    assert "one subfolder for each class" in no.value.do
    assert len(Folder(path=str(class_folder("fits", x=MOST_ALONE))).load(Context()).train) == MOST_ALONE


def packed(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def test_a_path_may_be_that_of_a_zip(tmp_path, picture):
    path = tmp_path / "Mine.ZIP"
    path.write_bytes(
        packed(**{"a/0.png": picture(1), "a/1.png": picture(2), "b/0.png": picture(3), "b/1.png": picture(4)})
    )
    mine = Folder(path=str(path))
    split, before = mine.load(Context()), mine.identity()
    assert (split.train.class_names, split.train.name) == (("a", "b"), "Mine")
    (folder,) = imports_root().iterdir()
    assert mine.identity() == before
    # Unpacked again where the folder went.
    folder.rename(tmp_path / "gone")
    assert torch.equal(mine.load(Context()).train.images, split.train.images)
    path.write_bytes(packed(**{"sea.png": picture(1), "sky.png": picture(2)}))
    assert mine.identity() != before, "another archive at the same path"
    assert mine.load(Context()).train.class_names == ("sea", "sky")


def test_a_zip_that_is_not_there_or_is_none(tmp_path):
    with pytest.raises(DataError, match="There is no archive '.*none.zip'"):
        Folder(path=str(tmp_path / "none.zip")).load(Context())
    (tmp_path / "bad.zip").write_bytes(b"nothing")
    with pytest.raises(DataError, match="'bad.zip' is not a zip archive"):
        Folder(path=str(tmp_path / "bad.zip")).load(Context())
    (tmp_path / "really a folder.zip").mkdir()
    with pytest.raises(DataError, match="has no class folders"):
        Folder(path=str(tmp_path / "really a folder.zip")).load(Context())


def test_uploads_of_several_files_are_one_set_with_the_names_that_they_had(picture):
    files = {"Mein Käse.png": 1, "../sea.png": 2, "x" * 300 + ".bmp": 3}
    handle = keep_files([(name, io.BytesIO(picture(number))) for name, number in files.items()], Context())
    assert is_handle(handle)
    split = Folder(path=handle).load(Context())
    assert split.train.class_names[:2] == ("Mein_Käse", "sea")
    assert split.train.name == "3 uploaded pictures"
    assert {len(path.name) <= 100 and path.parent == located(handle) for path in located(handle).iterdir()} == {True}


def test_uploads_of_too_many_bytes_are_refused(picture, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_IMAGE_BYTES", 100)
    files = [(f"{number}.png", io.BytesIO(picture(number))) for number in range(3)]
    with pytest.raises(DataError, match="MiB together"):
        keep_files(files, Context())
    assert not imports_root().exists()
