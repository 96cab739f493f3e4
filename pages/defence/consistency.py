"""Θ and features beside the strength slider."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.frame.cache import cached, key_of
from pages.frame.chips import chip
from pages.state import background
from pages.state.choice import Selection
from pages.state.theta_words import SAMPLES, STRENGTHS, few_words, limit_words
from pages.widgets.controls import parameter_control, segments, value_of
from pages.widgets.live_chart import Follows, live_chart, power
from ued_core.attacks import Attack
from ued_core.defenses import DefenseStack
from ued_core.figures.consistency import marks_on_curves, moved_to, theta_curves
from ued_core.figures.layouts import embedding_scatter
from ued_core.records import Embedding, ImageSet, PoisonedSet
from ued_core.studies.layout import lay_out_copies, summary_of
from ued_core.studies.onlookers import Onlooker, onlookers
from ued_core.theory import Theta, expected, limit, theta
from ued_core.theory.matrices import Boundary

PER_CLASS = 20
THETA_HEIGHT, FEATURES_HEIGHT = 165, 185
WIDE = 0.02
"""From this difference on a sampled Θ_imc is seen to lie below the curve."""
BELOW = "The circle falls only because so few draws are counted. "
# Tiles and Θ are on the screen by then: until they are, a layout would only take a core from the browser.
DRAWN_FIRST_S = 0.25


@cached(max_entries=16)
def _limits(kernels: np.ndarray, side: int, boundary: Boundary) -> tuple[Theta, ...]:
    return tuple(limit(kernels, float(a), (side, side), boundary) for a in STRENGTHS)


@cached(max_entries=64)
def _curves(
    kernels: np.ndarray, samples: int, side: int, boundary: Boundary
) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Θ_imi and Θ_imc over the strengths: for n → ∞, and what n samples show on average."""
    full = _limits(kernels, side, boundary)
    means = [expected(t, samples, side * side) for t in full]
    return (
        (np.array([t.imi for t in full]), np.array([t.imc for t in full])),
        (np.array([m[0] for m in means]), np.array([m[1] for m in means])),
    )


@cached(max_entries=16)
def _theta_figure(kernels: np.ndarray, samples: int, side: int, boundary: Boundary) -> str:
    limits, means = _curves(kernels, samples, side, boundary)
    return theta_curves(STRENGTHS, limits, means, samples, (0.0, 0.0, 0.0)).to_json(validate=False)


@cached(max_entries=1024)
def _sampled(kernels: np.ndarray, strength: float, samples: int, seed: int, side: int, boundary: Boundary) -> Theta:
    return theta(kernels, strength, samples, np.random.default_rng(seed), (side, side), boundary)


def theta_chip() -> int:
    """How many matrices per class the point is computed from."""
    with chip("Θ", f"n = {value_of('samples', SAMPLES.default)}"):
        return parameter_control(SAMPLES, key="samples", default=SAMPLES.default)


@dataclass(frozen=True)
class Explained:
    """Attack and defence for which Θ is defined, whatever the slider says.

    Attributes:
        kernels: float (c, k, k), of the attack.
        samples: matrices per class from which the point is computed.
        seed: of the drawn matrices; the private key.
        side: of the images, in pixels; 64 at most.
        boundary: COIN's.
        figure: JSON of both curves, to which the slider adds a point.
        filename: of downloads.
    """

    kernels: np.ndarray
    samples: int
    seed: int
    side: int
    boundary: Boundary
    figure: str
    filename: str


def explained(choice: Selection, stack: DefenseStack, samples: int) -> Explained | None:
    """What Θ is of; None unless a convolution-based attack meets COIN alone."""
    moves = stack.displacements()
    kernels = choice.attack.kernels(choice.train.classes, choice.seed)
    if kernels is None or moves is None:
        return None
    side = min(choice.train.shape[1], 64)
    figure = _theta_figure(kernels, samples, side, moves.boundary)
    name = f"theta_{choice.attack.key}_{choice.seed}"
    return Explained(kernels, samples, choice.seed, side, moves.boundary, figure, name)


def theta_view(of: Explained | None, stack: DefenseStack, slider: str) -> None:
    """Both metrics over α for the chosen kernels, and the values just drawn.

    Args:
        of: the kernels.
        stack: the defences.
        slider: key of the slider that sets α.
    """
    moves = stack.displacements()
    if of is None or moves is None:
        st.info(
            "Θ is defined for convolution-based attacks under COIN alone; choose both, and no further defence, "
            "to see it."
        )
        return
    strength = moves.strength
    limits, _ = _curves(of.kernels, of.samples, of.side, of.boundary)
    exact = float(np.interp(strength, STRENGTHS, limits[1]))
    now = _sampled(of.kernels, strength, of.samples, of.seed, of.side, of.boundary)
    live_chart(
        of.figure,
        key="theta",
        changes=moved_to(of.figure, (strength, now.imi, now.imc)),
        height=THETA_HEIGHT,
        follows=Follows(slider, strength, marks_on_curves(of.figure)),
        alt=f"At strength {strength:g} pixels Θ_imi is {now.imi:.3g} and Θ_imc {now.imc:.3f}; without COIN Θ_imi is 0.",
        filename=of.filename,
        question="Θ: is there still a pattern to learn?",
        caption=f"At α = {strength:.2f} px: **Θ_{{imi}} = {power(now.imi)}**, **Θ_{{imc}} = {now.imc:.3f}** "
        f"(n = {of.samples}; dashed: what so few draws show). {BELOW if now.imc < exact - WIDE else ''}"
        "Θ alone does not say which α is best.",
    )


def theta_text(of: Explained | None) -> None:
    """What the curves say, folded away; nothing where there are none."""
    if of is None:
        return
    with st.expander("What the curves of Θ say, and why few samples mislead"):
        limits, means = _curves(of.kernels, of.samples, of.side, of.boundary)
        few = few_words(STRENGTHS, means, of.samples)
        st.markdown(THETA_TEXT.format(shapes=limit_words(STRENGTHS, limits), few=few))


THETA_TEXT = r"""
Attack and defence together multiply each image by a matrix $A_i = R_i A_k$: the class's filter $A_k$, then COIN's
random matrix $R_i$.

- $\Theta_{{imi}}=\frac1c\sum_k\frac1{{d^2}}\sum_{{p,q}}\mathrm{{Var}}_i\,A_i[p,q]$ is the **spread within a class**: 0
  without COIN.
- $\Theta_{{imc}}$ is the mean cosine between the **mean matrices of two classes**: 1 would mean that the filters
  no longer tell classes apart.

The paper's hypothesis is that raising either one brings back accuracy. The green curves are exact for all possible
draws (n → ∞). {shapes} Where $\Theta_{{imi}}$ falls, fewer of the displacements interpolate strongly: their share goes
up and down with the fraction of α.

**A finite sample shows less.** A class mean of n draws still carries noise, which adds to its length but is independent
between classes: the cosine is smaller, by more for larger α, and the difference to the green curve is an artefact of
counting, not of COIN. {few} Raise n and watch the circle climb towards the green curve. And more Θ is not more
accuracy without end: COIN also costs detail.
"""


@dataclass(frozen=True)
class Watched:
    """Images whose features are shown, whatever the slider says.

    Attributes:
        chosen: clean.
        rows: int (N,), their places in the data set.
        attack, attack_seed: what makes the poisoned copies, or these themselves.
        onlookers: the networks that can look, by name: first the one that learned the poison, where one ships.
        names: of the classes.
        like: names the images; layouts of the same ones by the same network stand in for each other.
    """

    chosen: ImageSet
    rows: np.ndarray
    attack: Attack | PoisonedSet
    attack_seed: int
    onlookers: Mapping[str, Onlooker]
    names: tuple[str, ...]
    like: str


def watched(choice: Selection) -> Watched:
    """The images of this choice whose features are shown."""
    chosen, places = choice.shown(PER_CLASS)
    rows, names = np.array(places), tuple(choice.train.class_names)
    looking = {found.name: found for found in onlookers(choice.dataset, choice.attack, choice.seed)}
    like = key_of(_stand_in, chosen, rows)
    return Watched(chosen, rows, choice.poison(chosen), choice.seed, looking, names, like)


class Copies(NamedTuple):
    """The first arguments of :func:`ued_core.studies.layout.lay_out_copies`: what is laid out, whatever the method."""

    chosen: ImageSet
    attack: Attack | PoisonedSet
    attack_seed: int
    defenses: DefenseStack
    seed: int
    rows: np.ndarray
    reference: str


def feature_view(
    of: Watched, looks: Onlooker, stack: DefenseStack, draw: int, whole: ImageSet | None, reached: str
) -> None:
    """Features of clean, poisoned and defended copies; follows without holding the page up.

    Args:
        of: the images.
        looks: the network whose features are shown.
        stack, draw: the defences, and the epoch whose draws are shown.
        whole: the poisoned training set, for defences that must see all of it.
        reached: which state of a trained defence is looked at.
    """
    work = Copies(of.chosen, of.attack, of.attack_seed, stack, draw, of.rows, looks.name)
    found = background.latest(
        functools.partial(lay_out_copies, whole=whole),
        *work,
        "umap",
        slot="features",
        key=key_of(lay_out_copies, *work, whole, reached),
        like=f"{of.like}:{looks.name}",
        after=_start_at,
        # Features of six hundred images take longer than the rest of the page: once, not at every move.
        first=lambda: _stand_in(work, whole, reached),
        after_s=DRAWN_FIRST_S,
    )
    if found.value is not None:
        _feature_chart(of, looks, found.value, _note(found))


def who_looks(known: Mapping[str, Onlooker]) -> Onlooker:
    """The network that the reader chose; the first one where there is no choice."""
    first = next(iter(known))
    if len(known) == 1:
        return known[first]
    words = {name: "poisoned" if one.poisoned else "clean" for name, one in known.items()}
    said = " ".join(f"**{words[name]}:** {one.words}." for name, one in known.items())
    return known[segments("Which network looks", words, key="onlooker", default=first, help=said)]


@cached(max_entries=16)
def _stand_in(work: Copies, whole: ImageSet | None, reached: str) -> Embedding:
    return lay_out_copies(*work, "pca", whole=whole)


@cached(max_entries=64)
def _drawn(shown: Embedding, names: tuple[str, ...]) -> tuple[str, str]:
    """JSON of the layout, and how far the copies are from each other, in words."""
    moved = summary_of(shown)
    words = ", ".join(f"{name} {100 * d:.0f} %" for name, d in moved.items() if name != "clean")
    # In a flat panel the names of the axes and a square would leave the points no room.
    figure = (
        embedding_scatter(shown, names)
        .update_layout(xaxis_title_text="", yaxis_title_text="", yaxis_scaleanchor=False, margin={"t": 8, "b": 8})
        .to_json(validate=False)
    )
    return figure, f"Mean distance from the clean copy: {words} of the layout."


def _start_at(last: Embedding) -> dict[str, np.ndarray]:
    """A layout begins where the last one ended, so that points move as little as they must."""
    return {"previous": last.points} if last.method == "umap" else {}


def _note(layout: background.Answer[Embedding]) -> str:
    """What is said in place of distances while the layout is not that of the chosen defence."""
    if layout.ready:
        return ""
    if layout.error is not None:
        return f"UMAP failed: {layout.error}"
    if background.status().ready:
        return "UMAP is following …"
    return "UMAP is compiling (about ten seconds after the start); principal components stand in."


def _feature_chart(of: Watched, looks: Onlooker, shown: Embedding, note: str) -> None:
    figure, words = _drawn(shown, of.names)
    live_chart(
        figure,
        key="features_chart",
        height=FEATURES_HEIGHT,
        alt=words,
        filename="features",
        question="What the poisoned network sees" if looks.poisoned else "What a clean network sees",
        caption=f"**{note or words}** {looks.why}" + ("" if len(of.onlookers) > 1 else f" It is {looks.words}."),
    )
