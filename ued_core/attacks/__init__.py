"""Attacks: one file a method, one verb: ``poison``."""

from ued_core.attacks.base import Attack
from ued_core.attacks.class_noise import ClassNoise
from ued_core.attacks.convolution import Convolution, Cuda, Huda, Vuda
from ued_core.attacks.region import RegionNoise
from ued_core.params import Catalogue

ATTACKS: Catalogue[Attack] = Catalogue("attack", [Cuda, Vuda, Huda, ClassNoise, RegionNoise])

__all__ = ["ATTACKS", "Attack", "ClassNoise", "Convolution", "Cuda", "Huda", "RegionNoise", "Vuda"]
