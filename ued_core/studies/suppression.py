"""What a defence takes from the perturbation, and what it takes from the images: both known, because we made the
poison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ued_core.analysis.edge_detector import verdict
from ued_core.analysis.perturbation import difference, distortion
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.params import Parameter
from ued_core.records import ImageSet

VALUES = 9
"""Values of a parameter that a curve takes."""


@dataclass(frozen=True)
class Suppression:
    """A stack of defences on some poisoned images, against their clean originals.

    With D the stack, the same draws for both, and δ the perturbation:

    Attributes:
        psnr: of D(x + δ) against x, median over the images, in dB: the damage.
        psnr_poisoned: the same of x + δ, before any defence.
        ssim, ssim_poisoned: structural similarity, likewise.
        energy: ‖D(x + δ) − D(x)‖² ÷ ‖δ‖², what is left of the perturbation wherever it points; nan without one.
        aligned: ⟨D(x + δ) − D(x), δ⟩ ÷ ‖δ‖², what is left of it in its old place and sign.
        border, border_poisoned: mean border scores, see :mod:`ued_core.analysis.edge_detector`.
    """

    psnr: float
    psnr_poisoned: float
    ssim: float
    ssim_poisoned: float
    energy: float
    aligned: float
    border: float
    border_poisoned: float


def suppression(
    clean: ImageSet, poisoned: ImageSet, defenses: DefenseStack, seed: int = 0, whole: ImageSet | None = None
) -> Suppression:
    """Measure a stack.

    Args:
        clean, poisoned: the same images without and with the perturbation.
        defenses: the stack.
        seed: of the draws, the same for both copies.
        whole: the poisoned training set, for defences that learn from all of it.
    """
    ctx = Context(seed=seed)
    after = defenses.preview(poisoned, ctx, whole=whole)
    without = defenses.preview(clean, ctx, whole=whole)
    delta = difference(clean.images, poisoned.images).double()
    left = difference(without.images, after.images).double()
    energy = float(delta.square().sum())
    damage, before = distortion(clean.images, after.images), distortion(clean.images, poisoned.images)
    return Suppression(
        psnr=_middle(damage.psnr),
        psnr_poisoned=_middle(before.psnr),
        ssim=_middle(damage.ssim),
        ssim_poisoned=_middle(before.ssim),
        energy=float(left.square().sum()) / energy if energy else float("nan"),
        aligned=float((left * delta).sum()) / energy if energy else float("nan"),
        border=verdict(after.images).score,
        border_poisoned=verdict(poisoned.images).score,
    )


def sweep_values(parameter: Parameter, count: int = VALUES) -> tuple[int | float, ...]:
    """Values over a parameter's range, evenly spaced, the ends included; empty for one without a range."""
    if parameter.kind not in ("int", "float") or parameter.minimum is None or parameter.maximum is None:
        return ()
    steps = np.linspace(parameter.minimum, parameter.maximum, count)
    if parameter.kind == "int":
        return tuple(sorted({round(float(v)) for v in steps}))
    return tuple(round(float(v), 4) for v in steps)


def suppression_curve(
    clean: ImageSet,
    poisoned: ImageSet,
    defenses: DefenseStack,
    parameter: str,
    values: Sequence[int | float],
    seed: int = 0,
    whole: ImageSet | None = None,
) -> tuple[Suppression, ...]:
    """:func:`suppression` for several values of one parameter of the first defence.

    Args:
        clean, poisoned, defenses, seed, whole: as in :func:`suppression`.
        parameter: its name.
        values: which.
    """
    stacks = [defenses.with_first(**{parameter: value}) for value in values]
    return tuple(suppression(clean, poisoned, stack, seed, whole) for stack in stacks)


def _middle(values: np.ndarray) -> float:
    return float(np.median(values))
