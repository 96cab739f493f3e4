"""Weights of every epoch: exact, bounded, of one history, and loaded with clear errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ued_core.context import Context
from ued_core.data import load_split
from ued_core.errors import Cancelled, RunError
from ued_core.files import write_json
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.pipeline import execute
from ued_core.runs.result import RunResult
from ued_core.runs.weights import EpochWeights, kept_epochs, network_at, size_of, stored_epochs
from ued_core.training import accuracy


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec_of: Callable[..., RunSpec]) -> tuple[RunFolder, RunSpec]:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    spec = spec_of(
        epochs=3, seed=4, attack="cuda", device="cpu", plan={"name": "adamw", "epochs": 3, "precision": "float32"}
    )
    folder = RunFolder(tmp_path / "20261121-000000-000-0000")
    folder.path.mkdir()
    write_json(folder.spec_path, spec.to_json())
    return folder, spec


def trained(folder: RunFolder, spec: RunSpec, ctx: Context | None = None, **more: object) -> RunResult:
    return execute(spec, ctx or Context(), weights=folder.weights, epoch_folder=folder.epoch_folder, **more)


def contents(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.epoch_folder.iterdir())}


def test_every_epoch_is_there_and_gives_its_accuracy(run: tuple[RunFolder, RunSpec]) -> None:
    folder, spec = run
    result = trained(folder, spec)
    assert stored_epochs(folder) == (0, 1, 2, 3)
    assert list(contents(folder)) == [f"epoch_00{epoch}.safetensors" for epoch in range(4)]
    split = load_split(spec.dataset, Context())
    for row in result.history:
        network = network_at(folder, row.epoch)
        assert not network.training
        assert accuracy(network, split.test, Context()) == row.test_accuracy
    start = spec.model.build(
        split.train.shape, split.train.classes, Context(seed=spec.seed).generator("weights", device="cpu")
    )
    before = network_at(folder, 0).state_dict()
    assert all(torch.equal(value, before[name]) for name, value in start.state_dict().items()), (
        "epoch 0 is before training"
    )
    last = network_at(folder, 3).state_dict()
    assert all(torch.equal(value, last[name]) for name, value in load_file(folder.weights).items())


def test_keeping_weights_changes_nothing(run: tuple[RunFolder, RunSpec], tmp_path: Path) -> None:
    folder, spec = run
    trained(folder, spec)
    execute(spec, Context(), weights=tmp_path / "plain.safetensors")
    assert (tmp_path / "plain.safetensors").read_bytes() == folder.weights.read_bytes()


def test_a_resumed_run_has_the_files_of_one_history(run: tuple[RunFolder, RunSpec], tmp_path: Path) -> None:
    folder, spec = run
    trained(folder, spec)
    whole = contents(folder)
    again = RunFolder(tmp_path / "20261121-000000-000-0001")
    again.path.mkdir()
    reached: list[float] = []
    stopping = Context(stop=lambda: len(reached) >= 2)
    checkpoint = tmp_path / "c.pt"
    with pytest.raises(Cancelled):
        trained(again, spec, stopping, checkpoint=checkpoint, on_epoch=lambda row: reached.append(row["epoch"]))
    assert stored_epochs(again) == (0, 1, 2)
    # What an execution that died after its last checkpoint has left: another history's later epochs.
    for epoch in (2, 3):
        save_file({"x": torch.zeros(1)}, again.epoch_folder / f"epoch_{epoch:03d}.safetensors")
    trained(again, spec, checkpoint=checkpoint)
    assert contents(again) == whole


def test_a_fresh_start_removes_what_was_there(run: tuple[RunFolder, RunSpec]) -> None:
    folder, spec = run
    network = spec.model.build((3, 32, 32), 10, torch.Generator())
    folder.epoch_folder.mkdir()
    (folder.epoch_folder / "epoch_007.safetensors").write_bytes(b"old")
    EpochWeights(folder.epoch_folder, spec.key(), (3, 32, 32), 3)(0, network)
    assert stored_epochs(folder) == (0,)
    assert [path.name for path in folder.epoch_folder.iterdir()] == ["epoch_000.safetensors"], (
        "no temporary file is left"
    )


def test_large_networks_keep_evenly_spaced_epochs() -> None:
    assert kept_epochs(3, 1000) == (0, 1, 2, 3)
    assert kept_epochs(10, 100, most=600) == (0, 2, 4, 6, 8, 10)
    assert kept_epochs(10, 100, most=450) == (0, 3, 7, 10)
    assert kept_epochs(10, 1000, most=1) == (0, 10), "start and end, whatever they weigh"
    assert kept_epochs(0, 10) == (0,)
    for epochs in (1, 7, 60, 200):
        for size in (300_000, 3_900_000, 45_000_000):
            kept = kept_epochs(epochs, size)
            assert (kept[0], kept[-1]) == (0, epochs)
            assert len(kept) == len(set(kept))
            assert len(kept) * size <= 200_000_000
            gaps = {after - before for before, after in zip(kept, kept[1:], strict=False)}
            assert max(gaps) - min(gaps) <= 1


def test_size_by_hand(run: tuple[RunFolder, RunSpec]) -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    assert size_of(network) == 4 * (6 + 2 + 2 + 2 + 2 + 2) + 8


def test_errors_say_what_there_is(run: tuple[RunFolder, RunSpec]) -> None:
    folder, spec = run
    with pytest.raises(RunError, match="no weights of epoch 2.*before weights were kept"):
        network_at(folder, 2)
    trained(folder, spec)
    with pytest.raises(RunError, match=r"no weights of epoch 9\. It has those of epochs 0 to 3"):
        network_at(folder, 9)
    (folder.epoch_folder / "epoch_001.safetensors").unlink()
    with pytest.raises(RunError, match=r"It has those of epochs 0, 2, 3\."):
        network_at(folder, 1)
    path = folder.epoch_folder / "epoch_002.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(RunError, match="epoch 2 of the run .* cannot be used"):
        network_at(folder, 2)
    other = {**spec.to_json(), "model": {"name": "small_cnn", "width": 8}}
    write_json(folder.spec_path, other)
    with pytest.raises(RunError, match="cannot be used"):
        network_at(folder, 3)
