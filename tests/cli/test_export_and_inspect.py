"""The commands inspect and export, and the export that a page asks for."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS, load_split, read_npz, read_npz_json
from ued_core.data.poison_files import load
from ued_core.errors import SpecError
from ued_core.runs.spec import RunSpec
from ued_core.studies import export as exports

SHAPES = {"name": "shapes", "train_size": 200, "test_size": 100}
SPEC = {
    "dataset": SHAPES,
    "attack": {"name": "cuda", "blur": 0.4},
    "attack_seed": 5,
    "poison_rate": 0.5,
    "defenses": ["coin"],
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    return path


def expected() -> torch.Tensor:
    train = load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train
    return ATTACKS.build("cuda", blur=0.4).poison(train, Context(seed=5), 0.5).images


@pytest.mark.parametrize(("kind", "name"), [("npz", "a.npz"), ("folder", "a.zip"), ("em", "a.pt")])
def test_export_and_back(run: Run, spec: Path, tmp_path: Path, kind: str, name: str) -> None:
    out = tmp_path / name
    code, told, err = run("export", spec, "--to", kind, out)
    assert (code, err) == (0, "")
    train = load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train
    imported = load(out, train)
    assert torch.equal(imported.onto(train).images, expected())
    kept = json.loads((tmp_path / "a.recipe.json").read_text()) if kind == "em" else imported.recipe
    assert (kept["seed"], kept["poison_rate"], kept["data"]["part"]) == (5, 0.5, "train")
    assert ATTACKS.parse(kept["attack"]) == ATTACKS.build("cuda", blur=0.4)
    assert DATASETS.parse(kept["data"]["dataset"]) == DATASETS.parse(SHAPES)
    assert f"200 images, {kept['poisoned_images']} poisoned, before the defences" in told


def test_export_of_some_classes(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "some.json"
    path.write_text(json.dumps({**SPEC, "poison_rate": 1.0, "poison_classes": [1, 3]}))
    assert run("export", path, "--to", "npz", tmp_path / "a.npz")[0] == 0
    train = load_split(DATASETS.build("shapes", train_size=200, test_size=100), Context()).train
    changed = (read_npz(tmp_path / "a.npz").images != train.images).flatten(1).any(1)
    assert set(train.labels[changed].tolist()) == {1, 3}
    assert read_npz_json(tmp_path / "a.npz")["poison_classes"] == [1, 3]


def test_export_refuses(run: Run, spec: Path, tmp_path: Path) -> None:
    code, out, err = run("export", spec, "--to", "npz", tmp_path / "a.zip")
    assert (code, out) == (2, "")
    assert "end in '.npz'" in err
    spec.write_text(json.dumps({"dataset": SHAPES}))
    code, _, err = run("export", spec, "--to", "npz", tmp_path / "a.npz")
    assert code == 2
    assert "names no attack" in err
    assert run("export", spec, "--to", "jpeg", tmp_path / "a.npz")[0] == 2
    assert not (tmp_path / "a.npz").exists()


def test_inspect(run: Run, spec: Path, tmp_path: Path) -> None:
    run("export", spec, "--to", "em", tmp_path / "perturbation.pt")
    code, out, err = run("inspect", tmp_path / "perturbation.pt")
    assert (code, err) == (0, "")
    assert "EM perturbation.pt" in out
    assert "Missing" in out
    small = ("--data", "shapes", "--data-train-size", 200, "--data-test-size", 100)
    code, out, err = run("inspect", tmp_path / "perturbation.pt", *small)
    assert (code, err) == (0, "")
    assert "EM's loader" in out
    assert "100.0 % of the darkened values are lost" in out
    code, out, err = run("inspect", tmp_path / "perturbation.pt", *small, "--json")
    told = json.loads(out)
    assert (told["format"], told["per"], told["shape"]) == ("em", "sample", [200, 3, 32, 32])
    assert told["loaders"]["em"]["lowered_lost"] == 1.0
    assert told["loaders"]["em_signed"]["lowered_lost"] < 1.0
    assert told["content_hash"]


def test_inspect_with_corrections_and_refusals(run: Run, tmp_path: Path) -> None:
    with open(tmp_path / "noise.pkl", "wb") as file:
        pickle.dump(np.ones((12, 3, 8, 8), np.int8), file)
    assert "one per class" in run("inspect", tmp_path / "noise.pkl")[1]
    assert "one per training image" in run("inspect", tmp_path / "noise.pkl", "--per", "sample", "--radius", 4)[1]
    code, _, err = run("inspect", tmp_path / "noise.pkl", "--layout", "NHWC")
    assert code == 2
    assert "8 channels" in err
    code, _, err = run("inspect", tmp_path / "nothing")
    assert code == 2
    assert "There is no file" in err
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(print))
    code, _, err = run("inspect", tmp_path / "bad.pkl")
    assert code == 2
    assert "builtins.print" in err


def test_export_for_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = RunSpec.from_json(SPEC)
    told: list[float] = []
    monkeypatch.setattr(exports, "_TOLD_EVERY_S", 0.0)
    write = exports.write_json

    def watched(path: Path, value: object) -> None:
        write(path, value)
        told.append(exports.export_progress(made, "folder").done)

    monkeypatch.setattr(exports, "write_json", watched)
    assert exports.export_progress(made, "folder") == (0.0, "")
    written = exports.export_for_download(made, "folder")
    assert Path(written.files[0]).name == "shapes_cuda_5.zip"
    assert zipfile.is_zipfile(written.files[0])
    assert (written.images, len(told) > 0) == (200, True)
    assert all(0 <= done <= 1 for done in told)
    other = RunSpec.from_json({**SPEC, "seed": 99, "model": "small_cnn"})
    assert exports.export_folder(other, "folder") == exports.export_folder(made, "folder"), (
        "model and seed do not change the poison"
    )
    assert exports.export_folder(RunSpec.from_json({**SPEC, "attack_seed": 6}), "folder") != exports.export_folder(
        made, "folder"
    )
    for seed in range(exports.KEPT + 2):
        exports.export_for_download(RunSpec.from_json({**SPEC, "attack_seed": seed}), "em")
    assert len(list((tmp_path / "home" / "exports").iterdir())) == exports.KEPT
    with pytest.raises(SpecError):
        exports.export_for_download(RunSpec.from_json({"dataset": SHAPES}), "npz")


@pytest.mark.parametrize(("kind", "name"), [("npz", "p.npz"), ("folder", "p.zip"), ("em", "p.pt")])
def test_no_export_names_a_path_of_the_machine(run: Run, tmp_path: Path, kind: str, name: str) -> None:
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(8):
        folder = tmp_path / "my secret place" / "set" / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    spec = tmp_path / "folder.json"
    spec.write_text(json.dumps({"dataset": {"name": "folder", "path": "my secret place/set"}, "attack": "cuda"}))
    code, _, err = run("export", spec, "--to", kind, tmp_path / "out" / name)
    assert code == 0, err
    for path in (tmp_path / "out").iterdir():
        content = path.read_bytes()
        assert not any("secret".encode(code) in content for code in ("utf-8", "utf-32-le")), path.name


def test_a_dry_run_says_what_is_skipped_and_refuses_what_cannot_be_used(run: Run, tmp_path: Path) -> None:
    spec = tmp_path / "s.json"
    spec.write_text(json.dumps({"dataset": {"name": "npz", "path": "a.npz"}}))
    code, _, err = run("train", spec, "--dry-run")
    assert code == 2
    assert "There is no file or folder" in err
    np.savez(tmp_path / "a.npz", images=np.zeros((10, 8, 8, 3), np.uint8), labels=np.arange(10) % 2)
    code, _, err = run("train", spec, "--dry-run")
    assert code == 0
    assert "The test part was split from a.npz" in err
