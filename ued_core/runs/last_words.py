"""Room on the disk for an error, taken while there is some: a full disk must not keep a run from saying that it is
full."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOM_BYTES = 16_384
"""What an error may take."""


def keep_room(path: Path) -> None:
    """Make a file that takes so many bytes, unless it is there.

    Raises:
        OSError: there is no room, or no folder.
    """
    try:
        with open(path, "ab") as file:
            missing = ROOM_BYTES - file.tell()
            if missing > 0:
                # Not a hole, which takes no room.
                file.write(b" " * missing)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise


def speak(path: Path, told: Mapping[str, Any], to: Path) -> None:
    """Write a JSON object into the room that was kept, which then becomes the file ``to``; what is too long is cut.

    Raises:
        OSError: no room was kept, or the file cannot be written.
    """
    text = json.dumps(told, indent=2) + "\n"
    if len(text) > ROOM_BYTES:
        text = json.dumps({name: _cut(name, entry) for name, entry in told.items()}, indent=2) + "\n"
    with open(path, "r+b") as file:
        file.write(text.encode("ascii"))
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
    os.replace(path, to)


def _cut(name: str, entry: Any) -> Any:
    if not isinstance(entry, str):
        return entry
    # A letter takes up to twelve bytes in JSON. The end of a traceback tells most.
    most = ROOM_BYTES // 12 // 3
    return entry[-most:] if name == "traceback" else entry[:most]
