"""One run from its spec to its numbers, without any process or queue."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import torch

from ued_core.analysis.perturbation import mean_size
from ued_core.analysis.purification import measure_purification, measure_separation, measured_rows
from ued_core.analysis.shortcut import shortcut_probe, wrong_classes
from ued_core.attacks.base import touched_rows
from ued_core.attacks.checkpoint import poison_once
from ued_core.context import Context, pick_device
from ued_core.data import load_split
from ued_core.defenses.stack import Purification
from ued_core.errors import DataError
from ued_core.models import Network
from ued_core.records import DataSplit, History, ImageSet, PoisonedSet
from ued_core.results.parts import (
    Crafting,
    Data,
    DefenseReport,
    Environment,
    EpochRow,
    PoisonSize,
    Probe,
    PurificationReport,
    SeparationReport,
)
from ued_core.runs.result import VERSION, RunResult
from ued_core.runs.spec import RunSpec
from ued_core.runs.weights import EpochWeights, save_weights
from ued_core.stored import known
from ued_core.training import Job, Setup, predict, train


def execute(
    spec: RunSpec,
    ctx: Context,
    *,
    checkpoint: Path | None = None,
    weights: Path | None = None,
    epoch_folder: Path | None = None,
    partial: Path | None = None,
    on_poisoned: Callable[[PoisonedSet], None] = lambda poisoned: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda row: None,
) -> RunResult:
    """Load, poison, defend, train and probe.

    Args:
        spec: what to do; its ``seed`` replaces the context's.
        ctx: progress, cancellation and the wish to end crafting early; its device is replaced by the spec's.
        checkpoint: file for resuming.
        weights: where the trained weights go, safetensors.
        epoch_folder: where the weights of single epochs go (:class:`ued_core.runs.weights.EpochWeights`); None keeps
            none.
        partial: where a set whose crafting or purification was ended early is kept, so that a resumed run trains on the
            same images.
        on_poisoned: called with the poisoned set once it is there; never where nothing is poisoned.
        on_epoch: called with each new row of the history.
    """
    began, cpu = time.perf_counter(), time.process_time()
    ctx = replace(ctx, seed=spec.seed, device=pick_device(spec.device))
    ctx.report(0, 1, "loading data")
    split = load_split(spec.dataset, ctx)
    stored, touched, crafting, poison_seconds, size = _published(spec, split.train, ctx, partial, on_poisoned)
    test_set = split.test
    if spec.relabel is not None:
        stored, test_set = spec.relabel.apply(stored), spec.relabel.apply(test_set)
    train_set, clean = stored, split.train if spec.train_on == "all" else stored
    purification: list[PurificationReport] = []
    for done in spec.defenses.purifications(stored, ctx, partial):
        train_set = done.made
        purification += _purification(done, clean, ctx, partial)
    marks = spec.defenses.marks(train_set)
    started = spec.model.initial_weights()
    network = spec.model.build(train_set.shape, train_set.classes, ctx.generator("weights", device="cpu"))
    keeper = EpochWeights(epoch_folder, spec.key(), train_set.shape, spec.plan.epochs) if epoch_folder else None
    hooks = spec.defenses.hooks(Setup(train_set, network, spec.plan, ctx))
    job = Job(
        train=train_set,
        test=test_set,
        network=network,
        plan=spec.plan,
        blend=lambda images, targets, rng, *marks: spec.defenses.blend(images, targets, train_set.classes, rng, *marks),
        draws="augment" in spec.defenses.acts,
        marks=marks,
        hooks=[hook for _, hook in hooks],
        flip=spec.dataset.mirror_safe,
        touched=touched,
        checkpoint=checkpoint,
        on_epoch=on_epoch,
        on_weights=keeper or (lambda epoch, network: None),
    )
    history = train(job, ctx)
    dtype = spec.plan.dtype(ctx.device)
    right = predict(network, stored.images, ctx, dtype) == stored.labels
    result = RunResult(
        version=VERSION,
        **summary(history),
        poisoned_accuracy=int(right.sum()) / len(right),
        touched_accuracy=None if touched is None else float(right[touched].double().mean()),
        untouched_accuracy=None if touched is None else float(right[~touched].double().mean()),
        data=Data(
            train=len(train_set),
            test=len(test_set),
            class_names=list(train_set.class_names),
            notes=list(split.notes),
            clean_hash=split.train.content_hash,
            trained_on_hash=train_set.content_hash,
        ),
        probe=probe(spec, split, network, ctx),
        poison=PoisonSize.model_validate(size) if size else None,
        crafting=None if crafting is None else Crafting.model_validate(crafting),
        purification=purification,
        training=[DefenseReport.model_validate({"name": name, **hook.report()}) for name, hook in hooks],
        treated=None
        if marks is None
        else {d.key: float(m.double().mean()) for d, m in zip(spec.defenses, marks.T, strict=True)},
        poison_seconds=poison_seconds,
        environment=environment(ctx.device, dtype),
        seconds=time.perf_counter() - began,
        cpu_s=time.process_time() - cpu,
        history=[EpochRow(known(row)) for row in history.rows],
    )
    if started is not None:
        result = result.model_copy(update={"initial_weights": started})
    if weights is not None:
        save_weights(weights, network, {"spec": spec.key()})
    return result


class _Published(NamedTuple):
    """What a victim finds.

    Attributes:
        images: with the labels of the data set.
        touched: bool (N,), which of them the attack changed; None unless it changed some and left others.
        crafting: how crafting went; None where nothing is crafted.
        seconds: what poisoning took.
        size: of the perturbation; empty where there is none.
    """

    images: ImageSet
    touched: torch.Tensor | None = None
    crafting: Mapping[str, object] | None = None
    seconds: float = 0.0
    size: Mapping[str, float] = MappingProxyType({})


def _published(
    spec: RunSpec, clean: ImageSet, ctx: Context, partial: Path | None, on_poisoned: Callable[[PoisonedSet], None]
) -> _Published:
    if spec.train_on == "clean":
        return _Published(left_clean(spec, clean, ctx))
    if spec.attack is None:
        return _Published(clean)
    began = time.perf_counter()
    made = poison_once(
        spec.attack, clean, ctx.with_seed(spec.attack_seed), spec.poison_rate, spec.poison_classes, partial
    )
    images, seconds = made.as_training_set(), time.perf_counter() - began
    on_poisoned(made)
    mixed = 0 < int(made.touched.sum()) < len(made.touched)
    size = mean_size(clean.images, images.images)
    return _Published(images, made.touched if mixed else None, made.log, seconds, size)


def _purification(done: Purification, clean: ImageSet, ctx: Context, partial: Path | None) -> list[PurificationReport]:
    """The report of a defence that was trained beforehand, with what became of the images; of others none."""
    if done.log is None:
        return []
    report: dict[str, Any] = {"name": done.defense.key, **done.log}
    report |= known(measure_purification(clean.images, done.given.images, done.made.images).to_json())
    separator = done.defense.separator(done.given, partial)
    if separator is not None:
        rows = measured_rows(len(clean))
        found = measure_separation(
            separator.network, clean.images[rows], done.given.take(rows), ctx, separator.told[rows]
        ).to_json()
        report["separation"] = SeparationReport.model_validate({"images": len(rows), **known(found)})
    return [PurificationReport.model_validate(report)]


def left_clean(spec: RunSpec, data: ImageSet, ctx: Context) -> ImageSet:
    """The training images that the spec's attack would not touch; nothing is poisoned for it.

    Raises:
        DataError: it would touch all of them.
    """
    touched = touched_rows(data, ctx.with_seed(spec.attack_seed), spec.poison_rate, spec.poison_classes)
    if bool(touched.all()):
        raise DataError(
            f"The attack would touch all {len(data)} training images, so none is left to train on.",
            "Lower the poison rate.",
        )
    return data.take((~touched).nonzero()[:, 0])


def summary(history: History) -> dict[str, Any]:
    """The numbers of a history that a result holds by themselves."""
    test, trained = history.column("test_accuracy"), history.column("train_accuracy")
    return {
        "epochs": len(history.rows),
        "last": float(test[-1]),
        "best": float(test.max()),
        "train_accuracy": float(trained[-1]),
        "train_seconds": float(history.column("seconds").sum()),
    }


def probe(spec: RunSpec, split: DataSplit, network: Network, ctx: Context) -> Probe | None:
    """The shortcut probe, for attacks on all classes whose perturbation is a function of the class that is trained."""
    if spec.attack is None or spec.poison_classes is not None or spec.relabel is not None or spec.train_on == "clean":
        return None
    test, dtype = split.test, spec.plan.dtype(ctx.device)
    own = spec.attack.as_class(test.images, test.labels, test.classes, spec.attack_seed, split.train)
    if own is None:
        return None
    labels = test.labels.numpy()
    wrong = wrong_classes(labels, test.classes, np.random.default_rng(ctx.stream_seed("wrong classes")))
    crossed = spec.attack.as_class(test.images, torch.from_numpy(wrong), test.classes, spec.attack_seed, split.train)
    if crossed is None:
        return None
    guessed, followed, misled = (predict(network, images, ctx, dtype).numpy() for images in (test.images, own, crossed))
    return Probe.model_validate(shortcut_probe(labels, wrong, guessed, followed, misled, test.classes).to_json())


def environment(device: torch.device, dtype: torch.dtype) -> Environment:
    """What the numbers may depend on besides the spec."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return Environment(
        device=device.type,
        device_name=name,
        precision=str(dtype).removeprefix("torch."),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        numpy=np.__version__,
        python=platform.python_version(),
    )
