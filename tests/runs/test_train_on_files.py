"""What ``poison`` and ``defend`` write is trained on, with the result of the run that poisons by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ued_core.cli import main
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.runs.pipeline import execute
from ued_core.runs.result import RunResult
from ued_core.runs.spec import RunSpec

SHORT = {"plan": {"name": "adamw", "epochs": 2, "batch_size": 64}, "device": "cpu", "seed": 1}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def trained(tmp_path: Path, **spec: Any) -> RunResult:
    (tmp_path / "spec.json").write_text(json.dumps({**SHORT, **spec}))
    return execute(RunSpec.read(tmp_path / "spec.json"), Context())


def rows(result: RunResult) -> list[dict[str, float]]:
    return [
        {name: value for name, value in row.numbers.items() if name not in ("seconds", "images_per_s")}
        for row in result.history
    ]


def test_a_poisoned_file_gives_the_run_that_poisons_by_itself(tmp_path: Path) -> None:
    """The clean test part is that of the data set that the file names, or a file of its own: both are the same
    images."""
    direct = trained(tmp_path, dataset="digits", attack="cuda", attack_seed=5)
    assert main(["poison", "cuda", "--data", "digits", "--seed", "5", "--out", "p.npz"]) == 0
    assert main(["data", "--data", "digits", "--part", "test", "--out", "t.npz"]) == 0
    for files in ({"path": "p.npz"}, {"path": "p.npz", "test_path": "t.npz"}):
        found = trained(tmp_path, dataset={"name": "npz", **files})
        assert found.data.trained_on_hash == direct.data.trained_on_hash
        assert rows(found) == rows(direct)
        assert found.last == direct.last
        assert found.data.test == direct.data.test


def test_a_run_tested_on_poisoned_images_says_so_in_its_record(tmp_path: Path) -> None:
    assert main(["poison", "region", "--data", "digits", "--out", "p.npz"]) == 0
    assert main(["data", "--data", "p.npz", "--out", "q.npz"]) == 0
    assert main(["poison", "region", "--data", "q.npz", "--data-size", "16", "--out", "r.npz"]) == 0
    with pytest.raises(DataError, match="test images were changed by region, so accuracy"):
        trained(tmp_path, dataset={"name": "npz", "path": "r.npz", "test_path": "q.npz"})
    found = trained(
        tmp_path, dataset={"name": "npz", "path": "r.npz", "test_path": "q.npz", "size": 16, "split_poisoned": True}
    )
    assert any(note.startswith("NOT CLEAN") for note in found.data.notes)


def test_titles_name_the_file_and_claim_nothing(tmp_path: Path) -> None:
    spec = RunSpec.from_json({"dataset": {"name": "npz", "path": "/a/p.npz"}})
    assert spec.title() == "p.npz · as given · Small CNN"
    assert (
        RunSpec.from_json({"dataset": {"name": "npz", "path": "import:0123456789abcdef"}}).title()
        == "npz file · as given · Small CNN"
    )


def test_files_of_one_size_only_train(tmp_path: Path) -> None:
    """MNIST's 28 × 28, as its files are published."""
    from tests.data.test_idx_set import publish

    publish(tmp_path / "mnist", packed=True)
    found = trained(tmp_path, dataset={"name": "idx", "path": "mnist"}, attack="cuda", defenses=["coin"])
    assert (found.data.train, found.data.test) == (20, 6)
