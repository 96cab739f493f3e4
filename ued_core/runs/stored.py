"""What the files of a run's folder may hold, as models; ``result.json`` is :class:`ued_core.runs.result.RunResult`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ued_core.runs.devices import Device
from ued_core.stored import (
    Count,
    Epoch,
    Line,
    Moment,
    Part,
    Prose,
    Seed,
    Share,
    Stored,
    settled,
    writable,
)  # fmt: skip


class Request(Stored):
    """``request.json``: what the submitter says of the run.

    Attributes:
        title: readable name.
        key: name of the result.
        created: when it was submitted.
        by, by_name: the visitor of a served app who submitted it; empty for the owner.
    """

    always = frozenset({"title", "key", "created"})
    title: Line = ""
    key: Annotated[str, BeforeValidator(writable), Field(max_length=200)] = ""
    created: Moment | None = None
    by: Annotated[str, Field(max_length=64)] = ""
    by_name: Annotated[str, BeforeValidator(writable), Field(max_length=200)] = ""


class Attempt(Stored):
    """A line of ``attempts.jsonl``: one execution.

    Attributes:
        attempt: 1….
        time: when it began.
        host, pid, created, birth: its process (:class:`ued_core.runs.launcher.Handle`).
        slot, device: where it ran.
        threads: that it computed with.
    """

    always = frozenset({"attempt", "time", "pid", "created"})
    attempt: Count | None = None
    time: Moment | None = None
    host: Line | None = None
    # 0 and negative numbers mean groups of processes to the system.
    pid: Annotated[int, Field(gt=1, lt=2**32)] | None = None
    created: Moment | None = None
    birth: Line = ""
    slot: Line = "cpu:0"
    device: Line = ""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None


class Computing(Stored):
    """A line of ``environments.jsonl``: what one execution computes with."""

    always = frozenset({"device", "precision", "threads", "torch"})
    device: Line = ""
    precision: Line = ""
    threads: Annotated[int, Field(ge=1, le=4096)] | None = None
    torch: Line = ""


class Report(Stored):
    """A line of ``progress.jsonl``: the beginning of an attempt, or how far a step is."""

    always = frozenset({"time"})
    time: Moment | None = None
    attempt: Count | None = None
    done: Annotated[float, Field(ge=0, le=1e15)] | None = None
    total: Annotated[float, Field(ge=0, le=1e15)] | None = None
    text: Line = ""


class Failure(Stored):
    """``error.json``: why a run failed."""

    always = frozenset({"what"})
    what: Prose = "The run failed, but its error.json does not say why."
    do: Prose = ""
    kind: Line = ""
    traceback: Prose = ""
    time: Moment | None = None


class MethodSpec(BaseModel):
    """A method by its name; its parameters are judged by the method itself when they are used."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    name: Line


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Parameters = Annotated[MethodSpec, BeforeValidator(_named), BeforeValidator(settled)]


class PlanSpec(MethodSpec):
    """The plan, whose epochs tables show."""

    name: Line = ""
    epochs: Epoch = 0


class SpecFile(Stored):
    """``spec.json`` as far as tables and pages rely on it; :class:`ued_core.runs.spec.RunSpec` judges the rest."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, BeforeValidator(settled)]] = Field(init=False)
    dataset: Parameters | None = None
    model: Parameters | None = None
    attack: Parameters | None = None
    relabel: Parameters | None = None
    plan: Annotated[PlanSpec, BeforeValidator(_named), BeforeValidator(settled)] | None = None
    defenses: list[Parameters] | None = None
    poison_rate: Share = 1.0
    poison_classes: list[Count] | None = None
    attack_seed: Seed = 0
    train_on: Literal["all", "clean"] | None = None
    seed: Seed = 0
    device: Device = "auto"
    note: Annotated[str, BeforeValidator(writable), Field(max_length=3_000)] = ""


class CraftedLog(Part):
    """The part of a crafted set's card that a run shows."""

    stopped_early: Line = ""


class CraftedCard(Stored):
    """``crafted/*/card.json``."""

    log: CraftedLog | None = None


class WeightsCard(Part):
    """The metadata of a file of weights: for which run, epoch, images (C, H, W) and how many classes."""

    spec: Line
    epoch: Epoch
    shape: Annotated[list[Annotated[int, Field(ge=1, le=65_536)]], Field(min_length=3, max_length=3)]
    classes: Annotated[int, Field(ge=1, le=1_000_000)]
