"""A run with a defence that is trained beforehand: what it reports, and whose set it is when it was ended early."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ued_core.analysis.purification import measure_separation, psnr
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.defenses.purified import Workshop, ask_enough, early_of
from ued_core.runs import RunSpec
from ued_core.runs.folder import RunFolder
from ued_core.runs.pipeline import execute
from ued_core.runs.record import read_record
from ued_core.runs.result import RunResult

QUICK = {"name": "dvae", "epochs": 2, "width": 4, "batch_size": 100}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


def small(spec_of: Callable[..., RunSpec], **more: Any) -> RunSpec:
    return spec_of(**{"epochs": 1, "attack": "class_noise", "defenses": [QUICK, "greyscale"], "device": "cpu", **more})


def test_run_on_a_purified_set(spec_of: Callable[..., RunSpec]) -> None:
    spec = small(spec_of, poison_rate=0.5)
    result = execute(spec, Context())
    assert RunResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result
    clean = load_split(spec.dataset, Context()).train
    published = spec.attack.poison(clean, Context(seed=spec.attack_seed), 0.5).as_training_set()
    dvae, greyscale = spec.defenses
    kept = dvae.kept(published)
    assert not torch.equal(kept.images, published.images)
    trained_on = greyscale.purify(published.with_images(kept.images), Context())
    assert result.data.trained_on_hash == trained_on.content_hash
    (report,) = result.purification
    found = report.to_json()
    assert {name: found[name] for name in ("name", *kept.log)} == {"name": "dvae", **kept.log}
    assert [stage["target"] for stage in found["stages"]] == [1.0, 3.0]
    # What greyscale does afterwards is not D-VAE's.
    assert report.psnr_clean == pytest.approx(psnr(kept.images, clean.images))
    assert report.psnr_input == pytest.approx(psnr(kept.images, published.images))
    network = dvae.trained(published, kept, 1)
    measured = measure_separation(network, clean.images, published, Context()).to_json()
    assert report.separation.to_json() == pytest.approx({"images": len(clean), **measured}, rel=1e-5)
    # Another run on the same set does not purify it again, whatever its own seed is.
    told: list[str] = []
    again = execute(
        small(spec_of, poison_rate=0.5, seed=5), Context(on_report=lambda done, total, text: told.append(text))
    )
    assert "D-VAE: purified before, read from the disk" in told
    assert again.data.trained_on_hash == result.data.trained_on_hash


def test_other_runs_have_no_purification(spec_of: Callable[..., RunSpec]) -> None:
    assert execute(small(spec_of, defenses=["greyscale"]), Context()).purification == []


def test_what_is_not_defined_is_left_out(spec_of: Callable[..., RunSpec]) -> None:
    """Nothing survives of a perturbation that is not there, and images that were left alone are infinitely near."""
    result = execute(small(spec_of, attack=None), Context())
    (report,) = result.purification
    assert report.psnr_clean == report.psnr_input
    assert report.separation.nats > 0
    assert {"surviving", "found", "found_elsewhere"}.isdisjoint(report.separation.to_json())
    assert RunResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result
    # Of the images that the attack leaves alone the published ones are the clean ones.
    left = execute(small(spec_of, poison_rate=0.5, train_on="clean"), Context())
    assert left.purification[0].psnr_clean == left.purification[0].psnr_input


def test_a_set_that_was_ended_early_belongs_to_its_run(
    spec_of: Callable[..., RunSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small(spec_of, defenses=[QUICK])
    clean = load_split(spec.dataset, Context()).train
    published = spec.attack.poison(clean, Context(seed=spec.attack_seed)).as_training_set()
    folder = spec.defenses[0].folder(published.content_hash)
    real = Workshop.show

    def show(self: Workshop, log: Any, pictures: Any) -> None:
        real(self, log, pictures)
        if [len(stage["trace"]) for stage in log["stages"]] == [1]:
            ask_enough(folder)

    run = RunFolder(tmp_path / "home" / "runs" / "20260101-000000-abcdef")
    run.path.mkdir(parents=True)
    with monkeypatch.context() as patched:
        patched.setattr(Workshop, "show", show)
        result = execute(spec, Context(), partial=run.partial)
    assert result.purification[0].to_json()["stopped_early"] == "stage 1 after 1 of 2 epochs"
    assert early_of(folder).exists()
    assert not folder.exists()
    assert read_record(run).stopped_early == "stage 1 after 1 of 2 epochs"
    resumed = execute(spec, Context(), partial=run.partial)
    assert resumed.data.trained_on_hash == result.data.trained_on_hash
    other = execute(spec, Context(), partial=tmp_path / "other")
    assert other.data.trained_on_hash != result.data.trained_on_hash
    assert "stopped_early" not in other.purification[0].to_json()
