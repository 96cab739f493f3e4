"""One run from spec to numbers, in this process; every number is computed a second time by other means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from ued_core.analysis.perturbation import mean_size
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.defenses import Defense
from ued_core.errors import Cancelled, Unavailable
from ued_core.models import Network
from ued_core.records import DataSplit, History, ImageSet
from ued_core.runs import RunSpec, pipeline
from ued_core.runs.pipeline import execute, summary
from ued_core.runs.result import RunResult
from ued_core.training import Job, accuracy, predict

TIMES = ("seconds", "images_per_s", "cpu_s")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    return tmp_path


def timeless(value: Any) -> Any:
    """A result without the numbers that differ from run to run."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in (*TIMES, "train_seconds", "poison_seconds")}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def small(spec_of: Callable[..., RunSpec], **more: Any) -> RunSpec:
    return spec_of(
        **{
            "epochs": 3,
            "plan": {"name": "adamw", "epochs": 3, "precision": "float32", "learning_rate": 0.02},
            "device": "cpu",
            **more,
        }
    )


def rebuilt(spec: RunSpec, weights: Path) -> tuple[Network, DataSplit]:
    split = load_split(spec.dataset, Context())
    network = spec.model.build(split.train.shape, split.train.classes, torch.Generator())
    network.load_state_dict(load_file(weights))
    return network, split


def test_poisoned_and_defended_run(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", attack_seed=4, poison_rate=0.5, defenses=["coin"], seed=3)
    rows: list[dict[str, float]] = []
    weights = tmp_path / "weights.safetensors"
    result = execute(spec, Context(), weights=weights, on_epoch=rows.append)
    assert RunResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False))) == result
    assert [row.numbers for row in result.history] == rows
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert (result.last, result.train_accuracy) == (rows[-1]["test_accuracy"], rows[-1]["train_accuracy"])
    assert result.best == max(row["test_accuracy"] for row in rows)
    assert result.train_seconds == pytest.approx(sum(row["seconds"] for row in rows))
    assert result.seconds >= result.train_seconds > 0

    # The same numbers from the weights on disk.
    network, split = rebuilt(spec, weights)
    with safe_open(weights, "pt") as file:
        assert file.metadata() == {"spec": spec.key()}
    assert accuracy(network, split.test, Context()) == result.last
    stored = spec.attack.poison(split.train, Context(seed=4), 0.5).as_training_set()
    assert accuracy(network, stored, Context()) == result.poisoned_accuracy
    assert result.data.clean_hash == split.train.content_hash
    assert result.data.trained_on_hash == stored.content_hash != split.train.content_hash
    assert result.poison is not None
    assert result.poison.to_json() == mean_size(split.train.images, stored.images)
    assert (result.data.train, result.data.test) == (200, 100)
    assert result.data.class_names == list(split.train.class_names)
    assert result.environment.device == "cpu"
    assert result.environment.precision == "float32"
    assert result.environment.threads == torch.get_num_threads()


def test_probe_by_hand(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", attack_seed=4, seed=3)
    result = execute(spec, Context(), weights=tmp_path / "w.safetensors")
    probe = result.probe
    network, split = rebuilt(spec, tmp_path / "w.safetensors")
    guesses = predict(network, split.test.images, Context())
    assert probe.clean_histogram == pytest.approx([float((guesses == k).float().mean()) for k in range(10)])
    assert probe.clean_accuracy == pytest.approx(result.last)
    assert probe.images == 100
    # Each class's own filter on the test images: what poisoning the test set with the same key gives.
    own = spec.attack.poison(split.test, Context(seed=4)).as_training_set()
    assert probe.own_accuracy == pytest.approx(accuracy(network, own, Context()))
    assert probe.wrong_true_rate + probe.wrong_perturbation_rate + probe.wrong_other_rate == pytest.approx(1)
    assert all(
        0 <= getattr(probe, name) <= 1 for name in ("wrong_true_rate", "wrong_perturbation_rate", "wrong_other_rate")
    )


def test_clean_run_has_no_probe_and_trains_on_the_clean_images(spec_of: Callable[..., RunSpec]) -> None:
    result = execute(small(spec_of), Context())
    assert result.probe is None
    assert result.data.trained_on_hash == result.data.clean_hash


def test_the_same_spec_gives_the_same_numbers(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", defenses=["coin"], seed=1)
    torch.manual_seed(1)
    first = execute(spec, Context(seed=5), weights=tmp_path / "a.safetensors")
    torch.manual_seed(2)
    second = execute(spec, Context(seed=6), weights=tmp_path / "b.safetensors")
    assert timeless(first.to_json()) == timeless(second.to_json())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    other = execute(small(spec_of, attack="cuda", defenses=["coin"], seed=2), Context())
    assert timeless(other.to_json()["history"]) != timeless(first.to_json()["history"])
    assert other.data == first.data, "the run's seed is not the attack's key"
    key = execute(small(spec_of, attack="cuda", defenses=["coin"], seed=1, attack_seed=9), Context())
    assert key.data.trained_on_hash != first.data.trained_on_hash


def test_resumed_pipeline_equals_an_uninterrupted_one(spec_of: Callable[..., RunSpec], tmp_path: Path) -> None:
    spec = small(spec_of, attack="cuda", defenses=["coin"], seed=1)
    whole = execute(spec, Context())
    reached: list[float] = []
    stopping = Context(stop=lambda: len(reached) >= 2)
    with pytest.raises(Cancelled):
        execute(spec, stopping, checkpoint=tmp_path / "c.pt", on_epoch=lambda row: reached.append(row["epoch"]))
    assert (tmp_path / "c.pt").exists()
    assert timeless(execute(spec, Context(), checkpoint=tmp_path / "c.pt").to_json()) == timeless(whole.to_json())


class Blackout(Defense):
    """Shows black images in training; whatever else were black would be noticed."""

    key: ClassVar[str] = "blackout"
    title: ClassVar[str] = "Blackout"
    acts: ClassVar[frozenset[str]] = frozenset({"purify", "augment"})

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        return data.with_images(torch.zeros_like(data.images))

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        assert float(images.abs().max()) == 0, "purify comes before augment"
        return torch.zeros_like(images)


def test_no_defence_touches_test_images(
    spec_of: Callable[..., RunSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small(spec_of, attack="cuda").with_values(defenses=(Blackout(),))
    seen: list[ImageSet] = []
    plain = accuracy

    def watching(network: Network, data: ImageSet, *rest: Any) -> float:
        seen.append(data)
        return plain(network, data, *rest)

    monkeypatch.setattr("ued_core.training.classification.accuracy", watching)
    result = execute(spec, Context(), weights=tmp_path / "w.safetensors")
    split = load_split(spec.dataset, Context())
    assert len(seen) == 3
    assert all(torch.equal(data.images, split.test.images) for data in seen)
    network, _ = rebuilt(spec, tmp_path / "w.safetensors")
    assert accuracy(network, split.test, Context()) == result.last
    black = ImageSet(torch.zeros(1, 3, 32, 32, dtype=torch.uint8), torch.tensor([0]), split.train.class_names, "black")
    assert (
        result.data.trained_on_hash
        == split.train.with_images(black.images.expand(200, -1, -1, -1).contiguous()).content_hash
    )


def test_a_gpu_that_is_not_there_is_a_clear_error(
    spec_of: Callable[..., RunSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="'cuda', but torch sees no GPU"):
        execute(small(spec_of, device="cuda"), Context())


def test_cancelled_before_it_began(spec_of: Callable[..., RunSpec]) -> None:
    with pytest.raises(Cancelled):
        execute(small(spec_of), Context(stop=lambda: True))


def test_summary_by_hand() -> None:
    history = History()
    for epoch, (test, trained) in enumerate([(0.2, 0.5), (0.6, 0.7), (0.4, 0.9)], 1):
        history.add({"epoch": epoch, "test_accuracy": test, "train_accuracy": trained, "seconds": 2.0})
    assert summary(history) == {"epochs": 3, "last": 0.4, "best": 0.6, "train_accuracy": 0.9, "train_seconds": 6.0}
    assert np.isfinite(list(summary(history).values())).all()


def test_every_image_becomes_a_jpeg_file_once(spec_of: Callable[..., RunSpec], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first epoch, whatever stands beside it in the stack; test images never."""
    files: list[tuple[int, str]] = []
    epochs: list[dict[str, float]] = []
    save = Image.Image.save

    def counted(image: Image.Image, to: Any, format: str | None = None, **more: Any) -> None:
        files.append((len(epochs), f"{format} {more['quality']}"))
        save(image, to, format, **more)

    monkeypatch.setattr(Image.Image, "save", counted)
    real = pipeline.train

    def train(job: Job, ctx: Context) -> History:
        assert len(files) == 200
        return real(job, ctx)

    monkeypatch.setattr(pipeline, "train", train)
    execute(small(spec_of, attack="cuda", defenses=["jpeg", "coin"]), Context(), on_epoch=epochs.append)
    assert len(epochs) == 3
    assert files == [(0, "JPEG 10")] * 200
