"""What the curves of Θ over the strength of COIN say; along which strengths, for how many samples, they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ued_core.defenses import Coin
from ued_core.params import Parameter
from ued_core.theory.curve_words import shape_words

SAMPLES = Parameter(
    name="samples", label="samples per class (n)", kind="int", default=20, minimum=2, maximum=500,
    help="How many random matrices of each class the round point is computed from.",
)  # fmt: skip
STRENGTHS = np.linspace(0.0, next(p.maximum or 0.0 for p in Coin.parameters() if p.name == "strength"), 49)


def limit_words(strengths: np.ndarray, limits: Sequence[np.ndarray]) -> str:
    """The shape of the exact curves of Θ_imi and Θ_imc, in two sentences."""
    (imi, imc), names = limits, (r"$\Theta_{imi}$", r"$\Theta_{imc}$")
    return f"{shape_words(names[0], strengths, imi, relative=True)} {shape_words(names[1], strengths, imc)}"


def few_words(strengths: np.ndarray, means: Sequence[np.ndarray], samples: int) -> str:
    """The shape of what n draws show of Θ_imc, in a sentence."""
    return shape_words(f"The dashed curve (n = {samples})", strengths, means[1])
