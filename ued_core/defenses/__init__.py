"""Defences: one file per method or a family of small ones, hooks ``purify``, ``augment`` and ``training``."""

from ued_core.catalogue import Catalogue
from ued_core.defenses.adversarial_training import AdversarialTraining, Trades
from ued_core.defenses.base import Defense, Displacements, StepCost
from ued_core.defenses.blending import CutMix, Mixup
from ued_core.defenses.coin import Coin
from ued_core.defenses.coin_parts import CoinInterpolation, CoinShifts
from ued_core.defenses.cutout import Cutout
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.gated_coin import GatedCoin
from ued_core.defenses.gaussian_blur import GaussianAsPublished, GaussianBlur
from ued_core.defenses.noise import GaussianNoise, UniformNoise
from ued_core.defenses.orthogonal_projection import OrthogonalProjection
from ued_core.defenses.sharpening import FixedSharpening, FrequencyFilter, RandomSharpening
from ued_core.defenses.squeezing import BitDepth, Greyscale, Jpeg
from ued_core.defenses.stack import DefenseStack
from ued_core.defenses.staged_training import StagedTraining
from ued_core.defenses.strong_augmentation import SdaAn, StrongAugmentation
from ued_core.defenses.ueraser import UEraser
from ued_core.defenses.warps import Elastic, RandomAffine, RandomPerspective, SmoothField

DEFENSES: Catalogue[Defense] = Catalogue(
    "defence",
    [
        Coin,
        CoinShifts,
        CoinInterpolation,
        GatedCoin,
        Elastic,
        SmoothField,
        RandomAffine,
        RandomPerspective,
        Greyscale,
        Jpeg,
        BitDepth,
        GaussianBlur,
        GaussianAsPublished,
        GaussianNoise,
        UniformNoise,
        RandomSharpening,
        FixedSharpening,
        FrequencyFilter,
        Cutout,
        Mixup,
        CutMix,
        StrongAugmentation,
        UEraser,
        SdaAn,
        OrthogonalProjection,
        Dvae,
        AdversarialTraining,
        Trades,
        StagedTraining,
    ],
    group="ued_core.defenses",
    base=Defense,
)

__all__ = [
    "DEFENSES",
    "Coin",
    "Defense",
    "DefenseStack",
    "Displacements",
    "StepCost",
]
