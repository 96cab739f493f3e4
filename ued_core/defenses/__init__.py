"""Defences: one file a method, hooks ``purify`` and ``augment``."""

from ued_core.defenses.base import Defense, augment_all, preview, purify_all
from ued_core.defenses.coin import Coin
from ued_core.params import Catalogue

DEFENSES: Catalogue[Defense] = Catalogue("defence", [Coin])

__all__ = ["DEFENSES", "Coin", "Defense", "augment_all", "preview", "purify_all"]
