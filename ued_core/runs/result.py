"""What a run measured, and the JSON of it: ``result.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ued_core.errors import RunError
from ued_core.results.parts import (
    Crafting,
    Data,
    DefenseReport,
    Environment,
    EpochRow,
    PoisonSize,
    Probe,
    PurificationReport,
)
from ued_core.stored import Count, Epoch, Plain, Share, Span, Stored, in_brief, whole

VERSION = 2
"""Of the file. In version 1, which has no field ``version``, the history stood in it as well as in
``history.jsonl``."""


class Summary(Stored):
    """The numbers of a result that tables of runs show. Of a damaged ``result.json`` those that are right.

    Attributes:
        epochs: trained.
        last, best: clean test accuracy after the last epoch and its maximum, 0..1.
        train_accuracy: over the last epoch, as trained, 0..1.
        environment: what the numbers may depend on besides the spec.
        cpu_s: processor time of the last execution.
    """

    epochs: Epoch | None = None
    last: Share | None = None
    best: Share | None = None
    train_accuracy: Share | None = None
    environment: Environment | None = None
    cpu_s: Span | None = None


class RunResult(Stored):
    """What a finished run measured; further fields may be anything plain.

    Attributes:
        version: of the file that it was read from, or :data:`VERSION`.
        epochs: trained.
        last, best: clean test accuracy after the last epoch and its maximum, 0..1.
        train_accuracy: over the last epoch, as trained, 0..1.
        train_seconds: sum over the epochs.
        poisoned_accuracy: of the finished model on the stored training images, without augmentation, 0..1.
        touched_accuracy, untouched_accuracy: the same of the images that the attack changed and of the others; None
            unless there are both.
        data: sizes, class names, notes, hashes.
        probe: whether it follows the image or the perturbation; None where the attack has no perturbation of a class.
        poison: how large the perturbation is; None where no image was changed.
        crafting: how crafting went; None where nothing was crafted.
        purification: one report per defence that was trained beforehand, with what its images are like.
        training: one report per defence that acted while the network learned.
        treated: defence → share of the images that its batch hook treats, 0..1; None where every defence treats all.
        poison_seconds: what poisoning took in this execution.
        environment: device, precision, threads, versions.
        seconds: what the execution took.
        cpu_s: processor time of the execution; None in results from before it was measured.
        history: one row per epoch. Stored in ``history.jsonl``; empty when that file was lost.
        initial_weights: file and SHA-256 of what the network started from; None where its weights were drawn.
        attempts: executions that it took; None of a run outside the queue.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Plain] = Field(init=False)
    version: Annotated[int, Field(ge=1, le=VERSION)] = 1
    epochs: Epoch
    last: Share
    best: Share
    train_accuracy: Share
    train_seconds: Span
    poisoned_accuracy: Share
    touched_accuracy: Share | None = None
    untouched_accuracy: Share | None = None
    data: Data
    probe: Probe | None = None
    poison: PoisonSize | None = None
    crafting: Crafting | None = None
    purification: list[PurificationReport] = []
    training: list[DefenseReport] = []
    treated: dict[str, Share] | None = None
    poison_seconds: Span = 0.0
    environment: Environment
    seconds: Span
    cpu_s: Span | None = None
    history: list[EpochRow]
    initial_weights: dict[str, str] | None = None
    attempts: Count | None = None

    @field_validator("probe")
    @classmethod
    def _of_these_classes(cls, probe: Probe | None, info: ValidationInfo) -> Probe | None:
        data = info.data.get("data")
        if probe and data and len(probe.clean_histogram) != len(data.class_names):
            raise PydanticCustomError("classes", "has another number of classes than the data")
        return probe

    @field_validator("history")
    @classmethod
    def _there(cls, history: list[EpochRow], info: ValidationInfo) -> list[EpochRow]:
        if not history and info.data.get("version") == 1:
            raise PydanticCustomError("empty", "is an empty list")
        return history

    @property
    def peak(self) -> EpochRow | None:
        """The first epoch with the best clean test accuracy; None where the history was lost."""
        return max(self.history, key=lambda row: row.test_accuracy or 0.0, default=None)

    def to_json(self, history: bool = True) -> dict[str, Any]:
        """Plain values, with or without the history."""
        value = self.model_dump(exclude_unset=True, exclude={"history"})
        return value | ({"history": [dict(row.numbers) for row in self.history]} if history else {})

    @classmethod
    def read(
        cls, value: Any, history: list[EpochRow], damage: list[str] | None = None, place: str = "result.json"
    ) -> RunResult | None:
        """A result that was stored, provided that all of it is right; otherwise None.

        Args:
            value: what the file holds.
            history: the rows of ``history.jsonl``, for files without rows of their own.
            damage: takes a sentence for every value that does not fit.
            place: where it stands, for people.
        """
        if isinstance(value, Mapping) and value.get("version", 1) != 1 and "history" not in value:
            value = {**value, "history": [row for row in history if row.test_accuracy is not None]}
        return whole(cls, value, place, damage)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunResult:
        """Read what :meth:`to_json` wrote with the history.

        Raises:
            RunError: values are missing or wrong; the message names them.
        """
        damage: list[str] = []
        made = cls.read(value, [], damage, "the result")
        if made is None:
            raise RunError(f"This is no result of a run: {'; '.join(in_brief(damage))}.")
        return made
