"""Where the paths of a spec start, and text files of other systems."""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path
from typing import Any

import pytest

from ued_core import runs
from ued_core.cli import catalogues, main
from ued_core.data import Folder
from ued_core.errors import ParameterError, SpecError
from ued_core.runs.spec import RunSpec, read_json

KEYS = {
    "af87bcabd608": {"dataset": "shapes"},
    "eb6a1d7b6784": {"dataset": "digits", "attack": "cuda", "defenses": ["coin"], "plan": "sgd", "seed": 3},
    "d42f867a7874": {
        "dataset": "cifar10",
        "attack": {"name": "synper"},
        "poison_rate": 0.5,
        "poison_classes": [1, 2],
        "model": "resnet18",
    },
    "8fd921830c35": {
        "dataset": {"name": "folder", "path": "/data/photos", "size": 64},
        "attack": "hypo",
        "attack_seed": 7,
    },
}


def folder_spec(path: str) -> dict[str, Any]:
    return {"dataset": {"name": "folder", "path": path}, "plan": {"name": "adamw", "epochs": 1}, "device": "cpu"}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))


@pytest.mark.parametrize(("key", "value"), KEYS.items())
def test_keys_of_stored_specs_stay(key: str, value: dict[str, Any]) -> None:
    assert RunSpec.from_json(value).key() == key


# ---------------------------------------------------------------- where a path starts


def test_a_spec_file_starts_its_paths_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    for text, meant in (
        ("imgs", project / "imgs"), ("./imgs", project / "imgs"), ("../other/imgs", tmp_path / "other" / "imgs"),
        ("~/imgs", tmp_path / "me" / "imgs"), (str(elsewhere / "imgs"), elsewhere / "imgs"),
        ("~nobody here/imgs", project / "~nobody here/imgs"),
    ):  # fmt: skip
        (project / "spec.json").write_text(json.dumps(folder_spec(text)))
        for here, name in (
            (project, "spec.json"),
            (elsewhere, "../project/spec.json"),
            (tmp_path, str(project / "spec.json")),
        ):
            monkeypatch.chdir(here)
            assert Path(RunSpec.read(Path(name)).dataset.path).resolve() == meant.resolve(), (text, here)
            assert os.path.isabs(RunSpec.read(Path(name)).dataset.path)


def test_links_stay_links(tmp_path: Path) -> None:
    (tmp_path / "monday").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "monday")
    assert Folder(path="latest").located(tmp_path).path == str(tmp_path / "latest")


def test_no_path_is_no_path(tmp_path: Path) -> None:
    assert Folder().located(None) == Folder()
    assert Folder(path="  ").located(tmp_path).path == "  "
    assert Folder(path="import:0123456789abcdef").located(None).path == "import:0123456789abcdef", (
        "the name of an upload"
    )


def test_what_is_submitted_holds_absolute_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spec.json").write_text(json.dumps(folder_spec("imgs")))
    monkeypatch.chdir(tmp_path)
    run_id = runs.submit(RunSpec.read(Path("spec.json")), launch=False)
    stored = runs.folder(run_id).spec_path
    assert json.loads(stored.read_text())["dataset"]["path"] == str(tmp_path / "imgs")
    assert runs.run(run_id).spec["dataset"]["path"] == str(tmp_path / "imgs"), "what is shown"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    runs.cancel(run_id)
    runs.resume(run_id, launch=False)
    assert RunSpec.read_submitted(stored).dataset.path == str(tmp_path / "imgs"), "resumed from another folder"
    assert RunSpec.read(stored).dataset.path == str(tmp_path / "imgs"), "downloaded and given again"


def test_a_path_that_starts_nowhere_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good, bad = RunSpec.from_json({"dataset": "shapes"}), RunSpec.from_json(folder_spec("imgs"))
    with pytest.raises(
        ParameterError, match=r"path is 'imgs', a relative path, and nothing says in which folder.*Write the whole path"
    ):
        runs.submit_many([good, bad], launch=False)
    assert runs.runs() == [], "nothing is queued"
    old = tmp_path / "spec.json"
    old.write_text(json.dumps(bad.to_json()))
    with pytest.raises(ParameterError, match="a relative path"):
        RunSpec.read_submitted(old)
    with pytest.raises(ParameterError, match="NUL"):
        RunSpec.from_json(folder_spec("/a\0b")).located(None)


def test_every_declared_path_of_every_method_is_located(tmp_path: Path) -> None:
    """A text parameter whose words speak of a file or folder is declared as a path."""
    found = 0
    for catalogue in catalogues().values():
        for entry in catalogue.values():
            for p in entry.parameters():
                if p.kind == "text" and not p.path:
                    assert "path" not in p.name, f"{entry.key}.{p.name}"
                    assert not {"folder", "file"} & set(p.help.lower().replace(".", " ").split()), (
                        f"{entry.key}.{p.name}"
                    )
                if p.path:
                    found += 1
                    assert getattr(entry(**{p.name: "a/b"}).located(tmp_path), p.name) == str(tmp_path / "a" / "b")
    assert found


def test_options_start_in_the_folder_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["poison", "cuda", "--data", "folder", "--data-path", "imgs", "--out", "o.npz"]) == 2
    assert repr(str(tmp_path / "imgs")) in capsys.readouterr().err


def test_a_spec_with_names_that_are_not_utf8_is_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"/data/\xe4pfel")
    spec = RunSpec.from_json(folder_spec(name))
    run_id = runs.submit(spec, launch=False)
    assert RunSpec.read_submitted(runs.folder(run_id).spec_path) == spec
    assert len(spec.key()) == 12


# ---------------------------------------------------------------- text of other systems

VALUE = {"dataset": "shapes", "note": "Größe, 大小, 🙂"}
TEXT = json.dumps(VALUE, indent=2, ensure_ascii=False)
ENCODED = {
    "UTF-8": TEXT.encode(),
    "UTF-8 with a mark": codecs.BOM_UTF8 + TEXT.encode(),
    "UTF-16 LE with a mark": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "UTF-16 BE with a mark": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "UTF-16 LE": TEXT.encode("utf-16-le"),
    "UTF-16 BE": TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "CRLF": TEXT.replace("\n", "\r\n").encode(),
    "CR": TEXT.replace("\n", "\r").encode(),
    "Notepad": codecs.BOM_UTF16_LE + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
}


@pytest.mark.parametrize("name", list(ENCODED))
def test_text_of_every_system(name: str, tmp_path: Path) -> None:
    assert read_json(ENCODED[name], "This") == VALUE
    (tmp_path / "spec.json").write_bytes(ENCODED[name])
    assert RunSpec.read(tmp_path / "spec.json") == RunSpec.from_json(VALUE)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            '{"dataset":\n "größe"}'.encode("latin-1"),
            r"as UTF-8 the byte 0xf6 in line 2 makes no sense\. .*save it as UTF-8",
        ),
        (codecs.BOM_UTF16_LE + b"{", "as UTF-16"),
        (codecs.BOM_UTF8 + b"\xff{", "as UTF-8 the byte 0xff"),
        (b"\x89PNG\r\n", "0x89"),
    ],
)
def test_no_text(content: bytes, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_json(content, "This")
