"""How much of the poison and of the shapes a defence leaves, along its slider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pages.frame.cache import cached
from pages.state import background
from pages.state.choice import Selection
from pages.state.strength import Strength
from pages.widgets.meters import Meter, meters
from ued_core.defenses import DefenseStack
from ued_core.records import ImageSet, balanced_rows
from ued_core.studies.left_over import Left, left_over
from ued_core.studies.onlookers import Onlooker
from ued_core.studies.suppression import sweep_values

PER_CLASS = 20
MOST_VALUES = 13
POISON_WORDS = "defended pictures that a poisoned network still gets right"
SHAPE_WORDS = "those that a clean network still gets right"


@cached(max_entries=8)
def _looked_at(test: ImageSet) -> ImageSet:
    return test.take(balanced_rows(test.labels, PER_CLASS, 0))


def _values(of: Strength, asked: float) -> tuple[float, ...]:
    """Some values over the whole range, and the one that the reader looks at where there are few."""
    offered = sweep_values(of.parameter)
    if len(offered) <= MOST_VALUES:
        return tuple(map(float, offered)) or (asked,)
    places = np.linspace(0, len(offered) - 1, MOST_VALUES).round().astype(int)
    return tuple(float(offered[place]) for place in places)


def left_view(
    of: Strength | None,
    choice: Selection,
    rest: DefenseStack,
    stack: DefenseStack,
    draw: int,
    looking: Mapping[str, Onlooker],
) -> None:
    """Two bars; nothing where no network ships that learned this poison, or where the defence has no slider.

    Args:
        of: the slider.
        choice: data, attack and key.
        rest: the stack with the default of the slider's parameter.
        stack: as the slider says.
        draw: the epoch whose draws are seen.
        looking: the networks that can look.
    """
    poisoned = [one.name for one in looking.values() if one.poisoned]
    if of is None or not poisoned or stack.needs_whole_set:
        return
    clean = next(one.name for one in looking.values() if not one.poisoned)
    crafted = choice.attack.needs_whole_set
    images = choice.shown(PER_CLASS)[0] if crafted else _looked_at(choice.data.test)
    attack = choice.poison(images) if crafted else choice.attack
    now = float(getattr(stack[0], of.parameter.name))
    values = _values(of, now)
    found: background.Answer[Sequence[Left]] = background.ask(
        left_over, images, attack, choice.seed, rest, of.parameter.name, values, draw, poisoned[0], clean,
        slot="left_over",
    )  # fmt: skip
    background.wait_for(found, slot="left_over")
    measured = found.value or ()
    which = "training" if crafted else "test"
    meters(
        [
            Meter("Poison left:", POISON_WORDS, "poisoned", tuple(one.poison for one in measured)),
            Meter("Shape left:", SHAPE_WORDS, "clean", tuple(one.shape for one in measured)),
        ],
        values if measured else (),
        now,
        key="left",
        slider=of.key,
        note=f"Good: poison low, shape high. {len(images)} {which} pictures at {len(values)} values; straight lines "
        "between.",
    )
