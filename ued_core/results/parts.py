"""What a run measured, part by part: an epoch, the data, the probe, the environment …

Results of runs and rows of shipped tables consist of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, core_schema

from ued_core.stored import (
    Amount,
    Count,
    Epoch,
    Line,
    Part,
    Prose,
    Share,
    Span,
    Stored,
    finite_or_unknown,
    known,
    whole,
)

Number = Annotated[Amount | None, BeforeValidator(finite_or_unknown)]


class _EpochColumns(Stored):
    """The columns of an epoch; further ones are numbers. The loss of a training that diverged is not a number."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Number] = Field(init=False)
    epoch: Epoch
    loss: Number = None
    train_accuracy: Share | None = None
    test_accuracy: Share | None = None
    touched_accuracy: Share | None = None
    untouched_accuracy: Share | None = None
    seconds: Span | None = None
    images_per_s: Annotated[float, Field(ge=0, le=1e12)] | None = None


class _MeasuredColumns(_EpochColumns):
    """Those of an epoch in a result."""

    test_accuracy: Share = Field()


@dataclass(frozen=True)
class EpochRow:
    """What was measured in one epoch, as :func:`ued_core.training.train` describes it.

    Attributes:
        numbers: every column that is known, by name, in the order in which it was written. What hooks add is found
            here alone.
    """

    numbers: Mapping[str, float]

    @property
    def epoch(self) -> int:
        """1…"""
        return int(self.numbers["epoch"])

    @property
    def loss(self) -> float | None:
        """Mean over the training images as the network saw them, nats; None where it left the numbers."""
        return self.numbers.get("loss")

    @property
    def train_accuracy(self) -> float | None:
        """Over the augmented batches as the network saw them, 0..1."""
        return self.numbers.get("train_accuracy")

    @property
    def test_accuracy(self) -> float | None:
        """On the clean test images, 0..1."""
        return self.numbers.get("test_accuracy")

    @property
    def touched_accuracy(self) -> float | None:
        """Of the training images that the attack changed, 0..1; None unless it changed some and left others."""
        return self.numbers.get("touched_accuracy")

    @property
    def untouched_accuracy(self) -> float | None:
        """Of the training images that the attack left, 0..1; None unless it changed some and left others."""
        return self.numbers.get("untouched_accuracy")

    @property
    def seconds(self) -> float | None:
        """What the epoch took."""
        return self.numbers.get("seconds")

    @property
    def images_per_s(self) -> float | None:
        """How many images were trained on in a second."""
        return self.numbers.get("images_per_s")

    @classmethod
    def read(cls, value: Any, place: str, damage: list[str] | None = None) -> EpochRow | None:
        """A row of a file; None with a wrong value in it.

        Args:
            value: what the file holds.
            place: where it stands, for people: ``line 3 of history.jsonl``.
            damage: takes one sentence for everything that did not fit.
        """
        return None if whole(_EpochColumns, value, place, damage) is None else cls(known(value))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As a part of a result it has a test accuracy."""
        return core_schema.no_info_wrap_validator_function(cls._validated, handler.generate_schema(_MeasuredColumns))

    @classmethod
    def _validated(cls, value: Any, columns: ValidatorFunctionWrapHandler) -> EpochRow:
        if isinstance(value, EpochRow):
            return value
        columns(value)
        return cls(known(value))


class Data(Part):
    """What was trained and tested on.

    Attributes:
        train, test: how many images.
        class_names: one per class.
        notes: what loading the data had to say.
        clean_hash, trained_on_hash: of the images as loaded, and as the network was given them before augmentation.
    """

    train: Annotated[int, Field(ge=1, lt=10**12)]
    test: Annotated[int, Field(ge=1, lt=10**12)]
    class_names: Annotated[list[Line], Field(min_length=1)]
    notes: list[Prose] = []
    clean_hash: Line
    trained_on_hash: Line


class Probe(Part):
    """:class:`ued_core.analysis.shortcut.ShortcutProbe` as plain values, described there."""

    clean_accuracy: Share
    own_accuracy: Share
    wrong_true_rate: Share
    wrong_perturbation_rate: Share
    wrong_other_rate: Share
    clean_histogram: list[Share]
    images: Annotated[int, Field(ge=1, lt=10**12)]


class Environment(Part):
    """What the numbers may depend on besides the spec.

    Attributes:
        device: ``cpu``, ``cuda`` or ``mps``.
        device_name: as the system calls it.
        precision: ``float32`` or ``bfloat16``.
        threads: that were computed with.
        torch, numpy, python: versions.
    """

    device: Line
    device_name: Line
    precision: Line
    threads: Annotated[int, Field(ge=1, le=4096)]
    torch: Line
    numpy: Line
    python: Line


class PoisonSize(Part):
    """:func:`ued_core.analysis.perturbation.mean_size` of what was published, described there."""

    linf: Annotated[float, Field(ge=0, le=255)]
    l2: Annotated[float, Field(ge=0, le=1e6)]
    psnr: Annotated[float, Field(ge=0, le=1e3)]


class Crafting(Part):
    """How crafting went; what else an attack has to say is in it too.

    Attributes:
        seconds: that it took, when it was done.
        cpu_s: the same in seconds of processor time of this process; None in sets from before it was measured.
        evaluations: how many times an image went through a model; None in sets from before it was counted.
        note: in words.
        stopped_early: how far it was when the user ended it; empty otherwise.
        surrogate: what is known of the network that it was crafted with, in words.
    """

    seconds: Span
    cpu_s: Span | None = None
    evaluations: Count | None = None
    note: Prose
    stopped_early: Line = ""
    surrogate: Prose | None = None


class DefenseReport(Part):
    """What a defence tells of its training; all but the name is the defence's own affair.

    Attributes:
        name: its key.
    """

    name: Line


class SeparationReport(Part):
    """:class:`ued_core.analysis.purification.Separation` as plain values, described there; None for what is not
    defined, such as the share that survives where nothing was poisoned.

    Attributes:
        images: how many were measured.
    """

    images: Annotated[int, Field(ge=1, lt=10**12)]
    nats: Number = None
    bits_per_pixel: Number = None
    psnr_input: Number = None
    psnr_clean: Number = None
    psnr_joint: Number = None
    surviving: Number = None
    found: Number = None
    found_elsewhere: Number = None


class PurificationReport(DefenseReport):
    """The report of a defence that was trained beforehand, and what the run measured of it.

    Attributes:
        psnr_clean, psnr_input: of the images that it gave, against the clean ones and against those that it was given,
            in dB; None for equal images, and in results from before it was measured.
        separation: of the network of its first stage; None where it has none.
    """

    psnr_clean: Number = None
    psnr_input: Number = None
    separation: SeparationReport | None = None

    def numbers(self) -> dict[str, float]:
        """What was measured, by name; PSNR is of the images that the defence gave."""
        separation = self.separation.to_json() if self.separation is not None else {}
        return known({**separation, "psnr_clean": self.psnr_clean, "psnr_input": self.psnr_input})
