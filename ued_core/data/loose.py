"""Pictures without class folders: their classes are read off their names, or each is a class of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from ued_core.data.walk import Found

MOST_ALONE = 64
"""Pictures that are each a class of their own; beyond that a page of them says nothing any more."""

_BEGINNING = re.compile(r"\D*")
_EDGE = " _-.(,#"
# What cameras, phones and programs call everything: such a beginning says nothing of the picture.
_ANYTHING = frozenset(
    ["img", "dsc", "dscn", "dscf", "dcim", "pxl", "mvimg", "cimg", "gopr", "image", "images", "photo", "picture"]
    + ["pic", "scan", "screenshot", "bildschirmfoto", "bild", "foto", "whatsapp image", "untitled", "signal"]
)


def named_alike(files: Sequence[Found]) -> dict[str, list[int]]:
    """Classes that the names tell: what stands before the first digit, as ``cat`` of ``cat_01.jpg``.

    Args:
        files: the pictures.

    Returns:
        Beginning → places of its pictures in ``files``; the beginnings in their order. Empty where the names tell no
        classes: a picture has no beginning, or one that cameras give; fewer than two pictures share one; there is one
        only.
    """
    groups: dict[str, list[int]] = {}
    shown: dict[str, str] = {}
    for place, file in enumerate(files):
        found = _BEGINNING.match(PurePath(file.parts[-1]).stem)
        beginning = found[0].strip(_EDGE) if found else ""
        same = beginning.casefold()
        groups.setdefault(same, []).append(place)
        shown.setdefault(same, beginning)
    known = len(groups) > 1 and all(len(places) > 1 for places in groups.values())
    if not known or any(not same or same in _ANYTHING for same in groups):
        return {}
    return {shown[same]: groups[same] for same in sorted(groups)}


def stems(files: Sequence[Found]) -> list[str]:
    """The names without their endings."""
    return [PurePath(file.parts[-1]).stem for file in files]
