"""The one-dimensional experiment of the page Consistency Θ: a Gaussian mixture, live."""

from __future__ import annotations

import numpy as np
import streamlit as st

from pages.frame.cache import cached
from pages.frame.guard import guarded
from pages.state import background
from pages.widgets.controls import method_controls, parameter_control
from pages.widgets.live_chart import live_chart, power
from ued_core.figures.consistency import (
    MetricCurve,
    accuracy_curves,
    mini_matrices,
    score_histograms,
    with_state,
)
from ued_core.params import Parameter
from ued_core.theory.curve_words import number, shape_words
from ued_core.theory.gaussian_mixture import WAYS, Mixture, Verdict, draw_matrices, evaluate, sweep

TRAIN = Parameter(
    name="train", label="training samples per class", kind="int", default=0, minimum=0, maximum=5000, step=250,
    help="How many poisoned samples per class the classifier is fitted to; 0 stands for infinitely many (exact "
         "moments).",
)  # fmt: skip
WAY_WORDS = {
    "jitter": ("(a) jitter within a class", "j"),
    "approach": ("(b) approach of the classes", "t"),
    "strength": ("(c) random matrix A<sub>r</sub>", "α"),
}


@cached(max_entries=256)
def _verdict(mixture: Mixture, train: int, seed: int) -> Verdict:
    return evaluate(mixture, train, 2000, seed)


@cached(max_entries=16)
def _ways(parts: tuple[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray], ...], clean: float) -> str:
    curves = [MetricCurve(*WAY_WORDS[way], values, imi, imc, accuracy) for way, values, imi, imc, accuracy in parts]
    return accuracy_curves(curves, (0.0, 0.0, 0.0), clean).to_json(validate=False)


@cached(max_entries=64)
def _matrices(mixture: Mixture, seed: int) -> str:
    return mini_matrices(*draw_matrices(mixture, seed)).to_json(validate=False)


def _controls() -> tuple[Mixture, dict[str, float], int]:
    """The mixture without what the three sliders move, their values by parameter, and the size of the sample."""
    with st.container(border=True):
        sliders = st.columns(3, gap="medium")
        moved: dict[str, float] = {}
        for column, way in zip(sliders, WAYS, strict=True):
            with column:
                moved[way] = getattr(method_controls(Mixture, key="mixture", only=(way,)), way)
        with st.expander("The attacker's matrices, the distance of the classes, the training sample"):
            rest = method_controls(Mixture, key="mixture", exclude=WAYS)
            train = parameter_control(TRAIN, key="mixture_train", default=TRAIN.default)
    return rest, moved, train


def _scores_chart(found: Verdict) -> None:
    live_chart(
        score_histograms(found.scores),
        key="theta_scores",
        height=360,
        alt=f"Histograms of the discriminant score of clean samples: {100 * found.recalls[0]:.1f} % of "
        f"class +1 and {100 * found.recalls[1]:.1f} % of class −1 are recognised.",
        filename="mixture_scores",
        question="On which side of the decision do clean samples fall?",
        formula="s(x) = log p_{+1}(x) − log p_{−1}(x),  p_{y} = N(m_{y}, C_{y})",
        caption=f"Recognised: **{100 * found.recalls[0]:.1f} %** of class +1, "
        f"**{100 * found.recalls[1]:.1f} %** of class −1. When one class is "
        "recognised completely and the other not at all, the classifier has learned the filters' covariances, "
        "not the means.",
    )


def _matrices_chart(mixture: Mixture, seed: int) -> None:
    live_chart(
        _matrices(mixture, seed),
        key="theta_matrices",
        height=360,
        alt=f"Corners of one sample's matrices: off-diagonals {mixture.off_diagonals()[0]:.2f} and "
        f"{mixture.off_diagonals()[1]:.2f}, "
        f"jittered by up to {mixture.jitter:g}, and one random matrix of strength {mixture.strength:g}.",
        filename="mixture_matrices",
        question="What do the matrices of one sample look like?",
        formula="A_{i} = A_{r}·(T(a_{y}) + J_{i})",
        caption="The first ten rows and columns, zeros left empty. A_{r} wraps around, so some of its "
        "entries lie outside this corner.",
    )


@st.fragment
def one_dimensional(seed: int) -> None:
    """The Gaussian mixture, live."""
    with guarded():
        base, moved, train = _controls()
        mixture = base.with_values(**moved)
        found = _verdict(mixture, train, seed)
        clean = mixture.clean_accuracy
        curves = [background.ask(sweep, base, way, 31, 2000, seed, slot=f"mixture_{way}") for way in WAYS]
        background.wait_for(*curves, slot="mixture")
        ready = [curve.value for curve in curves if curve.value is not None]
        failed = [str(curve.error) for curve in curves if curve.error is not None]
        note = "The curves are being computed in the background … " if any(c.waiting for c in curves) else ""
        note += f"A curve failed: {failed[0]} " if failed else ""
        accuracy, theta = found.accuracy, found.theta
        parts = tuple((s.way, s.values, s.imi, s.imc, s.accuracy) for s in ready)
        live_chart(
            with_state(_ways(parts, clean), (theta.imi, theta.imc, accuracy)),
            key="theta_ways",
            height=400,
            alt=f"Accuracy {100 * accuracy:.1f} % at Θ_imi {theta.imi:.3g} and Θ_imc {theta.imc:.4f}; the clean "
            f"classifier reaches {100 * clean:.1f} %.",
            filename="mixture_accuracy_theta",
            question="Does raising one metric, or both, bring the accuracy back?",
            formula="x = yμ + z,  z ~ N(0, I_{d});  trained on A_{i}x;  clean: Φ(‖μ‖)",
            caption=f"Now: **{100 * accuracy:.1f} %** (± {100 * found.standard_error:.1f}) of clean test samples, "
            f"Θ_{{imi}} = {power(theta.imi)}, "
            f"Θ_{{imc}} = {theta.imc:.4f}. {note}Each curve moves one slider from zero with the other two at zero "
            f"(infinitely many training samples); "
            f"the dot is where all three stand. Dotted: Φ(‖μ‖) = {100 * clean:.1f} %. Curves that are vertical keep "
            "that metric constant.",
        )
        left, right = st.columns(2, gap="medium")
        with left:
            _scores_chart(found)
        with right:
            _matrices_chart(mixture, seed)
        with st.expander("What is computed, and what the curves say"):
            along = next((s for s in ready if s.way == "strength"), None)
            strength = (
                strength_words(along.values, along.accuracy, along.imi, along.imc)
                if along
                else "The curve of (c) is not there yet."
            )
            st.markdown(MIXTURE_TEXT.format(strength=strength))


MIXTURE_TEXT = r"""
Two classes $x = y\mu + z$, $y = \pm1$; the attacker multiplies class $y$ by the tridiagonal matrix $T(a_y)$. A
quadratic discriminant is trained on
the poisoned samples (mean and covariance of each class; exact, or fitted with 0.1 % of the mean variance added to the
diagonal) and tested on
clean ones. With different $a_y$ the classes differ in covariance, and clean samples of both look like one of them.

- **(a)** jitter of every off-diagonal entry by $U(-j, j)$ raises $\Theta_{{imi}}$ alone; **(b)** drawing $a_{{+1}}$ and
  $a_{{-1}}$ together raises
  $\Theta_{{imc}}$ alone; **(c)** the random matrix $A_r$, COIN's step, moves both.
- **Is more always better?** {strength} Try opposite signs of $a_y$, and a random direction of μ, of which $A_r$ washes
  out more than of a smooth one. The metrics do not determine the accuracy.

The paper does not spell out its protocol; this one is ours.
"""


def strength_words(values: np.ndarray, accuracy: np.ndarray, imi: np.ndarray, imc: np.ndarray) -> str:
    """What the curve of (c) shows: accuracy against α at its best place and at both ends, and the shape of both
    metrics."""
    best = int(accuracy.argmax())
    ends = (
        f"{100 * accuracy[0]:.1f} % at α = {number(values[0])} and {100 * accuracy[-1]:.1f} % at α = "
        f"{number(values[-1])}"
    )
    metrics = [
        shape_words(name, values, y, relative=True) for name, y in ((r"$\Theta_{imi}$", imi), (r"$\Theta_{imc}$", imc))
    ]
    highest = f"highest ({100 * accuracy[best]:.1f} %) at α = {number(values[best])}"
    return f"Along (c) the accuracy is {ends}, and {highest}. {' '.join(metrics)}"
