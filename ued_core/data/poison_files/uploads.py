"""Uploaded files: kept once under harmless names, and those that belong together kept together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ued_core.data.names import readable
from ued_core.data.poison_files.readers import label_file
from ued_core.data.poison_files.trees import is_map_of_a_cluster
from ued_core.errors import DataError
from ued_core.files import write_atomic

_LONGEST = 120


@dataclass(frozen=True)
class Kept:
    """An upload on the disk.

    Attributes:
        names: what the user calls the files: the one that is read, then those that are read with it.
        path: the file, or the folder of files that are one poison together.
    """

    names: tuple[str, ...]
    path: Path

    @property
    def title(self) -> str:
        """What messages and lists call it."""
        return (
            self.names[0]
            if len(self.names) == 1 or self.path.is_file()
            else f"{self.names[0]} and {len(self.names) - 1} more"
        )


def keep_upload(content: bytes, name: str, folder: Path) -> Path:
    """Store an uploaded file under its content's name, so that the same upload is stored once.

    Args:
        content: its bytes.
        name: what the user calls it; only its last part is used, and only letters, digits and ``._-`` of it.
        folder: where to.

    Returns:
        ``folder/<hash>/<name>``.

    Raises:
        DataError: it cannot be written.
    """
    path = folder / hashlib.sha256(content).hexdigest()[:16] / _harmless(name)
    _write(path, content)
    return path


def keep_uploads(files: Sequence[tuple[str, bytes]], folder: Path) -> list[Kept]:
    """Store several files of one upload, each for itself, but together what is one poison.

    Together are an array with the label file that its repository writes beside it, the maps of Unlearnable Clusters
    with their assignment, and PNG files.

    Args:
        files: name and content of each.
        folder: where to.

    Returns:
        One a poison, in the order of the upload.

    Raises:
        DataError: they cannot be written.
    """
    groups: dict[str, list[tuple[str, bytes]]] = {}
    partners = {label_file(_harmless(name)): _harmless(name) for name, _ in files if label_file(_harmless(name))}
    for place, (name, content) in enumerate(files):
        own = _harmless(name)
        if own.lower().endswith(".png"):
            key = "pictures"
        elif is_map_of_a_cluster(own):
            key = "clusters"
        elif own in partners:
            key = f"with {partners[own]}"
        else:
            key = f"with {own}" if own in partners.values() else str(place)
        groups.setdefault(key, []).append((name, content))
    return [_keep_group(key, group, folder) for key, group in groups.items()]


def _keep_group(key: str, group: list[tuple[str, bytes]], folder: Path) -> Kept:
    names = tuple(readable(name) for name, _ in group)
    if len(group) == 1 and key != "pictures":
        return Kept(names, keep_upload(group[0][1], group[0][0], folder))
    digest = hashlib.sha256()
    for name, content in sorted(group):
        digest.update(f"{name}\0{len(content)}\0".encode("utf-8", "surrogatepass") + hashlib.sha256(content).digest())
    together = folder / "together" / digest.hexdigest()[:16]
    paths: list[Path] = []
    for name, content in group:
        path = together / _harmless(name)
        for number in range(2, len(group) + 2):
            if path not in paths:
                break
            path = together / f"{Path(_harmless(name)).stem}-{number}{Path(_harmless(name)).suffix}"
        _write(path, content)
        paths.append(path)
    if key in ("pictures", "clusters"):
        return Kept(names, together)
    # The array comes first, whichever was chosen first; its label file is found beside it.
    main = next(place for place, path in enumerate(paths) if label_file(path.name))
    return Kept((names[main], *(name for place, name in enumerate(names) if place != main)), paths[main])


def _harmless(name: str) -> str:
    """The last part of a name with nothing but letters and digits of any script, and ``._-``."""
    last = Path(readable(name).replace("\\", "/").replace("\0", "_")).name
    safe = re.sub(r"[^\w.-]+", "_", last).lstrip(".") or "file"
    stem, suffix = Path(safe).stem, Path(safe).suffix[:20]
    while len((stem + suffix).encode()) > _LONGEST:
        stem = stem[:-1]
    return stem + suffix


def _write(path: Path, content: bytes) -> None:
    if path.is_file():
        return
    try:
        write_atomic(path, lambda temporary: temporary.write_bytes(content))
    except OSError as error:
        raise DataError(
            f"The upload could not be kept on the server: {error.strerror or type(error).__name__}.",
            "Make room on its disk, or make the folder of UED Studio writable.",
        ) from error
