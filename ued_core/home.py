"""Where runs, caches and downloaded data live."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ued_core.assets import CHECKOUT, in_checkout


def home() -> Path:
    """The folder that holds everything the program writes.

    ``UED_HOME`` when set; else ``.ued`` in the checkout, or, of an installed package, a folder among the user's
    own data (``~/.local/share/ued-studio`` on Linux). It is not made here.
    """
    chosen = os.environ.get("UED_HOME")
    if chosen:
        return Path(chosen).expanduser().resolve()
    return CHECKOUT / ".ued" if in_checkout() else _user_data() / "ued-studio"


def unwritable(place: Path | None = None) -> str:
    """Why nothing can be kept, in one sentence with what to do; empty when the home can be written or made. Costs a few
    system calls.

    Args:
        place: another folder than the home.
    """
    place = home() if place is None else place
    there = next((folder for folder in (place, *place.parents) if folder.exists()), place)
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ""
    reason = "cannot be written" if there.is_dir() else f"cannot be made: {there} is no folder"
    return (
        f"The home {place} {reason}, so no run can be started and nothing is kept. Set UED_HOME to a folder that "
        "can be written."
    )


def _user_data() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
