"""A run whose folder somebody deletes while it is executed ends, and does not come back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
import torch

from ued_core import runs
from ued_core.files import write_atomic, write_json
from ued_core.models import MODELS
from ued_core.runs import RunFolder
from ued_core.runs.weights import EpochWeights, save_weights
from ued_core.runs.worker import GONE, Stopper, claim, work

LONG = 1000


def test_the_worker_ends_and_the_next_run_has_its_slot(home, spec_of, until, pids) -> None:
    first, second = runs.submit_many([spec_of(epochs=LONG), spec_of(epochs=2, seed=1)])
    until(first, lambda r: r.epoch >= 2)
    [worker] = pids("worker")
    folder = home / "runs" / first
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        shutil.rmtree(folder, ignore_errors=True)
    assert [record.id for record in runs.runs()] == [second]
    worker.wait(10)
    assert runs.wait(second, 60).state == "finished"
    assert [record.id for record in runs.runs()] == [second], "it does not come back"
    assert not folder.exists()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path, {"plan": {"epochs": 5}}, {"title": "a title", "key": "k", "created": 9.0})


def test_nothing_that_a_worker_writes_makes_the_folder_again(folder: RunFolder) -> None:
    assert claim(folder, 1) == 1
    network = MODELS["small_cnn"](width=4).build((3, 8, 8), 2, torch.Generator())
    keeper = EpochWeights(folder.epoch_folder, "k", (3, 8, 8), 3)
    shutil.rmtree(folder.path)
    writers = [
        lambda: folder.write_error("what", "do", "kind"),
        lambda: write_json(folder.result_path, {}, parents=False),
        lambda: write_atomic(folder.checkpoint, lambda path: None, parents=False),
        lambda: save_weights(folder.weights, network, {}),
        lambda: keeper(0, network),
        lambda: folder.heartbeat.touch(),
        lambda: folder.reserve(),
    ]
    for write in writers:
        with pytest.raises(FileNotFoundError):
            write()
    assert not folder.path.exists()


@pytest.mark.parametrize("ends", ["cancelled", "broken", "finished"])
def test_what_a_deletion_left_is_removed_however_the_work_ends(folder: RunFolder, monkeypatch, ends: str) -> None:
    """Between the two steps of a deletion a heartbeat may have come: the folder could not be removed."""
    from ued_core.errors import Cancelled
    from ued_core.runs import worker

    def compute(*_: object) -> dict[str, float]:
        shutil.rmtree(folder.path)
        folder.path.mkdir()
        folder.heartbeat.touch()
        if ends == "finished":
            return {"seconds": 1.0, "last": 0.5}
        raise Cancelled if ends == "cancelled" else OSError("no such folder")

    assert claim(folder, 1) == 1
    monkeypatch.setattr(worker, "compute", compute)
    assert work(folder, Stopper(folder), 1, 1) == GONE
    assert not folder.path.exists()
