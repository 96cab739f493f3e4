"""The central phenomenon, trained anew: slow, on a seed that no stored table uses."""

import pytest

from ued_core.context import Context
from ued_core.runs.pipeline import execute
from ued_core.runs.spec import RunSpec

pytestmark = pytest.mark.slow
SEED = 7


def run(tmp_path, monkeypatch, **choices):
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    shared = {"dataset": {"name": "shapes", "seed": SEED}, "seed": SEED, "attack_seed": SEED, "device": "cpu"}
    return execute(RunSpec.from_json({**shared, **choices}), Context())


def test_cuda_collapses_and_coin_brings_a_large_part_back(tmp_path, monkeypatch):
    clean = run(tmp_path, monkeypatch)
    poisoned = run(tmp_path, monkeypatch, attack="cuda")
    defended = run(tmp_path, monkeypatch, attack="cuda", defenses=["coin"])
    assert clean.last >= 0.93
    assert poisoned.train_accuracy >= 0.95
    assert poisoned.last <= 0.6
    assert defended.last >= max(0.6, poisoned.last + 0.15)
    probe = poisoned.probe
    assert probe.own_accuracy >= 0.9
    assert probe.clean_accuracy == pytest.approx(poisoned.last, abs=0.01)
