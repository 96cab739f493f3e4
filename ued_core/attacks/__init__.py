"""Attacks: one file a method, one verb: ``poison``."""

from ued_core.attacks.base import Attack
from ued_core.attacks.convolution import Convolution, Cuda, Huda, Vuda
from ued_core.params import Catalogue

ATTACKS: Catalogue[Attack] = Catalogue("attack", [Cuda, Vuda, Huda])

__all__ = ["ATTACKS", "Attack", "Convolution", "Cuda", "Huda", "Vuda"]
