"""Which data set lies at a path, and what is said where there is none."""

import pytest

from ued_core.data import Folder, Npz
from ued_core.data.at_path import method_at
from ued_core.data.idx_set import Idx
from ued_core.data.parquet_set import Parquet
from ued_core.errors import DataError


@pytest.mark.parametrize(
    ("files", "given", "expected"),
    [
        (["a.npz"], "a.npz", Npz), (["A.NPZ"], "A.NPZ", Npz), (["a.npz"], "", Npz), (["a.npz", "cat/0.png"], "",
        Folder), (["a.parquet"], "a.parquet", Parquet), (["data/train-00000-of-00001.parquet"], "", Parquet),
        (["train-images-idx3-ubyte.gz"], "train-images-idx3-ubyte.gz", Idx), (["t10k-labels.idx1-ubyte"], "", Idx),
        (["raw/train-images-idx3-ubyte"], "", Idx), (["cat/0.png", "dog/1.png"], "", Folder), ([], "", Folder),
        (["pets.ZIP"], "pets.ZIP", Folder),
    ],
)  # fmt: skip
def test_what_lies_there(tmp_path, files, given, expected):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert method_at(tmp_path / given) is expected


@pytest.mark.parametrize(("name", "words"), [("none", "There is no file or folder"), ("a.txt", "is no data set")])
def test_what_is_said(tmp_path, name, words):
    if name != "none":
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=words):
        method_at(tmp_path / name)


def test_a_path_that_the_system_cannot_look_at(tmp_path):
    for path in (tmp_path / ("x" * 3000), tmp_path / "a\0b"):
        with pytest.raises(DataError, match="There is no file or folder"):
            method_at(path)
