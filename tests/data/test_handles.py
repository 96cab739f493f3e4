"""Uploads are named by content, never by where they lie; visitors name nothing else."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ued_core.context import Context
from ued_core.data import DATASETS, Dataset, Folder, import_zip
from ued_core.data.handles import check_paths, handle_of, imports_root, is_handle, located
from ued_core.errors import DataError, NotAllowed
from ued_core.params import param
from ued_core.person import OWNER, Person

VISITOR = Person("v1", "Ada")


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("cat/0", "cat/1", "dog/0", "dog/1"):
            picture = io.BytesIO()
            Image.fromarray(np.full((8, 8, 3), len(name), np.uint8)).save(picture, "PNG")
            archive.writestr(f"{name}.png", picture.getvalue())
    return import_zip(packed.getvalue(), "pets.zip", Context())


def test_a_handle_loads_what_its_path_loads(upload: Path) -> None:
    handle = handle_of(upload)
    assert is_handle(handle)
    assert str(imports_root()) not in handle
    assert located(handle) == upload
    by_handle, by_path = (Folder(path=text).load(Context()) for text in (handle, str(upload)))
    assert by_handle.train.content_hash == by_path.train.content_hash
    assert by_handle.train.name == "pets"


@pytest.mark.parametrize(
    "text", ["import:../../etc", "import:", "import:0123456789abcdeg", "import:0123456789abcdef", "import:a/b"]
)
def test_what_is_no_upload_is_refused(upload: Path, text: str) -> None:
    with pytest.raises(DataError, match="There is no upload"):
        located(text)


def test_visitors_name_uploads_only(upload: Path) -> None:
    check_paths(Folder(path=handle_of(upload)), VISITOR)
    check_paths(Folder(), VISITOR)
    for path in (str(upload), "/", "~", "import:../x", ".", f"{handle_of(upload)}/.."):
        check_paths(Folder(path=path), OWNER)
        with pytest.raises(NotAllowed) as refused:
            check_paths(Folder(path=path), VISITOR)
        assert path == "." or path not in str(refused.value).replace(" / ", " ")


def test_every_declared_path_is_checked() -> None:
    class Other(Dataset):
        key = "other"
        title = "Other"
        source: str = param("", "A file.", path=True)

        def load(self, ctx: Context) -> None: ...

    assert Other(source=" ").chosen_paths() == {}
    with pytest.raises(NotAllowed, match="source"):
        check_paths(Other(source="x.npz"), VISITOR)


def test_no_data_set_takes_a_path_undeclared() -> None:
    undeclared = [
        f"{name}.{p.name}"
        for name, entry in DATASETS.items()
        for p in entry.parameters()
        if p.kind == "text" and not p.path and any(word in p.name for word in ("path", "file", "folder", "dir"))
    ]
    assert undeclared == []
    assert any(p.path for entry in DATASETS.values() for p in entry.parameters())
