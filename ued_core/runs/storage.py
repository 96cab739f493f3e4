"""What lies below the home, how much it takes, and which uploads runs still need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ued_core.artefacts import STORES
from ued_core.artefacts.limits import RECENT_S, limit, limit_words, log_path, make_room, removed_words, size_of
from ued_core.data.handles import imports_root, is_handle, located
from ued_core.data.room import refuse_without_room, uploads
from ued_core.errors import DataError
from ued_core.home import home
from ued_core.runs.folder import RunFolder, run_ids, runs_root
from ued_core.runs.record import read_record

_NEEDED_IN = ("queued", "running", "interrupted")
_WORDS: Mapping[str, str] = {
    "runs": "runs with their weights; delete them on the page Runs",
    "studies": "study files",
    "imports": "uploads and examples",
    "cache": "data sets as they were drawn or read",
    "data": "downloaded data sets",
    "crafted": "crafted perturbations",
    "surrogates": "surrogates that attacks trained",
    "encoders": "published weights of encoders",
    "features": "features of frozen encoders",
    "purified": "purified sets and the networks of D-VAE",
    "learned": "what defences learned",
    "layouts": "computed layouts of features",
    "record": "results that others contributed",
    "removed.jsonl": "what was removed to make room",
    "exports": "exports for download; the newest eight are kept",
}


class Area(NamedTuple):
    """A folder or file below the home.

    Attributes:
        name: its name.
        words: what it holds; empty where that is not known.
        entries: how many things are in it.
        bytes: what they take.
        limit: bytes that it may take; None where nothing is removed by itself.
    """

    name: str
    words: str
    entries: int
    bytes: int
    limit: int | None


def areas() -> list[Area]:
    """Everything below the home, largest first."""
    try:
        found = sorted(home().iterdir())
    except OSError:
        return []
    kept = {"imports": (uploads, limit)} | {store.place.split("/")[0]: (store.entries, store.limit) for store in STORES}
    made = []
    for path in found:
        entries, most = kept.get(path.name, (None, None))
        inside = len(entries()) if entries else sum(1 for _ in path.iterdir()) if path.is_dir() else 1
        made.append(Area(path.name, _WORDS.get(path.name, ""), inside, size_of(path), most() if most else None))
    return sorted(made, key=lambda area: -area.bytes)


def removals(most: int = 10) -> list[dict[str, Any]]:
    """What was removed last to stay within the limit: ``time``, ``path``, ``bytes`` and ``used``; newest first."""
    try:
        lines = log_path().read_text(encoding="utf-8").splitlines()[-most:]
        return [json.loads(line) for line in reversed(lines)]
    except (OSError, ValueError):
        return []


def needed_uploads() -> set[Path]:
    """Uploads that queued, running and interrupted runs read, as entries of :func:`ued_core.data.room.uploads`."""
    root, found = imports_root(), set()
    for run_id in run_ids(runs_root()):
        record = read_record(RunFolder(runs_root() / run_id))
        if record.state not in _NEEDED_IN:
            continue
        for text in _texts(record.spec):
            path = _upload(text)
            if path is not None and path.is_relative_to(root):
                found |= {path, *path.parents}
    return found


def tidy_uploads(new: Path) -> str:
    """Keep uploads within their limit after one was made; what was removed, as a sentence.

    Never removed are the new one, those of the last hour and those that a run still needs.

    Args:
        new: what was just uploaded.

    Raises:
        DataError: there is no room although nothing else can go; the new upload is removed again.
    """
    kept = uploads()
    if sum(one.bytes for one in kept) <= limit():
        return ""
    removed = make_room(kept, limit(), {new, *new.parents, *needed_uploads()}, RECENT_S)
    refuse_without_room(new, "uploads of the last hour and those that runs need")
    return removed_words(removed, "Uploads", limit_words())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _upload(text: str) -> Path | None:
    if not (is_handle(text) or text.startswith(str(imports_root()))):
        return None
    try:
        return located(text)
    except DataError:
        return None


__all__ = ["Area", "areas", "needed_uploads", "removals", "tidy_uploads"]
