"""What takes long to compute is computed once and kept under the home: every kind of artefact, and their rules."""

from ued_core.artefacts.draft import STOPPED, Draft
from ued_core.artefacts.store import CANNOT_WRITE, CARD, DRAFT, EARLY, WORK, Artefact, Store, alone

LOADED = Store("cache/data", "Loaded data sets", depth=1, most=None)
"""Data sets as they were drawn or read (:mod:`ued_core.data.cache`)."""
LAYOUTS = Store("layouts", "Layouts of features", depth=1, most_entries=500)
"""Layouts of features in the plane (:mod:`ued_core.analysis.layout_store`)."""
STORES = (LOADED, LAYOUTS)

__all__ = [
    "CANNOT_WRITE",
    "CARD",
    "DRAFT",
    "EARLY",
    "LAYOUTS",
    "LOADED",
    "STOPPED",
    "STORES",
    "WORK",
    "Artefact",
    "Draft",
    "Store",
    "alone",
]
