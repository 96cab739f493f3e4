"""How many clean images bring a finished run's accuracy back.

Functions here run in the side process and in workers of benchmarks: they take and return plain records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ued_core.analysis.recovery import KNOWN, Control, Recovered, RecoveryTest, known_images
from ued_core.context import Context
from ued_core.data import load_split
from ued_core.errors import RunError
from ued_core.models import Network
from ued_core.records import ImageSet
from ued_core.runs.client import folder
from ued_core.runs.spec import RunSpec
from ued_core.runs.weights import network_at
from ued_core.training.batches import steps_per_epoch


@dataclass(frozen=True)
class RunRecovery:
    """What known clean images give back to the network of a run.

    Attributes:
        run: its id.
        key: of its result.
        as_trained: clean test accuracy of its network as it is, 0..1.
        steps: how many steps it was trained for.
        tested: number of clean test images behind every accuracy.
        points: one per number of known images, in the order in which they were asked for.
    """

    run: str
    key: str
    as_trained: float
    steps: int
    tested: int
    points: tuple[Recovered, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        own = {name: getattr(self, name) for name in ("run", "key", "as_trained", "steps", "tested")}
        return {**own, "points": [point.to_json() for point in self.points]}


def no_control(test: RecoveryTest, known: ImageSet) -> None:
    """Nothing in place of the control, which takes as long as the run's training."""
    return None


def recover(
    run: str, known: Sequence[int] = KNOWN, ctx: Context | None = None, control: Control = RecoveryTest.alone
) -> RunRecovery:
    """Refit and fine-tune a run's network on some of the clean images that it was trained on poisoned copies of.

    The known images are drawn by the run's seed: the same ones for all runs on the same images with the same seed,
    however these were poisoned.

    Args:
        run: id of a finished run.
        known: how many clean images are known, for each measurement.
        ctx: device, progress, cancellation; its seed is replaced by the run's.
        control: as in :meth:`RecoveryTest.at`. It knows nothing of the attack, so runs of one seed may share it.

    Raises:
        RunError: there is no such run, it has not finished, or its weights are not there.
        DataError: so many images are not there, or the run learned without labels.
        Cancelled: the user stopped.
    """
    spec, test, clean = _prepared(run, Context() if ctx is None else ctx)
    outer, points = test.ctx, []
    parts = [known_images(clean, count, outer) for count in known]
    for place, part in enumerate(parts):
        words = f"{len(part):,} known images"
        outer.report(place, len(parts), words)

        def told(done: float, total: float, text: str, place: int = place, words: str = words) -> None:
            outer.on_report(place, len(parts), f"{words}, {text}")

        points.append(replace(test, ctx=replace(outer, on_report=told)).at(part, control))
    return RunRecovery(
        folder(run).run_id, spec.key(), test.as_trained(), test.steps, len(test.test), tuple(points)
    )  # fmt: skip


def recovered_at(run: str, known: int, alone: bool) -> RunRecovery:
    """What one number of known clean images gives, as :func:`recover`.

    Args:
        run: id of a finished run.
        known: how many clean images are known.
        alone: whether the control is trained, which takes as long as the run's training.

    Raises:
        RunError, DataError: as :func:`recover`.
    """
    return recover(run, [known], control=RecoveryTest.alone if alone else no_control)


def _prepared(run: str, ctx: Context) -> tuple[RunSpec, RecoveryTest, ImageSet]:
    """The run's spec, the test of its network, and the clean images of which some are known."""
    where = folder(run)
    result = where.result()
    if result is None:
        raise RunError(
            f"The run {where.run_id} has not finished, so it has no network to recover.",
            "Wait until it has, or choose a finished one.",
        )
    spec = RunSpec.read(where.spec_path)
    ctx = replace(ctx, seed=spec.seed)
    ctx.report(0, 1, "loading data")
    split = load_split(spec.dataset, ctx)
    clean, test = split.train, split.test
    if spec.relabel is not None:
        clean, test = spec.relabel.apply(clean), spec.relabel.apply(test)

    def build() -> Network:
        return spec.model.build(clean.shape, clean.classes, ctx.generator("weights", device="cpu"))

    steps = result.epochs * steps_per_epoch(result.data.train, spec.plan.batch_size)
    network = network_at(where, result.epochs)
    made = RecoveryTest(network, build, spec.plan, steps, test, ctx, spec.dataset.mirror_safe)
    return spec, made, clean
