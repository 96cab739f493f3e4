"""What a hacker may do with published images: labels of their own, and the clean part alone as a control."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ued_core.attacks import ATTACKS
from ued_core.attacks.base import touched_rows
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.data.relabel import Blocks, Modulo
from ued_core.errors import DataError, SpecError
from ued_core.records import ImageSet
from ued_core.runs import RunSpec
from ued_core.runs import pipeline as module
from ued_core.runs.pipeline import execute
from ued_core.training import Job, predict

PLAN = {"name": "adamw", "epochs": 1, "precision": "float32", "learning_rate": 0.02}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


@pytest.fixture
def job_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunSpec], Job]:
    """The job that the pipeline hands to training."""

    def catch(spec: RunSpec) -> Job:
        class Caught(Exception):
            pass

        jobs: list[Job] = []

        def stop(job: Job, ctx: Context) -> None:
            jobs.append(job)
            raise Caught

        monkeypatch.setattr(module, "train", stop)
        with pytest.raises(Caught):
            execute(spec, Context())
        return jobs[0]

    return catch


def small(spec_of: Callable[..., RunSpec], **more: Any) -> RunSpec:
    return spec_of(**{"plan": PLAN, "device": "cpu", **more})


def test_the_poison_is_made_with_the_labels_of_the_data_set(
    spec_of: Callable[..., RunSpec], job_of: Callable[[RunSpec], Job]
) -> None:
    """Class noise depends on the labels, so a map that came first would give other images."""
    spec = small(spec_of, attack="class_noise", attack_seed=4)
    split = load_split(spec.dataset, Context())
    poisoned = spec.attack.poison(split.train, Context(seed=4))
    job = job_of(spec.with_values(relabel=Blocks(classes=2)))
    assert torch.equal(job.train.images, poisoned.images)
    assert job.train.labels.tolist() == [label * 2 // 10 for label in split.train.labels.tolist()]
    assert job.test.labels.tolist() == [label * 2 // 10 for label in split.test.labels.tolist()]
    assert torch.equal(job.test.images, split.test.images)
    assert job.network.head.out_features == 2


def test_relabelled_run(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", relabel={"name": "modulo", "classes": 5})
    result = execute(spec, Context(), weights=tmp_path / "w.safetensors")
    split = load_split(spec.dataset, Context())
    network = spec.model.build(split.train.shape, 5, torch.Generator())
    network.load_state_dict(load_file(tmp_path / "w.safetensors"))
    guesses = predict(network, split.test.images, Context())
    assert result.last == float((guesses == split.test.labels % 5).double().mean())
    assert len(result.data.class_names) == 5
    assert result.probe is None, "the perturbation is no function of the class that is trained"
    assert result.data.clean_hash == split.train.content_hash


def test_the_clean_part_alone(
    spec_of: Callable[..., RunSpec], job_of: Callable[[RunSpec], Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small(spec_of, attack="cuda", attack_seed=4, poison_rate=0.4)
    mixed = job_of(spec)
    split = load_split(spec.dataset, Context())
    touched = touched_rows(split.train, Context(seed=4), 0.4)
    assert torch.equal(mixed.touched, touched)
    assert torch.equal((mixed.train.images != split.train.images).flatten(1).any(1), touched)
    monkeypatch.setattr(module, "poison_once", lambda *given: pytest.fail("nothing is poisoned for the control"))
    alone = job_of(spec.with_values(train_on="clean"))
    assert alone.touched is None
    assert torch.equal(alone.train.images, split.train.images[~touched])
    assert torch.equal(alone.train.labels, split.train.labels[~touched])
    some = job_of(spec.with_values(train_on="clean", poison_rate=1.0, poison_classes=[0, 1]))
    assert sorted(some.train.labels.unique().tolist()) == list(range(2, 10))


def test_accuracy_of_both_parts(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", attack_seed=4, poison_rate=0.4)
    result = execute(spec, Context(), weights=tmp_path / "w.safetensors")
    split = load_split(spec.dataset, Context())
    made = spec.attack.poison(split.train, Context(seed=4), 0.4)
    network = spec.model.build(split.train.shape, 10, torch.Generator())
    network.load_state_dict(load_file(tmp_path / "w.safetensors"))
    right = predict(network, made.images, Context()) == split.train.labels
    share = float(made.touched.double().mean())
    assert result.touched_accuracy == pytest.approx(float(right[made.touched].double().mean()))
    assert result.untouched_accuracy == pytest.approx(float(right[~made.touched].double().mean()))
    for row in result.history:
        whole = share * row.touched_accuracy + (1 - share) * row.untouched_accuracy
        assert whole == pytest.approx(row.train_accuracy)
    plain = execute(small(spec_of, attack="cuda"), Context())
    assert (plain.touched_accuracy, plain.untouched_accuracy) == (None, None)
    assert plain.history[0].touched_accuracy is None


def test_specs_that_make_no_sense(spec_of: Callable[..., RunSpec]) -> None:
    with pytest.raises(SpecError, match="no attack is named"):
        small(spec_of, train_on="clean")
    with pytest.raises(SpecError, match="leaves no image clean"):
        small(spec_of, attack="cuda", train_on="clean")
    with pytest.raises(SpecError, match="must be one of 'all', 'clean'"):
        small(spec_of, attack="cuda", train_on="some")
    everything = small(spec_of, attack="cuda", train_on="clean", poison_classes=list(range(10)))
    with pytest.raises(DataError, match="none is left to train on"):
        execute(everything, Context())


def test_names_in_the_identity_only_where_they_say_something(spec_of: Callable[..., RunSpec]) -> None:
    plain = small(spec_of, attack="cuda", poison_rate=0.4)
    assert not {"train_on", "relabel"} & set(plain.identity())
    keys = {plain.key()}
    for more in (
        {"train_on": "clean"},
        {"relabel": "modulo"},
        {"relabel": "blocks"},
        {"relabel": {"name": "blocks", "classes": 2}},
    ):
        changed = small(spec_of, attack="cuda", poison_rate=0.4, **more)
        keys.add(changed.key())
        assert RunSpec.from_json(changed.to_json()) == changed
        assert changed.title() != plain.title()
    assert len(keys) == 5
    assert small(spec_of, attack="cuda", poison_rate=0.4, train_on="all", relabel=None) == plain
    assert Modulo(classes=5).to_json() == {"name": "modulo", "classes": 5}


def test_attacks_never_see_the_new_labels(spec_of: Callable[..., RunSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ImageSet] = []
    inner = ATTACKS["cuda"].perturb
    monkeypatch.setattr(
        ATTACKS["cuda"], "perturb", lambda self, data, rows, ctx: seen.append(data) or inner(self, data, rows, ctx)
    )
    execute(small(spec_of, attack="cuda", relabel="modulo"), Context())
    assert all(data.classes == 10 for data in seen)
    assert seen


@pytest.mark.parametrize(
    "more",
    [{"plan": {"name": "simclr", "epochs": 2, "batch_size": 64}}, {"model": {"name": "regnetx_1_6gf", "side": 32}}],
)
def test_other_plans_and_models_run_from_spec_to_weights(
    spec_of: Callable[..., RunSpec], tmp_path: Path, more: dict[str, Any]
) -> None:
    spec = small(spec_of, attack="cuda", poison_rate=0.4, relabel="modulo", **more)
    rows: list[dict[str, float]] = []
    files = {
        "weights": tmp_path / "w.safetensors",
        "epoch_folder": tmp_path / "epochs",
        "checkpoint": tmp_path / "c.pt",
    }
    result = execute(spec, Context(), **files, on_epoch=rows.append)
    split = load_split(spec.dataset, Context())
    network = spec.model.build(split.train.shape, 5, torch.Generator())
    network.load_state_dict(load_file(files["weights"]))
    guesses = predict(network, split.test.images, Context(), spec.plan.dtype(torch.device("cpu")))
    assert result.last == pytest.approx(float((guesses == split.test.labels % 5).double().mean()))
    assert {"train_accuracy", "test_accuracy", "touched_accuracy", "untouched_accuracy", "loss", "seconds"} <= set(
        rows[-1]
    )
    assert len(list(files["epoch_folder"].iterdir())) == spec.plan.epochs + 1
    assert execute(spec, Context(), checkpoint=files["checkpoint"]).history == result.history, (
        "resumed after the last epoch"
    )
