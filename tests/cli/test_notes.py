"""What was skipped or changed while the user's images were read is said by every command, on standard error."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runs.conftest import end_all
from ued_core.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    for name, value in {"UED_HOME": tmp_path / "home", "UED_IDLE_S": 2, "UED_SLOTS": 1, "UED_THREADS": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    end_all(tmp_path / "home")


@pytest.fixture
def pictures(tmp_path):
    """Two classes of pictures of 40 × 30; one is cut off, one is grey, and there is a text."""
    rng = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(6):
            file = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(file, "PNG")
            data = file.getvalue()
            (tmp_path / "set" / name / f"{index}.png").write_bytes(data[:-90] if (name, index) == ("a", 5) else data)
        Image.new("L", (40, 30), 99).save(tmp_path / "set" / name / "grey.png")
        (tmp_path / "set" / name / "notes.txt").write_text("x")
    return tmp_path / "set"


WORDS = ["Skipped 2: not a PNG", "Skipped 1: damaged, cannot be decoded (a/5.png)", "Converted 2: grey → RGB"]
WORDS += ["Cut 13 to the centred square: 25 %", "Resized 13: 40 × 30 → 32 × 32", "can take it out"]


def spec(pictures, **more):
    path = pictures.parent / "spec.json"
    given = {"dataset": {"name": "folder", "path": str(pictures)}, "attack": "cuda", "model": "small_cnn"}
    path.write_text(json.dumps({**given, "plan": {"name": "adamw", "epochs": 1}, **more}))
    return path


def told(capsys, *words):
    capsys.readouterr()
    code = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert not [word for word in WORDS if word in out]
    return [word for word in WORDS if word in err], err


def test_commands_that_write(capsys, pictures, tmp_path):
    data = ("--data", "folder", "--data-path", pictures)
    for words in (
        ("poison", "cuda", *data, "--out", tmp_path / "p.npz"),
        ("defend", "coin", *data, "--out", tmp_path / "d.npz"),
        ("export", spec(pictures), "--to", "npz", tmp_path / "e.npz"),
    ):
        for attempt in ("read", "from the cache"):
            found, err = told(capsys, *words)
            assert found == WORDS, (words[0], attempt)
            assert len(err.splitlines()) == len(WORDS), "each once"
    (tmp_path / "noise.npy").parent.mkdir(exist_ok=True)
    np.save(tmp_path / "noise.npy", np.zeros((10, 3, 32, 32), np.float32))
    assert told(capsys, "inspect", tmp_path / "noise.npy", *data)[0] == WORDS


def test_a_run_that_is_waited_for(capsys, pictures):
    assert told(capsys, "train", spec(pictures), "--wait")[0] == WORDS


def test_what_training_costs(capsys, pictures):
    assert told(capsys, "train", spec(pictures, attack={"name": "em"}), "--dry-run")[0] == WORDS


def test_names_that_are_no_text(tmp_path, pictures):
    """Bytes of any kind in class folders, files and the path itself, through the whole command line."""
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    pictures.rename(strange)
    (strange / "a").rename(strange / os.fsdecode(b"\xc3\x28"))
    (strange / "b" / os.fsdecode(b"l\xe9gende.txt")).write_text("x")
    words = ["poison", "cuda", "--data", "folder", "--data-path", strange, "--out", tmp_path / os.fsdecode(b"\xe9.npz")]
    done = subprocess.run([sys.executable, "-m", "ued_core", *words], capture_output=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "l\ufffdgende.txt" in done.stderr.decode("utf-8")
    with np.load(tmp_path / os.fsdecode(b"\xe9.npz")) as written:
        assert written["class_names"].tolist() == ["b", "\ufffd("]
    done = subprocess.run(
        [sys.executable, "-m", "ued_core", *words[:5], strange / "gone", *words[6:]], capture_output=True, cwd=ROOT
    )
    assert done.returncode == 2
    assert "caf\ufffd" in done.stderr.decode("utf-8")
