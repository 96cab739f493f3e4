"""The story in three pictures: the poison, the trap, and what breaks it, whose slider answers at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.frame.cache import cached
from pages.frame.guard import guarded
from pages.overview.glance import stored_rows
from pages.state.choice import Selection
from pages.state.run_words import percent
from pages.state.sets import split
from pages.state.stack import defended
from pages.state.strength import Strength, following, strength_control, strength_of
from pages.state.train_here import pair_of, train_here
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import picture, tile_rows
from ued_core import runs
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin, DefenseStack
from ued_core.figures.learning import run_figure
from ued_core.figures.roles import ROLES
from ued_core.records import ImageSet, balanced_rows
from ued_core.results.phenomenon import Condition, conditions
from ued_core.results.row import ResultRow

DATA, KEY = "fashion", 0
SHOWN = (1, 8, 9)
"""Classes of the three photographs: trousers, a bag, an ankle boot."""
PERFECT = 0.95
"""Training accuracy from which on training is said to look perfect."""
FILTER_SIDE = 9
"""Pixels of a filter's entry in its picture, frame included."""


@cached(max_entries=2)
def _pictures(train: ImageSet) -> tuple[ImageSet, ImageSet]:
    """Three clean and poisoned images."""
    chosen = train.take(balanced_rows(train.labels, 1, 3)[list(SHOWN)])
    return chosen, Cuda().poison(chosen, Context(seed=KEY)).as_training_set()


@cached(max_entries=2)
def _filters(classes: int) -> np.ndarray:
    """The three classes' filters as pictures, uint8 (3, 3, H, W): the darker, the more weight."""
    kernels = Cuda().kernels(classes, KEY)
    assert kernels is not None
    colour = np.array([int(ROLES["poisoned"].light[k : k + 2], 16) for k in (1, 3, 5)])
    made = []
    for place in SHOWN:
        weight = kernels[place] / kernels[place].max()
        cells = 255 - weight[..., None] ** 0.6 * (255 - colour)
        large = np.full((3 * FILTER_SIDE, 3 * FILTER_SIDE, 3), 255.0)
        for row in range(3):
            for column in range(3):
                top, left = row * FILTER_SIDE, column * FILTER_SIDE
                large[top : top + FILTER_SIDE - 1, left : left + FILTER_SIDE - 1] = cells[row, column]
        made.append(large)
    return np.stack(made).round().astype(np.uint8).transpose(0, 3, 1, 2)


def story() -> DefenseStack:
    """Three cards; returns the defence as the slider says."""
    clean, poisoned = _pictures(_selection().train)
    found = {c.name: c for c in conditions(stored_rows(), DATA, "adamw")}
    names = [clean.class_names[label] for label in clean.labels.tolist()]
    first, second, third = st.columns(3, gap="small")
    with first, st.container(border=True, key="card_poison"):
        _poison(clean, poisoned, names)
    with second, st.container(border=True, key="card_trap"):
        _trap(found["CUDA"], clean.classes)
    with third, st.container(border=True, key="card_cure"):
        st.subheader("3 · The cure", anchor=False)
        st.markdown("**COIN** shakes pixels at random during training, so the filter is no longer worth learning.")
        return _cure(poisoned, names, _strength())


def _poison(clean: ImageSet, poisoned: ImageSet, names: Sequence[str]) -> None:
    st.subheader("1 · The poison", anchor=False)
    st.markdown("Each class gets its own tiny filter. You still see a boot; a model can tell the class by the filter.")
    tile_rows(
        [("clean", "", clean.images), ("times this filter", "", _filters(clean.classes)),
         ("poisoned", "as published", poisoned.images)],
        alt=f"Three clean photographs ({', '.join(names)}), the filter of each class, and the filtered photographs.",
        key="poison", above=True,
    )  # fmt: skip
    st.caption(f"Nine numbers per class, drawn from a secret key (attack {Cuda.title}).")


def _typical(condition: Condition) -> ResultRow:
    """The run whose last clean test accuracy is nearest the mean over the seeds."""
    return min(condition.rows, key=lambda row: abs(row.last - condition.mean("last")))


def _trap(attacked: Condition, classes: int) -> None:
    run = _typical(attacked)
    looks = "Training looks perfect." if run.train_accuracy >= PERFECT else "Training goes up."
    level, chance = run.last, 1 / classes
    how = "is hardly better than guessing" if level < 2 * chance else f"gets {percent(level)} right"
    st.subheader("2 · The trap", anchor=False)
    st.markdown(f"{looks} On clean pictures the same model {how}.")
    live_chart(
        run_figure(run.history, len(run.history), chance=chance),
        key="trap",
        height=330,
        alt=f"Training accuracy ends at {percent(run.train_accuracy)}, clean test accuracy at {percent(level)}.",
        filename="trap",
    )
    spread = attacked.spread("last")
    st.caption(
        f"**{percent(run.train_accuracy)}** in training, **{percent(level)}** on clean pictures. A stored run, the one "
        f"of {len(attacked.rows)} nearest to their mean, {100 * attacked.mean('last'):.0f} ± {100 * spread:.0f} %."
    )


def _selection() -> Selection:
    """What the three pictures show, as the other pages would choose it."""
    # Three pictures need no five thousand: the first page must not wait for them.
    few = split(DATASETS.build(DATA, train_size=200, test_size=10))
    return Selection(DATASETS.build(DATA), Cuda(), KEY, 0, few)


def _strength() -> Strength | None:
    return strength_of(_selection(), DefenseStack([Coin()]), runs.snapshot().records)


@st.fragment
def _cure(poisoned: ImageSet, names: Sequence[str], of: Strength | None) -> DefenseStack:
    """The pictures that follow the slider."""
    stack = rest = DefenseStack([Coin()])
    with guarded():
        place = st.container()
        stack = strength_control(of, rest, pinned=False)
        with place:
            tile_rows(
                [
                    ("poisoned", "as published", picture(poisoned.images)),
                    ("defended", "follows your hand", defended(poisoned, stack, 0).images),
                ],
                alt=f"The same three photographs ({', '.join(names)}), poisoned and after COIN.",
                key="cure", above=True,
                live=following(of, poisoned, rest, stack, 0, 1, 0),
            )  # fmt: skip
    return stack


def training(stack: DefenseStack) -> None:
    """The strip that trains both."""
    train_here(pair_of(_selection(), stack), key="overview")
