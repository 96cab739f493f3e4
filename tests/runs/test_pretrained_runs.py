"""Whole runs of pre-trained networks: what is kept, what is stored, and what goes on after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ued_core.artefacts import FEATURES
from ued_core.context import Context
from ued_core.errors import Cancelled, NotAllowed, Unavailable
from ued_core.models import Lite0
from ued_core.person import Person
from ued_core.runs import RunSpec
from ued_core.runs.permission import check_spec
from ued_core.runs.pipeline import execute
from ued_core.runs.result import RunResult

DATA = {"name": "shapes", "train_size": 400, "test_size": 300}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path


def spec(**changes: Any) -> RunSpec:
    plan = {"name": "adamw", "epochs": 3, "learning_rate": 0.01}
    model = {"name": "lite0", "side": 32}
    return RunSpec.from_json({"dataset": DATA, "model": model, "plan": plan, "device": "cpu", **changes})


def test_a_probe_computes_the_features_of_every_set_once(own_home: Path) -> None:
    weights = own_home / "weights.safetensors"
    first = execute(spec(attack="cuda"), Context(), weights=weights)
    assert first.initial_weights == {"file": Lite0.published.name, "sha256": Lite0.published.sha256}
    assert RunResult.from_json(first.to_json()).initial_weights == first.initial_weights
    # Poisoned training set and test set, and the probe's test images with the noise of their own and of another class.
    kept = {entry.path for entry in FEATURES.entries()}
    assert len(kept) == 4
    again = execute(spec(attack="cuda", seed=1), Context())
    changed = {entry.path for entry in FEATURES.entries()} - kept
    assert len(changed) <= 1, "another seed draws other wrong classes for the probe, and nothing else is new"
    assert (first.data.trained_on_hash, again.data.trained_on_hash) == (first.data.trained_on_hash,) * 2
    network = spec().model.build((3, 32, 32), 10, torch.Generator())
    network.load_state_dict(load_file(weights))


def test_defences_that_act_on_batches_are_seen_by_a_probe() -> None:
    plain, coin = (execute(spec(plan={"name": "adamw", "epochs": 1}, defenses=d), Context()) for d in ([], ["coin"]))
    assert plain.history[0].numbers["loss"] != coin.history[0].numbers["loss"]
    assert coin.data.trained_on_hash == plain.data.trained_on_hash


@pytest.mark.parametrize("mode", ["probe", "fine_tune"])
def test_a_stopped_run_goes_on_where_it_was(mode: str, own_home: Path) -> None:
    small = {"name": "shapes", "train_size": 100, "test_size": 50}
    wanted = spec(dataset=small, model={"name": "lite0", "side": 32, "mode": mode})
    whole, path = execute(wanted, Context()), own_home / "checkpoint.pt"
    rows: list[dict[str, float]] = []

    def stop() -> bool:
        return len(rows) >= 2

    with pytest.raises(Cancelled):
        execute(wanted, Context(stop=stop), checkpoint=path, on_epoch=rows.append)
    resumed = execute(wanted, Context(), checkpoint=path)
    for a, b in zip(whole.history, resumed.history, strict=True):
        assert a.numbers["loss"] == b.numbers["loss"]
        assert a.numbers["test_accuracy"] == b.numbers["test_accuracy"]


def test_a_missing_file_of_weights_ends_the_run_with_its_name(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(own_home))
    with pytest.raises(Unavailable, match=r"convnext_tiny-983f1562\.pth"):
        execute(spec(model={"name": "convnext_tiny", "side": 32}), Context())


def test_a_file_of_ones_own_is_absolute_in_the_spec_and_not_for_visitors(own_home: Path) -> None:
    own = spec(model={"name": "lite0", "side": 32, "weights": "mine.pth"})
    located = own.located(own_home)
    assert located.model.to_json()["weights"] == str(own_home / "mine.pth")
    assert located.key() != spec().key()
    with pytest.raises(NotAllowed):
        check_spec(located, Person("v1", "Ada"))
