"""The first defence's slider under what was measured along it, and the pictures that follow it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from pages.frame.cache import cached
from pages.state.choice import Selection
from pages.state.run_words import method_words
from pages.state.stack import introduce, main_control
from pages.widgets.controls import control_key, method_controls
from pages.widgets.delivery import Part, part
from pages.widgets.hill import hill, slider_under_hill
from pages.widgets.tile_rows import Live, Picture
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.defenses.live import LiveOperation
from ued_core.models import MODELS
from ued_core.params import Parameter
from ued_core.records import ImageSet
from ued_core.results.along import Along, along
from ued_core.results.known import Told
from ued_core.runs import RunRecord
from ued_core.training import PLANS

LARGEST_SIDE = 96
"""Of images that a browser computes while one drags; what is drawn for larger ones would take long to send."""
MOVES = "Every pixel moves by up to"
NOT_MEASURED = "nobody has trained along this slider yet: Sweep does, below"


@dataclass(frozen=True)
class Strength:
    """The slider of a stack, whatever it says.

    Attributes:
        parameter: first one of the first defence.
        key: of its control.
        measured: runs along it.
        classes: of the data.
    """

    parameter: Parameter
    key: str
    measured: Along | None
    classes: int


def strength_of(choice: Selection, rest: DefenseStack, known: Sequence[RunRecord]) -> Strength | None:
    """The slider of the first defence, if it has one: a number between two others."""
    main = rest[0]
    parameter = next(iter(main.parameters()), None)
    if parameter is None or parameter.kind not in ("int", "float"):
        return None
    if parameter.minimum is None or parameter.maximum is None:
        return None
    key = control_key("defence", type(main), parameter.name)
    asked = choice.spec(rest).to_json()
    return Strength(parameter, key, along(asked, parameter.name, _told(known, asked)), choice.train.classes)


def _told(known: Sequence[RunRecord], asked: Mapping[str, Any]) -> Iterator[Told]:
    """Finished runs of the same data and kinds of defences."""
    kinds = [defence["name"] for defence in asked["defenses"]]
    for run in known:
        raw = run.spec
        if run.last is None or [d.get("name") for d in raw.get("defenses", ()) if isinstance(d, dict)] not in (
            [],
            kinds,
        ):
            continue
        if raw.get("dataset", {}).get("name") == asked["dataset"]["name"] and (spec := run.run_spec) is not None:
            yield Told(spec.to_json(), run.last, str((run.environment or {}).get("precision", "")))


def strength_control(of: Strength | None, rest: DefenseStack, *, pinned: bool = True) -> DefenseStack:
    """The slider, and above it the accuracy of the models that were trained along it; returns the stack.

    Args:
        of: the slider; None where the first defence has none, which then has its usual control.
        rest: the stack, whose first defence has its first parameter's default.
        pinned: as in :func:`pages.widgets.hill.slider_under_hill`.
    """
    if of is None:
        return main_control(rest)
    main, *further = rest.defenses
    with slider_under_hill(pinned=pinned):
        introduce(main)
        above = st.container()
        set_main = method_controls(type(main), key="defence", only=(of.parameter.name,), values=main.model_dump())
        measured = of.measured
        with above:
            hill(
                of.parameter,
                float(getattr(set_main, of.parameter.name)),
                {} if measured is None else _points(measured, rest),
                key="hill",
                slider=of.key,
                guess=1 / of.classes,
                label=MOVES if rest.displacements() is not None else f"{main.title}: {of.parameter.label}",
                of="right on clean pictures",
                missing=NOT_MEASURED,
                note=_note(measured),
            )
    return DefenseStack([set_main, *further])


def _points(measured: Along, rest: DefenseStack) -> dict[float, tuple[float, ...]]:
    """Accuracies by value; where 0 leaves the images as they are, those without a defence stand there."""
    points = {value: tuple(draws.values()) for value, draws in measured.points.items()}
    if rest.displacements() is not None and measured.none:
        points[0.0] = tuple(measured.none.values())
    return points


def _note(measured: Along | None) -> str:
    """What the dots are, and whether they were trained otherwise than the page would."""
    if measured is None:
        return ""
    said = "Each dot is a trained model; dotted: guessing."
    if not measured.same:
        said += f" Trained with other settings: {_recipe(measured.recipe.model, measured.recipe.plan)}."
    return said


@functools.lru_cache(maxsize=16)
def _recipe(model: str, plan: str) -> str:
    return f"{method_words(MODELS.parse(json.loads(model)))}, {method_words(PLANS.parse(json.loads(plan)))}"


@cached(max_entries=16)
def _operation(images: ImageSet, rest: DefenseStack, draw: int) -> tuple[LiveOperation, Part | None] | None:
    if max(images.images.shape[-2:]) > LARGEST_SIDE:
        return None
    found = rest.live(images, Context(seed=draw))
    if found is None:
        return None
    return found, None if found.draws is None else part(found.draws.tobytes())


def following(
    of: Strength | None,
    images: ImageSet,
    rest: DefenseStack,
    stack: DefenseStack,
    draw: int,
    row: int,
    source: int | Picture,
) -> Live | None:
    """How the row of defended images follows the slider; None where only the server can compute it.

    Args:
        of: the slider.
        images: what the defence is given.
        rest: the stack with the default of the slider's parameter, so that every value asks for the same.
        stack: as the slider says.
        draw: the epoch whose draws are shown.
        row, source: as in :class:`pages.widgets.tile_rows.Live`.
    """
    found = None if of is None else _operation(images, rest, draw)
    if of is None or found is None:
        return None
    operation, draws = found
    words = {"name": operation.name, "scale": operation.scale, "settings": dict(operation.settings)}
    return Live(row, source, of.key, float(getattr(stack[0], operation.parameter)), words, draws)
