"""Attacks: one file per method, one verb: ``poison``."""

from ued_core.attacks.adversarial_poison import AdversarialPoison
from ued_core.attacks.autoregressive import Autoregressive
from ued_core.attacks.base import Attack
from ued_core.attacks.class_noise import ClassNoise
from ued_core.attacks.convolution import Convolution, Cuda, Huda, Vuda
from ued_core.attacks.deep_confuse import DeepConfuse
from ued_core.attacks.error_maximising import ErrorMaximising
from ued_core.attacks.error_minimising import ErrorMinimising
from ued_core.attacks.hypocritical import Hypocritical
from ued_core.attacks.ntga import Ntga
from ued_core.attacks.one_pixel import OnePixel
from ued_core.attacks.region import RegionNoise
from ued_core.attacks.robust_error_minimising import RobustErrorMinimising
from ued_core.attacks.surrogate import Surrogate, SurrogateAttack
from ued_core.attacks.synper import SynPer
from ued_core.attacks.unlearnable_clusters import UnlearnableClusters
from ued_core.catalogue import Catalogue

ATTACKS: Catalogue[Attack] = Catalogue(
    "attack",
    [
        *(Cuda, Vuda, Huda),
        *(SynPer, Autoregressive, OnePixel, ClassNoise, RegionNoise),
        *(ErrorMinimising, RobustErrorMinimising, AdversarialPoison, ErrorMaximising, Hypocritical),
        *(UnlearnableClusters, Ntga, DeepConfuse),
    ],
    group="ued_core.attacks",
    base=Attack,
)

__all__ = [
    "ATTACKS",
    "AdversarialPoison",
    "Attack",
    "Autoregressive",
    "ClassNoise",
    "Convolution",
    "Cuda",
    "DeepConfuse",
    "ErrorMaximising",
    "ErrorMinimising",
    "Huda",
    "Hypocritical",
    "Ntga",
    "OnePixel",
    "RegionNoise",
    "RobustErrorMinimising",
    "Surrogate",
    "SurrogateAttack",
    "SynPer",
    "UnlearnableClusters",
    "Vuda",
]
