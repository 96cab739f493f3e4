"""Θ of the chosen attack under COIN on the page Consistency Θ: exact curves, samples, and trained models."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import streamlit as st

from pages.frame.cache import cached
from pages.frame.guard import guarded
from pages.frame.navigation import script
from pages.state import background
from pages.state.choice import Selection, protocol_line
from pages.state.theta_words import SAMPLES, STRENGTHS, few_words, limit_words
from pages.widgets.controls import method_controls, parameter_control
from pages.widgets.live_chart import live_chart, power
from ued_core.attacks.convolution import Support, draw_kernels
from ued_core.defenses import Coin
from ued_core.figures.consistency import (
    Curves,
    MeasuredPoint,
    accuracy_points,
    moved_to,
    support_curves,
    theta_panels,
)
from ued_core.params import Parameter
from ued_core.theory import Theta
from ued_core.theory.curve_words import ends_words
from ued_core.theory.jitter import Repeated, expected_jittered, limit_jittered, repeated, theta_jittered

JITTER = Parameter(
    name="jitter", label="kernel jitter j", kind="float", default=0.0, minimum=0.0, maximum=0.3, step=0.01,
    help="Every sample's kernel entries move by up to j at random: an attacker who does not repeat the same filter.",
)  # fmt: skip
#: where samples are repeated, in px
GRID = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.5, 6.0])
LEAST_STRENGTHS = 3
"""So many strengths of COIN are drawn as points over α."""
SUPPORTS: Mapping[str, Support] = {"CUDA (k × k)": "full", "VUDA (k × 1)": "column", "HUDA (1 × k)": "row"}


@cached(max_entries=64)
def _curves(kernels: np.ndarray, samples: int, jitter: float, side: int) -> tuple[Curves, Curves]:
    """Both metrics over the strengths: for n → ∞, and what n samples show on average."""
    full = [limit_jittered(kernels, float(a), jitter, (side, side)) for a in STRENGTHS]
    means = np.array([expected_jittered(kernels, float(a), jitter, samples, (side, side)) for a in STRENGTHS])
    return (np.array([t.imi for t in full]), np.array([t.imc for t in full])), (means[:, 0], means[:, 1])


@cached(max_entries=1024)
def _drawn(kernels: np.ndarray, strength: float, jitter: float, samples: int, seed: int, side: int) -> Theta:
    return theta_jittered(kernels, strength, jitter, samples, np.random.default_rng(seed), (side, side))


@cached(max_entries=32)
def _panels(
    kernels: np.ndarray,
    samples: int,
    jitter: float,
    side: int,
    sampled: tuple[np.ndarray, np.ndarray, np.ndarray] | None,
    points: tuple[tuple[float, float, float, float, str, str], ...],
) -> str:
    limits, means = _curves(kernels, samples, jitter, side)
    return theta_panels(
        STRENGTHS, limits, means, samples, (0.0, 0.0, 0.0),
        Repeated(*sampled, samples) if sampled else None, [MeasuredPoint(*point) for point in points],
    ).to_json(validate=False)  # fmt: skip


def _repeats(classes: int, samples: int, jitter: float) -> int:
    """Fewer repetitions where each of them costs more."""
    return max(3, min(8, (1000 if jitter else 4000) // (classes * samples)))


def _sampled(kernels: np.ndarray, samples: int, jitter: float, seed: int, side: int) -> background.Answer[Repeated]:
    repeats = _repeats(len(kernels), samples, jitter)
    drawing = (kernels, GRID, samples, repeats, seed, (side, side), "periodic", jitter)
    return background.latest(repeated, *drawing, slot="theta_samples")


@cached(max_entries=16)
def _supports(classes: int, size: int, blur: float, seed: int, jitter: float, side: int) -> tuple[str, str]:
    """The figure of the three supports, and what it shows at both ends, in words."""
    curves = {}
    for name, support in SUPPORTS.items():
        kernels = draw_kernels(classes, size, blur, support, seed)
        full = [limit_jittered(kernels, float(a), jitter, (side, side)) for a in STRENGTHS]
        curves[name] = (np.array([t.imi for t in full]), np.array([t.imc for t in full]))
    imi, imc = ({name.split()[0]: both[i] for name, both in curves.items()} for i in (0, 1))
    words = f"{ends_words(imc, 'Θ_{imc}')}; {ends_words(imi, 'Θ_{imi}')}."
    return support_curves(STRENGTHS, curves, 0.0).to_json(validate=False), words


def _supports_chart(choice: Selection, size: int, alpha: float, jitter: float, height: int) -> None:
    blur, side = choice.attack.model_dump().get("blur", 0.3), min(choice.train.shape[1], 64)
    supports, ends = _supports(choice.train.classes, size, blur, choice.seed, jitter, side)
    live_chart(
        supports,
        key="theta_supports",
        changes=moved_to(supports, (alpha,)),
        height=height,
        alt="Both metrics for n to infinity against the strength, for full, column and row kernels with blur "
        f"{blur:g} and key {choice.seed}.",
        filename=f"theta_supports_{choice.seed}",
        question="Does the kernel's support matter?",
        formula="n → ∞, same p_{b} and key",
        caption=f"k = {size}, p_{{b}} = {blur:g} (change it with the attack's parameters at the top), key "
        f"{choice.seed}. {ends}",
    )


@st.fragment
def real_images(choice: Selection, points: tuple[MeasuredPoint, ...]) -> None:
    """Θ of the chosen attack under COIN: curves, samples with errors, and the three supports."""
    with guarded():
        kernels = choice.attack.kernels(choice.train.classes, choice.seed)
        if kernels is None:
            st.info(
                "Θ is defined for convolution-based attacks: choose CUDA, VUDA or HUDA at the top. The experiment "
                "below needs no attack."
            )
            return
        side = min(choice.train.shape[1], 64)
        with st.container(border=True):
            first, second, third = st.columns(3, gap="medium")
            with first:
                alpha = method_controls(Coin, key="defence", only=("strength",)).strength
            with second:
                samples = parameter_control(SAMPLES, key="samples", default=SAMPLES.default)
            with third:
                jitter = parameter_control(JITTER, key="theta_jitter", default=JITTER.default)
        now = _drawn(kernels, alpha, jitter, samples, choice.seed, side)
        sampled = _sampled(kernels, samples, jitter, choice.seed, side)
        arrays, note = None, "The sampled points are being drawn in the background …"
        if (drawn := sampled.value) is not None:
            arrays = (drawn.strengths, drawn.imi, drawn.imc)
            note = f"Squares: {drawn.imi.shape[1]} independent repetitions, bars of two standard errors."
        elif sampled.error is not None:
            note = f"The sampled points failed: {sampled.error}"
        left, right = st.columns([3, 2], gap="medium")
        with left:
            # Points at two strengths only are no curve; the next part shows them all the same.
            enough = len({p.strength for p in points}) >= LEAST_STRENGTHS
            plain = tuple((p.strength, p.accuracy, p.imi, p.imc, p.group, p.label) for p in (points if enough else ()))
            panels = _panels(kernels, samples, jitter, side, arrays, plain)
            live_chart(
                panels,
                key="theta_panels",
                changes=moved_to(panels, (alpha, now.imi, now.imc)),
                height=800 if plain else 500,
                alt=f"At strength {alpha:g} pixels Θ_imi is {now.imi:.3g} and Θ_imc {now.imc:.3f} for {samples} "
                f"samples per class. {len(plain)} trained models are shown below on the same axis.",
                filename=f"theta_{choice.attack.key}_{choice.seed}",
                question="Do both metrics rise when α grows, and do samples agree with the closed form?",
                formula="A_{i} = R_{i}·A(K + J_{i});  Θ_{imi} = mean_{k} Σ Var A / d^{2};  Θ_{imc} = mean_{j<k} "
                "cos(A_{μj}, A_{μk})",
                caption=f"At α = {alpha:.2f} px: **Θ_{{imi}} = {power(now.imi)}**, **Θ_{{imc}} = {now.imc:.3f}** (n = "
                f"{samples}, j = {jitter:g}). {note} {protocol_line(choice)}.",
            )
        with right:
            _supports_chart(choice, kernels.shape[1], alpha, jitter, 800 if plain else 500)
        with st.expander("The answer, and why few samples mislead"):
            limits, means = _curves(kernels, samples, jitter, side)
            st.markdown(ANSWER.format(shapes=limit_words(STRENGTHS, limits), few=few_words(STRENGTHS, means, samples)))


ANSWER = r"""
**No approximation is involved:** COIN *is* multiplication with a random sparse matrix (four entries per row), so both
metrics of the real, two-dimensional transform can be computed exactly. What reviewers asked of the paper is the green
curve.

- For the kernels above and n → ∞: {shapes}
- **Few samples show less of $\Theta_{{imc}}$.** The mean of n matrices carries noise that makes it longer, but is
  independent between classes. That is an artefact of counting, not of COIN; raise n and it disappears. {few}
- **Jitter raises $\Theta_{{imi}}$ alone.** Its mean is zero, so the class means, and with them the green curve of
  $\Theta_{{imc}}$, stay. The variance grows by $\frac{{j^2}}{{3}}\sum_\delta \mathrm{{E}}\lVert R S_\delta\rVert^2$
  over the taps δ of the kernel.

Left out: the division of every image by its maximum, which multiplies a sample's matrix by one number.
"""


@st.fragment
def more_theta(choice: Selection, points: tuple[MeasuredPoint, ...]) -> None:
    """Measured accuracy against both metrics."""
    with guarded():
        if not points:
            st.info(
                f"No model has been trained on {choice.dataset.title} under {choice.attack.title} yet, so there is "
                f"nothing to show. To get points: "
                "start runs with this attack, once without a defence and once with COIN at several strengths, and "
                "come back when they are finished."
            )
            st.page_link(script("runs/page.py"), label="Start runs →")
            return
        chance = 1 / choice.train.classes
        without = [p.accuracy for p in points if p.strength == 0]
        under = [p.accuracy for p in points if p.strength > 0]
        parts = (("without COIN", without), ("with COIN", under))
        said = "; ".join(
            f"{name}: mean {100 * np.mean(values):.1f} % of {len(values)}" for name, values in parts if values
        )
        live_chart(
            accuracy_points(points, chance),
            key="theta_accuracy",
            height=430,
            alt=f"Clean test accuracy of {len(points)} trained models against both metrics. {said}.",
            filename=f"accuracy_theta_{choice.dataset.key}_{choice.attack.key}",
            question="Do models with more Θ score higher on clean test images?",
            formula="Θ of each model's own kernels and α, n → ∞;  accuracy after the last epoch",
            caption=f"{len(points)} {'model' if len(points) == 1 else 'models'} ({said}; recipes mixed). "
            f"Dotted: guessing. One point per model: compare points of one recipe only. "
            "Correlation over a few α is not proof of a cause: models on one common kernel have **Θ_{imc} = 1**, and "
            "without COIN **Θ_{imi} = 0**.",
        )
        st.page_link(script("runs/page.py"), label="More points: train at other strengths →")
