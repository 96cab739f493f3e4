"""What takes long to compute is computed once and kept under the home: every kind of artefact, and their rules."""

from ued_core.artefacts.draft import STOPPED, Draft
from ued_core.artefacts.store import CARD, DRAFT, EARLY, WORK, Artefact, Store, alone

LOADED = Store("cache/data", "Loaded data sets", depth=1, most=None)
"""Data sets as they were drawn or read (:mod:`ued_core.data.cache`)."""
LAYOUTS = Store("layouts", "Layouts of features", depth=1, most_entries=500)
"""Layouts of features in the plane (:mod:`ued_core.analysis.layout_store`)."""
FEATURES = Store("features", "Features of frozen encoders")
"""What frozen encoders make of sets of images (:mod:`ued_core.models.feature_store`)."""
LEARNED = Store("learned", "What defences learned from data sets")
"""A few tensors per defence and data set (:mod:`ued_core.defenses.learned`)."""
SURROGATES = Store("surrogates", "Surrogates", depth=1, older_sums=lambda card: {"network.safetensors": card["sha256"]})
"""Models that attacks trained beforehand (:mod:`ued_core.attacks.surrogate`)."""
CRAFTED = Store("crafted", "Crafted sets", older_sums=lambda card: {"images.npy": card["sha256"]})
"""Sets as attacks published them (:mod:`ued_core.attacks.checkpoint`)."""
PURIFIED = Store(
    "purified",
    "Purified sets",
    older_sums=lambda card: {
        f"stage{number}.{ending}": stage[of]
        for number, stage in enumerate(card["stages"], 1)
        for of, ending in (("images", "npy"), ("network", "safetensors"))
    },
)
"""Sets as trained defences made them (:mod:`ued_core.defenses.purified`)."""
STORES = (LOADED, LAYOUTS, FEATURES, LEARNED, SURROGATES, CRAFTED, PURIFIED)

__all__ = [
    "CARD",
    "CRAFTED",
    "DRAFT",
    "EARLY",
    "FEATURES",
    "LAYOUTS",
    "LEARNED",
    "LOADED",
    "PURIFIED",
    "STOPPED",
    "STORES",
    "SURROGATES",
    "WORK",
    "Artefact",
    "Draft",
    "Store",
    "alone",
]
