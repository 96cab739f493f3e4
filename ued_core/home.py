"""Where runs, caches and downloaded data live."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """The folder that holds everything the program writes.

    ``UED_HOME`` when set, else ``.ued`` beside the package. It is not made here.
    """
    chosen = os.environ.get("UED_HOME")
    return Path(chosen).expanduser().resolve() if chosen else Path(__file__).resolve().parents[1] / ".ued"
