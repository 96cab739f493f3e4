"""What the reader is looking at: data set, attack, private key; the same on every page and in the link."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st
import torch

from pages.frame.cache import cached
from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.state.crafting import stop_until_crafted
from pages.state.sets import split
from pages.widgets.controls import (
    choose,
    method_address,
    method_controls,
    parameter_control,
    set_control,
    set_method,
    slide,
)
from ued_core.attacks import ATTACKS, Attack
from ued_core.attacks.base import touched_rows
from ued_core.attacks.checkpoint import poison_once
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.data.base import Dataset
from ued_core.params import Catalogue, Parameter
from ued_core.records import DataSplit, ImageSet, PoisonedSet
from ued_core.studies.layout import balanced_rows

SEED = Parameter(
    name="seed", label="private key (seed)", kind="int", default=0, minimum=0, maximum=2**31 - 1,
    help="The attacker's secret: the same key draws the same perturbation, also in the official CUDA release.",
)  # fmt: skip
PICK = Parameter(
    name="pick", label="choice of images", kind="int", default=0, minimum=0, maximum=9999,
    help="Another number picks other images of every class.",
)  # fmt: skip
RATE_KEY = "poison_rate"
RATES = {f"{percent / 100:g}": f"{percent} %" for percent in range(5, 101, 5)}
"""Shares of the training images that can be chosen to be poisoned, and their words; those of the form for new runs."""
ALL = "1"


@dataclass(frozen=True)
class Selection:
    """One choice of data, attack and key.

    Attributes:
        dataset, attack: as configured.
        seed: the private key.
        pick: which images of each class are shown.
        data: the loaded images.
        poison_rate: share of the training images that are poisoned, 0..1; only pages that offer the choice know other
            ones than 1.
    """

    dataset: Dataset
    attack: Attack
    seed: int
    pick: int
    data: DataSplit
    poison_rate: float = 1.0

    @property
    def train(self) -> ImageSet:
        """The clean training images."""
        return self.data.train

    def shown(self, per_class: int) -> tuple[ImageSet, list[int]]:
        """Some images of every class, and their rows in the training set."""
        return _shown(self.train, per_class, self.pick)

    def poisoned(self, images: ImageSet) -> PoisonedSet:
        """The attack on some rows of the training images."""
        return poisoned(images, self.attack, self.seed)

    def trained_on(self, images: ImageSet) -> ImageSet:
        """The same as a set to train on."""
        return _trained_on(images, self.attack, self.seed)

    def published(self) -> ImageSet:
        """The whole training set as a run gets it: at a poison rate below 1 some of its images are clean."""
        if self.poison_rate == 1:
            return self.trained_on(self.train)
        return _published(self.train, self.attack, self.seed, self.poison_rate)

    def touched(self) -> torch.Tensor:
        """Which images of :meth:`published` are poisoned, bool (N,)."""
        return touched_rows(self.train, Context(seed=self.seed), self.poison_rate)


@cached(max_entries=32)
def _shown(train: ImageSet, per_class: int, pick: int) -> tuple[ImageSet, list[int]]:
    rows = balanced_rows(train.labels, per_class, pick)
    return train.take(rows), rows.tolist()


@cached(max_entries=32)
def poisoned(images: ImageSet, attack: Attack, seed: int) -> PoisonedSet:
    """The attack's work, kept for the last few choices."""
    return attack.preview(images, seed)


@cached(max_entries=32)
def _trained_on(images: ImageSet, attack: Attack, seed: int) -> ImageSet:
    return poisoned(images, attack, seed).as_training_set()


@cached(max_entries=8)
def _published(train: ImageSet, attack: Attack, seed: int, poison_rate: float) -> ImageSet:
    return poison_once(attack, train, Context(seed=seed), poison_rate).as_training_set()


def sidebar_selection(*, attacked: bool = True, only: type[Attack] | None = None, rates: bool = False) -> Selection:
    """Controls for data, attack and key in the sidebar, and what they chose.

    Args:
        attacked: the page shows what the attack makes of images; it ends here while they still have to be crafted.
        only: the page is about this attack alone; there is no choice of another one.
        rates: offer to poison a share of the images; the page then shows :meth:`Selection.published`.
    """
    embedded = Catalogue("data set", sorted(DATASETS.values(), key=lambda d: not d.embedded))
    with st.sidebar:
        dataset_class = choose(embedded, key="data", label="Data set", help="Those at the top need no download.")
        # A data set that asks for a text, such as a folder's path, shows nothing before it has one.
        with st.expander("Data set parameters", expanded=any(p.kind == "text" for p in dataset_class.parameters())):
            dataset = method_controls(dataset_class, key="data")
        attack_class = only or choose(ATTACKS, key="attack", label="Attack")
        with st.expander("Attack parameters"):
            attack = method_controls(attack_class, key="attack")
        seed = parameter_control(SEED, key="key", default=SEED.default)
        rate = _rate_control() if rates else 1.0
        pick = parameter_control(PICK, key="pick", default=PICK.default)
    data = split(dataset)
    if data.notes:
        # One box, whatever the number: images of a folder come with several.
        st.info("  \n".join(plain(seen(note)) for note in data.notes))
    choice = Selection(dataset, attack, seed, pick, data, rate)
    if attacked:
        stop_until_crafted(choice)
    return choice


def _rate_control() -> float:
    return float(
        slide(
            "Poison rate", RATES, key=RATE_KEY, default=ALL,
            help="The share of the training images that the attack changes; the others are published as they are. The "
                 "key draws which "
            "ones, as in a run with this poison rate.",
        )
    )  # fmt: skip


def choose_all_poisoned(dataset: Dataset, attack: Attack, seed: int) -> None:
    """Choose data, attack and key on the page that is shown, all images poisoned; for callbacks.

    A link would not do: the controls of a page that stays keep what they hold.
    """
    set_method("data", dataset)
    set_method("attack", attack)
    set_control("key", seed)
    set_control(RATE_KEY, ALL)


def selection_address(dataset: Dataset, attack: Attack, seed: int) -> dict[str, str]:
    """The address under which every page shows this data set, attack and key."""
    return {**method_address(dataset, key="data"), **method_address(attack, key="attack"), "key": str(seed)}


def protocol_line(choice: Selection) -> str:
    """The choice in words, for captions."""
    values = choice.attack.model_dump()
    shown = ", ".join(f"{p.label} {values[p.name]}" for p in choice.attack.parameters())
    part = "" if choice.poison_rate == 1 else f" · {100 * choice.poison_rate:g} % of the images poisoned"
    return f"{choice.dataset.title} · {choice.attack.title} ({shown}) · key {choice.seed}{part}"
