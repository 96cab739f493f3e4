"""Θ and features beside the strength slider."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import streamlit as st

from pages.frame.cache import cached, key_of
from pages.state import background
from pages.state.choice import Selection
from pages.state.theta_words import SAMPLES, STRENGTHS, few_words, limit_words
from pages.widgets.controls import parameter_control
from pages.widgets.live_chart import live_chart, power
from ued_core.analysis.reference import reference_for, reference_words
from ued_core.attacks import Attack
from ued_core.defenses import DefenseStack, Displacements
from ued_core.figures.consistency import moved_to, theta_curves
from ued_core.figures.layouts import embedding_scatter
from ued_core.records import Embedding, ImageSet
from ued_core.studies.layout import COPIES, lay_out_copies, summary_of
from ued_core.theory import Theta, expected, limit, theta
from ued_core.theory.matrices import Boundary

PER_CLASS = 20
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


def theta_sidebar() -> int:
    """How many matrices per class the point is computed from."""
    with st.sidebar, st.expander("Θ"):
        return parameter_control(SAMPLES, key="samples", default=SAMPLES.default)


def theta_view(choice: Selection, stack: DefenseStack, samples: int) -> bool:
    """Both metrics over α for the chosen kernels, and the values just drawn; whether Θ is defined here."""
    kernels, coin = _explained(choice, stack)
    if kernels is None or coin is None:
        st.info(
            "Θ is defined for convolution-based attacks under COIN alone; choose both, and no further defence, "
            "to see it."
        )
        return False
    side = min(choice.train.shape[1], 64)
    now = _sampled(kernels, coin.strength, samples, choice.seed, side, coin.boundary)
    figure = _theta_figure(kernels, samples, side, coin.boundary)
    live_chart(
        figure,
        key="theta",
        changes=moved_to(figure, (coin.strength, now.imi, now.imc)),
        height=430,
        alt=f"At strength {coin.strength:g} pixels Θ_imi is {now.imi:.3g} and Θ_imc {now.imc:.3f}; without COIN "
        "Θ_imi is 0.",
        filename=f"theta_{choice.attack.key}_{choice.seed}",
        question="Θ: how consistent is the noise?",
        formula="A_{i} = R_{i}·A_{k};  Θ_{imi} = mean Var A,  Θ_{imc} = mean cos(A_{μj}, A_{μk})",
        caption=f"At α = {coin.strength:.2f} px: **Θ_{{imi}} = {power(now.imi)}**, **Θ_{{imc}} = {now.imc:.3f}** (n = "
        f"{samples}).",
    )
    return True


def _explained(choice: Selection, stack: DefenseStack) -> tuple[np.ndarray | None, Displacements | None]:
    """What Θ is of; None for what is missing."""
    return choice.attack.kernels(choice.train.classes, choice.seed), stack.displacements()


def theta_text(choice: Selection, stack: DefenseStack, samples: int) -> None:
    """What the curves say, folded away; nothing where there are none."""
    kernels, coin = _explained(choice, stack)
    if kernels is None or coin is None:
        return
    with st.expander("What the curves of Θ say, and why few samples mislead"):
        limits, means = _curves(kernels, samples, min(choice.train.shape[1], 64), coin.boundary)
        st.markdown(THETA_TEXT.format(shapes=limit_words(STRENGTHS, limits), few=few_words(STRENGTHS, means, samples)))


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
counting, not of COIN. {few} Raise n and watch the orange point climb towards the green curve. And more Θ is not more
accuracy without end: COIN also costs detail.
"""


def feature_view(
    choice: Selection, stack: DefenseStack, draw: int, whole: ImageSet | None = None, reached: str = ""
) -> None:
    """Features of clean, poisoned and defended copies; follows without holding the page up.

    Args:
        whole: the poisoned training set, for defences that must see all of it.
        reached: which state of a trained defence is looked at.
    """
    chosen, rows = choice.shown(PER_CLASS)
    reference = reference_for(choice.dataset.key)
    work = Copies(chosen, choice.attack, choice.seed, stack, draw, np.array(rows), reference)
    found = background.latest(
        functools.partial(lay_out_copies, whole=whole),
        *work,
        "umap",
        slot="features",
        key=key_of(lay_out_copies, *work, whole, reached),
        like=key_of(_stand_in, chosen, np.array(rows), reference),
        after=_start_at,
        # Features of six hundred images take longer than the rest of the page: once, not at every move.
        first=lambda: _stand_in(work, whole, reached),
        after_s=DRAWN_FIRST_S,
    )
    if found.value is not None:
        _feature_chart(choice, found.value, _note(found))


class Copies(NamedTuple):
    """The first arguments of :func:`ued_core.studies.layout.lay_out_copies`: what is laid out, whatever the method."""

    chosen: ImageSet
    attack: Attack
    attack_seed: int
    defenses: DefenseStack
    seed: int
    rows: np.ndarray
    reference: str


@cached(max_entries=16)
def _stand_in(work: Copies, whole: ImageSet | None, reached: str) -> Embedding:
    return lay_out_copies(*work, "pca", whole=whole)


@cached(max_entries=64)
def _scatter(shown: Embedding, names: tuple[str, ...]) -> str:
    return embedding_scatter(shown, names).to_json(validate=False)


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


def _feature_chart(choice: Selection, shown: Embedding, note: str) -> None:
    words = _words(shown)
    network = reference_words(choice.dataset.key)
    count = len(shown.rows) // len(COPIES)
    live_chart(
        _scatter(shown, tuple(choice.train.class_names)),
        key="features_chart",
        height=430,
        alt=words,
        filename="features",
        question="Features: where do the copies go?",
        formula="f(x) of a network trained on clean images",
        caption=f"**{note or words}** {network[:1].upper()}{network[1:]}; {count} images, three copies each. "
        "Colour is the class, the symbol is the copy. Distances between far clusters mean little in UMAP.",
    )


@cached(max_entries=64)
def _words(shown: Embedding) -> str:
    moved = summary_of(shown)
    return (
        "Mean distance from the clean copy: "
        + ", ".join(f"{name} {100 * d:.0f} %" for name, d in moved.items() if name != "clean")
        + " of the layout."
    )
